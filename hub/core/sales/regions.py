"""Where an order is taxed: at home, in the Union to a business or a consumer, or exported."""

from __future__ import annotations

import re
from typing import NamedTuple

from hub.records.order import Address, Party

DOMESTIC = "domestic"
EU_BUSINESS = "eu_business"
EU_CONSUMER = "eu_consumer"
EXPORT = "export"

#: member states by ISO 3166-1 code, those of the merchant too
EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())
# Monaco is France for VAT; the French overseas departments are exports from the mainland and have ISO codes of their own
_SAME_AS = {"MC": "FR", "EL": "GR"}
_VAT_PREFIXES = (EU - {"GR"}) | {"EL", "XI"}
# parts of member states outside the VAT territory: Canaries, Ceuta, Melilla, Livigno, Büsingen and Heligoland
_OUTSIDE = {"ES": ("35", "38", "51", "52"), "IT": ("23041", "22061"), "DE": ("78266", "27498")}

_MENTIONS = {
    EU_BUSINESS: "Exonération de TVA : article 138 de la directive 2006/112/CE",
    EXPORT: "Exonération de TVA : article 146 de la directive 2006/112/CE",
}


class Destination(NamedTuple):
    """Where an order goes, and whether a business with a VAT number of another member state takes it."""

    country: str
    inside: bool
    business: bool


def vat_country(number: str | None) -> str | None:
    """Member state of a VAT number, by its form only; None when it is none. XI counts as GB."""
    text = re.sub(r"[\s.\-]", "", number or "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9A-Z+*]{2,13}", text) or text[:2] not in _VAT_PREFIXES:
        return None
    return {"EL": "GR", "XI": "GB"}.get(text[:2], text[:2])


def destination(shipping: Address | None, billing: Address | None, party: Party, *, home: str = "FR") -> Destination:
    """Where the goods go: the shipping address, else the billing address, else home."""
    address = shipping if shipping is not None and shipping.country else billing
    code = ((address.country if address else None) or home).upper()
    country = _SAME_AS.get(code, code)
    postcode = ((address.postcode if address else None) or "").replace(" ", "").upper()
    inside = country in EU and not postcode.startswith(_OUTSIDE.get(country, ("\0",)))
    if country == "GB" and postcode.startswith("BT"):  # goods to Northern Ireland are inside
        inside = True
    vat = vat_country(party.vat_number) if party.vat_number else None
    return Destination(country, inside, vat is not None and vat != home)


def region_of(place: Destination, taxed: bool, *, oss: bool, home: str = "FR") -> str | None:
    """The region of an order whose shop charged tax or not; None when nothing explains that it charged none.

    `oss`: the merchant declares distance sales in the country of the consumer; without it they are taxed at home."""
    if place.country == home:
        return DOMESTIC
    if not place.inside:
        return EXPORT
    if not taxed:
        return EU_BUSINESS if place.business else None
    return EU_CONSUMER if oss else DOMESTIC


def mention(region: str | None) -> str | None:
    """What an invoice without tax must say (the directive may always be named instead of national law)."""
    return _MENTIONS.get(region or "")
