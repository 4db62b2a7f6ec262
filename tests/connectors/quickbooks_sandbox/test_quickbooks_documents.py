"""Invoices, credit memos and receipts of the QuickBooks sandbox, and their totals."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.connectors.quickbooks_company import (
    BASE,
    TVA_0,
    TVA_10,
    TVA_20,
    Company,
    discount,
    line,
    override,
    percent_discount,
    sale,
    taxes,
)


def test_an_invoice_has_its_totals_computed(company: Company) -> None:
    customer = company.customer()
    lines = [line("100", TVA_20, Qty=4, UnitPrice=25), line("59.90", TVA_10), line("5", TVA_0)]

    invoice = company.make("invoice", sale(customer, *lines, DocNumber="S-1001", TxnDate="2026-11-20"))

    assert (invoice["DocNumber"], invoice["TxnDate"], invoice["DueDate"]) == ("S-1001", "2026-11-20", "2026-11-20")
    assert invoice["Line"][-1] == {
        "Amount": Decimal("164.90"),
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
    }
    assert [(each["Id"], each["LineNum"]) for each in invoice["Line"][:-1]] == [("1", 1), ("2", 2), ("3", 3)]
    assert taxes(invoice) == {
        "TVA 20": (Decimal("100.00"), Decimal("20.00")),
        "TVA 10": (Decimal("59.90"), Decimal("5.99")),
        "TVA 0": (Decimal("5.00"), Decimal("0.00")),
    }
    assert invoice["TxnTaxDetail"]["TotalTax"] == Decimal("25.99")
    assert invoice["TotalAmt"] == invoice["Balance"] == Decimal("190.89")
    assert invoice["CustomerRef"] == {"value": customer, "name": "Camille Exemple"}
    assert company.read("customer", customer)["Balance"] == Decimal("190.89")


def test_a_discount_is_taken_off_before_tax_in_proportion(company: Company) -> None:
    customer = company.customer()

    invoice = company.make("invoice", sale(customer, line("60", TVA_20), line("30", TVA_10), discount("10")))

    assert taxes(invoice) == {
        "TVA 20": (Decimal("53.33"), Decimal("10.67")),
        "TVA 10": (Decimal("26.67"), Decimal("2.67")),
    }
    assert (invoice["Line"][-1]["Amount"], invoice["TotalAmt"]) == (80, Decimal("93.34"))
    percent = company.make("invoice", sale(customer, line("60"), percent_discount(10)))
    assert (percent["Line"][1]["Amount"], percent["TotalAmt"]) == (6, Decimal("64.80"))
    after = company.make("invoice", sale(customer, line("60"), discount("10"), ApplyTaxAfterDiscount=False))
    assert after["TotalAmt"] == 62


def test_tax_may_be_inside_the_amounts_or_not_apply(company: Company) -> None:
    customer = company.customer()
    lines = [line("24.90", TVA_20), line("12.20", TVA_10)]

    inside = company.make("invoice", sale(customer, *lines, GlobalTaxCalculation="TaxInclusive"))
    without = company.make("invoice", sale(customer, line("10", None), GlobalTaxCalculation="NotApplicable"))

    assert taxes(inside) == {
        "TVA 20": (Decimal("20.75"), Decimal("4.15")),
        "TVA 10": (Decimal("11.09"), Decimal("1.11")),
    }
    assert inside["TotalAmt"] == Decimal("37.10")
    assert inside["Line"][0]["SalesItemLineDetail"]["TaxInclusiveAmt"] == Decimal("24.90")
    assert (without["TotalAmt"], without["TxnTaxDetail"]) == (10, {"TotalTax": 0})


def test_tax_is_rounded_half_up_once_a_rate(company: Company) -> None:
    customer = company.customer()

    # 0.125 a line would give 0.13 three times; together it is 0.375.
    invoice = company.make("invoice", sale(customer, *[line("1.25", TVA_10)] * 3))
    half = company.make("invoice", sale(customer, line("0.25", TVA_10)))

    assert invoice["TxnTaxDetail"]["TotalTax"] == Decimal("0.38")
    assert half["TxnTaxDetail"]["TotalTax"] == Decimal("0.03")


def test_the_shops_own_tax_figures_are_kept_within_a_cent_a_line(company: Company) -> None:
    customer = company.customer()
    three = [line("1.25", TVA_10)] * 3

    kept = company.make("invoice", sale(customer, *three, TxnTaxDetail={**override(r2="0.36"), "TotalTax": 0.36}))
    code, detail = company.refused("invoice", sale(customer, *three, TxnTaxDetail=override(r2="0.34")))

    assert (taxes(kept)["TVA 10"][1], kept["TotalAmt"]) == (Decimal("0.36"), Decimal("4.11"))
    assert code == "6000"
    assert "computed 0.38, given 0.34" in detail
    unused = company.refused("invoice", sale(customer, *three, TxnTaxDetail=override(r1="0.38")))
    assert (unused[0], "not used" in unused[1]) == ("6000", True)
    total = company.refused("invoice", sale(customer, *three, TxnTaxDetail={"TotalTax": 0.36}))
    assert (total[0], "computed 0.38, given 0.36" in total[1]) == ("6000", True)
    inside = sale(
        customer, line("12.20", TVA_10), GlobalTaxCalculation="TaxInclusive", TxnTaxDetail=override(r2="1.10")
    )
    assert taxes(company.make("invoice", inside))["TVA 10"] == (Decimal("11.10"), Decimal("1.10"))


def test_the_room_for_own_tax_figures_can_be_set(start: Any) -> None:
    company = start(tax_override_tolerance=Decimal("0"))

    body = sale(company.customer(), line("100"), TxnTaxDetail=override(r1="20.01"))

    assert company.refused("invoice", body)[0] == "6000"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TotalAmt": 119.99}, "6000"),
        ({"CustomerRef": None}, "2020"),
        ({"CustomerRef": {"value": "99"}}, "610"),
        ({"GlobalTaxCalculation": None}, "2020"),
        ({"GlobalTaxCalculation": "Sometimes"}, "2030"),
        ({"Line": []}, "2020"),
        ({"Line": [line("100", Qty=3, UnitPrice=33)]}, "6070"),
        ({"Line": [line("100", None)]}, "6000"),
        ({"Line": [line("100", "99")]}, "610"),
        ({"Line": [line("100", ItemRef={"value": "99"})]}, "610"),
        ({"Line": [line("100", ItemRef=None)]}, "2020"),
        ({"Line": [line("100"), discount("101")]}, "6000"),
        ({"Line": [{"Amount": 1}]}, "2020"),
        ({"Line": [{"Amount": 1, "DetailType": "SalesItemLineDetail"}]}, "2020"),
        ({"Line": [line("1.005")]}, "2030"),
        ({"DocNumber": "x" * 22}, "2030"),
        ({"TxnDate": "20/11/2026"}, "2030"),
        ({"CurrencyRef": {"value": "USD"}}, "6000"),
        ({"Number": "1"}, "2010"),
    ],
)
def test_an_invoice_that_does_not_fit_is_refused(company: Company, change: dict[str, Any], code: str) -> None:
    body = sale(company.customer(), TotalAmt=120) | change

    assert company.refused("invoice", body)[0] == code
    assert company.state()["invoice"] == []


def test_a_number_is_used_once_a_kind_of_document(company: Company) -> None:
    customer = company.customer()
    first = company.make("invoice", sale(customer, DocNumber="S-1"))

    code, detail = company.refused("invoice", sale(customer, DocNumber="S-1"))

    assert code == "6140"
    assert f"TxnId={first['Id']}" in detail
    company.make("creditmemo", sale(customer, DocNumber="S-1"))
    company.make("invoice", {"Id": first["Id"], "SyncToken": "0"}, operation="delete")
    company.make("invoice", sale(customer, DocNumber="S-1"))
    assert company.make("invoice", sale(customer))["DocNumber"] == "1001"


def test_a_company_may_allow_a_number_twice_and_number_itself(start: Any) -> None:
    company = start(warn_duplicate_doc_numbers=False, custom_transaction_numbers=True)
    customer = company.customer()

    for _ in range(2):
        company.make("invoice", sale(customer, DocNumber="S-1"))

    assert len(company.query("select * from Invoice where DocNumber = 'S-1'")["Invoice"]) == 2
    assert "DocNumber" not in company.make("invoice", sale(customer))


def test_a_closed_period_takes_nothing(start: Any) -> None:
    company = start(closing_date=date(2026, 10, 31))
    customer = company.customer()

    assert company.refused("invoice", sale(customer, TxnDate="2026-10-31"))[0] == "6210"
    company.make("invoice", sale(customer, TxnDate="2026-11-01"))


def test_another_currency_needs_the_setting_and_a_customer_of_it(start: Any) -> None:
    company = start(multicurrency=True)
    dollars = {"CurrencyRef": {"value": "USD"}}
    american, french = company.customer("American", **dollars), company.customer("French")

    invoice = company.make("invoice", sale(american, **dollars))

    assert invoice["CurrencyRef"] == {"value": "USD", "name": "United States Dollar"}
    assert company.refused("invoice", sale(french, **dollars))[0] == "6000"
    assert company.refused("invoice", sale(american))[0] == "6000"


def test_an_inactive_customer_takes_no_invoice(company: Company) -> None:
    customer = company.customer()
    company.make("customer", {"Id": customer, "SyncToken": "0", "sparse": True, "Active": False})

    assert company.refused("invoice", sale(customer))[0] == "610"


def test_an_invoice_is_updated_with_new_totals(company: Company) -> None:
    customer = company.customer()
    own = sale(customer, line("10", TVA_10), DocNumber="S-1", TxnTaxDetail=override(r2="1.01"), PrivateNote="shop:1")
    invoice = company.make("invoice", own)

    noted = company.make("invoice", {"Id": "1", "SyncToken": "0", "sparse": True, "CustomerMemo": {"value": "Merci"}})
    longer = {"Id": "1", "SyncToken": "1", "sparse": True, "Line": [*noted["Line"], line("100")]}
    longer["Line"] = json.loads(json.dumps(longer["Line"], default=float))
    updated = company.make("invoice", longer)

    assert (invoice["TotalAmt"], noted["TotalAmt"]) == (Decimal("11.01"), Decimal("11.01"))
    assert (updated["TotalAmt"], updated["PrivateNote"], updated["SyncToken"]) == (131, "shop:1", "2")
    assert [each.get("Id") for each in updated["Line"]] == ["1", "2", None]
    full = json.loads(json.dumps(updated, default=float))
    assert company.make("invoice", full)["TotalAmt"] == 131  # what was read can be sent back


def test_an_invoice_is_voided_and_deleted(company: Company) -> None:
    customer = company.customer()
    for number in ("S-1", "S-2"):
        company.make("invoice", sale(customer, DocNumber=number))

    voided = company.make("invoice", {"Id": "1", "SyncToken": "0"}, operation="void")
    deleted = company.make("invoice", {"Id": "2", "SyncToken": "0"}, operation="delete")

    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"]) == (0, 0, "Voided")
    assert deleted == {"domain": "QBO", "status": "Deleted", "Id": "2"}
    assert company.http.get(f"{BASE}/invoice/2").json()["Fault"]["Error"][0]["code"] == "610"
    assert company.read("customer", customer)["Balance"] == 0
    assert company.state()["deleted"][0]["Id"] == "2"
    assert company.refused("customer", {"Id": customer, "SyncToken": "0"}, operation="delete")[0] == "500"


def test_receipts_are_settled_at_once(company: Company) -> None:
    customer = company.customer()

    receipt = company.make("salesreceipt", sale(customer, DepositToAccountRef={"value": "5"}))
    refund = company.make("refundreceipt", sale(customer, DepositToAccountRef={"value": "5"}))

    assert (receipt["TotalAmt"], receipt["Balance"], receipt["DepositToAccountRef"]["name"]) == (120, 0, "Bank")
    assert refund["TotalAmt"] == 120
    assert company.refused("refundreceipt", sale(customer))[0] == "2020"
    assert company.read("customer", customer)["Balance"] == 0
