"""Queries, changes and repeated requests at the QuickBooks sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.connectors.quickbooks_company import (
    BASE,
    Clock,
    Company,
    line,
    sale,
)


@pytest.fixture
def three(company: Company, clock: Clock) -> Company:
    """Three customers with one invoice each, a minute apart: 120, 240 and 360."""
    for number, name in enumerate(("Ann", "Zoé", "L'Oréal"), 1):
        customer = company.customer(name)
        company.make("invoice", sale(customer, line(f"{number}00"), DocNumber=f"S-{number}"))
        clock.now += timedelta(minutes=1)
    return company


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("", ["S-1", "S-2", "S-3"]),
        ("where DocNumber = 'S-2'", ["S-2"]),
        ("where DocNumber IN ('S-3','S-1', 'S-9')", ["S-3", "S-1"]),
        ("WHERE TotalAmt > '120' AND TotalAmt <= 360", ["S-2", "S-3"]),
        ("where CustomerRef = '2'", ["S-2"]),
        ("where TxnDate >= '2026-11-24' orderby TotalAmt desc", ["S-3", "S-2", "S-1"]),
        ("where DocNumber LIKE 'S-%' ORDERBY DocNumber DESC STARTPOSITION 2 MAXRESULTS 1", ["S-2"]),
        ("where Id < '3'", ["S-1", "S-2"]),
        ("where MetaData.LastUpdatedTime > '2026-11-24T10:00:30+01:00'", ["S-2", "S-3"]),
        ("where Balance = '0'", []),
        ("MAXRESULTS 2", ["S-1", "S-2"]),
    ],
)
def test_queries_find_invoices(three: Company, condition: str, numbers: list[str]) -> None:
    found = three.query(f"select * from Invoice {condition}")

    assert [invoice["DocNumber"] for invoice in found.get("Invoice", [])] == numbers
    assert found == {} or found["maxResults"] == len(numbers)


def test_queries_count_select_fields_and_escape(three: Company) -> None:
    assert three.query("select count(*) from Invoice where TotalAmt > '120'") == {"totalCount": 2}
    escaped = three.query(r"select Id, DisplayName from Customer where DisplayName = 'L\'Oréal'")
    assert escaped["Customer"] == [{"Id": "3", "DisplayName": "L'Oréal"}]
    posted = three.http.post(
        f"{BASE}/query", content=b"select * from Customer", headers={"content-type": "application/text"}
    )
    assert len(posted.json()["QueryResponse"]["Customer"]) == 3
    assert three.query("select * from Customer where Balance > '200'")["maxResults"] == 2
    assert three.query("select * from CompanyInfo")["CompanyInfo"][0]["Country"] == "FR"


def test_inactive_records_are_found_only_when_asked_for(company: Company) -> None:
    customer = company.customer()
    company.make("customer", {"Id": customer, "SyncToken": "0", "sparse": True, "Active": False})

    assert company.query("select * from Customer where DisplayName = 'Camille Exemple'") == {}
    named = "select * from Customer where Active IN (true, false) and DisplayName = 'Camille Exemple'"
    assert company.query(named)["maxResults"] == 1
    assert company.refused("customer", {"DisplayName": "Camille Exemple"})[0] == "6240"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select * from Customer where DisplayName = 'L'Oréal'", "4000"),
        ("select * from Invoice where DocNumber = 'S-1' or DocNumber = 'S-2'", "4000"),
        ("select from Invoice", "4000"),
        ("delete from Invoice", "4000"),
        ("select * from Invoice where DocNumber", "4000"),
        ("select * from Invoice where PrivateNote = 'x'", "4001"),
        ("select * from Unicorn", "4001"),
        ("select * from Invoice STARTPOSITION 0", "4001"),
        ("select * from Invoice MAXRESULTS 1001", "4001"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(three: Company, text: str, code: str) -> None:
    answer = three.http.get(f"{BASE}/query", params={"query": text})

    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code)


def test_changes_since_an_instant_show_deletions(three: Company, clock: Clock) -> None:
    three.make("invoice", {"Id": "1", "SyncToken": "0"}, operation="delete")

    query = {"entities": "Invoice,Payment", "changedSince": "2026-11-24T09:02:00Z"}
    (response,) = three.http.get(f"{BASE}/cdc", params=query).json()["CDCResponse"]

    invoices, payments = response["QueryResponse"]
    assert [(each["Id"], each.get("status")) for each in invoices["Invoice"]] == [("3", None), ("1", "Deleted")]
    assert payments == {}
    old = {**query, "changedSince": "2026-10-01"}
    assert three.http.get(f"{BASE}/cdc", params=old).status_code == 400


def test_an_unknown_address_or_id_answers_as_the_vendor_does(company: Company) -> None:
    for path, code in (("customer/1/5", "500"), ("unicorn/1", "500"), ("customer/1.5", "2030"), ("customer/77", "610")):
        answer = company.http.get(f"{BASE}/{path}")
        assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code), path


def test_a_repeated_requestid_gets_the_first_answer(company: Company, clock: Clock) -> None:
    customer = company.customer()
    first = company.post("invoice", sale(customer, DocNumber="S-1"), requestid="inv-1")
    clock.now += timedelta(minutes=5)

    same = company.post("invoice", sale(customer, DocNumber="S-1"), requestid="inv-1")
    other = company.post("invoice", sale(customer, DocNumber="S-2"), requestid="inv-1")

    assert first.content == same.content == other.content
    assert first.headers["intuit_tid"] != same.headers["intuit_tid"]
    assert len(company.state()["invoice"]) == 1


def test_a_requestid_has_fifty_characters_at_most(company: Company) -> None:
    company.make("customer", {"DisplayName": "A"}, requestid="x" * 50)

    assert company.refused("customer", {"DisplayName": "B"}, requestid="x" * 51)[0] == "2030"


@pytest.mark.parametrize("replay", [False, True])
def test_whether_a_refusal_is_remembered_is_a_setting(start: Any, replay: bool) -> None:
    company = start(replay_refusals=replay)
    body = sale("1")
    assert company.refused("invoice", body, requestid="inv-1")[0] == "610"
    company.customer()

    answer = company.post("invoice", body, requestid="inv-1")

    assert answer.status_code == (400 if replay else 200)
