"""Reservations: units promised to an order line, held or waited for, ended once by a shipment or a release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.core.stock.items import change_level, level
from hub.core.stock.moves import MOVE_BY_REF, Moved, move
from hub.core.stock.tables import RESERVATION


class State(StrEnum):
    WAITING = "waiting"
    HELD = "held"
    POSTED = "posted"
    VOIDED = "voided"


OPEN = frozenset({State.WAITING, State.HELD})


class ReservationEnded(CoreError):
    """A reservation that was shipped or voided already."""

    kind = "reservation.ended"


_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id")
_BY_ID = sa.select(RESERVATION).where(RESERVATION.c.merchant_id == _MERCHANT, among(RESERVATION.c.id))
_OF_ORDERS = (
    sa.select(RESERVATION.c.order_id, RESERVATION.c.id)
    .where(RESERVATION.c.merchant_id == _MERCHANT, among(RESERVATION.c.order_id))
    .order_by(RESERVATION.c.id)
)
_WAITING = (
    sa.select(RESERVATION.c.item_id, RESERVATION.c.location_id, RESERVATION.c.id)
    .where(RESERVATION.c.merchant_id == _MERCHANT, RESERVATION.c.state == "waiting", among(RESERVATION.c.item_id))
    .order_by(RESERVATION.c.created_at, RESERVATION.c.id)
)


def _load_by_id(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["id"]: row for row in rows_in(connection, _BY_ID, keys, merchant_id=merchant_id)}


def _load_of_orders(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    found: dict[Any, Row] = {}
    for row in rows_in(connection, _OF_ORDERS, keys, merchant_id=merchant_id):
        found.setdefault(row["order_id"], {"ids": ()})["ids"] += (row["id"],)
    return found


def _load_waiting(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    found: dict[Any, Row] = {}
    items = list(dict.fromkeys(item_id for item_id, _ in keys))
    for row in rows_in(connection, _WAITING, items, merchant_id=merchant_id):
        found.setdefault((row["item_id"], row["location_id"]), {"ids": ()})["ids"] += (row["id"],)
    return found


#: a reservation, keyed by its id
RESERVATIONS = Source("stock.reservation", _load_by_id)
#: `{"ids": (...)}` of an order's reservations, keyed by order id
OF_ORDER = Source("stock.reservations_of_order", _load_of_orders)
#: `{"ids": (...)}` of the reservations that wait, first come first, keyed by (item id, location id)
WAITING = Source("stock.reservations_waiting", _load_waiting)


def preload_orders(plan: Plan, order_ids: Iterable[int]) -> None:
    """Reads the reservations of many orders with two queries."""
    ids = list(order_ids)
    plan.preload(OF_ORDER, ids)
    found = (plan.get(OF_ORDER, order_id) for order_id in ids)
    plan.preload(RESERVATIONS, [key for row in found if row is not None for key in row["ids"]])


def of_order(plan: Plan, order_id: int) -> list[Row]:
    """All reservations of an order, ended ones too."""
    return _rows(plan, OF_ORDER, order_id)


def reserve(
    plan: Plan,
    *,
    item_id: int,
    location_id: int,
    order_id: int,
    order_line_id: int,
    quantity: int,
    created_at: int | None = None,
    expires_at: int | None = None,
) -> Row:
    """Promises units to an order line: held when all of them are there and free, else the whole line waits."""
    if quantity <= 0:
        raise CoreError(f"{quantity} units cannot be reserved: give a positive number", kind="reservation.refused")
    there = level(plan, item_id, location_id)
    state = State.HELD if there["on_hand"] - there["held"] >= quantity else State.WAITING
    row = plan.insert(
        RESERVATION,
        {
            "item_id": item_id,
            "location_id": location_id,
            "order_id": order_id,
            "order_line_id": order_line_id,
            "quantity": quantity,
            "shipped": 0,
            "state": state.value,
            "created_at": plan.now if created_at is None else created_at,
            "ended_at": None,
            "expires_at": expires_at,
        },
    )
    plan.put(RESERVATIONS, row["id"], row)
    _add(plan, OF_ORDER, order_id, row)
    if state is State.WAITING:
        _add(plan, WAITING, (item_id, location_id), row)
        change_level(plan, there, waiting=quantity)
    else:
        change_level(plan, there, held=quantity)
    return row


def void(plan: Plan, reservation: Row) -> None:
    """Releases what has not been shipped; `replenish` then gives the units to those who wait."""
    _check_open(reservation)
    there = level(plan, reservation["item_id"], reservation["location_id"])
    left = reservation["quantity"] - reservation["shipped"]
    column = "held" if reservation["state"] == State.HELD else "waiting"
    plan.update(RESERVATION, reservation, state=State.VOIDED.value, ended_at=plan.now)
    change_level(plan, there, **{column: -left})


def resize(plan: Plan, reservation: Row, quantity: int) -> Row | None:
    """Changes the units of a line, shipped ones included: the old reservation is voided, and a new one made for what is
    still to be shipped (none when that is nothing). A line made smaller keeps its place in the queue."""
    if quantity == reservation["quantity"]:
        return reservation
    smaller = quantity < reservation["quantity"]
    void(plan, reservation)
    left = quantity - reservation["shipped"]
    if left <= 0:
        return None
    return reserve(
        plan,
        item_id=reservation["item_id"],
        location_id=reservation["location_id"],
        order_id=reservation["order_id"],
        order_line_id=reservation["order_line_id"],
        quantity=left,
        created_at=reservation["created_at"] if smaller else None,
        expires_at=reservation["expires_at"],
    )


def ship(
    plan: Plan,
    reservation: Row,
    quantity: int,
    ref: str,
    effective_date: date,
    *,
    destination: str | int = "customer",
    kind: str = "shipment",
    lot: str | None = None,
) -> Moved:
    """Ships held units, all or a part: they leave the warehouse and the reservation; told again under its ref, it is a
    replay.

    Raises: ReservationEnded; CoreError `reservation.refused` when it waits or holds fewer units."""
    replay = plan.get(MOVE_BY_REF, ref) is not None
    if not replay:
        _check_open(reservation)
        left = reservation["quantity"] - reservation["shipped"]
        if reservation["state"] != State.HELD or quantity > left:
            raise CoreError(
                f"{ref}: {quantity} units cannot be shipped from reservation {reservation['id']}, which is "
                f"{reservation['state']} with {left} units left",
                kind="reservation.refused",
                subject=f"order:{reservation['order_id']}",
                details={"state": reservation["state"], "left": left, "quantity": quantity},
            )
    moved = move(
        plan,
        reservation["item_id"],
        reservation["location_id"],
        destination,
        quantity,
        kind,
        ref,
        effective_date,
        lot,
        reservation["id"],
        release=quantity,
    )
    if not moved.replayed:
        shipped = reservation["shipped"] + quantity
        if shipped == reservation["quantity"]:
            plan.update(RESERVATION, reservation, shipped=shipped, state=State.POSTED.value, ended_at=plan.now)
        else:
            plan.update(RESERVATION, reservation, shipped=shipped)
    return moved


def replenish(plan: Plan, item_id: int, location_id: int) -> list[Row]:
    """Gives free units to those who wait, first come first, and stops at the first whose line does not fit.

    Call it after goods came in or were released. Returns the reservations that are held now."""
    there = level(plan, item_id, location_id)
    held: list[Row] = []
    for row in sorted(_rows(plan, WAITING, (item_id, location_id)), key=lambda row: (row["created_at"], row["id"])):
        if row["state"] != State.WAITING:
            continue
        if there["on_hand"] - there["held"] < row["quantity"]:
            break
        plan.update(RESERVATION, row, state=State.HELD.value)
        change_level(plan, there, held=row["quantity"], waiting=-row["quantity"])
        held.append(row)
    return held


def _check_open(reservation: Row) -> None:
    if reservation["state"] not in OPEN:
        raise ReservationEnded(
            f"reservation {reservation['id']} is {reservation['state']}: it ends once",
            subject=f"order:{reservation['order_id']}",
            details={"reservation_id": reservation["id"], "state": reservation["state"]},
        )


def _rows(plan: Plan, source: Source, key: Any) -> list[Row]:
    found = plan.get(source, key)
    ids = () if found is None else found["ids"]
    plan.preload(RESERVATIONS, ids)
    rows = (plan.get(RESERVATIONS, reservation_id) for reservation_id in ids)
    return [row for row in rows if row is not None]


def _add(plan: Plan, source: Source, key: Any, row: Row) -> None:
    found = plan.get(source, key)
    plan.put(source, key, {"ids": (*(() if found is None else found["ids"]), row["id"])})
