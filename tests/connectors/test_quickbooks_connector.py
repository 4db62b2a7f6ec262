"""The QuickBooks connector against its sandbox, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from hub.connect.links import Link
from hub.connect.operations import Confirmed, NeedsReconnect, Outcome, Rejected, Retry, execute
from hub.connect.sandboxes import Running
from tests.connectors.kit import Kit

Ask = Callable[..., Any]
REALM = "9341453000000001"


@pytest.fixture
def books(kit: Kit) -> Running:
    return kit.sandbox("quickbooks", client_id="app", client_secret="s3cret-of-the-app")


@pytest.fixture
def link(kit: Kit, books: Running) -> Link:
    granted = books.state.oauth.grant()
    settings = {"client_id": "app", "client_secret": "s3cret-of-the-app", "base_url": books.url, "realm_id": REALM}
    tokens = {name: granted[name] for name in ("access_token", "refresh_token")}
    return kit.connect("quickbooks", settings | tokens)


def do(link: Link, operation: str, body: Any, key: str = "k-1", *, first: bool = True) -> Outcome:
    return execute(link, operation, body, key, first_attempt=first)


def invoice(link: Link, number: str = "F2026-000001", note: str = "hub invoice 1 of order 7") -> dict[str, Any]:
    """An invoice whose references are resolved, as the outbox sends it."""

    def ensured(operation: str, body: dict[str, Any]) -> str:
        found = do(link, operation, body)
        assert isinstance(found, Confirmed), found
        assert found.external_id is not None
        return found.external_id

    customer = ensured("customer.ensure", {"DisplayName": "Zoé O'Hara #7"})
    item = ensured("item.ensure", {"Name": "MUG-01", "Sku": "MUG-01"})
    code = ensured("taxcode.ensure", {"Name": "FR-20", "Rate": Decimal("20")})
    rate = ensured("taxrate.ensure", {"Name": "FR-20", "Rate": Decimal("20")})
    detail = {"ItemRef": {"value": item}, "Qty": 2, "UnitPrice": Decimal("9.00"), "TaxCodeRef": {"value": code}}
    return {
        "DocNumber": number,
        "TxnDate": "2026-11-24",
        "PrivateNote": note,
        "CustomerRef": {"value": customer},
        "GlobalTaxCalculation": "TaxExcluded",
        "Line": [{"Amount": Decimal("18.00"), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}],
        "TxnTaxDetail": {
            "TaxLine": [
                {
                    "Amount": Decimal("3.61"),  # the shop's own tax, a cent above what is computed
                    "DetailType": "TaxLineDetail",
                    "TaxLineDetail": {"TaxRateRef": {"value": rate}, "NetAmountTaxable": Decimal("18.00")},
                }
            ]
        },
    }


def test_an_invoice_keeps_the_shops_own_tax_to_the_cent(link: Link, books: Running) -> None:
    done = do(link, "invoice.create", invoice(link))

    assert isinstance(done, Confirmed)
    (stored,) = books.state.dump()["invoice"]
    assert (stored["Id"], stored["TotalAmt"]) == (done.external_id, Decimal("21.61"))


def test_ensuring_twice_makes_one_of_each(link: Link, books: Running) -> None:
    invoice(link)
    invoice(link)

    state = books.state.dump()
    assert [each["DisplayName"] for each in state["customer"]] == ["Zoé O'Hara #7"]
    assert [each["Name"] for each in state["item"] if each["Name"] == "MUG-01"] == ["MUG-01"]
    assert [each["Name"] for each in state["taxcode"]].count("FR-20") == 1


@pytest.mark.parametrize(("kind", "status"), [("status_after", 503), ("drop_after", 503)])
def test_an_invoice_that_arrived_without_an_answer_is_not_sent_twice(
    link: Link, books: Running, ask: Ask, kind: str, status: int
) -> None:
    body = invoice(link)
    ask(books, "faults", {"match": "POST /v3/company/*/invoice", "kind": kind, "status": status})

    lost = do(link, "invoice.create", body)
    again = do(link, "invoice.create", body, first=False)

    assert isinstance(lost, Retry)
    assert lost.sent
    assert isinstance(again, Confirmed)
    assert len(books.state.dump()["invoice"]) == 1


def test_a_customer_that_arrived_without_an_answer_is_found_again(link: Link, books: Running, ask: Ask) -> None:
    ask(books, "faults", {"match": "POST /v3/company/*/customer", "kind": "drop_after"})

    lost = do(link, "customer.ensure", {"DisplayName": "Ada #1"})
    again = do(link, "customer.ensure", {"DisplayName": "Ada #1"}, first=False)

    assert isinstance(lost, Retry)
    assert isinstance(again, Confirmed)
    assert len(books.state.dump()["customer"]) == 1


def test_a_number_that_is_taken_is_confirmed_when_it_is_ours_and_a_question_when_it_is_not(link: Link) -> None:
    first = do(link, "invoice.create", invoice(link), "k-1")
    # the vendor no longer knows the request id, as after a change of the hub's key
    ours = do(link, "invoice.create", invoice(link), "k-2")
    theirs = do(link, "invoice.create", invoice(link, note="typed by hand"), "k-3")

    assert isinstance(first, Confirmed)
    assert isinstance(ours, Confirmed)
    assert ours.external_id == first.external_id
    assert isinstance(theirs, Rejected)
    assert "6140" in theirs.reason


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"fault": {"error": [{"code": "3001", "message": "throttled"}]}}, Retry(60, "", False)),
        (503, {}, Retry(None, "", True)),
        (200, {"Fault": {"Error": [{"code": "6000", "Detail": "no"}]}}, Rejected("")),
        (400, {"Fault": {"Error": [{"code": "6210", "Detail": "closed"}]}}, Rejected("")),
        (403, {"fault": {"error": [{"code": "3100", "message": "realm"}]}}, Rejected("")),
        (400, {"Fault": {"Error": [{"code": "5010", "Detail": "stale"}]}}, Retry(None, "", False)),
    ],
)
def test_each_answer_means_what_the_table_says(
    link: Link, books: Running, ask: Ask, status: int, body: Any, expected: Outcome
) -> None:
    wanted = invoice(link)
    fault = {"match": "POST /v3/company/*/invoice", "kind": "status", "status": status, "body": body}
    ask(books, "faults", fault)

    outcome = do(link, "invoice.create", wanted)

    assert type(outcome) is type(expected)
    if isinstance(outcome, Retry) and isinstance(expected, Retry):
        assert (outcome.after_s, outcome.sent) == (expected.after_s, expected.sent)


def test_nothing_was_sent_when_nobody_listens(kit: Kit, books: Running, link: Link) -> None:
    body = invoice(link)
    books.stop()

    outcome = do(link, "invoice.create", body)

    assert isinstance(outcome, Retry)
    assert not outcome.sent


def test_an_access_token_that_ended_is_renewed_once_and_the_new_pair_is_stored(
    kit: Kit, link: Link, books: Running, ask: Ask
) -> None:
    before = dict(link.secrets)
    ask(books, "expire", {})

    assert isinstance(do(link, "customer.ensure", {"DisplayName": "Ada #1"}), Confirmed)

    assert link.secrets["refresh_token"] != before["refresh_token"]
    stored = kit.links.open_secrets(kit.links.row(link.id))
    assert stored == dict(link.secrets)
    assert link.expires_at is not None


def test_a_refresh_token_that_died_asks_for_a_person(kit: Kit, link: Link, books: Running, ask: Ask) -> None:
    ask(books, "expire", {"refresh": True})

    outcome = do(link, "customer.ensure", {"DisplayName": "Ada #1"})

    assert isinstance(outcome, NeedsReconnect)
    assert kit.links.row(link.id)["status"] == "reconnect_needed"


def test_a_payment_settles_its_invoice(link: Link, books: Running) -> None:
    body = invoice(link)
    made = do(link, "invoice.create", body)
    assert isinstance(made, Confirmed)
    payment = {
        "CustomerRef": body["CustomerRef"],
        "TotalAmt": Decimal("21.61"),
        "TxnDate": "2026-11-24",
        "Line": [{"Amount": Decimal("21.61"), "LinkedTxn": [{"TxnId": made.external_id, "TxnType": "Invoice"}]}],
    }

    first = do(link, "payment.create", payment, "payment:1")
    again = do(link, "payment.create", payment, "payment:1", first=False)

    assert isinstance(first, Confirmed)
    assert isinstance(again, Confirmed)
    assert first.external_id == again.external_id
    state = books.state.dump()
    assert len(state["payment"]) == 1
    assert state["invoice"][0]["Balance"] == 0


def test_an_account_is_looked_up_and_never_made(link: Link) -> None:
    found = do(link, "account.find", {"Name": "Payment Gateway Clearing"})
    missing = do(link, "account.find", {"Name": "Nowhere"})

    assert isinstance(found, Confirmed)
    assert isinstance(missing, Rejected)
    link.connector.code(str(link.connector.manifest.check))(link)


def journal_entry(link: Link, *, note: str = "hub:summary 2026-11-24", credit: str = "15.02") -> dict[str, Any]:
    """What one day sold, in three lines."""

    def line(side: str, amount: str, account: str) -> dict[str, Any]:
        found = do(link, "account.find", {"Name": account})
        assert isinstance(found, Confirmed)
        detail = {"PostingType": side, "AccountRef": {"value": found.external_id}}
        return {"Amount": Decimal(amount), "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    lines = [
        line("Debit", "18.02", "Payment Gateway Clearing"),
        line("Credit", credit, "Sales of Product Income"),
        line("Credit", "3.00", "VAT Payable"),
    ]
    return {"DocNumber": "VE-2026-11-24", "TxnDate": "2026-11-24", "PrivateNote": note, "Line": lines}


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_after"])
def test_a_journal_entry_is_made_once_though_its_answer_is_lost(
    link: Link, books: Running, ask: Ask, kind: str
) -> None:
    body = journal_entry(link)
    ask(books, "faults", {"match": f"POST /v3/company/{REALM}/journalentry", "kind": kind})

    assert isinstance(do(link, "journal_entry.create", body), Retry)
    done = do(link, "journal_entry.create", body, first=False)

    assert isinstance(done, Confirmed)
    (stored,) = books.state.dump()["journalentry"]
    assert (stored["Id"], stored["DocNumber"]) == (done.external_id, "VE-2026-11-24")


def test_a_journal_entry_that_does_not_balance_is_refused(link: Link, books: Running) -> None:
    refused = do(link, "journal_entry.create", journal_entry(link, credit="15.00"))

    assert isinstance(refused, Rejected)
    assert "balance" in refused.reason
    assert books.state.dump()["journalentry"] == []


def test_the_number_of_a_journal_entry_that_is_not_ours_is_a_question(link: Link) -> None:
    do(link, "journal_entry.create", journal_entry(link, note="somebody's own"))

    assert isinstance(do(link, "journal_entry.create", journal_entry(link), key="k-2"), Rejected)
