"""A CSV export of orders as a shop's admin writes it, generated: no order, person or amount in it is real."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from random import Random

SEED = 20261124
#: SKU: price of a unit with its tax, rate
CATALOGUE = {
    "MUG-01": ("14.90", "0.2"),
    "PLATE-02": ("22.50", "0.2"),
    "LAMP-03": ("89.00", "0.2"),
    "THE-01": ("9.90", "0.055"),
    "BOOK-05": ("18.05", "0.055"),
}
HEADER = (
    "Name|Email|Financial Status|Paid at|Fulfillment Status|Accepts Marketing|Currency|Subtotal|Shipping|Taxes|Total|"
    "Discount Code|Discount Amount|Shipping Method|Created at|Lineitem quantity|Lineitem name|Lineitem price|Lineitem sku|"
    "Lineitem requires shipping|Lineitem taxable|Billing Name|Billing Address1|Billing City|Billing Zip|Billing Country|"
    "Shipping Name|Shipping Address1|Shipping City|Shipping Zip|Shipping Country|Notes|Refunded Amount|Id|Lineitem discount|"
    "Tax 1 Name|Tax 1 Value|Tax 2 Name|Tax 2 Value|Tax 3 Name|Tax 3 Value|Phone"
).split("|")
_CENT = Decimal("0.01")


def cents(value: Decimal) -> Decimal:
    return value.quantize(_CENT, ROUND_HALF_UP)


@dataclass
class ExportOrder:
    """An order whose prices hold the tax. `lines`: (SKU, units)."""

    name: str
    lines: list[tuple[str, int]]
    shipping: Decimal = Decimal("4.90")
    discount: Decimal = Decimal(0)
    changes: dict[str, str] = field(default_factory=dict)

    def amounts(self) -> dict[str, Decimal]:
        """Goods, total and the tax of each rate, worked out line by line as a shop does."""
        gross = [Decimal(CATALOGUE[sku][0]) * units for sku, units in self.lines]
        goods = sum(gross, Decimal(0)) - self.discount
        taxes: dict[str, Decimal] = {}
        left = self.discount
        for (sku, _), amount in zip(self.lines, gross, strict=True):
            part = min(left, amount) if len(self.lines) == 1 else Decimal(0)
            left -= part
            rate = Decimal(CATALOGUE[sku][1])
            taxes[str(rate)] = taxes.get(str(rate), Decimal(0)) + cents((amount - part) * rate / (1 + rate))
        if self.shipping:
            taxes["0.2"] = taxes.get("0.2", Decimal(0)) + cents(self.shipping * Decimal("0.2") / Decimal("1.2"))
        return {"goods": goods, "total": goods + self.shipping, **{f"tax {rate}": tax for rate, tax in taxes.items()}}

    def rows(self) -> list[dict[str, str]]:
        amounts = self.amounts()
        taxes = {name.removeprefix("tax "): tax for name, tax in amounts.items() if name.startswith("tax ")}
        number = self.name.removeprefix("#")
        first = {
            "Email": f"buyer{number}@example.org",
            "Financial Status": "paid",
            "Paid at": "2026-11-02 10:00:00 +0100",
            "Currency": "EUR",
            "Subtotal": f"{amounts['goods']:.2f}",
            "Shipping": f"{self.shipping:.2f}",
            "Taxes": f"{sum(taxes.values()):.2f}",
            "Total": f"{amounts['total']:.2f}",
            "Discount Amount": f"{self.discount:.2f}",
            "Shipping Method": "Colissimo",
            "Created at": "2026-11-02 09:59:00 +0100",
            "Billing Name": f"Buyer {number}",
            "Billing City": "Paris",
            "Billing Zip": "'75002",
            "Billing Country": "FR",
            "Shipping Country": "FR",
            "Refunded Amount": "0.00",
            "Id": f"51{number.zfill(8)}",
        }
        for index, (rate, tax) in enumerate(taxes.items(), 1):
            first[f"Tax {index} Name"] = f"FR TVA {Decimal(rate) * 100:g}%"
            first[f"Tax {index} Value"] = f"{tax:.2f}"
        rows = []
        for position, (sku, units) in enumerate(self.lines):
            line = {
                "Name": self.name,
                "Lineitem quantity": str(units),
                "Lineitem name": f"Article {sku}",
                "Lineitem price": CATALOGUE[sku][0],
                "Lineitem sku": sku,
                "Lineitem requires shipping": "true",
                "Lineitem taxable": "true",
                "Lineitem discount": "0.00",
            }
            rows.append({**line, **first, **self.changes} if position == 0 else line)
        return rows


def hundred() -> list[ExportOrder]:
    """A hundred orders without a flaw, the same each time."""
    random = Random(SEED)
    orders = []
    for number in range(1001, 1101):
        skus = random.sample(list(CATALOGUE), random.choice((1, 1, 2, 3)))
        lines = [(sku, random.randint(1, 4)) for sku in skus]
        orders.append(ExportOrder(f"#{number}", lines, Decimal(random.choice(("0", "4.90", "6.50")))))
    return orders


def written(
    orders: Sequence[ExportOrder], *, delimiter: str = ",", header: Sequence[str] = HEADER, decimal: str = "."
) -> str:
    """The file's text. `decimal`: a comma for one that a French spreadsheet saved."""
    out = io.StringIO()
    writer = csv.DictWriter(out, header, delimiter=delimiter, lineterminator="\r\n", extrasaction="ignore")
    writer.writeheader()
    for order in orders:
        for row in order.rows():
            writer.writerow(
                {name: value.replace(".", decimal) if _is_amount(value) else value for name, value in row.items()}
            )
    return out.getvalue()


def _is_amount(value: str) -> bool:
    return value.replace(".", "", 1).isdigit() and "." in value
