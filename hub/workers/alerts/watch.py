"""The watch: looks at the rules of `alerts.yaml` and announces what is to be told as `alert.raised`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.db.engine import Unavailable
from hub.db.types import instant_text
from hub.flows.active import Active
from hub.inbox.questions import QUESTION
from hub.mapping import Problem
from hub.observe import metrics
from hub.workers.admin.core import Change, change
from hub.workers.alerts import conditions
from hub.workers.alerts.conditions import Thing
from hub.workers.alerts.rules import WEBHOOK, Rule, Rules, fits, load, us
from hub.workers.alerts.tables import Alert
from hub.workers.loop import Loop

if TYPE_CHECKING:
    from hub.workers.hub import Hub

_ALERT = Alert.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
EVENT = "alert.raised"
LOOK_S = 15.0
#: things that one alert names; the others are counted
_NAMED = 20
_AT_ONCE = 1_000
_log = structlog.get_logger("hub.alerts")
_TOLD = sa.select(_ALERT.c.rule, _ALERT.c.subject, _ALERT.c.told_at).where(
    _ALERT.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger)
)
#: connections that lead nowhere for now
_CLOSED = sa.select(_CONNECTION.c.id).where(
    _CONNECTION.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    sa.or_(_CONNECTION.c.status == "reconnect_needed", _CONNECTION.c.down_since.is_not(None)),
)
#: roles that alerts go to, with the way of each
_ROLES = {"mail": "mail", WEBHOOK: "alerts"}
_TITLES = {
    "questions": ("1 question waits for an answer", "{} questions wait for an answer"),
    "failing": ("A connection fails", "{} connections fail"),
    "queue": ("Events are not worked in time", "Events are not worked in time"),
    "stock": ("1 item is low", "{} items are low"),
}


@dataclass
class _News:
    """What one rule has to tell now, and what it told of that has ended."""

    rule: Rule
    things: list[Thing]
    ended: list[str] = field(default_factory=list)
    first: bool = True
    #: addresses that it goes to, and whether it goes to webhooks
    mails: list[str] = field(default_factory=list)
    webhook: bool = False


class AlertWatch:
    """One thread. However many processes look, each thing is told once: it is decided under the lock of the book."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = Loop("alerts", self._look_all, idle_s=LOOK_S)
        #: rules without a way out, as they were said in the log
        self._silent: dict[tuple[int, str], int] = {}
        #: what is wrong with the file, as it was said in the log
        self._wrong: list[Problem] = []

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    @property
    def alive(self) -> bool:
        return self._loop.alive

    def _look_all(self) -> bool:
        for home in self._hub.homes[:1]:
            rules = load(home)
            self._say_wrong(rules.problems)
            for merchant_id in self._hub.merchants() if rules.rules else ():
                try:
                    self.look(merchant_id, rules)
                except Unavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - the other merchants are told all the same
                    metrics.failed("alerts", error)
                    _log.error("alerts not looked at", merchant_id=merchant_id, exc_info=error)
        return False

    def _say_wrong(self, problems: Sequence[Problem]) -> None:
        """Once: by a file that is wrong nobody is told of anything."""
        if self._wrong != list(problems):
            self._wrong = list(problems)
            for problem in problems:
                _log.error("alerts.yaml is wrong: nothing is told until it is corrected", problem=str(problem))

    def look(self, merchant_id: int, rules: Rules) -> int:
        """Tells what is to be told now. Returns how many alerts were raised."""
        if not self._news(merchant_id, rules):
            return 0
        raised: list[Rule] = []
        with change(self._hub, merchant_id) as changing:
            for news in self._news(merchant_id, rules):
                if self._tell(changing, news):
                    raised.append(news.rule)
        for rule in raised:
            metrics.ALERTS.labels(rule.alert).inc()
        return len(raised)

    def _news(self, merchant_id: int, rules: Rules) -> list[_News]:
        now, found, active = self._hub.clock(), [], self._hub.active(merchant_id)
        with self._hub.database.read() as connection:
            told: dict[str, dict[str, int]] = {}
            for row in connection.execute(_TOLD, {"merchant_id": merchant_id}):
                told.setdefault(row.rule, {})[row.subject] = row.told_at
            waiting = conditions.untold(connection, merchant_id) if any(r.when.questions for r in rules.rules) else []
            for rule in rules.rules:
                known = told.get(rule.alert, {})
                if rule.when.questions is not None:
                    mine = [each for each in waiting if any(fits(each[0], pattern) for pattern in rule.when.questions)]
                    taken = {thing.question for _, thing in mine}
                    waiting = [each for each in waiting if each[1].question not in taken]
                    news = _News(rule, [thing for _, thing in mine])
                else:
                    holds = conditions.holding(connection, merchant_id, rule, now)
                    still = {thing.subject for thing in holds}
                    ended = [each for each in known if each and each not in still]
                    news = _News(rule, [thing for thing in holds if thing.subject not in known], ended)
                news.first = "" not in known
                if news.things and not self._may_tell(active, rule, known.get(""), now):
                    news.things = []
                if news.things:
                    news.mails, news.webhook = ways(connection, active, rule, rules)
                    if not news.mails and not news.webhook:
                        self._say_silent(merchant_id, rule, len(news.things))
                        news.things = []
                if news.things or news.ended:
                    found.append(news)
        return found

    @staticmethod
    def _may_tell(active: Active, rule: Rule, last: int | None, now: int) -> bool:
        if last is not None and now < last + us(rule.throttle):
            return False
        zone = ZoneInfo(active.settings.zone)
        local = datetime.fromtimestamp(now // 1_000_000, UTC).astimezone(zone)
        return not rule.is_quiet(local.hour * 60 + local.minute)

    def _tell(self, changing: Change, news: _News) -> bool:
        plan, rule = changing.plan, news.rule
        own = (_ALERT.c.merchant_id == plan.merchant_id, _ALERT.c.rule == rule.alert)
        if news.ended:
            changing.then(lambda c: c.execute(_ALERT.delete().where(*own, _ALERT.c.subject.in_(news.ended))))
        if not news.things:
            return False
        self._silent.pop((plan.merchant_id, rule.alert), None)
        plan.emit(EVENT, f"alert:{rule.alert}", _record(plan.next_id(), news, plan.now))
        changing.then(lambda c: _remember(c, plan.merchant_id, news, plan.now))
        _log.warning("alert raised", merchant_id=plan.merchant_id, rule=rule.alert, things=len(news.things))
        return True

    def _say_silent(self, merchant_id: int, rule: Rule, number: int) -> None:
        """Once for as many things: nobody can be told, but by the log."""
        if self._silent.get((merchant_id, rule.alert)) != number:
            self._silent[(merchant_id, rule.alert)] = number
            _log.error("alert has no way out", merchant_id=merchant_id, rule=rule.alert, things=number)


def ways(connection: Connection, active: Active, rule: Rule, rules: Rules) -> tuple[list[str], bool]:
    """The addresses that an alert goes to, and whether it goes to webhooks. Where every connection of a way is closed, the
    other way is taken, though the rule does not name it: that mail is dead is not told by mail."""
    closed = set(connection.execute(_CLOSED, {"merchant_id": active.merchant_id}).scalars())

    def is_open(way: str) -> bool:
        of = active.settings.roles.of(_ROLES[way])
        return any(info.mode != "paused" and info.id not in closed for info in of)

    mails, webhook = rule.mails, WEBHOOK in rule.to
    by_mail, by_webhook = is_open("mail"), is_open(WEBHOOK)
    lost = (mails and not by_mail) or (webhook and not by_webhook)
    if lost and by_mail and not mails:
        mails = rules.mails
    return (mails if by_mail else []), by_webhook and (webhook or bool(lost))


def _record(number: int, news: _News, now: int) -> dict[str, Any]:
    rule, things = news.rule, news.things
    one, many = _TITLES[rule.kind]
    return {
        "id": str(number),
        "rule": rule.alert,
        "kind": rule.kind,
        "title": one if len(things) == 1 else many.format(len(things)),
        "count": len(things),
        "items": [{"subject": thing.subject, "text": thing.text} for thing in things[:_NAMED]],
        "more": max(0, len(things) - _NAMED),
        "to": news.mails,
        "webhook": news.webhook,
        "at": instant_text(now),
    }


def _remember(connection: Connection, merchant_id: int, news: _News, now: int) -> None:
    own = {"merchant_id": merchant_id, "rule": news.rule.alert}
    rows = [{**own, "subject": thing.subject, "told_at": now} for thing in news.things if thing.question is None]
    if news.first:
        rows.append({**own, "subject": "", "told_at": now})
    else:
        which = (_ALERT.c.merchant_id == merchant_id, _ALERT.c.rule == news.rule.alert, _ALERT.c.subject == "")
        connection.execute(_ALERT.update().where(*which).values(told_at=now))
    if rows:
        connection.execute(_ALERT.insert(), rows)
    questions = [thing.question for thing in news.things if thing.question is not None]
    for start in range(0, len(questions), _AT_ONCE):
        some = questions[start : start + _AT_ONCE]
        connection.execute(QUESTION.update().where(QUESTION.c.id.in_(some)).values(told_at=now))
