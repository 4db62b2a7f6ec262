"""Committing what came of attempts: states, bindings, the effect log, questions; one transaction for a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from hub.connect import operations
from hub.connect.manifest import Operation
from hub.connect.tables import Binding, PollCursor
from hub.connect.vault import Vault
from hub.core.plan import Plan, Row
from hub.core.reading import among, rows_in
from hub.db.engine import Ids
from hub.db.inserts import insert_rows
from hub.inbox import claim as inbox
from hub.inbox.error_class import ErrorClass, class_of
from hub.inbox.questions import QUESTION, raise_question, resolve_question
from hub.inbox.reconnect import CONNECTION, ask_to_reconnect
from hub.outbox import bodies, drifts, effects, stock_levels
from hub.outbox.announce import Listeners, announce
from hub.outbox.claim import Sending
from hub.outbox.plan import DELIVERY, UNCERTAIN_ANSWERS, release_waiting
from hub.outbox.tables import DeliveryState

_BINDING = Binding.__table__  # type: ignore[attr-defined]
_CURSOR = PollCursor.__table__  # type: ignore[attr-defined]
_WHERE = (
    _BINDING.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    _BINDING.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger),
    _BINDING.c.kind == sa.bindparam("kind"),
)
_BY_OURS = sa.select(_BINDING.c.our_id).where(*_WHERE, among(_BINDING.c.our_id))
_BY_THEIRS = sa.select(_BINDING.c.external_id).where(*_WHERE, among(_BINDING.c.external_id))
_CONFIRM = (
    DELIVERY.update()
    .where(DELIVERY.c.id == sa.bindparam("_id"))
    .values(
        state=DeliveryState.CONFIRMED,
        external_id=sa.bindparam("_external_id"),
        reason=None,
        error_class=None,
        finished_at=sa.bindparam("_now", type_=sa.BigInteger),
    )
)
_SET = DELIVERY.update().where(DELIVERY.c.id == sa.bindparam("_id"))
_AS_THEY_ARE = (
    sa.select(DELIVERY.c.id, DELIVERY.c.state, DELIVERY.c.fence, DELIVERY.c.external_id)
    .where(among(DELIVERY.c.id))
    .with_for_update()  # says nothing on SQLite
)
#: states in which the proof that the last attempt arrived still counts, though its sender was given up: nothing was sent
#: since, and nobody has said what became of it
_PROVABLE = (DeliveryState.UNCERTAIN, DeliveryState.PLANNED, DeliveryState.RETRY)
_log = structlog.get_logger("hub.outbox")
#: waits between attempts in seconds; the last one goes on for ever
BACKOFF_S = (1, 2, 5, 15, 60, 300, 900, 3600)
#: after this many attempts a person is told, while the hub goes on trying
TELL_AFTER = 6
_STALE_WAIT_US = 1_000_000
#: what is computed anew was never sent, whatever became of the number before it: a shop that shows it by chance did not get it
_COMPUTED_ANEW = {"frozen_body": None, "frozen_key": None, "maybe_sent": False, "first_sent_at": None}


@dataclass(frozen=True)
class Result:
    """What came of one attempt. `spec` is the operation; null when it was not even found."""

    sending: Sending
    outcome: operations.Outcome
    spec: Operation | None
    connector: str = ""


def commit(
    connection: Connection,
    ids: Ids,
    vault: Vault,
    results: Sequence[Result],
    now: int,
    listeners: Mapping[int, Listeners] | None = None,
) -> set[int]:
    """Writes the outcomes of attempts; `listeners`, by merchant, are told of what was confirmed. Returns the connections
    whose pending orders are to be imported (stale pushes)."""
    by_merchant: dict[int, list[tuple[Result, Row]]] = {}
    now_are = {row["id"]: row for row in rows_in(connection, _AS_THEY_ARE, [each.sending.id for each in results])}
    for result in results:
        by_merchant.setdefault(result.sending.merchant_id, []).append((result, now_are[result.sending.id]))
    stale: set[int] = set()
    for merchant_id, group in by_merchant.items():
        plan = Plan(merchant_id, connection, ids, now)
        confirmed: list[Result] = []
        for result, row in group:
            sending, outcome = result.sending, result.outcome
            if not _counts(plan, result, row):
                continue
            match outcome:
                case operations.Confirmed() if result.spec is not None and result.spec.read:
                    # a look changes nothing over there: no effect, nothing to log
                    _set(
                        connection,
                        sending,
                        state=DeliveryState.SUPERSEDED,
                        reason="as expected",
                        error_class=None,
                        finished_at=now,
                    )
                    _resolve(plan, sending)
                    drifts.agreed(connection, plan, sending)
                case operations.Confirmed():
                    confirmed.append(result)
                    # an answer that came too late may follow in this group
                    row.update(state=DeliveryState.CONFIRMED, external_id=outcome.external_id)
                    _resolve(plan, sending)
                    drifts.agreed(connection, plan, sending)
                    _agree(plan, sending, outcome)
                case operations.Retry():
                    _retry(connection, plan, sending, outcome, now)
                case operations.Deferred():
                    _defer(connection, sending, outcome, now)
                case operations.Rejected():
                    _park(connection, plan, sending, DeliveryState.REJECTED, outcome.reason, outcome.detail, now)
                case operations.Uncertain():
                    _park(connection, plan, sending, DeliveryState.UNCERTAIN, outcome.reason, None, now)
                case operations.Stale():
                    stale.add(sending.connection_id)
                    _stale(connection, plan, sending, outcome, now)
                case operations.NeedsReconnect():
                    _set(
                        connection,
                        sending,
                        state=DeliveryState.RETRY,
                        next_attempt_at=now,
                        reason=outcome.reason,
                        error_class=ErrorClass.AUTH.value,
                    )
                    ask_to_reconnect(plan, sending.connection_id, outcome.reason)
        if confirmed:
            key = vault.data_key(connection, merchant_id, "chain")
            logged = _confirm(connection, ids, plan, confirmed, now)
            effects.append(connection, merchant_id, logged, key=(key.id, key.key), now=now)
            release_waiting(connection, merchant_id)
            made = [(result.sending, effect.external_id) for result, effect in zip(confirmed, logged, strict=True)]
            announce(connection, plan, made, (listeners or {}).get(merchant_id, Listeners()))
        plan.write(connection, (QUESTION, CONNECTION))
    return stale


def _counts(plan: Plan, result: Result, row: Row) -> bool:
    """Whether an outcome is still that of its delivery: it is being sent by this very attempt. A sender that was away for
    longer than its lease comes too late: another has taken the delivery over since, by its ladder, or a person has. Proof
    that a fact arrived is never thrown away: it counts while nothing else was done, and is told to a person after."""
    sending, outcome = result.sending, result.outcome
    last = row["fence"] == sending.fence
    if last and row["state"] == DeliveryState.SENDING:
        return True
    _log.warning("outcome too late", delivery_id=sending.id, outcome=type(outcome).__name__, state=row["state"])
    if not isinstance(outcome, operations.Confirmed) or sending.is_state or (result.spec and result.spec.read):
        return False
    if last and row["state"] in _PROVABLE:
        resolve_question(plan, kind="delivery.uncertain", subject=f"delivery:{sending.id}", answer="it was answered")
        return True
    if row["state"] != DeliveryState.CONFIRMED or row["external_id"] != outcome.external_id:
        _tell_late(plan, sending, outcome, row)
    return False


def _tell_late(plan: Plan, sending: Sending, outcome: operations.Confirmed, row: Row) -> None:
    since = f"it is {row['state']} now" if row["external_id"] is None else f"it is {row['external_id']} by now"
    raise_question(
        plan,
        kind="delivery.late",
        subject=f"delivery:{sending.id}",
        reason=f"{sending.operation} {sending.key}: an attempt that was given up was answered after all, with "
        f"{outcome.external_id or 'a success'}; {since}. It may be there twice: look there.",
        details={"operation": sending.operation, "key": sending.key, "external_id": outcome.external_id},
        delivery_id=sending.id,
    )


def _agree(plan: Plan, sending: Sending, outcome: operations.Confirmed) -> None:
    """An attempt that was given up and answered late made the very record that this one found: it is there once."""
    if sending.fence > 1 and outcome.external_id is not None:
        resolve_question(
            plan,
            kind="delivery.late",
            subject=f"delivery:{sending.id}",
            answer="it is there once",
            about={"external_id": outcome.external_id},
        )


def _resolve(plan: Plan, sending: Sending) -> None:
    """A delivery that is over closes the question that told of its failures."""
    if sending.attempts >= TELL_AFTER:
        resolve_question(plan, kind="delivery.failing", subject=f"delivery:{sending.id}")


def _confirm(
    connection: Connection, ids: Ids, plan: Plan, group: Sequence[Result], now: int
) -> list[effects.Confirmed]:
    """Marks deliveries as confirmed and stores which remote records are ours."""
    made: list[tuple[Sending, str | None]] = [
        (result.sending, result.outcome.external_id)
        for result in group
        if isinstance(result.outcome, operations.Confirmed)
    ]
    connection.execute(
        _CONFIRM, [{"_id": sending.id, "_external_id": external_id, "_now": now} for sending, external_id in made]
    )
    bindings: dict[Bound, Sending] = {}
    for result, (sending, external_id) in zip(group, made, strict=True):
        kind = None if result.spec is None else result.spec.binds
        if kind and external_id is not None:
            our_id = sending.key.removeprefix(f"{kind}:")
            bindings[Bound(sending.merchant_id, sending.connection_id, kind, our_id, external_id)] = sending
        if sending.is_state:
            stock_levels.acknowledged(
                connection,
                sending.merchant_id,
                sending.connection_id,
                int(sending.key.removeprefix("item:")),
                bodies.decode(sending.body),
            )
    for taken in bind(connection, ids, list(bindings)):
        sending = bindings[taken]
        raise_question(
            plan,
            kind="binding.taken",
            subject=f"delivery:{sending.id}",
            reason=f"{sending.operation} {sending.key} was answered with {taken.kind} {taken.external_id}, which is another "
            f"{taken.kind} of ours already: what refers to it waits. Tell them apart there, then send it again.",
            details={"operation": sending.operation, "key": sending.key, "external_id": taken.external_id},
            delivery_id=sending.id,
        )
    return [
        effects.Confirmed(
            sending.id,
            sending.connection_id,
            sending.operation,
            sending.key,
            sending.version,
            external_id,
            bodies.digest(sending.body),
        )
        for sending, external_id in made
    ]


@dataclass(frozen=True)
class Bound:
    """A remote record that is ours."""

    merchant_id: int
    connection_id: int
    kind: str
    our_id: str
    external_id: str


def bind(connection: Connection, ids: Ids, bindings: Sequence[Bound]) -> list[Bound]:
    """Stores which remote records are ours, each once: what is bound already, on either side, stays as it is. Returns
    those whose remote record is another of ours."""
    groups: dict[tuple[int, int, str], list[Bound]] = {}
    for each in bindings:
        groups.setdefault((each.merchant_id, each.connection_id, each.kind), []).append(each)
    rows, taken = [], []
    for (merchant_id, connection_id, kind), group in groups.items():
        where = {"merchant_id": merchant_id, "connection_id": connection_id, "kind": kind}
        ours = {row["our_id"] for row in rows_in(connection, _BY_OURS, [each.our_id for each in group], **where)}
        theirs = {
            row["external_id"] for row in rows_in(connection, _BY_THEIRS, [each.external_id for each in group], **where)
        }
        for each in group:
            if each.our_id in ours:
                continue
            if each.external_id in theirs:
                taken.append(each)
                continue
            ours.add(each.our_id)
            theirs.add(each.external_id)
            bound = {"our_id": each.our_id, "external_id": each.external_id, "our_kind": kind}
            rows.append({"id": ids.next(), **where, **bound})
    if rows:
        insert_rows(connection, _BINDING, rows)
    return taken


def _retry(connection: Connection, plan: Plan, sending: Sending, outcome: operations.Retry, now: int) -> None:
    attempt = sending.attempts  # before this one
    if sending.probe and attempt and outcome.health == "down":
        _wait_again(connection, plan, sending, outcome, now)
        return
    wait = outcome.after_s if outcome.after_s is not None else BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
    next_at = now + int(wait * 1_000_000)
    spent = sending.retry_attempts is not None and attempt + 1 >= sending.retry_attempts
    late = sending.retry_within_us is not None and next_at > sending.first_sent_at + sending.retry_within_us
    if spent or late:
        # what may have arrived is not said to be refused: a person has to look
        state = DeliveryState.UNCERTAIN if sending.maybe_sent or outcome.sent else DeliveryState.REJECTED
        reason = f"given up after {attempt + 1} attempts, as its flow says: {outcome.reason}"
        _park(connection, plan, sending, state, reason, None, now)
        return
    _set(
        connection,
        sending,
        state=DeliveryState.RETRY,
        next_attempt_at=next_at,
        maybe_sent=sending.maybe_sent or outcome.sent,
        reason=outcome.reason,
        error_class=ErrorClass.FAILING.value,
    )
    if attempt + 1 == TELL_AFTER:
        raise_question(
            plan,
            kind="delivery.failing",
            subject=f"delivery:{sending.id}",
            reason=f"{sending.operation} {sending.key} failed {attempt + 1} times: {outcome.reason}. "
            "The hub goes on trying.",
            delivery_id=sending.id,
            answers=[{"answer": "drop", "text": "Do not send it"}],
        )


def _wait_again(connection: Connection, plan: Plan, sending: Sending, outcome: operations.Retry, now: int) -> None:
    """A probe of a system that is still down was made for all that waits for it: it is no attempt of this delivery, unless
    it was the first. It waits with the others, until its flow gives it up."""
    within = sending.retry_within_us
    if within is not None and now > sending.first_sent_at + within:
        state = DeliveryState.UNCERTAIN if sending.maybe_sent or outcome.sent else DeliveryState.REJECTED
        _park(connection, plan, sending, state, f"given up in time, as its flow says: {outcome.reason}", None, now)
        return
    _set(
        connection,
        sending,
        state=DeliveryState.RETRY,
        attempts=sending.attempts,
        next_attempt_at=now,
        maybe_sent=sending.maybe_sent or outcome.sent,
        reason=outcome.reason,
        error_class=ErrorClass.FAILING.value,
    )


def _defer(connection: Connection, sending: Sending, outcome: operations.Deferred, now: int) -> None:
    """Waiting for quota is no attempt: the delivery is as it was before it was claimed, until there is quota. What was
    never sent is put together anew then: a stock level is the one of that moment."""
    next_at = now + int(outcome.after_s * 1_000_000)
    values: dict[str, Any] = {"attempts": sending.attempts, "next_attempt_at": next_at, "reason": outcome.reason}
    if sending.attempts == 0 and not sending.maybe_sent:
        values |= {"state": DeliveryState.PLANNED, "frozen_body": None, "frozen_key": None, "first_sent_at": None}
    else:
        values["state"] = DeliveryState.RETRY
    _set(connection, sending, **values)


def park_unproven(connection: Connection, ids: Ids, rows: Sequence[Any], now: int) -> None:
    """Deliveries of an operation without a ladder whose sender stopped while sending: uncertain, for a person."""
    for row in rows:
        plan = Plan(row.merchant_id, connection, ids, now)
        _park(connection, plan, row, DeliveryState.UNCERTAIN, "the hub stopped while it was being sent", None, now)
        plan.write(connection, (QUESTION,))


def close(connection: Connection, ids: Ids, rows: Sequence[Any], now: int) -> None:
    """Deliveries of which nothing is to be sent any more: nobody need know of their failures."""
    for row in rows:
        plan = Plan(row.merchant_id, connection, ids, now)
        _resolve(plan, row)
        plan.write(connection, (QUESTION,))


def park_refused(connection: Connection, ids: Ids, refused: Sequence[tuple[Any, str]], now: int) -> None:
    """Deliveries that could not even be put together: rejected before anything was sent."""
    for row, reason in refused:
        plan = Plan(row.merchant_id, connection, ids, now)
        _park(connection, plan, row, DeliveryState.REJECTED, reason, None, now)
        plan.write(connection, (QUESTION,))


def _park(
    connection: Connection, plan: Plan, sending: Any, state: DeliveryState, reason: str, detail: Any, now: int
) -> None:
    kind = f"delivery.{state}"
    changed: dict[str, Any] = {"error_class": class_of(kind).value, "finished_at": now}
    if state == DeliveryState.UNCERTAIN:
        changed["maybe_sent"] = True  # should a person have it sent again, its ladder is to know
    _set(connection, sending, state=state, reason=reason, **changed)
    _resolve(plan, sending)
    raise_question(
        plan,
        kind=kind,
        subject=f"delivery:{sending.id}",
        reason=f"{sending.operation} {sending.key}: {reason}",
        details={"operation": sending.operation, "key": sending.key, "answer": detail},
        delivery_id=sending.id,
        answers=UNCERTAIN_ANSWERS,  # what was refused may be there all the same: somebody typed it in
    )


def _pending_orders(connection: Connection, sending: Sending, now: int) -> bool:
    """Whether orders that the last stale answer asked for may still be on their way in: the connection was not polled
    since (the hub that was to do it may have been stopped), or what came in until then is not worked."""
    if not sending.stale:
        return False
    asked = connection.execute(sa.select(DELIVERY.c.next_attempt_at).where(DELIVERY.c.id == sending.id)).scalar_one()
    asked -= _STALE_WAIT_US
    polled = connection.execute(
        sa.select(sa.func.min(_CURSOR.c.updated_at)).where(
            _CURSOR.c.merchant_id == sending.merchant_id, _CURSOR.c.connection_id == sending.connection_id
        )
    ).scalar_one()
    if polled is not None and polled < asked:
        return True
    return inbox.open_before(connection, sending.merchant_id, sending.connection_id, polled or asked, now)


def _explained(connection: Connection, sending: Sending, found: int) -> bool:
    """Whether what was imported while the number was on its way makes it the one that the shop shows."""
    item_id = int(sending.key.removeprefix("item:"))
    level = stock_levels.level(connection, sending.merchant_id, sending.connection_id, item_id)
    return level is not None and level.expected == found


def _stale(connection: Connection, plan: Plan, sending: Sending, outcome: operations.Stale, now: int) -> None:
    """The shop has another number than we reckoned. First its pending orders are imported and the number is computed
    again; what they do not explain is a question, and the key waits."""
    sent = bodies.decode(sending.body)
    if outcome.found is None:
        # nothing to ask about: what the shop shows could not be read
        reason = f"{outcome.reason}; what is there could not be read"
        wait = BACKOFF_S[min(sending.attempts, len(BACKOFF_S) - 1)]
        at = now + wait * 1_000_000
        _set(
            connection,
            sending,
            state=DeliveryState.RETRY,
            **_COMPUTED_ANEW,
            next_attempt_at=at,
            reason=reason,
        )
        return
    explained = _explained(connection, sending, outcome.found) or _pending_orders(connection, sending, now)
    counted = sending.stale + (0 if explained else 1)
    if counted < stock_levels.MAX_STALE:
        _set(
            connection,
            sending,
            stale=counted,
            state=DeliveryState.RETRY,
            **_COMPUTED_ANEW,
            next_attempt_at=now + _STALE_WAIT_US,
            reason=outcome.reason,
        )
        return
    _set(
        connection,
        sending,
        state=DeliveryState.WAITING,
        stale=0,
        **_COMPUTED_ANEW,
        reason=outcome.reason,
    )
    raise_question(
        plan,
        kind="stock.drift",
        subject=drifts.subject(sending),
        reason=f"the shop shows {outcome.found} where {sent['from']} was expected, and its orders do not explain it",
        details={
            "expected": sent["from"],
            "found": outcome.found,
            "wanted": sent["quantity"],
            "connection_id": sending.connection_id,
            "item_id": int(sending.key.removeprefix("item:")),
        },
        delivery_id=sending.id,
        answers=[
            {"answer": "adopt", "text": "The shop is right: book the difference as an inventory move"},
            {"answer": "push", "text": "The hub is right: push its number"},
        ],
    )


def _set(connection: Connection, sending: Any, **values: Any) -> None:
    connection.execute(_SET, {"_id": sending.id, **values})
