"""Payments and journal entries of the QuickBooks sandbox."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.connectors.quickbooks_company import (
    TVA_10,
    TVA_20,
    Company,
    discount,
    line,
    paid,
    posting,
    sale,
)


def test_a_payment_lowers_the_balance(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer))["Id"]

    payment = company.make("payment", paid(customer, "50", ("Invoice", invoice, "50"), PaymentRefNum="pi_1"))

    half = company.read("invoice", invoice)
    assert (payment["UnappliedAmt"], payment["DepositToAccountRef"]["name"]) == (0, "Undeposited Funds")
    assert (half["Balance"], half["LinkedTxn"]) == (70, [{"TxnId": payment["Id"], "TxnType": "Payment"}])
    company.make("payment", paid(customer, "70", ("Invoice", invoice, "70")))
    assert company.read("invoice", invoice)["Balance"] == 0
    assert company.refused("payment", paid(customer, "1", ("Invoice", invoice, "1")))[0] == "620"


@pytest.mark.parametrize(
    ("total", "links", "code"),
    [
        ("130", [("Invoice", "1", "130")], "6000"),  # above the balance
        ("100", [("Invoice", "1", "120")], "6000"),  # above the payment
        ("10", [("Invoice", "9", "10")], "610"),
        ("10", [("Invoice", "2", "10")], "620"),  # another customer's
        ("10", [("Bill", "1", "10")], "620"),
        ("0", [("Invoice", "1", "0")], "6000"),
        ("20", [("Invoice", "1", "10"), ("Invoice", "1", "10")], "6000"),
    ],
)
def test_a_payment_that_cannot_be_applied_is_refused(
    company: Company, total: str, links: list[tuple[str, str, str]], code: str
) -> None:
    customer, other = company.customer("A"), company.customer("B")
    company.make("invoice", sale(customer))
    company.make("invoice", sale(other))

    assert company.refused("payment", paid(customer, total, *links))[0] == code
    assert company.read("invoice", "1")["Balance"] == 120
    assert company.state()["payment"] == []


def test_money_may_stay_unapplied_and_be_applied_later(company: Company) -> None:
    customer = company.customer()
    payment = company.make("payment", paid(customer, "200"))
    assert (payment["UnappliedAmt"], company.read("customer", customer)["Balance"]) == (200, -200)
    invoice = company.make("invoice", sale(customer))["Id"]

    link = [{"Amount": 120, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]
    applied = company.make("payment", {"Id": payment["Id"], "SyncToken": "0", "sparse": True, "Line": link})

    assert (applied["UnappliedAmt"], company.read("invoice", invoice)["Balance"]) == (80, 0)
    assert company.read("customer", customer)["Balance"] == -80


def test_a_credit_memo_is_applied_by_a_payment_of_zero(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer))["Id"]
    memo = company.make("creditmemo", sale(customer, line("25")))
    assert (memo["TotalAmt"], memo["RemainingCredit"]) == (30, 30)

    links = ("Invoice", invoice, "30"), ("CreditMemo", memo["Id"], "30")
    payment = company.make("payment", paid(customer, "0", *links))

    assert (payment["TotalAmt"], payment["UnappliedAmt"]) == (0, 0)
    assert company.read("invoice", invoice)["Balance"] == 90
    assert company.read("creditmemo", memo["Id"])["RemainingCredit"] == 0
    assert company.read("customer", customer)["Balance"] == 90
    second = company.make("creditmemo", sale(customer, line("25")))["Id"]
    assert company.refused("payment", paid(customer, "0", ("CreditMemo", second, "30")))[0] == "6000"


def test_what_goes_away_gives_its_money_back(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer))["Id"]
    payment = company.make("payment", paid(customer, "120", ("Invoice", invoice, "120")))
    token = company.read("invoice", invoice)["SyncToken"]
    assert (
        company.refused("invoice", {"Id": invoice, "SyncToken": token, "sparse": True, "Line": [line("50")]})[0]
        == "6000"
    )

    company.make("payment", {"Id": payment["Id"], "SyncToken": "0"}, operation="update", include="void")

    assert company.read("invoice", invoice)["Balance"] == 120
    second = company.make("payment", paid(customer, "120", ("Invoice", invoice, "120")))
    token = company.read("invoice", invoice)["SyncToken"]
    company.make("invoice", {"Id": invoice, "SyncToken": token}, operation="delete")
    assert company.read("payment", second["Id"])["UnappliedAmt"] == 120
    assert company.read("payment", second["Id"])["Line"] == []


def test_a_journal_entry_balances(company: Company) -> None:
    customer = company.customer()
    lines = [posting("Debit", "1", "120", customer), posting("Credit", "2", "100"), posting("Credit", "8", "20")]

    entry = company.make("journalentry", {"DocNumber": "VE-2026-11-20", "TxnDate": "2026-11-20", "Line": lines})

    assert entry["Line"][0]["JournalEntryLineDetail"]["Entity"]["EntityRef"]["name"] == "Camille Exemple"
    assert company.state()["balances"] == {"1": 120, "2": -100, "8": -20}
    assert company.refused("journalentry", {"DocNumber": "VE-2026-11-20", "Line": lines})[0] == "6140"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([posting("Debit", "5", "10"), posting("Credit", "2", "9")], "6000"),
        ([posting("Debit", "5", "0"), posting("Credit", "2", "0")], "6000"),
        ([posting("Debit", "1", "10"), posting("Credit", "2", "10")], "6000"),  # receivable without a name
        ([posting("Debit", "1", "10", "1"), posting("Credit", "12", "10", "1")], "6000"),  # two of them
        ([posting("Debit", "99", "10"), posting("Credit", "2", "10")], "610"),
        ([posting("Debit", "5", "10")], "2020"),
        ([line("10"), line("10")], "2020"),
    ],
)
def test_a_journal_entry_that_does_not_fit_is_refused(company: Company, lines: list[dict[str, Any]], code: str) -> None:
    company.customer()

    assert company.refused("journalentry", {"Line": lines})[0] == code


def test_the_accounts_always_add_up_to_zero(company: Company) -> None:
    customer = company.customer()
    mixed = [line("24.90", TVA_20), line("12.20", TVA_10), discount("3.33")]
    for mode in ("TaxExcluded", "TaxInclusive"):
        company.make("invoice", sale(customer, *mixed, GlobalTaxCalculation=mode))
        company.make("creditmemo", sale(customer, *mixed, GlobalTaxCalculation=mode))
    company.make("salesreceipt", sale(customer, *mixed))
    company.make("payment", paid(customer, "12.34"))

    balances = company.state()["balances"]

    assert sum(balances.values()) == 0
    assert balances["1"] == Decimal("-12.34")
    assert balances["7"] == Decimal("3.33")
