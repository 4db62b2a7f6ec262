"""What the core announces fits the canonical records that flows and mappings are written against."""

from __future__ import annotations

import msgspec
from sales_house import House
from sales_shop import Shop

from hub.records.document import Document, StockLevel


def test_invoices_and_credit_notes_fit_their_record(house: House) -> None:
    house.stock(MUG_01=10)
    shop = Shop()
    line = shop.add("MUG-01", 2, 1000)
    shop.ship_cost(500)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({line.id: 1})
    house.sync(shop.snapshot())

    documents = [*house.told("invoice.issued"), *house.told("credit_note.issued")]

    assert [msgspec.convert(each, Document).kind for each in documents] == ["invoice", "credit_note"]


def test_stock_changes_fit_their_record(house: House) -> None:
    house.stock(MUG_01=10)

    told = [msgspec.convert(each, StockLevel) for each in house.told("stock.changed")]

    assert [(each.sku, each.location, each.available) for each in told] == [("MUG-01", "main", 10)]
