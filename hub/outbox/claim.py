"""Claiming deliveries: in order per connection and ordering key, body and key frozen before the first byte is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Binding
from hub.connect.tables import Connection as ConnectionTable
from hub.outbox import bodies, stock_levels
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import DeliveryState

_BINDING = Binding.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
LEASE_US = 120_000_000
_DUE = (DeliveryState.PLANNED, DeliveryState.RETRY)
#: states in which a delivery holds the later ones of its ordering key
_HOLDING = (DeliveryState.PLANNED, DeliveryState.RETRY, DeliveryState.SENDING)
#: the condition of the partial index, word for word: with parameters neither database would use it
_OPEN = sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")
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
    "stale",
    "maybe_sent",
    "first_sent_at",
    "next_attempt_at",
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
    body: bytes
    vendor_key: str
    attempts: int
    stale: int
    maybe_sent: bool
    first_sent_at: int


def _due_statement() -> sa.Select[Any]:
    earlier = DELIVERY.alias("earlier")
    before = sa.exists().where(
        sa.text("earlier.state IN ('planned', 'retry', 'sending', 'waiting')"),
        earlier.c.connection_id == DELIVERY.c.connection_id,
        earlier.c.ordering_key == DELIVERY.c.ordering_key,
        earlier.c.id < DELIVERY.c.id,
        earlier.c.state.in_(_HOLDING),
    )
    return (
        sa.select(*(DELIVERY.c[name] for name in _COLUMNS))
        .where(
            _OPEN,
            DELIVERY.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger),
            DELIVERY.c.state.in_(_DUE),
            DELIVERY.c.next_attempt_at <= sa.bindparam("now", type_=sa.BigInteger),
            ~before,
        )
        .order_by(DELIVERY.c.id)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


# built once: building them takes longer than running them
_DUE_FIRST = _due_statement()
_LIVE = (
    sa.select(_CONNECTION.c.id)
    .where(_CONNECTION.c.mode == "live", _CONNECTION.c.status != "reconnect_needed")
    .order_by(_CONNECTION.c.id)
)
_TAKE = (
    DELIVERY.update()
    .where(DELIVERY.c.id == sa.bindparam("_id"))
    .values(
        state=DeliveryState.SENDING,
        attempts=DELIVERY.c.attempts + 1,
        frozen_body=sa.bindparam("_body"),
        frozen_key=sa.bindparam("_key"),
        first_sent_at=sa.func.coalesce(DELIVERY.c.first_sent_at, sa.bindparam("_now", type_=sa.BigInteger)),
        lease_owner=sa.bindparam("_owner"),
        lease_until=sa.bindparam("_until"),
    )
)


def live_connections(connection: Connection) -> list[int]:
    """Connections that deliveries may go to."""
    return list(connection.execute(_LIVE).scalars())


def due(connection: Connection, connection_id: int, now: int, limit: int) -> list[Any]:
    """Due deliveries of a connection, the first open one of each ordering key; however many wait behind one that is in
    back-off, others are found."""
    return list(connection.execute(_DUE_FIRST, {"connection_id": connection_id, "now": now, "limit": limit}))


def claim(connection: Connection, rows: Sequence[Any], *, owner: str, now: int) -> list[Sending]:
    """Marks deliveries as being sent and freezes what is sent. A state delivery with nothing to send is superseded."""
    external_ids = _external_ids(connection, rows)
    claimed, changes, nothing = [], [], []
    for row in rows:
        frozen = row.frozen_body
        if frozen is None:
            frozen = _state_body(connection, row) if row.is_state else _resolved(row, external_ids)
        if frozen is None:
            nothing.append(row.id)
            continue
        vendor_key = row.frozen_key or vendor_key_of(row, frozen)
        claimed.append(
            Sending(
                row.id,
                row.merchant_id,
                row.connection_id,
                row.operation,
                row.key,
                row.version,
                row.is_state,
                bytes(frozen),
                vendor_key,
                row.attempts,
                row.stale,
                row.maybe_sent,
                row.first_sent_at or now,
            )
        )
        changes.append(
            {
                "_id": row.id,
                "_body": frozen,
                "_key": vendor_key,
                "_now": now,
                "_owner": owner,
                "_until": now + LEASE_US,
            }
        )
    if changes:
        connection.execute(_TAKE, changes)
    if nothing:
        connection.execute(
            DELIVERY.update()
            .where(DELIVERY.c.id.in_(nothing))
            .values(
                state=DeliveryState.SUPERSEDED,
                reason="nothing to send: the number is right, or the shop's own was not adopted yet",
                finished_at=now,
            )
        )
    return claimed


def vendor_key_of(row: Any, frozen: bytes) -> str:
    """The idempotency key of a delivery: one per fact, and for a state one per content; 40 characters."""
    parts = [str(row.merchant_id), str(row.connection_id), row.operation, row.key]
    if row.is_state:
        parts += [str(row.version), frozen.decode()]
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
    found = connection.execute(
        sa.select(_BINDING.c.connection_id, _BINDING.c.kind, _BINDING.c.our_id, _BINDING.c.external_id).where(
            _BINDING.c.connection_id.in_({c for c, _, _ in wanted}), _BINDING.c.our_id.in_({k for _, _, k in wanted})
        )
    )
    return {(row.connection_id, row.kind, row.our_id): row.external_id for row in found}


def _resolved(row: Any, external_ids: Mapping[tuple[int, str, str], str]) -> bytes:
    if b'"$ref"' not in row.body:
        return bytes(row.body)
    lookup: Callable[[str, str], str] = lambda kind, key: external_ids[(row.connection_id, kind, key)]  # noqa: E731
    return bodies.encode(bodies.resolve(bodies.decode(row.body), lookup))


def _state_body(connection: Connection, row: Any) -> bytes | None:
    """What a state delivery sends now; None when there is nothing to send. A check looks at what the shop shows, and is
    made also when the number is right by our reckoning."""
    item_id = int(row.key.removeprefix("item:"))
    level = stock_levels.level(connection, row.merchant_id, row.connection_id, item_id)
    if level is None:
        return None
    if row.operation.endswith(".check"):
        return bodies.encode(level.check())
    return None if level.right else bodies.encode(level.body())


def recover(connection: Connection, owner: str | None, now: int) -> list[Any]:
    """Deliveries found in `sending` whose sender is gone follow the ladder of their operation: they go back to `retry`,
    where the key, the look-up or the compare-and-set makes them safe. Those with ladder `none` are returned: nobody can
    know whether they went out. `owner` null: only leases that ran out."""
    gone = DELIVERY.c.lease_until <= now
    if owner is not None:
        gone = sa.or_(gone, DELIVERY.c.lease_owner != owner)
    found = sa.and_(_OPEN, DELIVERY.c.state == DeliveryState.SENDING, gone)
    connection.execute(
        DELIVERY.update()
        .where(found, DELIVERY.c.ladder != "none")
        .values(
            state=DeliveryState.RETRY,
            next_attempt_at=0,
            maybe_sent=True,
            reason="the sender stopped while it was being sent",
        )
    )
    return list(
        connection.execute(
            sa.select(DELIVERY.c.id, DELIVERY.c.merchant_id, DELIVERY.c.operation, DELIVERY.c.key).where(found)
        )
    )
