"""Numbers in question (`stock.drift`): what the shop shows and the orders that were in did not explain."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Plan
from hub.core.reading import among
from hub.core.stock.tables import CHANNEL_LEVEL
from hub.inbox.questions import QUESTION, resolve_question
from hub.outbox.claim import OPEN, Sending
from hub.outbox.plan import DELIVERY
from hub.outbox.stock_levels import MAX_STALE
from hub.outbox.tables import DeliveryState

_ASKED = sa.select(QUESTION.c.merchant_id, QUESTION.c.details).where(
    sa.text("question.state = 'open'"), QUESTION.c.kind == "stock.drift"
)
_EXPECTED = sa.select(
    CHANNEL_LEVEL.c.merchant_id, CHANNEL_LEVEL.c.connection_id, CHANNEL_LEVEL.c.item_id, CHANNEL_LEVEL.c.expected
).where(
    among(CHANNEL_LEVEL.c.merchant_id, "merchants"),
    among(CHANNEL_LEVEL.c.connection_id, "connections"),
    among(CHANNEL_LEVEL.c.item_id, "items"),
)
_WAKE = (
    DELIVERY.update()
    .where(
        OPEN,
        DELIVERY.c.connection_id == sa.bindparam("_connection_id", type_=sa.BigInteger),
        DELIVERY.c.key == sa.bindparam("_key"),
        DELIVERY.c.is_state,
        DELIVERY.c.state == DeliveryState.WAITING,
    )
    # one answer that is stale still, and it is in question again
    .values(state=DeliveryState.PLANNED, next_attempt_at=0, stale=MAX_STALE - 1)
)


def subject(sending: Sending) -> str:
    """What the question of a number is of: an item on a channel."""
    return f"{sending.key}:{sending.connection_id}"


def look_again(connection: Connection) -> None:
    """Tries once more where our reckoning has moved since: orders came in that may explain the number. The question stays
    until the shop is found to agree; where it is not, it tells the number that is expected now."""
    asked = [(row.merchant_id, json.loads(row.details)) for row in connection.execute(_ASKED)]
    if not asked:
        return
    places = {(merchant_id, of["connection_id"], of["item_id"]): of["expected"] for merchant_id, of in asked}
    merchants, connections, items = (sorted(set(each)) for each in zip(*places, strict=True))
    found = connection.execute(_EXPECTED, {"merchants": merchants, "connections": connections, "items": items})
    now = {(row.merchant_id, row.connection_id, row.item_id): row.expected for row in found}
    for place, expected in places.items():
        if now.get(place) not in (None, expected):
            wake(connection, place[1], f"item:{place[2]}")


def wake(connection: Connection, connection_id: int, key: str) -> None:
    """What waits for the answer to a number in question goes on."""
    connection.execute(_WAKE, {"_connection_id": connection_id, "_key": key})


def agreed(connection: Connection, plan: Plan, sending: Sending) -> None:
    """The shop shows what we reckon: what was in question is explained, and what waited for it goes on."""
    if not sending.is_state or sending.stale < MAX_STALE - 1:
        return
    about = {"connection_id": sending.connection_id}
    if resolve_question(
        plan, kind="stock.drift", subject=subject(sending), answer="its orders explain it", about=about
    ):
        wake(connection, sending.connection_id, sending.key)
