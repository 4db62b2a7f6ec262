"""Connections that came out of a backup: paused until a person releases them, and careful after that.

The hub that the backup was made of went on: what it sent afterwards is not in the backup. So a delivery of a restored
connection that follows from an event that was in before the release may have been sent, also when it is planned only now
(its event is read again from the shop, or its question is answered again). Its first attempt follows the ladder like one
after a crash: the same key, or a look first; without a ladder it is for a person.

What names an id of ours that was given since is for a person whatever its ladder: the lost hub had another id for the same
thing, so that neither the key nor a look can find what it sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import sealed
from hub.connect.tables import Connection as ConnectionTable
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.db.inserts import insert_rows
from hub.db.tables import IdCounter
from hub.inbox.tables import Inbox
from hub.outbox import bodies
from hub.outbox.tables import Delivery, Restored

RESTORED = Restored.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_DELIVERY = Delivery.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_COUNTER = IdCounter.__table__  # type: ignore[attr-defined]
#: ids that the lost hub may have taken after the backup are not given to other things: keys and names may hold them
ID_GAP = 1_000_000_000
#: as many ids as may be given from the restore to the release; a wrong guess costs a question, or one that is not asked
_NEW_IDS = 50_000_000
_NUMBER = re.compile(r"(?<!\d)\d{10,16}(?!\d)")
#: so long after the release what people brought in by hand may be what they brought in before: it is looked for first
CAREFUL_US = 30 * 86_400 * 1_000_000
REASON = "the hub that the backup was made of may have sent it"
#: the condition of the partial index, word for word
_OPEN = sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")
_ROWS = sa.select(RESTORED).where(among(RESTORED.c.connection_id))


def _load(connection: Connection, _merchant_id: int, keys: Sequence[int]) -> Mapping[Any, Row]:
    return {row["connection_id"]: row for row in rows_in(connection, _ROWS, keys)}


#: by connection id
_BY_CONNECTION = Source("restored", _load)


def sent_before(plan: Plan, connection_id: int, ladder: str, event_seq: int | None) -> Row:
    """The columns of a new delivery that say that the hub of before may have sent it; none where that cannot be."""
    row = plan.get(_BY_CONNECTION, connection_id)
    if row is None or ladder == "compare_and_set":  # what it names as found there is safety enough
        return {}
    if row["released_at"] is not None and (not event_seq or event_seq > row["last_seq"]):
        by_hand = not event_seq or ladder == "find_first"
        if not by_hand or plan.now > row["released_at"] + CAREFUL_US:
            return {}
    return {"maybe_sent": True, "first_sent_at": row["backed_up_at"], "reason": REASON}


def names_new_id(plan: Plan, connection_id: int, event_seq: int | None, key: str, body: Any) -> bool:
    """Whether a delivery that follows from an event of before is told apart by an id that the hub of before did not give."""
    row = plan.get(_BY_CONNECTION, connection_id)
    if row is None or (row["released_at"] is not None and not 0 < (event_seq or 0) <= row["last_seq"]):
        return False
    sent = bodies.encode(bodies.resolve(body, lambda _kind, _key: "")).decode()
    return any(
        row["first_id"] <= int(found[0]) < row["first_id"] + _NEW_IDS
        for text in (key, sent)
        for found in _NUMBER.finditer(text)
    )


def mark(connection: Connection, *, backed_up_at: int, now: int) -> int:
    """Makes a database that came out of a backup a restored one: all connections wait for their release, and everything
    that is not final may have been sent. Returns the number of such deliveries."""
    first_id = connection.execute(
        _COUNTER.update().values(next=_COUNTER.c.next + ID_GAP).returning(_COUNTER.c.next)
    ).scalar_one()
    # a backup of a hub that was restored just before: it still waits for what it waited for
    still = {row.connection_id: row for row in connection.execute(sa.select(RESTORED)) if row.released_at is None}
    connection.execute(RESTORED.delete())
    rows = []
    for row in connection.execute(sa.select(_CONNECTION.c.id, _CONNECTION.c.merchant_id, _CONNECTION.c.mode)):
        before = still.get(row.id)
        rows.append(
            {
                "connection_id": row.id,
                "merchant_id": row.merchant_id,
                "mode": row.mode if before is None else before.mode,
                "backed_up_at": backed_up_at if before is None else before.backed_up_at,
                "restored_at": now,
                "first_id": first_id,
                "released_at": None,
                "last_seq": None,
            }
        )
    if rows:
        insert_rows(connection, RESTORED, rows)
    connection.execute(
        _CONNECTION.update().where(_CONNECTION.c.mode == "live").values(mode="paused", updated_at=sealed.later(now))
    )
    return connection.execute(
        _DELIVERY.update()
        .where(_OPEN, _DELIVERY.c.ladder != "compare_and_set")
        .values(
            maybe_sent=True,
            first_sent_at=sa.func.coalesce(_DELIVERY.c.first_sent_at, backed_up_at),
            reason=sa.func.coalesce(_DELIVERY.c.reason, REASON),
        )
    ).rowcount


def waiting(connection: Connection, merchant_id: int) -> list[Any]:
    """The connections that wait for their release, with name and the mode that they will have."""
    return list(
        connection.execute(
            sa.select(RESTORED, _CONNECTION.c.name)
            .join(_CONNECTION, _CONNECTION.c.id == RESTORED.c.connection_id)
            .where(RESTORED.c.merchant_id == merchant_id, RESTORED.c.released_at.is_(None))
            .order_by(_CONNECTION.c.name)
        )
    )


def mode_now(connection: Connection, connection_id: int, mode: str) -> str:
    """The mode that a connection gets when a person gives it one: out of a backup it stays paused instead of live until its
    release, which gives it the mode that was asked for."""
    changed = connection.execute(
        RESTORED.update()
        .where(RESTORED.c.connection_id == connection_id, RESTORED.c.released_at.is_(None))
        .values(mode=mode)
    ).rowcount
    return "paused" if changed and mode == "live" else mode


def release(connection: Connection, merchant_id: int, connection_ids: Sequence[int], now: int) -> None:
    """Lets connections have their mode again. What was in until now counts for ever as maybe sent before."""
    last_seq = connection.execute(sa.select(sa.func.max(_INBOX.c.seq)).where(_INBOX.c.merchant_id == merchant_id))
    released = connection.execute(
        RESTORED.update()
        .where(
            RESTORED.c.merchant_id == merchant_id,
            RESTORED.c.connection_id.in_(connection_ids),
            RESTORED.c.released_at.is_(None),
        )
        .values(released_at=now, last_seq=last_seq.scalar_one() or 0)
        .returning(RESTORED.c.connection_id)
    )
    mode = sa.select(RESTORED.c.mode).where(RESTORED.c.connection_id == _CONNECTION.c.id).scalar_subquery()
    connection.execute(
        # of one that was released before, the mode is a person's since
        _CONNECTION.update()
        .where(_CONNECTION.c.id.in_(released.scalars().all()))
        .values(mode=mode, updated_at=sealed.later(now))
    )
