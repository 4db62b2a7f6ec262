"""What a sales channel believes of the stock: its own number, moved by the orders we import from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.core.stock.tables import CHANNEL_LEVEL

_OF_ITEMS = sa.select(CHANNEL_LEVEL).where(
    CHANNEL_LEVEL.c.merchant_id == sa.bindparam("merchant_id"), among(CHANNEL_LEVEL.c.item_id)
)


def _load(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    items = list(dict.fromkeys(item_id for _, item_id in keys))
    rows = rows_in(connection, _OF_ITEMS, items, merchant_id=merchant_id)
    return {(row["connection_id"], row["item_id"]): row for row in rows}


#: keyed by (connection id, item id); an item's levels on all channels are read together
CHANNEL_LEVELS = Source("stock.channel_level", _load)


def channel_level(plan: Plan, connection_id: int, item_id: int) -> Row:
    """The level of an item on a channel, opened without a number when it is not there yet."""
    row = plan.get(CHANNEL_LEVELS, (connection_id, item_id))
    if row is None:
        row = plan.insert(
            CHANNEL_LEVEL,
            {
                "connection_id": connection_id,
                "item_id": item_id,
                "expected": None,
                "acknowledged": None,
                "adopted_at": None,
                "item_ref": None,
                "location_ref": None,
            },
        )
        plan.put(CHANNEL_LEVELS, (connection_id, item_id), row)
    return row


def adopt(
    plan: Plan, connection_id: int, item_id: int, quantity: int, *, item_ref: str | None, location_ref: str | None
) -> Row:
    """Takes the channel's own number as the starting point. Orders imported from now on change what we expect."""
    row = channel_level(plan, connection_id, item_id)
    plan.update(
        CHANNEL_LEVEL,
        row,
        expected=quantity,
        acknowledged=quantity,
        adopted_at=plan.now,
        item_ref=item_ref,
        location_ref=location_ref,
    )
    return row


def imported(plan: Plan, connection_id: int, item_id: int, delta: int) -> None:
    """An order (negative) or a restock (positive) of the channel was booked: its own number has moved by that much.
    A channel whose number was never adopted has none to move."""
    row = plan.get(CHANNEL_LEVELS, (connection_id, item_id))
    if row is not None and row["expected"] is not None:
        plan.increment(CHANNEL_LEVEL, row, expected=delta)


def acknowledged(plan: Plan, connection_id: int, item_id: int, quantity: int) -> None:
    """The channel answered that it has this number now."""
    row = channel_level(plan, connection_id, item_id)
    plan.update(CHANNEL_LEVEL, row, expected=quantity, acknowledged=quantity)
