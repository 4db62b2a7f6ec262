"""`delivery.confirmed`: told to the flows that answer it, in the transaction that confirms the delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.core.plan import Plan
from hub.inbox.arrivals import from_core
from hub.inbox.questions import raise_question
from hub.inbox.receive import insert_events
from hub.inbox.tables import Inbox

EVENT = "delivery.confirmed"
#: deliveries that one after the other led to each other, so that flows that feed each other end in a question
MAX_DEPTH = 20
_INBOX = Inbox.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Listeners:
    """The flows of a merchant that answer `delivery.confirmed`, and how many lanes it has."""

    flows: Sequence[str] = ()
    lanes: int = 1


def record_of(sending: Any, external_id: str | None) -> dict[str, Any]:
    """What flows see of a confirmed delivery. Ids of ours are text, as everywhere in JSON."""
    return {
        "id": str(sending.id),
        "operation": sending.operation,
        "key": sending.key,
        "external_id": external_id,
        "connection_id": sending.connection_id,
        "ordering_key": sending.ordering_key,
    }


def announce(
    connection: Connection, plan: Plan, confirmed: Sequence[tuple[Any, str | None]], listeners: Listeners
) -> None:
    """Puts one event a flow and delivery into the inbox. `confirmed` are deliveries with their external ids."""
    if not listeners.flows or not confirmed:
        return
    depths = _depths(connection, [sending.event_seq for sending, _ in confirmed if sending.event_seq])
    events = []
    for sending, external_id in confirmed:
        depth = depths.get(sending.event_seq, 0)
        if depth >= MAX_DEPTH:
            raise_question(
                plan,
                kind="flow.loop",
                subject=f"delivery:{sending.id}",
                reason=f"{sending.operation} {sending.key} is the {depth + 1}th of deliveries that led to each other: flows "
                f"that answer {EVENT} feed each other. They were not told of it.",
                delivery_id=sending.id,
            )
            continue
        events += [
            from_core(
                EVENT,
                sending.ordering_key,
                record_of(sending, external_id),
                flow=flow,
                merchant_id=plan.merchant_id,
                lanes=listeners.lanes,
                parent_seq=sending.event_seq,
                depth=depth + 1,
            )
            for flow in listeners.flows
        ]
    insert_events(connection, events, plan.now)


def _depths(connection: Connection, seqs: Sequence[int]) -> dict[int, int]:
    """How many deliveries led to each event, by its number."""
    rows = connection.execute(
        sa.select(_INBOX.c.seq, _INBOX.c.body).where(
            _INBOX.c.seq.in_(sorted(set(seqs))), _INBOX.c.kind == "core", _INBOX.c.body.is_not(None)
        )
    )
    return {row.seq: int(payload.decode(row.body).get("depth", 0)) for row in rows}
