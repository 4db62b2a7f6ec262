"""Verifies the stock from its moves and reservations: what each level has on hand, holds and waits for."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.faults import Fault
from hub.core.stock.tables import ITEM, LOCATION, MOVE, RESERVATION, STOCK_LEVEL

_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id")


def verify_stock(connection: Connection, merchant_id: int) -> list[Fault]:
    """All faults of a merchant's stock levels and reservations."""
    values = {"merchant_id": merchant_id}
    items = _names(connection, ITEM.c.sku, values)
    places = _names(connection, LOCATION.c.code, values)
    expected = _expected(connection, values)
    faults: list[Fault] = []
    levels = connection.execute(
        sa.select(
            STOCK_LEVEL.c.item_id,
            STOCK_LEVEL.c.location_id,
            STOCK_LEVEL.c.on_hand,
            STOCK_LEVEL.c.held,
            STOCK_LEVEL.c.waiting,
        )
        .where(STOCK_LEVEL.c.merchant_id == _MERCHANT)
        .order_by(STOCK_LEVEL.c.id),
        values,
    )
    for item_id, location_id, *found in levels:
        wanted = expected.pop((item_id, location_id), [0, 0, 0])
        place = f"stock of {items.get(item_id, item_id)} at {places.get(location_id, location_id)}"
        for column, is_, must in zip(("on_hand", "held", "waiting"), found, wanted, strict=True):
            if is_ != must:
                source = "moves" if column == "on_hand" else "reservations"
                faults.append(Fault(f"stock.{column}", place, f"{column} is {is_}; the {source} make {must}"))
    for (item_id, location_id), wanted in expected.items():
        if any(wanted):
            place = f"stock of {items.get(item_id, item_id)} at {places.get(location_id, location_id)}"
            faults.append(Fault("stock.row", place, f"the row is missing; on hand, held and waiting are {wanted}"))
    return faults + _shipped(connection, values)


def _names(connection: Connection, column: sa.Column[str], values: dict[str, int]) -> dict[int, str]:
    table = column.table
    rows = connection.execute(sa.select(table.c.id, column).where(table.c.merchant_id == _MERCHANT), values)
    return {row_id: name for row_id, name in rows}


def _expected(connection: Connection, values: dict[str, int]) -> dict[tuple[int, int], list[int]]:
    """On hand, held and waiting by (item, location), as moves and reservations make them."""
    expected: dict[tuple[int, int], list[int]] = {}
    for column, sign in ((MOVE.c.destination_id, 1), (MOVE.c.source_id, -1)):
        sums = (
            sa.select(MOVE.c.item_id, column, sa.func.sum(MOVE.c.quantity))
            .where(MOVE.c.merchant_id == _MERCHANT)
            .group_by(MOVE.c.item_id, column)
        )
        for item_id, location_id, quantity in connection.execute(sums, values):
            expected.setdefault((item_id, location_id), [0, 0, 0])[0] += sign * int(quantity)
    open_ = (
        sa.select(
            RESERVATION.c.item_id,
            RESERVATION.c.location_id,
            RESERVATION.c.state,
            sa.func.sum(RESERVATION.c.quantity - RESERVATION.c.shipped),
        )
        .where(RESERVATION.c.merchant_id == _MERCHANT, RESERVATION.c.state.in_(["held", "waiting"]))
        .group_by(RESERVATION.c.item_id, RESERVATION.c.location_id, RESERVATION.c.state)
    )
    for item_id, location_id, state, quantity in connection.execute(open_, values):
        expected.setdefault((item_id, location_id), [0, 0, 0])[1 if state == "held" else 2] += int(quantity)
    return expected


def _shipped(connection: Connection, values: dict[str, int]) -> list[Fault]:
    moved = (
        sa.select(MOVE.c.reservation_id, sa.func.sum(MOVE.c.quantity).label("quantity"))
        .where(MOVE.c.merchant_id == _MERCHANT, MOVE.c.reservation_id.is_not(None))
        .group_by(MOVE.c.reservation_id)
        .subquery()
    )
    quantity = sa.func.coalesce(moved.c.quantity, 0)
    wrong = (
        sa.select(RESERVATION.c.id, RESERVATION.c.order_id, RESERVATION.c.shipped, quantity)
        .outerjoin(moved, moved.c.reservation_id == RESERVATION.c.id)
        .where(RESERVATION.c.merchant_id == _MERCHANT, RESERVATION.c.shipped != quantity)
        .order_by(RESERVATION.c.id)
    )
    return [
        Fault("reservation.shipped", f"reservation {key} of order {order_id}", f"shipped is {is_}; moves make {must}")
        for key, order_id, is_, must in connection.execute(wrong, values)
    ]
