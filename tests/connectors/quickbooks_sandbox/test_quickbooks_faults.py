"""Planted faults, tampering and webhooks of the QuickBooks sandbox."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.connectors.quickbooks_company import (
    BASE,
    REALM,
    Company,
    exact,
    posting,
    sale,
)
from tests.connectors.serving import Receiver


def plant(company: Company, **fault: Any) -> None:
    answer = company.http.post("/_sandbox/faults", json={"match": "POST /v3/company/*/invoice", **fault})
    assert answer.status_code == 201, answer.text


def test_a_planted_status_comes_without_the_work(company: Company) -> None:
    customer = company.customer()
    throttled = {"fault": {"error": [{"code": "3001"}]}}
    plant(company, kind="status", status=429, headers={"x-wait": "60"}, body=throttled, times=2)

    for _ in range(2):
        answer = company.post("invoice", sale(customer))
        assert (answer.status_code, answer.headers["x-wait"], answer.json()) == (429, "60", throttled)

    assert company.state()["invoice"] == []
    assert company.post("invoice", sale(customer)).status_code == 200


def test_a_planted_status_may_come_after_the_work(company: Company) -> None:
    customer = company.customer()
    plant(company, kind="status_after", status=503, body="upstream timed out")

    answer = company.post("invoice", sale(customer), requestid="inv-1")

    assert (answer.status_code, answer.text) == (503, "upstream timed out")
    assert len(company.state()["invoice"]) == 1
    assert company.post("invoice", sale(customer), requestid="inv-1").json()["Invoice"]["Id"] == "1"
    assert len(company.state()["invoice"]) == 1


@pytest.mark.parametrize(("kind", "invoices"), [("drop_before", 0), ("drop_after", 1)])
def test_a_planted_cut_gives_no_answer(company: Company, kind: str, invoices: int) -> None:
    customer = company.customer()
    plant(company, kind=kind)

    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        company.post("invoice", sale(customer))

    assert len(company.state()["invoice"]) == invoices


def test_a_planted_delay_outlasts_the_callers_patience(company: Company) -> None:
    customer = company.customer()
    plant(company, kind="slow_after", seconds=0.2)

    with pytest.raises(httpx2.ReadTimeout):
        company.http.post(f"{BASE}/invoice", json=sale(customer), timeout=0.05)

    assert len(company.state()["invoice"]) == 1
    plant(company, kind="slow_after", seconds=0.1)
    before = time.monotonic()
    assert company.post("invoice", sale(customer)).status_code == 200
    assert time.monotonic() - before >= 0.1


def test_faults_are_listed_checked_and_dropped(company: Company) -> None:
    customer = company.customer()
    plant(company, kind="status", times=None)
    assert company.http.get("/_sandbox/faults").json()["faults"][0]["status"] == 503
    wrong = company.http.post("/_sandbox/faults", json={"match": "POST /v3/*", "kind": "nonsense"})
    assert wrong.status_code == 400
    assert company.http.post("/_sandbox/faults", content=b"[]").status_code == 400
    assert company.http.post("/_sandbox/nonsense", json={}).status_code == 404

    for _ in range(3):
        assert company.post("invoice", sale(customer)).status_code == 503
    company.http.delete("/_sandbox/faults")

    assert company.post("invoice", sale(customer)).status_code == 200


def test_a_fault_can_look_at_the_query(company: Company) -> None:
    customer = company.customer()
    company.http.post("/_sandbox/faults", json={"match": "POST */invoice?*operation=delete*", "kind": "status"})

    company.make("invoice", sale(customer))

    assert company.post("invoice", {"Id": "1", "SyncToken": "0"}, operation="delete").status_code == 503


def test_requests_are_logged_and_counted(company: Company) -> None:
    company.http.delete("/_sandbox/requests")
    company.customer()
    company.refused("customer", {})

    log = company.http.get("/_sandbox/requests").json()

    assert log["counts"] == {f"POST {BASE}/customer": 2}
    assert [(entry["status"], entry["fault"]) for entry in log["requests"]] == [(200, None), (400, None)]


def test_books_can_be_tampered_with(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer, DocNumber="S-1"))["Id"]
    entry = company.make("journalentry", {"Line": [posting("Debit", "5", "10"), posting("Credit", "2", "10")]})["Id"]

    def tamper(entity: str, identity: str, action: str) -> httpx2.Response:
        return company.http.post("/_sandbox/tamper", json={"entity": entity, "id": identity, "action": action})

    assert exact(tamper("invoice", invoice, "add_cent"))["TotalAmt"] == Decimal("120.01")
    assert company.read("invoice", invoice)["Balance"] == Decimal("120.01")
    tamper("journalentry", entry, "add_cent")
    assert sum(company.state()["balances"].values()) == 0
    twin = tamper("invoice", invoice, "duplicate").json()
    assert (twin["DocNumber"], twin["Id"] != invoice) == ("S-1", True)
    tamper("invoice", twin["Id"], "delete")
    assert [each["Id"] for each in company.state()["invoice"]] == [invoice]
    assert tamper("invoice", "99", "delete").status_code == 400
    assert tamper("invoice", invoice, "burn").status_code == 400


@pytest.mark.parametrize("form", ["cloudevents", "legacy"])
def test_changes_are_told_by_a_signed_webhook(start: Any, form: str) -> None:
    company = start(verifier_token="verifier")
    receiver = Receiver()
    try:
        customer = company.customer()
        company.make("invoice", sale(customer))
        receiver.answers = [500]
        told = {"url": receiver.url, "format": form}
        assert company.http.post("/_sandbox/notify", json=told).json() == {"sent": 0, "status": 500}
        receiver.next()

        assert company.http.post("/_sandbox/notify", json=told).json() == {"sent": 2, "status": 200}
        notice = receiver.next()
        assert company.http.post("/_sandbox/notify", json=told).json() == {"sent": 0}
    finally:
        receiver.close()

    digest = hmac.new(b"verifier", notice.body, hashlib.sha256).digest()
    assert notice.headers["intuit-signature"] == base64.b64encode(digest).decode()
    body = json.loads(notice.body)
    if form == "cloudevents":
        assert [(event["type"], event["intuitentityid"]) for event in body] == [
            ("qbo.customer.created.v1", "1"),
            ("qbo.invoice.created.v1", "1"),
        ]
        assert {event["intuitaccountid"] for event in body} == {REALM}
    else:
        entities = body["eventNotifications"][0]["dataChangeEvent"]["entities"]
        assert [(each["name"], each["operation"]) for each in entities] == [
            ("Customer", "Create"),
            ("Invoice", "Create"),
        ]


def test_the_state_lists_every_kind(company: Company) -> None:
    state = company.state()

    assert {"customer", "item", "invoice", "creditmemo", "payment", "journalentry", "account", "taxcode"} <= set(state)
    assert len(state["account"]) == 13
    assert state["realm"] == REALM
