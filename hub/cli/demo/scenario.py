"""The demo's shop: its catalogue, and a hundred orders of every kind a French shop meets. The same on every run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

SEED = 20261124
#: SKU, title, price with tax, VAT rate, opening stock
CATALOGUE: tuple[tuple[str, str, str, str, int], ...] = (
    ("MUG-01", "Mug émaillé bleu", "14.90", "0.20", 120),
    ("MUG-02", "Mug émaillé blanc", "14.90", "0.20", 120),
    ("BOL-01", "Bol en grès", "18.50", "0.20", 90),
    ("BOL-02", "Grand bol en grès", "24.00", "0.20", 80),
    ("ASS-01", "Assiette plate", "16.00", "0.20", 150),
    ("ASS-02", "Assiette creuse", "17.00", "0.20", 140),
    ("THE-01", "Thé vert sencha 100 g", "9.90", "0.055", 200),
    ("THE-02", "Thé noir fumé 100 g", "8.50", "0.055", 200),
    ("CAF-01", "Café en grains 250 g", "7.95", "0.055", 260),
    ("CAF-02", "Café moulu 250 g", "7.95", "0.055", 260),
    ("CHO-01", "Chocolat noir 70 %", "4.20", "0.055", 300),
    ("MIE-01", "Miel de lavande 500 g", "12.40", "0.055", 120),
    ("LIV-01", "Le grand livre du thé", "29.00", "0.055", 60),
    ("LIV-02", "Céramiques d'ici", "35.00", "0.055", 50),
    ("NAP-01", "Nappe en lin", "59.00", "0.20", 40),
    ("SER-01", "Lot de 4 serviettes", "32.00", "0.20", 70),
    ("TOR-01", "Torchon rayé", "9.00", "0.20", 160),
    ("TAB-01", "Tablier", "27.50", "0.20", 60),
    ("PLA-01", "Plateau en hêtre", "44.00", "0.20", 45),
    ("CAR-01", "Carafe en verre", "21.00", "0.20", 75),
    ("BOU-01", "Bougie cire de soja", "19.00", "0.20", 110),
    ("SAV-01", "Savon d'Alep", "6.60", "0.20", 220),
    ("COF-01", "Coffret découverte", "49.00", "0.20", 3),
    ("VAS-01", "Vase soliflore", "15.70", "0.20", 85),
)
#: in the shop, but in nobody's catalogue
UNKNOWN_SKU = "PROTO-99"
#: the item that one order wants more of than there is
SHORT_SKU = "COF-01"

PEOPLE = (
    ("Camille", "Durand", "8 rue de la Paix", "75002", "Paris"),
    ("Louis", "Moreau", "12 quai de la Fosse", "44000", "Nantes"),
    ("Inès", "Lefèvre", "3 place Bellecour", "69002", "Lyon"),
    ("Hugo", "Girard", "27 rue Sainte", "13001", "Marseille"),
    ("Zoé", "Fontaine", "5 rue d'Alsace", "67000", "Strasbourg"),
    ("Adam", "Chevalier", "41 cours de l'Intendance", "33000", "Bordeaux"),
    ("Léa", "Perrin", "19 rue Nationale", "59800", "Lille"),
    ("Noé", "Barbier", "6 allée Jean-Jaurès", "31000", "Toulouse"),
)


@dataclass(frozen=True)
class Placed:
    """One order of the demo: how it is placed, and what happens to it afterwards (action, its settings)."""

    number: int
    spec: dict[str, Any]
    after: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    kind: str = "plain"


def orders(count: int = 100) -> list[Placed]:
    """The orders, numbered from 1001."""
    chance = random.Random(SEED)  # noqa: S311 - the same orders on every run
    return [_order(1001 + index, index, chance) for index in range(count)]


def lost_orders(count: int = 100) -> list[str]:
    """The two orders whose webhooks never arrive."""
    return [f"#{1001 + count // 4}", f"#{1001 + count // 2}"]


def _order(number: int, index: int, chance: random.Random) -> Placed:
    first, last, street, postcode, city = PEOPLE[index % len(PEOPLE)]
    address = {
        "first_name": first,
        "last_name": last,
        "address1": street,
        "zip": postcode,
        "city": city,
        "country": "France",
        "country_code": "FR",
    }
    spec: dict[str, Any] = {
        "number": number,
        "lines": _lines(chance),
        "taxes_included": index % 3 != 1,
        "customer": {"first_name": first, "last_name": last, "email": f"client.{number}@example.com"},
        "billing_address": address,
        "shipping_address": address,
        "shipping": {"title": "Colissimo", "code": "COLISSIMO", "price": "4.90", "vat": "0.20"},
        "pay": True,
    }
    if not spec["taxes_included"]:
        for line in spec["lines"]:
            line["price"] = _without_tax(line["sku"])
    if index % 7 == 2:
        spec["discount"] = {"type": "percentage", "value": "10", "code": "ETE10"}
    if index % 11 == 3:
        spec["lines"][0]["discount"] = {"type": "fixed", "value": "2.00", "title": "Geste commercial"}
    return _special(number, index, spec)


def _special(number: int, index: int, spec: dict[str, Any]) -> Placed:
    """What makes some of the orders special; the rest are paid, prepared and shipped."""
    if index == 6:
        spec["customer"], spec["email"] = None, f"invite.{number}@example.com"
        return Placed(number, spec, kind="guest")
    if index == 9:
        return Placed(number, _belgian(spec), kind="business in Belgium")
    if index == 14:
        spec["lines"].append({"sku": UNKNOWN_SKU, "quantity": 1, "price": "12.00", "title": "Prototype"})
        return Placed(number, spec, kind="unknown SKU")
    if index == 19:
        spec["lines"] = [{"sku": SHORT_SKU, "quantity": 5}, {"sku": "TOR-01", "quantity": 1}]
        spec.pop("discount", None)
        spec.update(taxes_included=True, oversell=True)
        return Placed(number, spec, kind="more than is left")
    if index == 23:
        spec["pay"] = False
        return Placed(number, spec, [("cancel", {"reason": "customer", "restock": True})], "cancelled before payment")
    if index in (30, 44, 71):
        first = spec["lines"][0]
        first["quantity"] = max(2, int(first["quantity"]))
        refund = {"lines": [{"sku": first["sku"], "quantity": 1, "restock": "no_restock"}], "note": "Cassé"}
        return Placed(number, spec, [("refund", refund)], "partial refund")
    if index in (37, 83):
        return Placed(number, spec, [("refund", {"all": True, "restock": "return", "note": "Retour"})], "full refund")
    if index == 52:
        edit = {"add": [{"sku": "SAV-01", "quantity": 2}]}
        return Placed(number, spec, [("edit", edit), ("pay", {})], "edited after payment, one more line")
    if index == 58:
        # it waits for goods, so it has not gone to the warehouse when it is edited
        spec["lines"] = [{"sku": SHORT_SKU, "quantity": 4}, {"sku": "CHO-01", "quantity": 3}]
        spec.pop("discount", None)
        spec.update(taxes_included=True, oversell=True)
        return Placed(
            number, spec, [("edit", {"remove": [{"sku": "CHO-01", "quantity": 1}]})], "edited after payment, one less"
        )
    if index % 13 == 5:
        spec["pay"] = False
        return Placed(number, spec, [("pay", {})], "paid later")
    return Placed(number, spec)


def _belgian(spec: dict[str, Any]) -> dict[str, Any]:
    address = {
        "first_name": "An",
        "last_name": "Peeters",
        "company": "Peeters Interieur BV",
        "address1": "Meir 12",
        "zip": "2000",
        "city": "Antwerpen",
        "country": "Belgium",
        "country_code": "BE",
    }
    spec.update(
        customer={"first_name": "An", "last_name": "Peeters", "email": "boekhouding@example.be", "tax_exempt": True},
        billing_address=address,
        shipping_address=address,
        tax_exempt=True,
        taxes_included=False,
        note_attributes={"vat_number": "BE0403170701"},
    )
    for line in spec["lines"]:
        line["price"] = _without_tax(line["sku"])
    return spec


def _lines(chance: random.Random) -> list[dict[str, Any]]:
    sold = [row for row in CATALOGUE if row[0] != SHORT_SKU]
    return [
        {"sku": row[0], "quantity": chance.choice((1, 1, 1, 2, 3))} for row in chance.sample(sold, chance.randint(1, 4))
    ]


def _without_tax(sku: str) -> str:
    """The price of an item without tax, in whole cents."""
    from decimal import ROUND_HALF_UP, Decimal

    _, _, price, vat, _ = next(row for row in CATALOGUE if row[0] == sku)
    return str((Decimal(price) / (1 + Decimal(vat))).quantize(Decimal("0.01"), ROUND_HALF_UP))
