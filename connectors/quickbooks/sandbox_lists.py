"""Customers, items, accounts and tax codes: what the vendor demands of them and what it fills in."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from . import sandbox_bodies as bodies
from .sandbox_bodies import Refused, bad_value, business, missing, not_found, parse
from .sandbox_company import CLASSIFICATION, Record
from .sandbox_records import Records
from .sandbox_tax import ZERO


def customer(records: Records, wanted: Record, existing: Record | None) -> Record:
    """A customer; DisplayName is made of the other names when it is not given."""
    names = [wanted[part] for part in ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix") if wanted.get(part)]
    name = wanted.get("DisplayName") or " ".join(names) or wanted.get("CompanyName")
    if not name:
        raise missing("DisplayName")
    records.unique("party", name, existing["Id"] if existing else None)
    currency = records.currency(wanted)
    if existing and existing["CurrencyRef"] != currency:
        raise business("The currency of a customer cannot be changed.", "CurrencyRef")
    defaults = {"Taxable": True, "Job": False, "BillWithParent": False, "PreferredDeliveryMethod": "Print"}
    return {
        **defaults,
        "Active": True,
        **wanted,
        "DisplayName": name,
        "FullyQualifiedName": name,
        "PrintOnCheckName": wanted.get("PrintOnCheckName", wanted.get("CompanyName", name)),
        "CurrencyRef": currency,
        "Balance": ZERO,
        "BalanceWithJobs": ZERO,
    }


def item(records: Records, wanted: Record, identity: str | None) -> Record:
    """An item; a stock item needs more fields."""
    for field in ("Name", "Type"):
        if wanted.get(field) is None:
            raise missing(field)
    records.unique("item", wanted["Name"], identity)
    needed = ["IncomeAccountRef"]
    if wanted["Type"] == "Inventory":
        needed += ["AssetAccountRef", "ExpenseAccountRef", "QtyOnHand", "InvStartDate"]
        if not wanted.get("TrackQtyOnHand"):
            raise missing("TrackQtyOnHand")
    for field in needed:
        if wanted.get(field) is None:
            raise missing(field)
    for field in ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef"):
        records.check(wanted, field, "account")
    records.check(wanted, "SalesTaxCodeRef", "taxcode")
    record = {"Active": True, "Taxable": True, "UnitPrice": ZERO, "TrackQtyOnHand": False, **wanted}
    if identity is not None and "QtyOnHand" in records.lists["item"][identity]:
        # The quantity on hand is set at creation only; later only transactions move it.
        record["QtyOnHand"] = records.lists["item"][identity]["QtyOnHand"]
    return {**record, "FullyQualifiedName": wanted["Name"]}


def account(records: Records, wanted: Record, identity: str | None) -> Record:
    """An account of the chart."""
    for field in ("Name", "AccountType"):
        if wanted.get(field) is None:
            raise missing(field)
    if wanted["AccountType"] not in CLASSIFICATION:
        raise bad_value("AccountType", f"Account type {wanted['AccountType']} is not supported")
    records.unique("account", wanted["Name"], identity)
    return {
        "Active": True,
        "SubAccount": False,
        **wanted,
        "FullyQualifiedName": wanted["Name"],
        "Classification": CLASSIFICATION[wanted["AccountType"]],
        "CurrencyRef": records.currency(wanted),
    }


def tax_code(records: Records, value: object) -> Record:
    """The tax service: a code with its rates, answered in the form of the request."""
    sent = parse(bodies.TaxService, value)
    name, details = sent.get("TaxCode"), sent.get("TaxRateDetails")
    if not name:
        raise missing("TaxCode")
    if not details:
        raise missing("TaxRateDetails")
    records.unique("taxcode", name, None)
    made: list[tuple[Record, Record | None]] = []
    for detail in details:
        made.append(_tax_rate(records, detail, [new["Name"] for _, new in made if new]))
    answer = []
    for detail, new in made:
        if new is not None:
            detail["TaxRateId"] = records.insert("taxrate", new)
        answer.append(detail)
    rate_list = [
        {
            "TaxRateRef": {"value": detail["TaxRateId"], "name": detail["TaxRateName"]},
            "TaxTypeApplicable": "TaxOnAmount",
        }
        for detail in answer
        if detail["TaxApplicableOn"] == "Sales"
    ]
    code = {"Name": name, "Description": name, "Active": True, "Taxable": True, "TaxGroup": True}
    identity = records.insert("taxcode", {**code, "SalesTaxRateList": {"TaxRateDetail": rate_list}})
    return {"TaxCode": name, "TaxCodeId": identity, "TaxRateDetails": answer}


def _tax_rate(records: Records, detail: Record, just_named: Sequence[str]) -> tuple[Record, Record | None]:
    """The detail as answered, and the rate to insert when it is a new one."""
    if detail.get("TaxRateId"):
        rate = records.lists["taxrate"].get(detail["TaxRateId"])
        if rate is None:
            raise not_found("TaxRateId", detail["TaxRateId"])
        return {
            "TaxRateName": rate["Name"],
            "TaxRateId": rate["Id"],
            "RateValue": rate["RateValue"],
            "TaxAgencyId": rate["AgencyRef"]["value"],
            "TaxApplicableOn": detail.get("TaxApplicableOn") or "Sales",
        }, None
    for field in ("TaxRateName", "RateValue", "TaxAgencyId"):
        if detail.get(field) is None:
            raise missing(f"TaxRateDetails.{field}")
    if detail["TaxAgencyId"] not in records.lists["taxagency"]:
        raise not_found("TaxAgencyId", detail["TaxAgencyId"])
    if not 0 <= detail["RateValue"] <= 100:
        raise bad_value("TaxRateDetails.RateValue", f"Rate {detail['RateValue']} is not between 0 and 100")
    taken = {rate["Name"].casefold(): rate["Id"] for rate in records.lists["taxrate"].values()}
    if detail["TaxRateName"].casefold() in taken or detail["TaxRateName"] in just_named:
        text = f"The name supplied already exists. : Id={taken.get(detail['TaxRateName'].casefold())}"
        raise Refused("6240", "Duplicate Name Exists Error", text, "TaxRateName")
    rate_value = Decimal(detail["RateValue"])
    new = {
        "Name": detail["TaxRateName"],
        "Description": detail["TaxRateName"],
        "Active": True,
        "RateValue": rate_value,
        "AgencyRef": {"value": detail["TaxAgencyId"]},
        "SpecialTaxType": "NONE" if rate_value else "ZERO_RATE",
        "DisplayType": "ReadOnly",
    }
    return {**detail, "RateValue": rate_value, "TaxApplicableOn": detail.get("TaxApplicableOn") or "Sales"}, new
