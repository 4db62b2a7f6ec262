"""Moves of goods between locations, each booked once under its ref."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.core.stock.items import change_level, item_by_id, level, location
from hub.core.stock.tables import MOVE


class Moved(msgspec.Struct, frozen=True):
    """The move that holds the fact; `replayed`: it was there before."""

    move_id: int
    replayed: bool


class MoveConflict(CoreError):
    """A ref that is booked with another content."""

    kind = "move.conflict"


class StockShort(CoreError):
    """Units that are not there, or are held for orders."""

    kind = "stock.short"


_BY_REF = sa.select(MOVE).where(MOVE.c.merchant_id == sa.bindparam("merchant_id"), among(MOVE.c.ref))
_CONTENT = ("item_id", "lot", "quantity", "source_id", "destination_id", "kind", "reservation_id", "effective_date")


def _load_by_ref(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["ref"]: row for row in rows_in(connection, _BY_REF, keys, merchant_id=merchant_id)}


#: a move, keyed by its ref: preload the refs of a batch
MOVE_BY_REF = Source("stock.move_by_ref", _load_by_ref)


def move(
    plan: Plan,
    item_id: int,
    source: str | int,
    destination: str | int,
    quantity: int,
    kind: str,
    ref: str,
    effective_date: date,
    lot: str | None = None,
    reservation_id: int | None = None,
    *,
    release: int = 0,
) -> Moved:
    """Moves units between two locations, named by code or id. `release`: units held at the source that are let go with
    the move (a shipment of reserved goods).

    Raises: StockShort, MoveConflict; nothing is planned then."""
    if quantity <= 0:
        raise CoreError(f"{ref}: {quantity} units cannot be moved: give a positive number", kind="move.refused")
    start, end = location(plan, source), location(plan, destination)
    if start["id"] == end["id"]:
        raise CoreError(f"{ref}: goods cannot be moved from {start['code']} to itself", kind="move.refused")
    content = {
        "item_id": item_id,
        "lot": lot,
        "quantity": quantity,
        "source_id": start["id"],
        "destination_id": end["id"],
        "kind": kind,
        "reservation_id": reservation_id,
        "effective_date": effective_date,
    }
    known = plan.get(MOVE_BY_REF, ref)
    if known is not None:
        if any(known[name] != content[name] for name in _CONTENT):
            raise MoveConflict(
                f"{ref} is booked as another move: a changed fact needs its own ref",
                subject=f"item:{item_id}",
                details={"ref": ref, "move_id": known["id"]},
            )
        return Moved(known["id"], True)
    there = level(plan, item_id, start["id"])
    if there["guarded"] and there["on_hand"] - there["held"] + release < quantity:
        sku = item_by_id(plan, item_id)["sku"]
        raise StockShort(
            f"{ref}: {quantity} of {sku} are to leave {start['code']}, which has {there['on_hand']} and holds "
            f"{there['held']} for orders: receive goods or release orders first",
            subject=f"item:{item_id}",
            details={"sku": sku, "location": start["code"], "on_hand": there["on_hand"], "held": there["held"]},
        )
    row = plan.insert(MOVE, {**content, "ref": ref, "recorded_at": plan.now})
    plan.put(MOVE_BY_REF, ref, row)
    change_level(plan, there, on_hand=-quantity, held=-release)
    change_level(plan, level(plan, item_id, end["id"]), on_hand=quantity)
    return Moved(row["id"], False)
