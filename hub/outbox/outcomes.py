"""Committing what came of attempts: states, bindings, the effect log, questions; one transaction for a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import operations
from hub.connect.links import Links
from hub.connect.tables import Binding
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.vault import Vault
from hub.core.plan import Plan
from hub.core.reading import among, rows_in
from hub.db.engine import Ids
from hub.db.inserts import insert_rows
from hub.inbox.questions import QUESTION, raise_question, resolve_question
from hub.outbox import bodies, effects, stock_levels
from hub.outbox.claim import Sending
from hub.outbox.plan import DELIVERY, release_waiting
from hub.outbox.tables import DeliveryState

_BINDING = Binding.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_WHERE = (
    _BINDING.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    _BINDING.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger),
    _BINDING.c.kind == sa.bindparam("kind"),
)
_BY_OURS = sa.select(_BINDING.c.our_id).where(*_WHERE, among(_BINDING.c.our_id))
_BY_THEIRS = sa.select(_BINDING.c.external_id).where(*_WHERE, among(_BINDING.c.external_id))
_CONFIRM = (
    DELIVERY.update()
    .where(DELIVERY.c.id == sa.bindparam("_id"), DELIVERY.c.state == DeliveryState.SENDING)
    .values(
        state=DeliveryState.CONFIRMED,
        external_id=sa.bindparam("_external_id"),
        reason=None,
        finished_at=sa.bindparam("_now", type_=sa.BigInteger),
    )
)
#: waits between attempts in seconds; the last one goes on for ever
BACKOFF_S = (1, 2, 5, 15, 60, 300, 900, 3600)
#: after this many attempts a person is told, while the hub goes on trying
TELL_AFTER = 6
#: stale answers after which the shop's number is a question
MAX_STALE = 3


def commit(
    connection: Connection,
    ids: Ids,
    vault: Vault,
    links: Links,
    results: Sequence[tuple[Sending, operations.Outcome]],
    now: int,
) -> set[int]:
    """Writes the outcomes of attempts. Returns the connections whose pending orders are to be imported (stale pushes)."""
    by_merchant: dict[int, list[tuple[Sending, operations.Outcome]]] = {}
    for sending, outcome in results:
        by_merchant.setdefault(sending.merchant_id, []).append((sending, outcome))
    stale: set[int] = set()
    for merchant_id, group in by_merchant.items():
        plan = Plan(merchant_id, connection, ids, now)
        confirmed: list[tuple[Sending, operations.Confirmed]] = []
        for sending, outcome in group:
            match outcome:
                case operations.Confirmed() if links.open(sending.connection_id).operation(sending.operation).read:
                    # a look changes nothing over there: no effect, nothing to log
                    _set(connection, sending, state=DeliveryState.SUPERSEDED, reason="as expected", finished_at=now)
                case operations.Confirmed():
                    confirmed.append((sending, outcome))
                    _resolve(plan, sending)
                case operations.Retry():
                    _retry(connection, plan, sending, outcome, now)
                case operations.Rejected():
                    _park(connection, plan, sending, DeliveryState.REJECTED, outcome.reason, outcome.detail, now)
                case operations.Uncertain():
                    _park(connection, plan, sending, DeliveryState.UNCERTAIN, outcome.reason, None, now)
                case operations.Stale():
                    stale.add(sending.connection_id)
                    _stale(connection, plan, sending, outcome, now)
                case operations.NeedsReconnect():
                    _reconnect(connection, plan, sending, outcome, now)
        if confirmed:
            key = vault.data_key(connection, merchant_id, "chain")
            logged = _confirm(connection, ids, links, confirmed, now)
            effects.append(connection, merchant_id, logged, key=(key.id, key.key), now=now)
            release_waiting(connection, merchant_id)
        plan.write(connection, (QUESTION,))
    return stale


def _resolve(plan: Plan, sending: Sending) -> None:
    """A delivery that went through in the end closes the question that told of its failures."""
    if sending.attempts >= TELL_AFTER:
        resolve_question(plan, kind="delivery.failing", subject=f"delivery:{sending.id}")


def _confirm(
    connection: Connection, ids: Ids, links: Links, group: Sequence[tuple[Sending, operations.Confirmed]], now: int
) -> list[effects.Confirmed]:
    """Marks deliveries as confirmed and stores which remote records are ours."""
    found = connection.execute(
        _CONFIRM,
        [{"_id": sending.id, "_external_id": outcome.external_id, "_now": now} for sending, outcome in group],
    ).rowcount
    if found != len(group):
        raise RuntimeError("a delivery that was confirmed is no longer being sent by us")
    bindings = []
    for sending, outcome in group:
        kind = links.open(sending.connection_id).operation(sending.operation).binds
        if kind and outcome.external_id is not None:
            our_id = sending.key.removeprefix(f"{kind}:")
            bindings.append(Bound(sending.merchant_id, sending.connection_id, kind, our_id, outcome.external_id))
        if sending.is_state:
            stock_levels.acknowledged(
                connection,
                sending.merchant_id,
                sending.connection_id,
                int(sending.key.removeprefix("item:")),
                bodies.decode(sending.body),
            )
    bind(connection, ids, bindings)
    return [
        effects.Confirmed(
            sending.id,
            sending.connection_id,
            sending.operation,
            sending.key,
            sending.version,
            outcome.external_id,
            bodies.digest(sending.body),
        )
        for sending, outcome in group
    ]


@dataclass(frozen=True)
class Bound:
    """A remote record that is ours."""

    merchant_id: int
    connection_id: int
    kind: str
    our_id: str
    external_id: str


def bind(connection: Connection, ids: Ids, bindings: Sequence[Bound]) -> None:
    """Stores which remote records are ours, each once: what is bound already, on either side, stays as it is."""
    groups: dict[tuple[int, int, str], list[Bound]] = {}
    for each in bindings:
        groups.setdefault((each.merchant_id, each.connection_id, each.kind), []).append(each)
    rows = []
    for (merchant_id, connection_id, kind), group in groups.items():
        where = {"merchant_id": merchant_id, "connection_id": connection_id, "kind": kind}
        ours = {row["our_id"] for row in rows_in(connection, _BY_OURS, [each.our_id for each in group], **where)}
        theirs = {
            row["external_id"] for row in rows_in(connection, _BY_THEIRS, [each.external_id for each in group], **where)
        }
        for each in group:
            if each.our_id not in ours and each.external_id not in theirs:
                ours.add(each.our_id)
                theirs.add(each.external_id)
                rows.append(
                    {
                        "id": ids.next(),
                        **where,
                        "our_id": each.our_id,
                        "external_id": each.external_id,
                        "our_kind": kind,
                    }
                )
    if rows:
        insert_rows(connection, _BINDING, rows)


def _retry(connection: Connection, plan: Plan, sending: Sending, outcome: operations.Retry, now: int) -> None:
    attempt = sending.attempts  # before this one
    wait = outcome.after_s if outcome.after_s is not None else BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
    _set(
        connection,
        sending,
        state=DeliveryState.RETRY,
        next_attempt_at=now + int(wait * 1_000_000),
        maybe_sent=sending.maybe_sent or outcome.sent,
        reason=outcome.reason,
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


def park_unproven(connection: Connection, ids: Ids, rows: Sequence[Any], now: int) -> None:
    """Deliveries of an operation without a ladder whose sender stopped while sending: uncertain, for a person."""
    for row in rows:
        plan = Plan(row.merchant_id, connection, ids, now)
        _park(connection, plan, row, DeliveryState.UNCERTAIN, "the hub stopped while it was being sent", None, now)
        plan.write(connection, (QUESTION,))


def _park(
    connection: Connection, plan: Plan, sending: Any, state: DeliveryState, reason: str, detail: Any, now: int
) -> None:
    _set(connection, sending, state=state, reason=reason, finished_at=now)
    answers = [{"answer": "resend", "text": "Send it again"}, {"answer": "drop", "text": "Do not send it"}]
    if state == DeliveryState.UNCERTAIN:
        answers.insert(0, {"answer": "confirmed", "needs": "external_id", "text": "It is there: give its id"})
    raise_question(
        plan,
        kind=f"delivery.{state}",
        subject=f"delivery:{sending.id}",
        reason=f"{sending.operation} {sending.key}: {reason}",
        details={"operation": sending.operation, "key": sending.key, "answer": detail},
        delivery_id=sending.id,
        answers=answers,
    )


def _stale(connection: Connection, plan: Plan, sending: Sending, outcome: operations.Stale, now: int) -> None:
    """The shop has another number than we reckoned. First its pending orders are imported and the number is computed
    again; what they do not explain is a question, and the key waits."""
    sent = bodies.decode(sending.body)
    if sending.stale + 1 < MAX_STALE:
        _set(
            connection,
            sending,
            stale=sending.stale + 1,
            state=DeliveryState.RETRY,
            frozen_body=None,
            frozen_key=None,
            next_attempt_at=now + 1_000_000,
            reason=outcome.reason,
        )
        return
    _set(
        connection,
        sending,
        state=DeliveryState.WAITING,
        stale=0,
        frozen_body=None,
        frozen_key=None,
        reason=outcome.reason,
    )
    raise_question(
        plan,
        kind="stock.drift",
        subject=sending.key,
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


def _reconnect(
    connection: Connection, plan: Plan, sending: Sending, outcome: operations.NeedsReconnect, now: int
) -> None:
    _set(connection, sending, state=DeliveryState.RETRY, next_attempt_at=now, reason=outcome.reason)
    connection.execute(
        _CONNECTION.update().where(_CONNECTION.c.id == sending.connection_id).values(status="reconnect_needed")
    )
    raise_question(
        plan,
        kind="connection.reconnect",
        subject=f"connection:{sending.connection_id}",
        reason=f"the connection has to be connected again: {outcome.reason}. Its deliveries wait.",
        details={"connection_id": sending.connection_id},
    )


def _set(connection: Connection, sending: Any, **values: Any) -> None:
    found = connection.execute(
        DELIVERY.update().where(DELIVERY.c.id == sending.id, DELIVERY.c.state == DeliveryState.SENDING).values(values)
    ).rowcount
    if found != 1:
        raise RuntimeError(f"delivery {sending.id} is no longer being sent by us")
