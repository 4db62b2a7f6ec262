"""Claiming deliveries: in order per connection and ordering key, body and key frozen before the first byte is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Binding
from hub.core.reading import among, one_of, rows_in
from hub.inbox.error_class import ErrorClass
from hub.outbox import bodies, stock_levels
from hub.outbox.plan import DELIVERY, REFERENCE
from hub.outbox.tables import DeliveryState

_BINDING = Binding.__table__  # type: ignore[attr-defined]
LEASE_US = 30_000_000
_DUE = (DeliveryState.PLANNED, DeliveryState.RETRY)
#: states in which a delivery holds the later ones of its ordering key
HOLDING = (DeliveryState.PLANNED, DeliveryState.RETRY, DeliveryState.SENDING)
#: the condition of the partial index, word for word: with parameters neither database would use it
OPEN = sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")
_COLUMNS = (
    "id",
    "merchant_id",
    "connection_id",
    "operation",
    "key",
    "version",
    "is_state",
    "ordering_key",
    "body",
    "frozen_body",
    "frozen_key",
    "state",
    "attempts",
    "fence",
    "stale",
    "maybe_sent",
    "first_sent_at",
    "next_attempt_at",
    "event_seq",
    "retry_attempts",
    "retry_within_us",
    "created_at",
)


@dataclass(frozen=True)
class Sending:
    """A claimed delivery: what to send, under which key, and whether it may have been sent before."""

    id: int
    merchant_id: int
    connection_id: int
    operation: str
    key: str
    version: int
    is_state: bool
    ordering_key: str
    event_seq: int | None
    body: bytes
    vendor_key: str
    attempts: int
    #: number of this attempt: what came of it counts only while there is no later one
    fence: int
    stale: int
    maybe_sent: bool
    first_sent_at: int
    retry_attempts: int | None = None
    retry_within_us: int | None = None
    created_at: int = 0
    #: it shows whether a system that is down answers again: see `hub.outbox.breaker`
    probe: bool = False


def _due_statement(order: Sequence[Any] = (), where: Sequence[Any] = ()) -> sa.Select[Any]:
    earlier = DELIVERY.alias("earlier")
    before = sa.exists().where(
        sa.text("earlier.state IN ('planned', 'retry', 'sending', 'waiting')"),
        earlier.c.connection_id == DELIVERY.c.connection_id,
        earlier.c.ordering_key == DELIVERY.c.ordering_key,
        sa.tuple_(earlier.c.created_at, earlier.c.id) < sa.tuple_(DELIVERY.c.created_at, DELIVERY.c.id),
        one_of(earlier.c.state, HOLDING),
    )
    return (
        sa.select(*(DELIVERY.c[name] for name in _COLUMNS))
        .where(
            OPEN,
            DELIVERY.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger),
            one_of(DELIVERY.c.state, _DUE),
            DELIVERY.c.next_attempt_at <= sa.bindparam("now", type_=sa.BigInteger),
            ~before,
            *where,
        )
        # by id alone only within one process: each takes its ids from blocks of its own
        .order_by(*order, DELIVERY.c.created_at, DELIVERY.c.id)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def _next_operation(after: Sequence[Any]) -> sa.ScalarSelect[Any]:
    each = DELIVERY.alias("each")
    is_open = sa.text("each.state IN ('planned', 'retry', 'sending', 'waiting')")
    ours = each.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger)
    return (
        sa.select(sa.func.min(each.c.operation))
        .where(is_open, ours, *(each.c.operation > last for last in after))
        .scalar_subquery()
    )


def _operations_statement() -> sa.Select[Any]:
    """The operations of a connection that have open deliveries, each found by one look at the index, however many wait."""
    found = sa.select(_next_operation(()).label("operation")).cte("found", recursive=True)
    found = found.union_all(sa.select(_next_operation((found.c.operation,))).where(found.c.operation.is_not(None)))
    return sa.select(found.c.operation).where(found.c.operation.is_not(None))


# built once: building them takes longer than running them
_OPERATIONS = _operations_statement()
_DUE_FIRST = _due_statement(where=[DELIVERY.c.operation == sa.bindparam("operation", type_=sa.Text)])
#: what may be uncertain after it comes last; what was a probe comes after what was not, so that one that fails by its own
#: fault does not keep the others waiting
_PROBES = _due_statement([sa.case((DELIVERY.c.ladder == "none", 1), else_=0), DELIVERY.c.next_attempt_at])
_STILL_DUE = (
    sa.select(*(DELIVERY.c[name] for name in _COLUMNS))
    .where(
        among(DELIVERY.c.id),
        one_of(DELIVERY.c.state, _DUE),
        DELIVERY.c.next_attempt_at <= sa.bindparam("now", type_=sa.BigInteger),
    )
    .order_by(DELIVERY.c.created_at, DELIVERY.c.id)
    .with_for_update(skip_locked=True)  # says nothing on SQLite, whose writers are one at a time
)
_TAKE = (
    DELIVERY.update()
    .where(DELIVERY.c.id == sa.bindparam("_id"))
    .values(
        state=DeliveryState.SENDING,
        attempts=DELIVERY.c.attempts + 1,
        fence=DELIVERY.c.fence + 1,
        frozen_body=sa.bindparam("_body"),
        frozen_key=sa.bindparam("_key"),
        first_sent_at=sa.func.coalesce(DELIVERY.c.first_sent_at, sa.bindparam("_now", type_=sa.BigInteger)),
        lease_owner=sa.bindparam("_owner"),
        lease_until=sa.bindparam("_until"),
    )
)
_EXTERNAL_IDS = sa.select(_BINDING.c.connection_id, _BINDING.c.kind, _BINDING.c.our_id, _BINDING.c.external_id).where(
    among(_BINDING.c.merchant_id, "merchants"),
    among(_BINDING.c.connection_id, "connections"),
    among(_BINDING.c.kind, "kinds"),
    among(_BINDING.c.our_id),
)


_FORGET = REFERENCE.delete().where(REFERENCE.c.delivery_id == sa.bindparam("_delivery_id"))
_RENEW = (
    DELIVERY.update()
    .where(
        among(DELIVERY.c.id, "_ids"),
        DELIVERY.c.state == DeliveryState.SENDING,
        DELIVERY.c.lease_owner == sa.bindparam("_owner"),
    )
    .values(lease_until=sa.bindparam("_until"))
    .returning(DELIVERY.c.id)
)


def due(connection: Connection, connection_id: int, now: int, limit: int, *, after: str = "") -> list[Any]:
    """Due deliveries of a connection, the first open one of each ordering key; however many wait behind one that is in
    back-off, others are found. Operations take turns, from the one that comes `after` another on: a thousand stock levels
    keep no invoice waiting."""
    names = sorted(connection.execute(_OPERATIONS, {"connection_id": connection_id}).scalars())
    values = {"connection_id": connection_id, "now": now, "limit": limit}
    turns = [
        connection.execute(_DUE_FIRST, {**values, "operation": name}).all()
        for name in [*(name for name in names if name > after), *(name for name in names if name <= after)]
    ]
    return [row for turn in zip_longest(*turns) for row in turn if row is not None][:limit]


def probe(connection: Connection, connection_id: int, now: int) -> Any | None:
    """The due delivery of a connection that shows best whether its system answers again; None when none is due."""
    return connection.execute(_PROBES, {"connection_id": connection_id, "now": now, "limit": 1}).first()


@dataclass(frozen=True)
class Claimed:
    """What is to be sent, what cannot be sent as it is (rows with the reason), and rows of which nothing is to be sent."""

    sendings: list[Sending]
    refused: list[tuple[Any, str]]
    nothing: list[Any]


def claim(connection: Connection, rows: Sequence[Any], *, owner: str, now: int, lease_us: int = LEASE_US) -> Claimed:
    """Marks deliveries as being sent and freezes what is sent. What another worker took since the rows were read, or a
    person dropped, is left alone. A state delivery with nothing to send is superseded."""
    rows = connection.execute(_STILL_DUE, {"keys": [row.id for row in rows], "now": now}).all()
    external_ids = _external_ids(connection, rows)
    sendings, changes, nothing = [], [], []
    refused: list[tuple[Any, str]] = []
    for row in rows:
        frozen = row.frozen_body
        if frozen is None:
            try:
                frozen = _state_body(connection, row) if row.is_state else _resolved(row, external_ids)
            except _NotBound as missing:
                _wait_for(connection, row, missing.references)
                continue
            except (bodies.BodyError, ValueError) as error:
                refused.append((row, f"it cannot be sent as it is: {error}"))
                continue
        if frozen is None:
            nothing.append(row)
            continue
        vendor_key = row.frozen_key or vendor_key_of(row, frozen)
        sendings.append(
            Sending(
                row.id,
                row.merchant_id,
                row.connection_id,
                row.operation,
                row.key,
                row.version,
                row.is_state,
                row.ordering_key,
                row.event_seq,
                bytes(frozen),
                vendor_key,
                row.attempts,
                row.fence + 1,
                row.stale,
                row.maybe_sent,
                row.first_sent_at or now,
                row.retry_attempts,
                row.retry_within_us,
                row.created_at,
            )
        )
        changes.append(
            {
                "_id": row.id,
                "_body": frozen,
                "_key": vendor_key,
                "_now": now,
                "_owner": owner,
                "_until": now + lease_us,
            }
        )
    if changes:
        connection.execute(_TAKE, changes)
    if nothing:
        connection.execute(
            DELIVERY.update()
            .where(DELIVERY.c.id.in_([row.id for row in nothing]))
            .values(
                state=DeliveryState.SUPERSEDED,
                reason="nothing to send: the number is right, or the shop's own was not adopted yet",
                error_class=None,
                finished_at=now,
            )
        )
    return Claimed(sendings, refused, nothing)


def renew(connection: Connection, sending: Collection[int], *, owner: str, until: int) -> list[int]:
    """Goes on holding deliveries that are still being sent. Returns which: those that another took over are its own."""
    return list(connection.execute(_RENEW, {"_ids": sorted(sending), "_owner": owner, "_until": until}).scalars())


def vendor_key_of(row: Any, frozen: bytes) -> str:
    """The idempotency key of a delivery: one per fact, and for a state one for each time that its content was computed: a
    system remembers that it refused a number, and would refuse the same one for ever under its key; 40 characters."""
    parts = [str(row.merchant_id), str(row.connection_id), row.operation, row.key]
    if row.is_state:
        parts += [str(row.version), str(row.attempts), frozen.decode()]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:40]


def _external_ids(connection: Connection, rows: Sequence[Any]) -> Mapping[tuple[int, str, str], str]:
    wanted = {
        (row.connection_id, ref.kind, ref.key)
        for row in rows
        if row.frozen_body is None and row.body is not None and b'"$ref"' in row.body
        for ref in bodies.references(bodies.decode(row.body))
    }
    if not wanted:
        return {}
    found = rows_in(
        connection,
        _EXTERNAL_IDS,
        sorted({key for _, _, key in wanted}),
        merchants=sorted({row.merchant_id for row in rows}),
        connections=sorted({each for each, _, _ in wanted}),
        kinds=sorted({kind for _, kind, _ in wanted}),
    )
    return {(row["connection_id"], row["kind"], row["our_id"]): row["external_id"] for row in found}


class _NotBound(Exception):
    """What a body refers to is not bound, or no longer."""

    def __init__(self, references: list[bodies.Reference]) -> None:
        super().__init__(", ".join(f"{ref.kind} {ref.key}" for ref in references))
        self.references = references


def _resolved(row: Any, external_ids: Mapping[tuple[int, str, str], str]) -> bytes:
    if b'"$ref"' not in row.body:
        return bytes(row.body)
    body = bodies.decode(row.body)
    missing = [ref for ref in bodies.references(body) if (row.connection_id, ref.kind, ref.key) not in external_ids]
    if missing:
        raise _NotBound(missing)
    return bodies.encode(bodies.resolve(body, lambda kind, key: external_ids[(row.connection_id, kind, key)]))


def _wait_for(connection: Connection, row: Any, missing: Sequence[bodies.Reference]) -> None:
    connection.execute(_FORGET, {"_delivery_id": row.id})  # what it waited for before
    connection.execute(
        REFERENCE.insert(),
        [
            {
                "merchant_id": row.merchant_id,
                "connection_id": row.connection_id,
                "delivery_id": row.id,
                "kind": kind,
                "key": key,
            }
            for kind, key in dict.fromkeys((ref.kind, ref.key) for ref in missing)
        ],
    )
    connection.execute(DELIVERY.update().where(DELIVERY.c.id == row.id).values(state=DeliveryState.WAITING))


def _state_body(connection: Connection, row: Any) -> bytes | None:
    """What a state delivery sends now; None when there is nothing to send. A check looks at what the shop shows, and is
    made also when the number is right by our reckoning; so is what was in question (`drifts`)."""
    item_id = int(row.key.removeprefix("item:"))
    level = stock_levels.level(connection, row.merchant_id, row.connection_id, item_id)
    if level is None:
        return None
    in_question = row.stale >= stock_levels.MAX_STALE - 1
    if row.operation.endswith(".check") or (level.right and in_question):
        return bodies.encode(level.check())
    return None if level.right else bodies.encode(level.body())


def recover(connection: Connection, owner: str | None, now: int, sending: Collection[int] = ()) -> list[Any]:
    """Deliveries found in `sending` whose sender is gone follow the ladder of their operation: they go back to `retry`,
    where the key, the look-up or the compare-and-set makes them safe. Those with ladder `none` are returned: nobody can
    know whether they went out. `owner` null: only leases that ran out. `sending`: those that this process still sends."""
    gone = DELIVERY.c.lease_until <= now
    if owner is not None:
        gone = sa.or_(gone, DELIVERY.c.lease_owner != owner)
    found = sa.and_(OPEN, DELIVERY.c.state == DeliveryState.SENDING, gone, DELIVERY.c.id.not_in(list(sending)))
    connection.execute(
        DELIVERY.update()
        .where(found, DELIVERY.c.ladder != "none")
        .values(
            state=DeliveryState.RETRY,
            next_attempt_at=0,
            maybe_sent=True,
            reason="the sender stopped while it was being sent",
            error_class=ErrorClass.FAILING.value,
        )
    )
    columns = ("id", "merchant_id", "operation", "key", "attempts")
    unproven = sa.select(*(DELIVERY.c[name] for name in columns)).where(found).with_for_update(skip_locked=True)
    return list(connection.execute(unproven))
