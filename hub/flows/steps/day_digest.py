"""`day.digest`: what was sent on a day, and what waits now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.core.plan import Row, Source
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.mapping import Expression
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import Effect

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_EFFECT = Effect.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_OWN: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_count = sa.func.count().label("count")
_ASKED = (
    sa.select(QUESTION.c.kind, _count)
    .where(QUESTION.c.merchant_id == _OWN, sa.text("question.state = 'open'"))
    .group_by(QUESTION.c.kind)
    .order_by(QUESTION.c.kind)
)
#: but those that are being worked, such as the tick that asks
_EVENTS = sa.select(_count).where(
    _INBOX.c.merchant_id == _OWN, sa.text("inbox.state IN ('fetch', 'ready', 'retry')"), _INBOX.c.claims == 0
)
_DELIVERIES = sa.select(_count).where(
    DELIVERY.c.merchant_id == _OWN, sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")
)
_CLOSED = (
    sa.select(_CONNECTION.c.name)
    .where(_CONNECTION.c.merchant_id == _OWN, _CONNECTION.c.status == "reconnect_needed")
    .order_by(_CONNECTION.c.name)
)
_LAST = sa.select(sa.func.max(_EFFECT.c.seq)).where(_EFFECT.c.merchant_id == _OWN)
_AT = sa.select(_EFFECT.c.confirmed_at).where(
    _EFFECT.c.merchant_id == _OWN, _EFFECT.c.seq == sa.bindparam("seq", type_=sa.BigInteger)
)
_SENT = (
    sa.select(_CONNECTION.c.name.label("connection"), _EFFECT.c.operation, _count)
    .join(_CONNECTION, _CONNECTION.c.id == _EFFECT.c.connection_id)
    .where(
        _EFFECT.c.merchant_id == _OWN,
        _EFFECT.c.seq.between(sa.bindparam("first", type_=sa.BigInteger), sa.bindparam("last", type_=sa.BigInteger)),
    )
    .group_by(_CONNECTION.c.name, _EFFECT.c.operation)
    .order_by(_CONNECTION.c.name, _EFFECT.c.operation)
)


class Config(StepConfig):
    """`day` is an expression of a day, `2026-11-24`, from midnight to midnight in the book's zone. The result, called `as`, is
    `{sent, questions, waiting}`: `sent` a list of `{connection, operation, count}` of that day, `questions` a list of
    `{kind, count}` and `waiting` `{events, deliveries, connections}` as they are now; `connections` are the names of those that
    have to be connected again."""

    day: str
    as_: str = Field(alias="as")


@dataclass
class DayDigest(Step):
    config: Config
    day: Expression
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        value: Any = self.day.evaluate(run.scope)
        try:
            day = date.fromisoformat(value)
            after = day + timedelta(days=1)
        except (TypeError, ValueError, OverflowError):
            message = f"{self.day.text} is {value!r}: a day is needed, such as 2026-11-24"
            raise Parked("digest.day", message) from None
        zone = ZoneInfo(run.settings.zone)
        first, end = (_midnight(each, zone) for each in (day, after))
        run.scope[self.config.as_] = dict(run.book.get(_DIGEST, (first, end)) or {})


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1_000_000


def _load(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    own = {"merchant_id": merchant_id}
    questions = [{"kind": row.kind, "count": row[1]} for row in connection.execute(_ASKED, own)]
    waiting = {
        "events": connection.execute(_EVENTS, own).scalar_one(),
        "deliveries": connection.execute(_DELIVERIES, own).scalar_one(),
        "connections": list(connection.execute(_CLOSED, own).scalars()),
    }
    return {key: {"sent": _sent(connection, own, *key), "questions": questions, "waiting": waiting} for key in keys}


def _sent(connection: Connection, own: Mapping[str, int], first: int, end: int) -> list[dict[str, Any]]:
    between = {"first": _since(connection, own, first), "last": _since(connection, own, end) - 1}
    rows = connection.execute(_SENT, {**own, **between})
    return [{"connection": row.connection, "operation": row.operation, "count": row[2]} for row in rows]


def _since(connection: Connection, own: Mapping[str, int], instant: int) -> int:
    """The number of the first effect from an instant on, found by halves: the log grows in time, and nothing else is
    indexed by it."""
    low, high = 1, (connection.execute(_LAST, own).scalar_one() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = connection.execute(_AT, {**own, "seq": middle}).scalar_one()
        low, high = (middle + 1, high) if at < instant else (low, middle)
    return low


_DIGEST = Source("day.digest", _load)


def compile_step(config: Config, context: StepContext) -> DayDigest | None:
    day = context.expression(config.day, "day")
    context.names.add(config.as_)
    return None if day is None else DayDigest(config, day)


KIND = StepKind("day.digest", Config, compile_step)  # type: ignore[arg-type]
