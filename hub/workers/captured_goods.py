"""The stock that captured orders saw: what there was before their first event, and the receipts that came in between."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.sales.tables import ORDER_LINE
from hub.core.stock.tables import ITEM, LOCATION, MOVE, RESERVATION
from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox

_RUN = Run.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_MOVE_CHANGED = re.compile(r"\bmove (\d+)")


def skus_of(value: Any) -> Iterable[str]:
    """What a record calls items."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("sku", "reference_id") and isinstance(each, str):
                yield each.strip()
            else:
                yield from skus_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from skus_of(each)


def reserved_skus(connection: Connection, merchant_id: int, orders: Collection[int]) -> set[str]:
    """The items that were ever set aside for orders."""
    return set(
        connection.execute(
            sa.select(ITEM.c.sku)
            .join(RESERVATION, RESERVATION.c.item_id == ITEM.c.id)
            .where(RESERVATION.c.merchant_id == merchant_id, RESERVATION.c.order_id.in_(sorted(orders)))
        ).scalars()
    )


def moves_of(connection: Connection, merchant_id: int, seqs: Collection[int]) -> set[int]:
    """The moves that the runs of events made themselves, by a step `stock.move`."""
    runs = connection.execute(
        sa.select(_RUN.c.changed).where(_RUN.c.merchant_id == merchant_id, _RUN.c.event_seq.in_(list(seqs)))
    ).scalars()
    return {int(number) for changed in runs for number in _MOVE_CHANGED.findall(changed)}


def move_refs(
    connection: Connection, merchant_id: int, seqs: Collection[int], orders: Collection[int], until: int
) -> set[str]:
    """The refs of the moves up to an instant that events made, or that goods of orders went by."""
    lines = connection.execute(sa.select(ORDER_LINE.c.id).where(ORDER_LINE.c.order_id.in_(sorted(orders)))).scalars()
    # what a shop says it sent or took back is moved under a ref of the order's line, whether it was set aside or not
    of_lines = [MOVE.c.ref.like(f"{kind}:{line}:%") for line in lines for kind in ("sent", "returned")]
    return set(
        connection.execute(
            sa.select(MOVE.c.ref)
            .outerjoin(RESERVATION, RESERVATION.c.id == MOVE.c.reservation_id)
            .where(
                MOVE.c.merchant_id == merchant_id,
                MOVE.c.recorded_at <= until,
                sa.or_(
                    RESERVATION.c.order_id.in_(sorted(orders)),
                    MOVE.c.id.in_(sorted(moves_of(connection, merchant_id, seqs))),
                    *of_lines,
                ),
            )
        ).scalars()
    )


def receipts_between(
    connection: Connection, merchant_id: int, events: Collection[Any], orders: Collection[int]
) -> list[Any]:
    """Events that a person gave and that brought goods which orders waited for, between their first and their last event."""
    seqs = [event.seq for event in events]
    waited = connection.execute(
        sa.select(QUESTION.c.id).where(
            QUESTION.c.merchant_id == merchant_id,
            QUESTION.c.kind == "stock.short",
            QUESTION.c.subject.in_([f"order:{order}" for order in sorted(orders)]),
        )
    ).first()
    if waited is None:
        return []
    skus = reserved_skus(connection, merchant_id, orders)
    found = []
    for row in connection.execute(
        sa.select(_INBOX)
        .where(
            _INBOX.c.merchant_id == merchant_id,
            _INBOX.c.kind == "manual",
            _INBOX.c.seq > min(seqs),
            _INBOX.c.seq < max(seqs),
            _INBOX.c.seq.not_in(seqs),
        )
        .order_by(_INBOX.c.seq)
    ):
        moved = connection.execute(
            sa.select(ITEM.c.sku)
            .join(MOVE, MOVE.c.item_id == ITEM.c.id)
            .where(MOVE.c.id.in_(sorted(moves_of(connection, merchant_id, [row.seq]))))
        ).scalars()
        if skus & set(moved):
            found.append(row)
    return found


def stock_before(
    connection: Connection,
    merchant_id: int,
    seqs: Collection[int],
    skus: Collection[str],
    orders: Collection[int],
    came: int,
) -> dict[str, int]:
    """Units of items that could be sold just before captured events and orders first touched them, less what was set aside
    for other orders by then: what came in while these waited to be worked counts. `came`: the instant for an item that they
    never touched."""
    own = moves_of(connection, merchant_id, seqs)
    warehouses = set(connection.execute(sa.select(LOCATION.c.id).where(LOCATION.c.kind == "warehouse")).scalars())
    found: dict[str, int] = {}
    for item in connection.execute(
        sa.select(ITEM).where(ITEM.c.merchant_id == merchant_id, ITEM.c.sku.in_(sorted(skus)), ITEM.c.tracked)
    ).all():
        moves = connection.execute(sa.select(MOVE).where(MOVE.c.item_id == item.id)).all()
        reservations = connection.execute(sa.select(RESERVATION).where(RESERVATION.c.item_id == item.id)).all()
        # events of one batch have one instant: ids, taken one after the other in it, say which was first
        touched = [(each.recorded_at, each.id) for each in moves if each.id in own]
        touched += [(each.created_at, each.id) for each in reservations if each.order_id in orders]
        first = min(touched, default=(came, 0))
        units = 0
        gone: dict[int, int] = {}
        for move in moves:
            if (move.recorded_at, move.id) < first:
                units += move.quantity * ((move.destination_id in warehouses) - (move.source_id in warehouses))
                gone[move.reservation_id] = gone.get(move.reservation_id, 0) + move.quantity
        for held in reservations:
            ended = held.ended_at is not None and held.ended_at < first[0]
            if (held.created_at, held.id) < first and not ended:
                units -= held.quantity - gone.get(held.id, 0)
        found[item.sku] = max(0, units)
    return found
