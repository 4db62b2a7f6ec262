"""Claiming: up to 50 due events of one merchant, whole keys in order, under leased lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.tables import Merchant
from hub.inbox import lanes
from hub.inbox.tables import Inbox

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_EARLIER = _INBOX.alias("earlier")
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
#: the condition of the partial indexes, word for word: with parameters neither database would use them
_OPEN = sa.text("inbox.state IN ('fetch', 'ready', 'retry')")
BATCH = 50
LEASE_US = 60_000_000
#: a lone claim that was never reported back this many times parks the event: it kills its worker
MAX_LONE_CLAIMS = 3


@dataclass(frozen=True)
class Event:
    """One claimed event."""

    seq: int
    merchant_id: int
    connection_id: int | None
    kind: str
    topic: str
    record: str
    record_id: str
    ordering_key: str
    lane: int
    stamp: str | None
    body: bytes | None
    reads: bytes | None
    attempts: int
    claims: int
    received_at: int
    parent_seq: int | None


@dataclass(frozen=True)
class Claim:
    """Events of one merchant and the fences of their lanes."""

    merchant_id: int
    owner: str
    fences: dict[int, int]
    events: list[Event]


def due_merchants(connection: Connection, now: int, *, state: str = "ready") -> list[int]:
    """Merchants with an event to work on (`state` ready) or a read to make (`fetch`), in id order: the caller goes round."""
    states = ("fetch",) if state == "fetch" else ("ready", "retry")
    waiting = sa.exists().where(
        _OPEN,
        _INBOX.c.merchant_id == _MERCHANT.c.id,
        _INBOX.c.state.in_(states),
        _INBOX.c.next_attempt_at <= now,
    )
    return list(connection.execute(sa.select(_MERCHANT.c.id).where(waiting).order_by(_MERCHANT.c.id)).scalars())


def _due_keys(connection: Connection, merchant_id: int, now: int, limit: int) -> list[str]:
    """Ordering keys of due events, webhooks before polls before backfill. Keys that an earlier event holds back are left
    out here, so that however many events wait behind one, others are found."""
    found: list[tuple[int, int, str]] = []
    for state in ("ready", "retry"):
        rows = connection.execute(
            sa.select(_INBOX.c.priority, _INBOX.c.seq, _INBOX.c.ordering_key)
            .where(
                _OPEN,
                _INBOX.c.merchant_id == merchant_id,
                _INBOX.c.state == state,
                _INBOX.c.next_attempt_at <= now,
                ~_held_back(now),
            )
            .order_by(_INBOX.c.priority, _INBOX.c.seq)
            .limit(limit)
        )
        found += [(row.priority, row.seq, row.ordering_key) for row in rows]
    return list(dict.fromkeys(key for _, _, key in sorted(found)[:limit]))


def _held_back(now: int) -> sa.Exists:
    """An earlier event of the same key waits for a read or for its next attempt."""
    return sa.exists().where(
        sa.text("earlier.state IN ('fetch', 'ready', 'retry')"),
        _EARLIER.c.merchant_id == _INBOX.c.merchant_id,
        _EARLIER.c.ordering_key == _INBOX.c.ordering_key,
        _EARLIER.c.seq < _INBOX.c.seq,
        sa.or_(_EARLIER.c.state == "fetch", _EARLIER.c.next_attempt_at > now),
    )


def claim(connection: Connection, merchant_id: int, *, owner: str, now: int, limit: int = BATCH) -> Claim | None:
    """Claims due events: webhooks before polls before backfill, but within a key strictly in order of arrival. An event
    that a worker took and never reported back is claimed alone.
    """
    due = ("ready", "retry")
    keys = _due_keys(connection, merchant_id, now, limit)
    if not keys:
        return None
    rows = connection.execute(
        sa.select(*(_INBOX.c[name] for name in (*_EVENT_COLUMNS, "state", "next_attempt_at")))
        .where(_OPEN, _INBOX.c.merchant_id == merchant_id, _INBOX.c.ordering_key.in_(keys))
        .order_by(_INBOX.c.seq)
        .limit(4 * limit)
    ).all()
    chosen = _workable(rows, due, now, limit)
    lone = next((row for row in chosen if row.claims > 0), None)
    if lone is not None:
        chosen = [lone]
    if not chosen:
        return None
    fences = lanes.lease(
        connection, merchant_id, (row.lane for row in chosen), owner=owner, now=now, until=now + LEASE_US
    )
    chosen = [row for row in chosen if row.lane in fences]
    if not chosen:
        return None
    connection.execute(
        _INBOX.update().where(_INBOX.c.seq.in_([row.seq for row in chosen])).values(claims=_INBOX.c.claims + 1)
    )
    used = {row.lane for row in chosen}
    events = [Event(*(getattr(row, name) for name in _EVENT_COLUMNS)) for row in chosen]
    return Claim(merchant_id, owner, {lane: fences[lane] for lane in used}, events)


_EVENT_COLUMNS = tuple(Event.__dataclass_fields__)


def _workable(rows: Sequence[Any], due: tuple[str, ...], now: int, limit: int) -> list[Any]:
    """The rows whose key has no earlier open event that cannot be worked on now."""
    held: set[str] = set()
    chosen: list[Any] = []
    for row in rows:
        if row.ordering_key in held:
            continue
        if row.state not in due or row.next_attempt_at > now:
            held.add(row.ordering_key)
        elif len(chosen) < limit:
            chosen.append(row)
    return chosen


def claim_reads(connection: Connection, merchant_id: int, *, now: int, limit: int) -> list[Event]:
    """Events whose record is to be read. Reading changes nothing, so no lane is taken: an event that is read twice is
    still worked once."""
    rows = connection.execute(
        sa.select(*(_INBOX.c[name] for name in _EVENT_COLUMNS))
        .where(_OPEN, _INBOX.c.merchant_id == merchant_id, _INBOX.c.state == "fetch", _INBOX.c.next_attempt_at <= now)
        .order_by(_INBOX.c.priority, _INBOX.c.seq)
        .limit(limit)
    ).all()
    if rows:
        # from now on a later wish to read the same record is a read of its own
        connection.execute(_INBOX.update().where(_INBOX.c.seq.in_([row.seq for row in rows])).values(claims=1))
    return [Event(*(getattr(row, name) for name in _EVENT_COLUMNS)) for row in rows]


def finish(
    connection: Connection, events: Sequence[Event], outcomes: Sequence[tuple[str, str | None]], now: int
) -> None:
    """Reports events as done or parked, with what came of them."""
    connection.execute(
        _INBOX.update()
        .where(_INBOX.c.seq == sa.bindparam("_seq"))
        .values(state=sa.bindparam("_state"), outcome=sa.bindparam("_outcome"), finished_at=now, claims=0),
        [
            {"_seq": event.seq, "_state": state, "_outcome": outcome}
            for event, (state, outcome) in zip(events, outcomes, strict=True)
        ],
    )


def give_back(connection: Connection, seqs: Sequence[int]) -> None:
    """Reports events back unworked, without counting an attempt."""
    if seqs:
        connection.execute(_INBOX.update().where(_INBOX.c.seq.in_(list(seqs))).values(claims=0))


def retry_later(connection: Connection, event: Event, at: int, reason: str, state: str = "retry") -> None:
    """Puts an event into back-off: its key holds later events until then."""
    connection.execute(
        _INBOX.update()
        .where(_INBOX.c.seq == event.seq)
        .values(state=state, attempts=event.attempts + 1, next_attempt_at=at, outcome=reason, claims=0)
    )
