"""The circuit breaker of a connection: while its system is down its deliveries and reads wait, and one probe at a time goes out.

| state | the connection's row | leaves it |
|---|---|---|
| closed | `down_since` null | `FAILURES` attempts in a row failed as the system does, of `SUBJECTS` deliveries or more: open |
| open | `probe_at` is when a probe may go | one process moves `probe_at` to the end of its lease (compare and set): probing |
| probing | `probe_at` is the end of the lease | an answer, a refusal too: closed; none: open, later each time; the lease ends: open |

Attempts in a row are counted by each process for itself; the open state is the row's, so that every process sees it, also
after a restart. A probe is a delivery that is due; beside them polls ask, `MOST_US` apart or more, because what waits may fail
by its own fault. When nothing is left that could be a probe, the breaker closes: it holds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from hub.connect import operations
from hub.core.plan import Plan
from hub.core.reading import one_of
from hub.db.engine import Ids
from hub.inbox.questions import QUESTION, raise_question, resolve_question
from hub.inbox.reconnect import CONNECTION, subject_of
from hub.outbox import claim
from hub.outbox.claim import Sending
from hub.outbox.plan import DELIVERY

KIND = "connection.down"
FAILURES = 5
SUBJECTS = 3
PROBE_US = 5_000_000
MOST_US = 300_000_000
_log = structlog.get_logger("hub.outbox")
_LIVE = sa.and_(CONNECTION.c.mode == "live", CONNECTION.c.status != "reconnect_needed")
_DOORS = (
    sa.select(*(CONNECTION.c[name] for name in ("id", "merchant_id", "down_since", "probe_at", "probes")))
    .add_columns(_LIVE.label("live"))
    .where(sa.or_(_LIVE, CONNECTION.c.down_since.is_not(None)))
    .order_by(CONNECTION.c.id)
)
_THIS = CONNECTION.c.id == sa.bindparam("_id", type_=sa.BigInteger)
_IS_DOWN = CONNECTION.c.down_since.is_not(None)
#: the turn of a probe is told from that of others by its end
_TURN = sa.and_(_THIS, _IS_DOWN, CONNECTION.c.probe_at == sa.bindparam("_seen", type_=sa.BigInteger))
_AT = sa.bindparam("_at", type_=sa.BigInteger)
_OPEN = (
    CONNECTION.update()
    .where(_THIS, CONNECTION.c.down_since.is_(None))
    .values(down_since=sa.bindparam("_now", type_=sa.BigInteger), down_reason=sa.bindparam("_reason"), probe_at=_AT, probes=0)
    .returning(CONNECTION.c.name)
)  # fmt: skip
_CLOSE = (
    CONNECTION.update()
    .where(_THIS, _IS_DOWN)
    .values(down_since=None, down_reason=None, probe_at=None, probes=0)
    .returning(CONNECTION.c.merchant_id)
)
_MOVE = CONNECTION.update().where(_TURN).values(probe_at=_AT)
_FAILED = (
    CONNECTION.update()
    .where(_TURN)
    .values(probe_at=_AT, probes=CONNECTION.c.probes + 1, down_reason=sa.bindparam("_reason"))
)
_HELD = (
    sa.select(DELIVERY.c.id)
    .where(
        claim.OPEN,
        DELIVERY.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger),
        one_of(DELIVERY.c.state, claim.HOLDING),
    )
    .limit(1)
)


@dataclass(frozen=True)
class Door:
    """A connection that deliveries may go to, or that is down. `live` false: nothing is sent to it whatever its system does."""

    id: int
    merchant_id: int
    down_since: int | None
    probe_at: int | None
    probes: int
    live: bool

    @property
    def is_down(self) -> bool:
        return self.down_since is not None

    def lets_probe(self, now: int) -> bool:
        """Whether a probe may go out, unless another process is first."""
        return self.is_down and (self.probe_at or 0) <= now


@dataclass(frozen=True)
class _Tally:
    """Attempts in a row that failed as the system does, and the first deliveries of them."""

    failures: int = 0
    deliveries: frozenset[int] = frozenset()

    def failed(self, delivery_id: int) -> _Tally:
        seen = self.deliveries if len(self.deliveries) >= SUBJECTS else self.deliveries | {delivery_id}
        return _Tally(self.failures + 1, seen)

    @property
    def is_enough(self) -> bool:
        return self.failures >= FAILURES and len(self.deliveries) >= SUBJECTS


_NONE = _Tally()


@dataclass(frozen=True)
class _Probe:
    """A probe of this process on its way, with the end of its turn."""

    delivery_id: int
    fence: int
    #: 1 for the first since it is down
    number: int
    until: int


@dataclass
class Verdict:
    """What outcomes say of their connections: written with them, remembered once that is committed."""

    tallies: dict[int, _Tally] = field(default_factory=dict)
    #: connections that are down, with their merchant and what was said last
    opens: dict[int, tuple[int, str]] = field(default_factory=dict)
    #: connections that answer
    closes: set[int] = field(default_factory=set)
    #: connections whose probe is over without an answer: when the next one may go, and what was said (None: it was not sent)
    probed: dict[int, tuple[int, str | None]] = field(default_factory=dict)


class Breaker:
    """The breakers as the dispatcher of one process knows them; used by its thread only."""

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}
        self._probes: dict[int, _Probe] = {}
        self._down: set[int] = set()

    def doors(self, connection: Connection) -> list[Door]:
        """The connections that deliveries may go to, and those that are down."""
        found = [Door(**{**row._mapping, "live": bool(row.live)}) for row in connection.execute(_DOORS)]
        self._down = {door.id for door in found if door.is_down}
        for connection_id in self._down:  # what failed before it closes again says nothing then
            self._tallies.pop(connection_id, None)
        return found

    def judge(self, results: Iterable[tuple[Sending, operations.Outcome]], now: int) -> Verdict:
        """What the outcomes of attempts, in order, say of their connections."""
        made = Verdict()
        for sending, outcome in results:
            where = sending.connection_id
            probe = self._probes.get(where)
            if outcome.health == "up":
                if where in self._tallies or where in made.tallies:
                    made.tallies[where] = _NONE
                if where in self._down:
                    made.closes.add(where)
            elif outcome.health == "down" and where not in self._down:
                tally = made.tallies[where] = made.tallies.get(where, self._tallies.get(where, _NONE)).failed(
                    sending.id
                )
                if tally.is_enough:
                    made.opens[where] = (sending.merchant_id, _reason(outcome))
            if sending.probe and probe is not None and (probe.delivery_id, probe.fence) == (sending.id, sending.fence):
                made.probed[where] = _after(probe, outcome, now)
        for where, tally in made.tallies.items():
            if not tally.is_enough:  # an answer came after
                made.opens.pop(where, None)
        return made

    def write(self, connection: Connection, ids: Ids, verdict: Verdict, now: int) -> None:
        """Writes a verdict, and asks or answers the question of each connection that it is about."""
        for where in sorted(verdict.opens.keys() | verdict.closes | verdict.probed.keys()):
            if where in verdict.closes:
                close(connection, ids, where, now)
            elif where in verdict.opens:
                _open(connection, ids, where, *verdict.opens[where], now)
            elif (probe := self._probes.get(where)) is not None:
                at, reason = verdict.probed[where]
                values = {"_id": where, "_seen": probe.until, "_at": at}
                if reason is None:
                    connection.execute(_MOVE, values)
                else:
                    connection.execute(_FAILED, {**values, "_reason": reason})

    def remember(self, verdict: Verdict) -> None:
        """A verdict was committed."""
        for where, tally in verdict.tallies.items():
            if tally == _NONE or where in verdict.opens:
                self._tallies.pop(where, None)
            else:
                self._tallies[where] = tally
        for where in verdict.probed:
            self._probes.pop(where, None)

    def mark(
        self, connection: Connection, taken: Sequence[tuple[Door, Any]], sendings: Sequence[Sending], until: int
    ) -> list[Sending]:
        """Marks what is sent as a probe; the turn of one that is not sent after all is given back."""
        if not taken:
            return list(sendings)
        sent = {sending.id for sending in sendings}
        for door, row in taken:
            if row.id not in sent:
                connection.execute(_MOVE, {"_id": door.id, "_seen": until, "_at": door.probe_at})
        doors = {row.id: door for door, row in taken}
        marked = [replace(sending, probe=True) if sending.id in doors else sending for sending in sendings]
        for sending in marked:
            if sending.probe:
                number = doors[sending.id].probes + 1
                self._probes[sending.connection_id] = _Probe(sending.id, sending.fence, number, until)
        return marked

    def renew(self, connection: Connection, renewed: Collection[int], until: int) -> None:
        """Goes on holding the turns of probes whose deliveries are still being sent."""
        for where, probe in self._probes.items():
            if probe.delivery_id in renewed:
                kept = connection.execute(_MOVE, {"_id": where, "_seen": probe.until, "_at": until})
                if kept.rowcount == 1:
                    self._probes[where] = replace(probe, until=until)


def close(connection: Connection, ids: Ids, connection_id: int, now: int, why: str = "it answers again") -> bool:
    """Closes the breaker of a connection, and its question. Returns whether it was open."""
    merchant_id = connection.execute(_CLOSE, {"_id": connection_id}).scalar_one_or_none()
    if merchant_id is None:
        return False
    plan = Plan(merchant_id, connection, ids, now)
    resolve_question(plan, kind=KIND, subject=subject_of(connection_id), answer=why)
    plan.write(connection, (QUESTION,))
    _log.warning("connection is no longer down", merchant_id=merchant_id, connection_id=connection_id, why=why)
    return True


def take(connection: Connection, probes: Sequence[tuple[Door, Any]], until: int) -> list[tuple[Door, Any]]:
    """Takes the turns of probes, each with the row of its delivery; those that no other process has taken are returned."""
    return [
        (door, row)
        for door, row in probes
        if connection.execute(_MOVE, {"_id": door.id, "_seen": door.probe_at, "_at": until}).rowcount == 1
    ]


def holds_nothing(connection: Connection, door: Door) -> bool:
    """Whether no delivery waits that may be the probe of a connection that is down, now or later."""
    return not door.live or connection.execute(_HELD, {"connection_id": door.id}).first() is None


def _open(connection: Connection, ids: Ids, connection_id: int, merchant_id: int, reason: str, now: int) -> None:
    values = {"_id": connection_id, "_now": now, "_reason": reason, "_at": now + PROBE_US}
    name = connection.execute(_OPEN, values).scalar_one_or_none()
    if name is None:  # another process was first
        return
    plan = Plan(merchant_id, connection, ids, now)
    raise_question(
        plan,
        kind=KIND,
        subject=subject_of(connection_id),
        reason=f"{name} is down: {FAILURES} attempts in a row failed, the last with: {reason}. Its deliveries and reads wait; "
        "the hub asks it again and again, and goes on by itself.",
        details={"connection_id": connection_id},
    )
    plan.write(connection, (QUESTION,))
    _log.warning("connection is down", merchant_id=merchant_id, connection_id=connection_id)


def _after(probe: _Probe, outcome: operations.Outcome, now: int) -> tuple[int, str | None]:
    """When the next probe may go out, and what was said by a system that did not answer this one."""
    if isinstance(outcome, operations.Deferred):
        return now + int(outcome.after_s * 1_000_000), None
    return now + min(MOST_US, PROBE_US << min(probe.number, 10)), _reason(outcome)


def _reason(outcome: operations.Outcome) -> str:
    return "" if isinstance(outcome, operations.Confirmed) else outcome.reason[:300]
