"""Planning a delivery: part of the transaction of the event that causes it, sent after it, never inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Binding
from hub.core.plan import Plan, Row, Source
from hub.outbox import bodies
from hub.outbox.tables import Delivery, DeliveryReference, DeliveryState

DELIVERY = Delivery.__table__  # type: ignore[attr-defined]
REFERENCE = DeliveryReference.__table__  # type: ignore[attr-defined]
_BINDING = Binding.__table__  # type: ignore[attr-defined]
WRITE_ORDER = (DELIVERY, REFERENCE)
_KNOWN = ("id", "state", "body_hash", "version", "is_ensure", "is_state")


class DeliveryConflict(Exception):
    """The same fact is to be sent again with other content: a person decides."""


@dataclass(frozen=True)
class Target:
    """Where a delivery goes: a connection, its mode, and what the operation is."""

    connection_id: int
    mode: str
    operation: str
    ladder: str
    is_state: bool = False


def _load_deliveries(
    connection: Connection, merchant_id: int, keys: Sequence[tuple[int, str, str]]
) -> Mapping[Any, Row]:
    rows = connection.execute(
        sa.select(*(DELIVERY.c[name] for name in (*_KNOWN, "connection_id", "operation", "key")))
        .where(
            DELIVERY.c.merchant_id == merchant_id,
            DELIVERY.c.connection_id.in_({key[0] for key in keys}),
            DELIVERY.c.operation.in_({key[1] for key in keys}),
            DELIVERY.c.key.in_({key[2] for key in keys}),
        )
        .order_by(DELIVERY.c.version)
    ).mappings()
    return {(row["connection_id"], row["operation"], row["key"]): dict(row) for row in rows}


def _load_bindings(connection: Connection, merchant_id: int, keys: Sequence[tuple[int, str, str]]) -> Mapping[Any, Row]:
    rows = connection.execute(
        sa.select(_BINDING.c.connection_id, _BINDING.c.kind, _BINDING.c.our_id, _BINDING.c.external_id).where(
            _BINDING.c.merchant_id == merchant_id,
            _BINDING.c.connection_id.in_({key[0] for key in keys}),
            _BINDING.c.our_id.in_({key[2] for key in keys}),
        )
    ).mappings()
    return {(row["connection_id"], row["kind"], row["our_id"]): dict(row) for row in rows}


#: the last version of a delivery by (connection id, operation, key)
DELIVERIES = Source("delivery", _load_deliveries)
#: a binding by (connection id, kind, our id)
BINDINGS = Source("binding", _load_bindings)


def plan_delivery(
    plan: Plan,
    target: Target,
    *,
    key: str,
    body: Any,
    ordering_key: str,
    event_seq: int | None,
    run_id: int | None,
    is_ensure: bool = False,
) -> int | None:
    """Plans one delivery and, before it, what it references. Planned already with equal content: nothing. A state
    delivery merges into the one that waits. Returns the id of the row that stands.

    Raises: DeliveryConflict when the same fact is planned with other content; bodies.BodyError."""
    text = None if target.is_state else bodies.encode(body)
    digest = None if text is None else bodies.digest(text)
    where = (target.connection_id, target.operation, key)
    known = plan.get(DELIVERIES, where)
    version = 0
    if known is not None:
        if target.is_state:
            if known["state"] in (DeliveryState.PLANNED, DeliveryState.RETRY, DeliveryState.WAITING):
                return int(known["id"])
            version = known["version"] + 1
        else:
            if not is_ensure and known["body_hash"] != digest:
                raise DeliveryConflict(
                    f"{target.operation} {key} is planned already with other content (delivery {known['id']})"
                )
            return int(known["id"])
    needed: list[bodies.Reference] = [] if target.is_state else list(bodies.references(body))
    missing = _plan_references(plan, target, needed, event_seq, run_id)
    state = DeliveryState.WAITING if missing else DeliveryState.PLANNED
    row = plan.insert(
        DELIVERY,
        {
            "connection_id": target.connection_id,
            "operation": target.operation,
            "key": key,
            "version": version,
            "ladder": target.ladder,
            "is_state": target.is_state,
            "is_ensure": is_ensure,
            "ordering_key": ordering_key,
            "body": text,
            "body_hash": digest,
            "state": DeliveryState.OBSERVED if target.mode == "observe" else state,
            "attempts": 0,
            "stale": 0,
            "maybe_sent": False,
            "next_attempt_at": 0,
            "lease_until": 0,
            "event_seq": event_seq,
            "run_id": run_id,
            "created_at": plan.now,
        },
    )
    plan.put(DELIVERIES, where, row)
    for kind, ref_key in missing:
        plan.insert(
            REFERENCE,
            {"connection_id": target.connection_id, "delivery_id": row["id"], "kind": kind, "key": ref_key},
        )
    return int(row["id"])


def _plan_references(
    plan: Plan, target: Target, needed: Sequence[bodies.Reference], event_seq: int | None, run_id: int | None
) -> list[tuple[str, str]]:
    """Plans the find-or-create of what is referenced and not bound yet. Returns the unresolved (kind, key) pairs."""
    missing: dict[tuple[str, str], None] = {}
    plan.preload(BINDINGS, [(target.connection_id, ref.kind, ref.key) for ref in needed])
    for ref in needed:
        if (ref.kind, ref.key) in missing or plan.get(BINDINGS, (target.connection_id, ref.kind, ref.key)) is not None:
            continue
        missing[(ref.kind, ref.key)] = None
        if ref.ensure is not None:
            plan_delivery(
                plan,
                Target(target.connection_id, target.mode, ref.ensure, "find_first"),
                key=f"{ref.kind}:{ref.key}",
                body=ref.data,
                ordering_key=f"{ref.kind}:{ref.key}",
                event_seq=event_seq,
                run_id=run_id,
                is_ensure=True,
            )
    return list(missing)


def release_waiting(connection: Connection, merchant_id: int | None = None) -> int:
    """Moves deliveries whose references all exist now from waiting to planned. Run after each batch and by the sweeper:
    a binding may be stored at the same moment as a delivery that needs it. Returns how many were released."""
    bound = sa.exists().where(
        _BINDING.c.merchant_id == REFERENCE.c.merchant_id,
        _BINDING.c.connection_id == REFERENCE.c.connection_id,
        _BINDING.c.kind == REFERENCE.c.kind,
        _BINDING.c.our_id == REFERENCE.c.key,
    )
    mine = REFERENCE.c.merchant_id == merchant_id if merchant_id is not None else sa.true()
    freed = set(connection.execute(REFERENCE.delete().where(mine, bound).returning(REFERENCE.c.delivery_id)).scalars())
    if not freed:
        return 0
    still = sa.exists().where(REFERENCE.c.delivery_id == DELIVERY.c.id)
    return connection.execute(
        DELIVERY.update()
        .where(DELIVERY.c.id.in_(sorted(freed)), DELIVERY.c.state == DeliveryState.WAITING, ~still)
        .values(state=DeliveryState.PLANNED)
    ).rowcount
