"""Numbers in question (`stock.drift`): what the shop shows and the orders that were in did not explain."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Plan
from hub.core.reading import among
from hub.core.stock.tables import CHANNEL_LEVEL
from hub.inbox.questions import QUESTION, resolve_question
from hub.outbox.claim import Sending
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import DeliveryState

#: stale answers after which the shop's number is a question; those with orders still on their way in do not count
MAX_STALE = 3
_WAITING = (
    sa.select(QUESTION.c.details, DELIVERY.c.id, DELIVERY.c.merchant_id, DELIVERY.c.connection_id)
    .join(DELIVERY, DELIVERY.c.id == QUESTION.c.delivery_id)
    .where(
        sa.text("question.state = 'open'"),
        QUESTION.c.kind == "stock.drift",
        DELIVERY.c.state == DeliveryState.WAITING,
    )
)
_EXPECTED = sa.select(
    CHANNEL_LEVEL.c.merchant_id, CHANNEL_LEVEL.c.connection_id, CHANNEL_LEVEL.c.item_id, CHANNEL_LEVEL.c.expected
).where(
    among(CHANNEL_LEVEL.c.merchant_id, "merchants"),
    among(CHANNEL_LEVEL.c.connection_id, "connections"),
    among(CHANNEL_LEVEL.c.item_id, "items"),
)
_AGAIN = (
    DELIVERY.update()
    .where(DELIVERY.c.id == sa.bindparam("_id"), DELIVERY.c.state == DeliveryState.WAITING)
    # one answer that is stale still, and it is in question again
    .values(state=DeliveryState.PLANNED, next_attempt_at=0, stale=MAX_STALE - 1)
)


def look_again(connection: Connection) -> None:
    """Tries once more where our reckoning has moved since: orders came in that may explain the number. The question stays
    until the shop is found to agree; where it is not, it tells the number that is expected now."""
    found = [(each, json.loads(each.details)) for each in connection.execute(_WAITING)]
    if not found:
        return
    asked = {
        "merchants": list({each.merchant_id for each, _ in found}),
        "connections": list({each.connection_id for each, _ in found}),
        "items": list({details["item_id"] for _, details in found}),
    }
    expected = {
        (row.merchant_id, row.connection_id, row.item_id): row.expected for row in connection.execute(_EXPECTED, asked)
    }
    moved = [
        {"_id": each.id}
        for each, details in found
        if expected.get((each.merchant_id, each.connection_id, details["item_id"])) != details["expected"]
    ]
    if moved:
        connection.execute(_AGAIN, moved)


def agreed(plan: Plan, sending: Sending) -> None:
    """The shop shows what we reckon: what was in question is explained."""
    if sending.is_state and sending.stale >= MAX_STALE - 1:
        resolve_question(
            plan,
            kind="stock.drift",
            subject=sending.key,
            answer="its orders explain it",
            about={"connection_id": sending.connection_id},
        )
