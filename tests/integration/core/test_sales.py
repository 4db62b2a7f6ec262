"""An order's life on both engines: booked, credited, sent, sealed and verified."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core.ledger.verify import verify_ledger
from hub.core.sales.shipments import record_shipment
from hub.core.sales.verify import verify_sales
from hub.records.order import Shipment

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "core" / "sales"))

from sales_house import House
from sales_shop import Shop


@pytest.fixture
def house(book: Any) -> House:
    made = House(book.database, book)
    made.stock(MUG_01=10, BOOK_01=10)
    return made


def test_an_order_is_booked_credited_and_sent(house: House) -> None:
    shop = Shop(included=True)
    shop.add("MUG-01", 2, 1290)
    shop.add("BOOK-01", 1, 1990, "0.055")
    shop.ship_cost(490)
    shop.pay(fee=112)
    house.sync(shop.snapshot(payments=False))
    house.sync(shop.snapshot())
    shipment = Shipment(
        external_id="S1", order_ref=house.told("order.ready")[0]["ref"], shipped_at="2026-11-24T16:00:00Z"
    )
    house.work(lambda plan: record_shipment(plan, shipment, 9))
    shop.refund({"L1": 1}, restock="return")
    for _ in range(2):
        house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 5060), ("credit_note", "A2026-000001", 1290)]
    assert house.net() == shop.current_total
    assert house.levels() == {"MUG-01": (9, 0, 0), "BOOK-01": (9, 0, 0)}
    assert house.balances()["517100"] == 5060 - 1290 - 112
    with house.database.read() as connection:
        assert verify_sales(connection, 1) == []
        assert verify_ledger(connection, 1, house.book.key) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE document SET total = total + 1, total_net = total_net + 1",
        "DELETE FROM document",
        "UPDATE document_line SET net = net + 1",
        "DELETE FROM document_line",
    ],
)
def test_an_issued_document_is_not_changed(house: House, statement: str) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    with pytest.raises(sa.exc.IntegrityError), house.database.write() as connection:
        connection.exec_driver_sql(statement)
