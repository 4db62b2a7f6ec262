"""What the tables say now: questions that nobody was told of, and what has lasted too long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.core.stock.tables import ITEM, LOCATION, STOCK_LEVEL
from hub.db.types import instant_text
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox.plan import DELIVERY
from hub.workers.alerts.rules import Rule, us

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_BEFORE: sa.BindParameter[int] = sa.bindparam("before", type_=sa.BigInteger)
#: the conditions of the partial indexes, word for word
_UNTOLD = sa.text("question.state = 'open' AND question.told_at IS NULL")
_QUESTIONS = (
    sa.select(QUESTION.c.id, QUESTION.c.kind, QUESTION.c.subject, QUESTION.c.reason)
    .where(_UNTOLD, QUESTION.c.merchant_id == _MERCHANT)
    .order_by(QUESTION.c.created_at, QUESTION.c.id)
)
_OLDEST = (
    sa.select(sa.func.min(_INBOX.c.received_at), sa.func.count())
    .where(
        sa.text("inbox.state IN ('fetch', 'ready', 'retry')"),
        _INBOX.c.merchant_id == _MERCHANT,
        _INBOX.c.received_at < _BEFORE,
    )
)  # fmt: skip
_FAILING = (
    sa.select(
        _CONNECTION.c.id, _CONNECTION.c.name, sa.func.count().label("number"), sa.func.min(DELIVERY.c.first_sent_at)
    )
    .join(_CONNECTION, _CONNECTION.c.id == DELIVERY.c.connection_id)
    .where(
        sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')"),
        DELIVERY.c.merchant_id == _MERCHANT,
        DELIVERY.c.attempts > 0,
        DELIVERY.c.first_sent_at < _BEFORE,
        _CONNECTION.c.mode == "live",
    )
    .group_by(_CONNECTION.c.id, _CONNECTION.c.name)
    .order_by(_CONNECTION.c.name)
)
_LEVELS = (
    sa.select(
        ITEM.c.sku, LOCATION.c.code, (STOCK_LEVEL.c.on_hand - STOCK_LEVEL.c.held - STOCK_LEVEL.c.waiting).label("left")
    )
    .join(ITEM, ITEM.c.id == STOCK_LEVEL.c.item_id)
    .join(LOCATION, LOCATION.c.id == STOCK_LEVEL.c.location_id)
    .where(STOCK_LEVEL.c.merchant_id == _MERCHANT, LOCATION.c.kind == "warehouse", ITEM.c.tracked)
    .where(
        STOCK_LEVEL.c.on_hand - STOCK_LEVEL.c.held - STOCK_LEVEL.c.waiting <= sa.bindparam("most", type_=sa.BigInteger)
    )
    .order_by(ITEM.c.sku, LOCATION.c.code)
)


@dataclass(frozen=True)
class Thing:
    """One thing to tell of. `question`: the id of the question that it is."""

    subject: str
    text: str
    question: int | None = None


def untold(connection: Connection, merchant_id: int) -> list[tuple[str, Thing]]:
    """Open questions that no alert told of, with their kinds, oldest first."""
    rows = connection.execute(_QUESTIONS, {"merchant_id": merchant_id})
    return [(row.kind, Thing(row.subject, f"{row.kind}: {row.reason}", row.id)) for row in rows]


def holding(connection: Connection, merchant_id: int, rule: Rule, now: int) -> list[Thing]:
    """What holds now of a rule that is not about questions."""
    when = rule.when
    if when.queue is not None:
        values = {"merchant_id": merchant_id, "before": now - us(when.queue)}
        oldest, number = connection.execute(_OLDEST, values).one()
        if oldest is None:
            return []
        return [
            Thing("queue", f"{number} events wait for more than {when.queue}, the oldest since {instant_text(oldest)}")
        ]
    if when.failing is not None:
        values = {"merchant_id": merchant_id, "before": now - us(when.failing)}
        return [
            Thing(
                f"connection:{row.id}",
                f"{row.name}: {row.number} deliveries have failed for more than {when.failing}, the first since {instant_text(row[3])}",
            )
            for row in connection.execute(_FAILING, values)
        ]
    return _low(connection, merchant_id, when.stock or {})


def _low(connection: Connection, merchant_id: int, least: Mapping[str, int]) -> list[Thing]:
    other = least.get("default")
    rows = connection.execute(_LEVELS, {"merchant_id": merchant_id, "most": max(least.values())})
    limits = ((row, least.get(row.sku, other)) for row in rows)
    return [
        Thing(
            f"stock:{row.code}:{row.sku}", f"{row.sku}: {row.left} left to sell at {row.code}, {limit} or fewer are low"
        )
        for row, limit in limits
        if limit is not None and row.left <= limit
    ]
