"""Claiming: up to 50 due events of one merchant, whole keys in order, under leased lanes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.core.reading import among, one_of
from hub.db.tables import Merchant
from hub.inbox import lanes
from hub.inbox.tables import READ_KINDS, Inbox

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
#: the conditions of the partial indexes, word for word: with parameters neither database would use them
_OPEN = sa.text("inbox.state IN ('fetch', 'ready', 'retry')")
_READY = sa.text("inbox.state IN ('ready', 'retry')")
_FETCH = sa.text("inbox.state = 'fetch'")
_DUE = ("ready", "retry")
_TERMINAL = ("done", "parked")
#: statements that every batch runs are built once: building one takes longer than running it
_OWN: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
BATCH = 50
#: open events of the chosen keys that a claim looks at
_LOOK_AT = 1_000
#: renewed while a batch is worked
LEASE_US = 30_000_000
_LONG_US = 60_000_000
#: a lone claim that was never reported back this many times parks the event: it stops its worker. A machine that is
#: stopped again and again stops it at the same event, the first one after a start: so not after two or three times
MAX_LONE_CLAIMS = 5


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
    #: earlier claims that were never reported back
    claims: int
    received_at: int
    parent_seq: int | None
    #: JSON: versions of flows that it is worked with, by flow; None: those that run now
    versions: str | None = None
    fetched: bytes | None = None

    @property
    def lacks_record(self) -> bool:
        """Its record is to be read before anything else."""
        return self.kind in READ_KINDS and self.reads is None


@dataclass(frozen=True)
class Claim:
    """Events of one merchant and the fences of their lanes."""

    merchant_id: int
    owner: str
    fences: dict[int, int]
    events: list[Event]


def due_merchants(connection: Connection, now: int, *, state: str = "ready") -> list[int]:
    """Merchants with an event to work on (`state` ready) or a read to make (`fetch`), in id order: the caller goes round."""
    return list(connection.execute(_DUE_MERCHANTS[state], {"now": now}).scalars())


def _due_merchants(due: sa.TextClause) -> sa.Select[int]:
    first = (
        sa.select(_INBOX.c.seq)
        .where(due, _INBOX.c.merchant_id == _MERCHANT.c.id, _INBOX.c.next_attempt_at <= _NOW)
        .order_by(_INBOX.c.priority, _INBOX.c.seq)  # the order of the partial index: SQLite takes a larger one else
        .limit(1)
        .scalar_subquery()
    )
    return sa.select(_MERCHANT.c.id).where(first.is_not(None)).order_by(_MERCHANT.c.id)


_DUE_MERCHANTS = {"ready": _due_merchants(_READY), "fetch": _due_merchants(_FETCH)}


def claim(
    connection: Connection,
    merchant_id: int,
    *,
    owner: str,
    now: int,
    limit: int = BATCH,
    strict: Collection[tuple[int, str]] = (),
    lease_us: int = LEASE_US,
) -> Claim | None:
    """Claims due events: webhooks before polls before backfill, but within a key strictly in order of arrival. An event
    that a worker took and never reported back is claimed alone. `strict` is pairs of connection (0: none) and record whose
    parked events hold the later ones of their key.
    """
    keys = _workable_keys(connection, merchant_id, owner, now, limit, strict)
    if not keys:
        return None
    rows = connection.execute(_OF_KEYS, {"merchant_id": merchant_id, "keys": keys}).all()
    chosen = _workable(rows, keys, now, limit)
    lone = next((row for row in chosen if row.claims > 0), None)
    if lone is not None:
        chosen = [next(row for row in chosen if row.ordering_key == lone.ordering_key)]
    fences = lanes.lease(
        connection, merchant_id, (row.lane for row in chosen), owner=owner, now=now, until=now + lease_us
    )
    events = _take(connection, [row for row in chosen if row.lane in fences], now)
    if not events:
        return None
    return Claim(merchant_id, owner, {event.lane: fences[event.lane] for event in events}, events)


_OF_KEYS = (
    sa.select(*(_INBOX.c[name] for name in ("seq", "ordering_key", "lane", "state", "claims", "next_attempt_at")))
    .where(_OPEN, _INBOX.c.merchant_id == _OWN, among(_INBOX.c.ordering_key))
    .order_by(_INBOX.c.seq)
    .limit(_LOOK_AT)
)


def _workable_keys(
    connection: Connection, merchant_id: int, owner: str, now: int, limit: int, strict: Collection[tuple[int, str]]
) -> list[str]:
    """Ordering keys of the events that come next: in lanes that are not another worker's, with nothing before them that
    cannot be worked on now. What is held back would else stand in the way of all others."""
    others = lanes.held_by_others(connection, merchant_id, owner=owner, now=now)
    statement = _next_keys(frozenset(strict), bool(others))
    values = {"merchant_id": merchant_id, "now": now, "limit": limit, **({"others": others} if others else {})}
    return list(dict.fromkeys(connection.execute(statement, values).scalars()))


@lru_cache(maxsize=64)
def _next_keys(strict: frozenset[tuple[int, str]], others: bool) -> sa.Select[str]:
    earlier = _INBOX.alias("earlier")
    before = (
        earlier.c.merchant_id == _OWN,
        earlier.c.ordering_key == _INBOX.c.ordering_key,
        earlier.c.seq < _INBOX.c.seq,
    )
    not_due = sa.or_(earlier.c.state == "fetch", earlier.c.next_attempt_at > _NOW)
    conditions = [~sa.exists().where(*before, sa.text("earlier.state IN ('fetch', 'ready', 'retry')"), not_due)]
    if strict:
        of_strict = sa.tuple_(sa.func.coalesce(earlier.c.connection_id, 0), earlier.c.record).in_(sorted(strict))
        conditions.append(~sa.exists().where(*before, sa.text("earlier.state = 'parked'"), of_strict))
    if others:
        conditions.append(~among(_INBOX.c.lane, "others"))
    return (
        sa.select(_INBOX.c.ordering_key)
        .where(_READY, _INBOX.c.merchant_id == _OWN, _INBOX.c.next_attempt_at <= _NOW, *conditions)
        .order_by(_INBOX.c.priority, _INBOX.c.seq)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def _workable(rows: Sequence[Any], keys: Sequence[str], now: int, limit: int) -> list[Any]:
    """The rows to work on in order of arrival: of each key those before the first that cannot be worked on now, keys in
    the order given until there are `limit`."""
    by_key: dict[str, list[Any]] = {key: [] for key in keys}
    held: set[str] = set()
    for row in rows:
        if row.state not in _DUE or row.next_attempt_at > now:
            held.add(row.ordering_key)
        if row.ordering_key not in held:
            by_key[row.ordering_key].append(row)
    chosen = [row for some in by_key.values() for row in some][:limit]
    return sorted(chosen, key=lambda row: row.seq)


def _take(connection: Connection, rows: Sequence[Any], now: int) -> list[Event]:
    """Counts the claim. What another worker has finished or put off since the rows were read is left out, with the later
    events of its key."""
    if not rows:
        return []
    taken = connection.execute(_TAKE, {"seqs": [row.seq for row in rows], "now": now}).all()
    events = sorted((Event(*row) for row in taken), key=lambda event: event.seq)
    if len(events) == len(rows):
        return events
    seqs = {event.seq for event in events}
    lost = {row.ordering_key for row in rows if row.seq not in seqs}
    give_back(connection, [event.seq for event in events if event.ordering_key in lost])
    return [event for event in events if event.ordering_key not in lost]


_EVENT_COLUMNS = tuple(Event.__dataclass_fields__)
_TAKE = (
    _INBOX.update()
    .where(
        among(_INBOX.c.seq, "seqs"),
        one_of(_INBOX.c.state, _DUE),
        _INBOX.c.next_attempt_at <= _NOW,
    )
    .values(claims=_INBOX.c.claims + 1)
    .returning(*((_INBOX.c[name] - 1 if name == "claims" else _INBOX.c[name]) for name in _EVENT_COLUMNS))
)


def open_before(connection: Connection, merchant_id: int, connection_id: int, received: int, now: int) -> bool:
    """Whether a connection has events, received until an instant, that are not worked. Those that wait for longer than a
    minute do not count: they may wait for ever."""
    found = connection.execute(
        sa.select(_INBOX.c.seq)
        .where(
            _OPEN,
            _INBOX.c.merchant_id == merchant_id,
            _INBOX.c.connection_id == connection_id,
            _INBOX.c.received_at <= received,
            _INBOX.c.next_attempt_at <= now + _LONG_US,
        )
        .limit(1)
    ).first()
    return found is not None


def claim_reads(
    connection: Connection,
    merchant_id: int,
    *,
    now: int,
    limit: int,
    busy: Collection[int] = (),
    lease_us: int = LEASE_US,
) -> list[Event]:
    """Events for which something is to be read, but those whose record is of a connection that lets nobody in or is down.
    Reading changes nothing, so no lane is taken: an event that is read twice is still worked once. Nobody else reads for
    them until the lease has run out. `busy`: those being read."""
    closed = sa.select(_CONNECTION.c.id).where(
        sa.or_(_CONNECTION.c.status == "reconnect_needed", _CONNECTION.c.down_since.is_not(None))
    )
    rows = connection.execute(
        sa.select(*(_INBOX.c[name] for name in _EVENT_COLUMNS))
        .where(
            _FETCH,
            _INBOX.c.merchant_id == merchant_id,
            _INBOX.c.next_attempt_at <= now,
            sa.or_(
                _INBOX.c.kind.not_in(READ_KINDS), _INBOX.c.reads.is_not(None), _INBOX.c.connection_id.not_in(closed)
            ),
            _INBOX.c.seq.not_in(list(busy)),
        )
        .order_by(_INBOX.c.priority, _INBOX.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)  # says nothing on SQLite
    ).all()
    if rows:
        # from now on a later wish to read the same record is a read of its own
        taken = {"claims": 1, "next_attempt_at": now + lease_us}
        connection.execute(_INBOX.update().where(_INBOX.c.seq.in_([row.seq for row in rows])).values(taken))
    return [Event(*row) for row in rows]


def release_reads(connection: Connection) -> None:
    """Takes back the reads of an earlier process. Only where one process owns the database."""
    connection.execute(_INBOX.update().where(_FETCH, _INBOX.c.claims == 1).values(next_attempt_at=0))


def finish(
    connection: Connection, events: Sequence[Event], outcomes: Sequence[tuple[str, str | None, str | None]], now: int
) -> None:
    """Reports events as done, parked, still ready or waiting for a read, with what came of them and the class of error
    that they are parked for."""
    values = [
        {
            "_seq": event.seq,
            "_state": state,
            "_outcome": outcome,
            "_class": error_class,
            "_at": now if state in _TERMINAL else None,
        }
        for event, (state, outcome, error_class) in zip(events, outcomes, strict=True)
    ]
    connection.execute(_FINISH, values)


_FINISH = (
    _INBOX.update()
    .where(_INBOX.c.seq == sa.bindparam("_seq"))
    .values(
        state=sa.bindparam("_state"),
        outcome=sa.bindparam("_outcome"),
        error_class=sa.bindparam("_class"),
        finished_at=sa.bindparam("_at"),
        claims=0,
    )
)


def fetch_first(connection: Connection, event: Event, fetched: bytes) -> None:
    """Keeps the reads that a run of an event asked for; it waits for their answers."""
    connection.execute(
        _INBOX.update().where(_INBOX.c.seq == event.seq).values(fetched=fetched, attempts=0, next_attempt_at=0)
    )


def unworked(connection: Connection, claimed: Claim) -> None:
    """Reports a claim back that nothing came of, without suspecting its events of anything. What another worker took over
    meanwhile is left to it."""
    with suppress(lanes.LeaseLost):
        lanes.check_fences(connection, claimed.merchant_id, claimed.fences, claimed.owner)
        give_back(connection, [event.seq for event in claimed.events])


def give_back(connection: Connection, seqs: Sequence[int]) -> None:
    """Reports events back unworked, without counting an attempt."""
    if seqs:
        connection.execute(_INBOX.update().where(_INBOX.c.seq.in_(list(seqs))).values(claims=0))


def was_read(connection: Connection, event: Event, reads: bytes | None) -> None:
    """Keeps what was read with its event, which can be worked now. Does nothing when another worker did it before."""
    connection.execute(
        _INBOX.update()
        .where(_INBOX.c.seq == event.seq, _FETCH)
        .values(reads=reads, state="ready", claims=0, next_attempt_at=0)
    )


def was_fetched(
    connection: Connection,
    event: Event,
    fetched: bytes,
    *,
    later: int | None,
    reason: str | None,
    attempted: bool = True,
) -> bool:
    """Keeps what the reads of an event answered. It can be worked now, or is read for again `later`, with the reason;
    `attempted` false: it only waited for quota. Does nothing when another worker was first: what it kept stays. Returns
    whether it was kept."""
    waits = {"attempts": event.attempts + attempted, "next_attempt_at": later, "outcome": reason, "claims": 0}
    ready = {"state": "ready", "attempts": 0, "next_attempt_at": 0, "outcome": None, "claims": 0}
    changed = connection.execute(
        _INBOX.update()
        .where(_INBOX.c.seq == event.seq, _FETCH, _INBOX.c.fetched == event.fetched)
        .values(fetched=fetched, **(ready if later is None else waits))
    )
    return changed.rowcount == 1


def read_later(connection: Connection, event: Event, at: int, reason: str, *, attempted: bool = True) -> None:
    """Puts a read into back-off: its key holds later events until then. `attempted` false: it only waited for quota."""
    connection.execute(
        _INBOX.update()
        .where(_INBOX.c.seq == event.seq, _FETCH)
        .values(attempts=event.attempts + attempted, next_attempt_at=at, outcome=reason, claims=0)
    )
