"""A batch reads each table once, however many orders it has."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sales_house import CONNECTION, House
from sales_shop import Shop

from hub.core.ledger.rules import load_rules
from hub.core.plan import Plan
from hub.core.sales.sources import preload
from hub.core.sales.sync import sync
from hub.records.order import Order, Party


def orders(count: int, *, refunded: bool = False) -> list[Order]:
    made = []
    for number in range(count):
        shop = Shop(id=f"O{number}", party=Party(external_id=f"C{number}"))
        shop.add("MUG-01", 2, 1000)
        shop.add("BOOK-01", 1, 1000, "0.055")
        shop.payments.append(msgspec.structs.replace(shop.pay(), external_id=f"P{number}"))
        shop.payments.pop(0)
        if refunded:
            refund = shop.refund({"L1": 1}, restock="cancel", money=False)
            shop.refunds[-1] = msgspec.structs.replace(refund, external_id=f"R{number}")
        made.append(shop.snapshot())
    return made


def reads(house: House, batch: list[Order]) -> int:
    """How many statements the planning of a batch sends to the database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    def do(plan: Plan) -> int:
        sa.event.listen(house.database.engine, "before_cursor_execute", note)
        try:
            preload(plan, [(CONNECTION, order) for order in batch])
            for order in batch:
                result = sync(
                    plan, order, connection_id=CONNECTION, go_live_at=0, policy=house.policy, rules=load_rules()
                )
                assert result.order_id is not None
        finally:
            sa.event.remove(house.database.engine, "before_cursor_execute", note)
        return len(sent)

    count: int = house.work(do)
    return count


def test_new_orders_and_known_ones_are_read_with_as_many_statements_whatever_their_number(house: House) -> None:
    house.stock(MUG_01=500, BOOK_01=500)
    few = reads(house, orders(2))
    again = reads(house, orders(20)[2:])
    assert again <= few
    known_few = reads(house, orders(2, refunded=True))
    known = reads(house, orders(20, refunded=True)[2:])
    assert known <= known_few
    assert known_few < 30
    assert len([kind for kind, _, _ in house.documents() if kind == "credit_note"]) == 20
