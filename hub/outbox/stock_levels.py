"""The number that a shop is to show, computed just before it is sent.

`from` is what the shop holds by our reckoning: the number it last acknowledged, less that channel's imported orders, plus
its restocks. Nothing is sent when it is already right, and never before the shop's own quantities were adopted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Row, Source
from hub.core.reading import among, rows_in
from hub.core.stock.tables import CHANNEL_LEVEL, LOCATION, STOCK_LEVEL

_MERCHANT = CHANNEL_LEVEL.c.merchant_id == sa.bindparam("merchant_id")
_BY_REF = sa.select(CHANNEL_LEVEL.c.connection_id, CHANNEL_LEVEL.c.item_ref, CHANNEL_LEVEL.c.item_id).where(
    _MERCHANT, among(CHANNEL_LEVEL.c.item_ref)
)
_LEVEL = sa.select(CHANNEL_LEVEL.c.expected, CHANNEL_LEVEL.c.item_ref, CHANNEL_LEVEL.c.location_ref).where(
    _MERCHANT,
    CHANNEL_LEVEL.c.connection_id == sa.bindparam("connection_id"),
    CHANNEL_LEVEL.c.item_id == sa.bindparam("item_id"),
)
_ADOPTED = (
    sa.select(*(CHANNEL_LEVEL.c[name] for name in ("item_id", "item_ref", "location_ref", "expected")))
    .where(
        _MERCHANT, CHANNEL_LEVEL.c.connection_id == sa.bindparam("connection_id"), CHANNEL_LEVEL.c.expected.is_not(None)
    )
    .order_by(CHANNEL_LEVEL.c.item_id)
)
_AVAILABLE = (
    sa.select(sa.func.coalesce(sa.func.sum(STOCK_LEVEL.c.on_hand - STOCK_LEVEL.c.held - STOCK_LEVEL.c.waiting), 0))
    .join(LOCATION, LOCATION.c.id == STOCK_LEVEL.c.location_id)
    .where(
        STOCK_LEVEL.c.merchant_id == sa.bindparam("merchant_id"),
        STOCK_LEVEL.c.item_id == sa.bindparam("item_id"),
        LOCATION.c.kind == "warehouse",
    )
)


def _load_by_ref(connection: Connection, merchant_id: int, keys: Sequence[tuple[int, str]]) -> Mapping[Any, Row]:
    refs = list(dict.fromkeys(ref for _, ref in keys))
    rows = rows_in(connection, _BY_REF, refs, merchant_id=merchant_id)
    return {(row["connection_id"], row["item_ref"]): row for row in rows}


#: the item of a vendor's stock record, by (connection id, item ref)
CHANNEL_LEVEL_BY_REF = Source("channel_level_by_ref", _load_by_ref)


#: stale answers after which the shop's number is a question; those with orders still on their way in do not count
MAX_STALE = 3


@dataclass(frozen=True)
class Level:
    """What to send for one item to one channel. `quantity` is never negative; `available` may be (oversold)."""

    item_id: int
    item_ref: str
    location_ref: str
    available: int
    quantity: int
    expected: int

    @property
    def right(self) -> bool:
        """The shop has the number already."""
        return self.expected in (self.available, self.quantity)

    def check(self) -> dict[str, Any]:
        """What a check is made with: the number that the shop should show."""
        return {**self.body(), "quantity": self.expected}

    def body(self) -> dict[str, Any]:
        return {
            "item_ref": self.item_ref,
            "location_ref": self.location_ref,
            "quantity": self.quantity,
            "from": self.expected,
        }


def available(connection: Connection, merchant_id: int, item_id: int) -> int:
    """Units free for sale over all warehouses: on hand, less held, less what short orders wait for."""
    return int(connection.execute(_AVAILABLE, {"merchant_id": merchant_id, "item_id": item_id}).scalar_one())


def level(connection: Connection, merchant_id: int, connection_id: int, item_id: int) -> Level | None:
    """What a channel is to show, or None while its own quantity was not adopted or it does not sell the item."""
    where = {"merchant_id": merchant_id, "connection_id": connection_id, "item_id": item_id}
    row = connection.execute(_LEVEL, where).one_or_none()
    if row is None or row.expected is None or row.item_ref is None or row.location_ref is None:
        return None
    free = available(connection, merchant_id, item_id)
    return Level(item_id, row.item_ref, row.location_ref, free, max(0, free), row.expected)


def expected(connection: Connection, merchant_id: int, connection_id: int) -> list[tuple[int, dict[str, Any]]]:
    """What a channel should show of each item that was adopted, as it would be sent."""
    rows = connection.execute(_ADOPTED, {"merchant_id": merchant_id, "connection_id": connection_id})
    return [
        (row.item_id, {"item_ref": row.item_ref, "location_ref": row.location_ref, "quantity": row.expected})
        for row in rows
    ]


def acknowledged(
    connection: Connection, merchant_id: int, connection_id: int, item_id: int, sent: dict[str, Any]
) -> None:
    """The shop took the number. What was imported while it was on its way stays counted: the difference is added."""
    connection.execute(
        CHANNEL_LEVEL.update()
        .where(
            CHANNEL_LEVEL.c.merchant_id == merchant_id,
            CHANNEL_LEVEL.c.connection_id == connection_id,
            CHANNEL_LEVEL.c.item_id == item_id,
        )
        .values(
            expected=CHANNEL_LEVEL.c.expected + (int(sent["quantity"]) - int(sent["from"])),
            acknowledged=int(sent["quantity"]),
        )
    )
