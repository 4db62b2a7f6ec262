"""Customers, items, accounts and tax codes of the QuickBooks sandbox."""

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


def test_a_customer_is_created_read_and_changed_sparsely(company: Company, clock: Clock) -> None:
    body = {"DisplayName": "SARL Exemple #42", "PrimaryEmailAddr": {"Address": "compta@example.com"}}
    made = company.make("customer", body, minorversion="75")
    assert (made["Id"], made["SyncToken"], made["CurrencyRef"]) == ("1", "0", {"value": "EUR", "name": "Euro"})
    assert made["MetaData"]["CreateTime"] == "2026-11-24T01:00:00-08:00"
    clock.now += timedelta(minutes=30)

    change = {"Id": "1", "SyncToken": "0", "sparse": True, "Notes": "VIP"}
    changed = company.make("customer", change)

    assert (changed["SyncToken"], changed["Notes"]) == ("1", "VIP")
    assert changed["PrimaryEmailAddr"] == {"Address": "compta@example.com"}
    assert changed["MetaData"]["LastUpdatedTime"] == "2026-11-24T01:30:00-08:00"
    assert company.read("customer", "1") == changed
    full = {"Id": "1", "SyncToken": "1", "DisplayName": "SARL Exemple #42"}
    assert "Notes" not in company.make("customer", full)


def test_a_stale_token_is_refused(company: Company) -> None:
    identity = company.customer()
    company.make("customer", {"Id": identity, "SyncToken": "0", "sparse": True, "Notes": "A"})

    code, detail = company.refused("customer", {"Id": identity, "SyncToken": "0", "sparse": True, "Notes": "B"})

    assert code == "5010"
    assert "SyncToken is 1" in detail
    assert company.refused("customer", {"Id": identity, "sparse": True})[0] == "2020"
    assert company.refused("customer", {"Id": "99", "SyncToken": "0"})[0] == "610"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"DisplayName": "camille exemple"}, "6240"),
        ({"DisplayName": "A:B"}, "2030"),
        ({"DisplayName": "A\tB"}, "2030"),
        ({"DisplayName": "x" * 501}, "2030"),
        ({"Notes": "no name"}, "2020"),
        ({"DisplayName": "B", "Colour": "red"}, "2010"),
        ({"DisplayName": "B", "BillAddr": {"Street": "x"}}, "2010"),
        ({"DisplayName": "B", "CurrencyRef": {"value": "USD"}}, "6000"),
        ({"DisplayName": "B", "Active": "perhaps"}, "2030"),
    ],
)
def test_a_customer_that_does_not_fit_is_refused(company: Company, body: dict[str, Any], code: str) -> None:
    company.customer()

    assert company.refused("customer", body)[0] == code
    assert len(company.state()["customer"]) == 1


def test_an_address_may_be_longer_than_usual_but_a_body_must_be_json(company: Company) -> None:
    answer = company.http.post(f"{BASE}/customer", content=b"<Customer/>")

    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, "2030")


def test_items_need_what_their_type_needs(company: Company) -> None:
    account = {"IncomeAccountRef": {"value": "2"}}
    made = company.make("item", {"Name": "Crème 50 ml", "Sku": "CR-50", "Type": "NonInventory", **account})
    assert made["IncomeAccountRef"]["name"] == "Sales of Product Income"
    assert company.refused("item", {"Name": "Crème 50 ml", "Type": "NonInventory", **account})[0] == "6240"
    assert company.refused("item", {"Name": "B", "Type": "NonInventory"})[0] == "2020"
    assert company.refused("item", {"Name": "B", "Type": "Kit", **account})[0] == "2030"
    assert company.refused("item", {"Name": "B", "Type": "Service", "IncomeAccountRef": {"value": "99"}})[0] == "610"
    stock = {"Name": "S", "Type": "Inventory", "TrackQtyOnHand": True, "QtyOnHand": 5, "InvStartDate": "2026-01-01"}
    refs = {"AssetAccountRef": {"value": "11"}, "ExpenseAccountRef": {"value": "10"}, **account}
    assert company.refused("item", {**stock, **account})[0] == "2020"
    kept = company.make("item", {**stock, **refs})
    change = {"Id": kept["Id"], "SyncToken": "0", "sparse": True, "QtyOnHand": 50}
    assert company.make("item", change)["QtyOnHand"] == 5  # stock is not moved by an update


def test_accounts_are_seeded_and_can_be_added(company: Company) -> None:
    found = company.query("select * from Account where AccountType = 'Bank'")
    assert [(account["Id"], account["AcctNum"]) for account in found["Account"]] == [("5", "512000")]

    made = company.make("account", {"Name": "Shopify Payments", "AccountType": "Bank", "AcctNum": "512300"})

    assert made["Classification"] == "Asset"
    assert company.refused("account", {"Name": "shopify payments", "AccountType": "Bank"})[0] == "6240"
    assert company.refused("account", {"Name": "X", "AccountType": "Pocket"})[0] == "2030"


def test_a_tax_code_is_made_with_its_rates(company: Company) -> None:
    rate = {"TaxRateName": "USt 19", "RateValue": "19", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
    answer = company.post("taxservice/taxcode", {"TaxCode": "DE19", "TaxRateDetails": [rate]})
    assert answer.status_code == 200
    made = answer.json()
    assert (made["TaxCode"], made["TaxCodeId"], made["TaxRateDetails"][0]["TaxRateId"]) == ("DE19", "6", "6")

    code = company.query("select * from TaxCode where Name = 'DE19'")["TaxCode"][0]
    listed = company.query("select * from TaxRate where Name = 'USt 19'")["TaxRate"][0]

    assert code["SalesTaxRateList"]["TaxRateDetail"][0]["TaxRateRef"] == {"value": "6", "name": "USt 19"}
    assert (listed["RateValue"], listed["AgencyRef"]) == (19, {"value": "1"})
    assert company.refused("taxservice/taxcode", {"TaxCode": "DE19", "TaxRateDetails": [rate]})[0] == "6240"
    assert company.refused("taxservice/taxcode", {"TaxCode": "X", "TaxRateDetails": [rate]})[0] == "6240"
    again = {"TaxCode": "DE19b", "TaxRateDetails": [{"TaxRateId": "6"}]}
    assert company.post("taxservice/taxcode", again).json()["TaxRateDetails"][0]["TaxRateName"] == "USt 19"
    other = {**rate, "TaxRateName": "Y", "TaxAgencyId": "9"}
    assert company.refused("taxservice/taxcode", {"TaxCode": "Y", "TaxRateDetails": [other]})[0] == "610"
    assert company.refused("taxservice/taxcode", {"TaxCode": "Y"})[0] == "2020"
    customer = company.customer()
    invoice = company.make("invoice", sale(customer, line("100", "6")))
    assert invoice["TotalAmt"] == 119
