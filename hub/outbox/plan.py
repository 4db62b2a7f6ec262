"""Planning a delivery: part of the transaction of the event that causes it, sent after it, never inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Binding
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, one_of, rows_in
from hub.db.inserts import insert_rows
from hub.inbox.error_class import ErrorClass
from hub.inbox.questions import raise_question
from hub.outbox import bodies, restored
from hub.outbox.tables import Delivery, DeliveryReference, DeliveryState

DELIVERY = Delivery.__table__  # type: ignore[attr-defined]
REFERENCE = DeliveryReference.__table__  # type: ignore[attr-defined]
_BINDING = Binding.__table__  # type: ignore[attr-defined]
WRITE_ORDER = (DELIVERY, REFERENCE)
#: the condition of the partial indexes, word for word
_OPEN = sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")
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


@dataclass(frozen=True)
class Patience:
    """When a delivery gives up: after so many attempts, or so many microseconds after the first; null: never."""

    attempts: int | None = None
    within_us: int | None = None


_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_CONNECTION: sa.BindParameter[int] = sa.bindparam("connection_id", type_=sa.BigInteger)
_BY_KEY = (
    sa.select(
        *(DELIVERY.c[name] for name in (*_KNOWN, "operation", "key")),
        DELIVERY.c.frozen_body.is_not(None).label("frozen"),
    )
    .where(
        DELIVERY.c.merchant_id == _MERCHANT,
        DELIVERY.c.connection_id == _CONNECTION,
        DELIVERY.c.operation == sa.bindparam("operation"),
        among(DELIVERY.c.key),
    )
    .order_by(DELIVERY.c.version)
)
_BY_OUR_ID = sa.select(_BINDING.c.kind, _BINDING.c.our_id, _BINDING.c.external_id).where(
    _BINDING.c.merchant_id == _MERCHANT,
    _BINDING.c.connection_id == _CONNECTION,
    _BINDING.c.kind == sa.bindparam("kind"),
    among(_BINDING.c.our_id),
)


def _grouped(keys: Sequence[tuple[int, str, str]]) -> dict[tuple[int, str], list[str]]:
    groups: dict[tuple[int, str], list[str]] = {}
    for connection_id, name, key in keys:
        groups.setdefault((connection_id, name), []).append(key)
    return groups


def _load_deliveries(
    connection: Connection, merchant_id: int, keys: Sequence[tuple[int, str, str]]
) -> Mapping[Any, Row]:
    found: dict[Any, Row] = {}
    for (connection_id, operation), wanted in _grouped(keys).items():
        fixed = {"merchant_id": merchant_id, "connection_id": connection_id, "operation": operation}
        for row in rows_in(connection, _BY_KEY, wanted, **fixed):
            found[(connection_id, operation, row["key"])] = row
    return found


def _load_bindings(connection: Connection, merchant_id: int, keys: Sequence[tuple[int, str, str]]) -> Mapping[Any, Row]:
    found: dict[Any, Row] = {}
    for (connection_id, kind), wanted in _grouped(keys).items():
        fixed = {"merchant_id": merchant_id, "connection_id": connection_id, "kind": kind}
        for row in rows_in(connection, _BY_OUR_ID, wanted, **fixed):
            found[(connection_id, kind, row["our_id"])] = row
    return found


#: the last version of a delivery by (connection id, operation, key)
DELIVERIES = Source("delivery", _load_deliveries)
#: a binding by (connection id, kind, our id)
BINDINGS = Source("binding", _load_bindings)


#: what a person may say of a delivery of which nobody knows whether it arrived
UNCERTAIN_ANSWERS = (
    {"answer": "confirmed", "needs": "external_id", "text": "It is there: give its id"},
    {"answer": "resend", "text": "Send it again"},
    {"answer": "drop", "text": "Do not send it"},
)
#: state deliveries that a change was merged into: the row to insert should they be sent before the plan is written
MERGED = Source("merged_delivery", lambda _connection, _merchant_id, _keys: {})
#: states of a delivery whose content is not fixed yet
_UNSENT = (DeliveryState.PLANNED, DeliveryState.RETRY, DeliveryState.WAITING)


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
    patience: Patience | None = None,
) -> int | None:
    """Plans one delivery and, before it, what it references. Planned already with equal content: nothing. A state
    delivery merges into the one that waits. Returns the id of the row that stands.

    Raises: DeliveryConflict when the same fact is planned with other content; bodies.BodyError."""
    text = None if target.is_state else bodies.encode(body)
    digest = None if text is None else bodies.digest(text)
    where = (target.connection_id, target.operation, key)
    known = plan.get(DELIVERIES, where)
    version = 0 if known is None else known["version"] + 1
    merges = False
    if known is not None and target.is_state:
        # what was frozen for a first attempt is sent again as it is
        merges = known["state"] in _UNSENT and not known.get("frozen")
    elif known is not None:
        if not is_ensure and known["body_hash"] != digest:
            raise DeliveryConflict(
                f"{target.operation} {key} is planned already with other content (delivery {known['id']})"
            )
        # what was only observed is not there: it has to be made for those that refer to it now
        if not (is_ensure and known["state"] == DeliveryState.OBSERVED and target.mode != "observe"):
            return int(known["id"])
    has_references = text is not None and b'"$ref"' in text
    needed: list[bodies.Reference] = list(bodies.references(body)) if has_references else []
    missing = _plan_references(plan, target, needed, event_seq, run_id)
    state = DeliveryState.WAITING if missing else DeliveryState.PLANNED
    if target.mode == "observe":
        state, missing = DeliveryState.OBSERVED, []
    row: Row = {
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
        "state": state.value,
        "attempts": 0,
        "stale": 0,
        "maybe_sent": False,
        "next_attempt_at": 0,
        "lease_until": 0,
        "event_seq": event_seq,
        "run_id": run_id,
        "created_at": plan.now,
    }
    if patience is not None:
        row |= {"retry_attempts": patience.attempts, "retry_within_us": patience.within_us}
    before = restored.sent_before(plan, target.connection_id, target.ladder, event_seq)
    row |= before
    if merges and known is not None:
        plan.put(MERGED, known["id"], row)
        return int(known["id"])
    plan.insert(DELIVERY, row)
    plan.put(DELIVERIES, where, row)
    if before and not target.is_state and target.mode != "observe":
        _ask_if_unknowable(plan, row, body)
    # what a person is asked about waits for the person
    for kind, ref_key in missing if row["state"] == DeliveryState.WAITING else ():
        plan.insert(
            REFERENCE,
            {"connection_id": target.connection_id, "delivery_id": row["id"], "kind": kind, "key": ref_key},
        )
    return int(row["id"])


def _ask_if_unknowable(plan: Plan, row: Row, body: Any) -> None:
    """A delivery of a restored hub that nothing there can be compared with is for a person."""
    # what is looked up first is looked up by its content, whatever our key is
    key = "" if row["ladder"] == "find_first" else row["key"]
    if not restored.names_new_id(plan, row["connection_id"], row["event_seq"], key, body):
        return
    reason = (
        "the hub that the backup was made of may have sent it under another id of ours, by which it cannot be found"
    )
    plan.update(
        DELIVERY,
        row,
        state=DeliveryState.UNCERTAIN.value,
        reason=reason,
        error_class=ErrorClass.UNCERTAIN.value,
        finished_at=plan.now,
    )
    raise_question(
        plan,
        kind="delivery.uncertain",
        subject=f"delivery:{row['id']}",
        reason=f"{row['operation']} {row['key']}: {reason}",
        details={"operation": row["operation"], "key": row["key"], "answer": None},
        delivery_id=row["id"],
        event_seq=row["event_seq"],
        answers=UNCERTAIN_ANSWERS,
    )


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


def settle(connection: Connection, plan: Plan) -> None:
    """After a plan was written, in its transaction: what was planned beside senders that went on meanwhile is put right."""
    _replan_sent(connection, plan)
    release_waiting(connection, plan.merchant_id)


def _replan_sent(connection: Connection, plan: Plan) -> None:
    """A state delivery that was taken for sending after the plan read it carries the number of before: the change needs
    one of its own. Those still unsent stay locked until the commit, so that their number is computed after it."""
    merged = plan.known(MERGED)
    if not merged:
        return
    unsent = {row["id"] for row in rows_in(connection, _UNSENT_NOW, list(merged))}
    rows = [
        {"id": plan.next_id(), "merchant_id": plan.merchant_id, **row} for id, row in merged.items() if id not in unsent
    ]
    if rows:
        insert_rows(connection, DELIVERY, rows)


_UNSENT_NOW = (
    sa.select(DELIVERY.c.id)
    .where(among(DELIVERY.c.id), one_of(DELIVERY.c.state, _UNSENT), DELIVERY.c.frozen_body.is_(None))
    .with_for_update()  # says nothing on SQLite, whose writers are one at a time
)


_FREE = (
    REFERENCE.delete()
    .where(
        sa.exists().where(
            _BINDING.c.merchant_id == REFERENCE.c.merchant_id,
            _BINDING.c.connection_id == REFERENCE.c.connection_id,
            _BINDING.c.kind == REFERENCE.c.kind,
            _BINDING.c.our_id == REFERENCE.c.key,
        )
    )
    .returning(REFERENCE.c.delivery_id)
)
_FREE_MINE = _FREE.where(REFERENCE.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger))
_RELEASE = (
    DELIVERY.update()
    .where(_OPEN, DELIVERY.c.state == DeliveryState.WAITING)
    .where(~sa.exists().where(REFERENCE.c.delivery_id == DELIVERY.c.id))
    .values(state=DeliveryState.PLANNED)
)
_RELEASE_FREED = _RELEASE.where(among(DELIVERY.c.id))
#: a state delivery waits for a person, not for a reference
_RELEASE_ALL = _RELEASE.where(DELIVERY.c.is_state.is_(False))


def release_waiting(connection: Connection, merchant_id: int | None = None, *, everything: bool = False) -> int:
    """Moves deliveries whose references all exist now from waiting to planned. Run after each batch and by the sweeper:
    a binding may be stored at the same moment as a delivery that needs it. Returns how many were released.

    `everything`: also those with no reference left, whose last two were bound by two transactions at once."""
    values = {} if merchant_id is None else {"merchant_id": merchant_id}
    freed = set(connection.execute(_FREE if merchant_id is None else _FREE_MINE, values).scalars())
    if not freed and not everything:
        return 0
    if everything:
        return connection.execute(_RELEASE_ALL).rowcount
    return connection.execute(_RELEASE_FREED, {"keys": sorted(freed)}).rowcount
