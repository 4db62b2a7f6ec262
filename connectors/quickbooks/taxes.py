"""Tax codes and their rates. A document line names a code, the document's tax lines name a rate."""

from __future__ import annotations

from typing import Any

from hub.connect.errors import Refused
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed

from .company import post, query


def find_code(link: Link, call: Call) -> Confirmed | None:
    """The code of a name."""
    code = _code(link, call)
    return Confirmed(str(code["Id"]), code) if code else None


def find_rate(link: Link, call: Call) -> Confirmed | None:
    """The sales rate of the code of a name. A code of several rates cannot say what one tax is."""
    code = _code(link, call)
    if code is None:
        return None
    rates = (code.get("SalesTaxRateList") or {}).get("TaxRateDetail") or []
    if len(rates) != 1:
        raise Refused(f"{link.name}: tax code {code['Name']!r} has {len(rates)} sales rates: one is needed")
    return Confirmed(str(rates[0]["TaxRateRef"]["value"]), code)


def create_code(link: Link, call: Call) -> Confirmed:
    """A new code with its rate; answers the code's id."""
    made = _create(link, call)
    return Confirmed(str(made["TaxCodeId"]), made)


def create_rate(link: Link, call: Call) -> Confirmed:
    """A new code with its rate; answers the rate's id."""
    made = _create(link, call)
    return Confirmed(str(made["TaxRateDetails"][0]["TaxRateId"]), made)


def _code(link: Link, call: Call) -> dict[str, Any] | None:
    found = query(link, "TaxCode", "Name", str(call.body["Name"]))
    return found[0] if found else None


def _create(link: Link, call: Call) -> dict[str, Any]:
    name = str(call.body["Name"])
    rate = {
        "TaxRateName": name,
        "RateValue": str(call.body["Rate"]),
        "TaxAgencyId": str(link.settings["tax_agency_id"]),
        "TaxApplicableOn": "Sales",
    }
    return post(link, "taxservice/taxcode", {"TaxCode": name, "TaxRateDetails": [rate]}, call.wire_key)
