"""What one limit has left, in memory. `tally.lua` is the same for all processes: change both, one test holds them together.

Never more than the quota arrives at the system, however late requests and answers are:

- window: a request holds its units from before it is sent until a whole window after its answer. Whatever arrived in any
  window is held at that window's end, and no more is ever held than the quota.
- bucket: what is on its way is not restored meanwhile (the level ends at size - open). So level + what has not arrived is
  never more than what the system's own bucket holds: both fill alike, and ours stops first.

Turns are start-time fair queueing: a kind that was told to wait is owed what it wants, and those ahead of it in virtual
time leave that much. An idle kind saves nothing up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hub.connect.limits.rule import Rule

#: a request without an answer for so long counts as answered just then
LEASE_US = 90_000_000
#: what is kept of a window is as fine as this
TICKS = 64
#: who was told to wait is waited for so long after that
GRACE_US = 1_000_000
#: in-flight requests of others end we do not know when: asked again after this
_LOOK_AGAIN_US = 20_000


@dataclass(frozen=True)
class Report:
    """What an answer said of a limit, in its units and microseconds; None: nothing."""

    remaining: float | None = None
    size: float | None = None
    rate: float | None = None
    reset_us: float | None = None


class _Open(NamedTuple):
    cost: float
    until: float
    #: `spent` when it was taken, and what was on its way then
    spent: float
    before: float


class _Wanting(NamedTuple):
    start: float
    cost: float
    until: float


class Tally:
    """What one limit has left. Not safe to share between threads."""

    def __init__(self, rule: Rule, now: float, *, used: bool = False) -> None:
        self.rule = rule
        self.size = rule.size
        self.rate = rule.rate
        self.level = rule.size
        self.at = now
        self.used: dict[int, float] = {}
        self.used_sum = 0.0
        #: units that may have been used before we counted: none is left at `ghost_until`
        self.ghost_until = now
        self.open: dict[str, _Open] = {}
        self.open_sum = 0.0
        self.spent = 0.0
        self.virtual = 0.0
        self.finished: dict[str, float] = {}
        self.wanting: dict[str, _Wanting] = {}
        if used:
            self.assume_used(now)

    def assume_used(self, now: float) -> None:
        """We do not know what was used before: all of it, as far as anybody could."""
        self.level, self.at = min(self.level, 0.0), now
        self.ghost_until = now + self.rule.per_us

    def wait(self, key: str, cost: float, now: float) -> float:
        """Microseconds until so much may be taken; 0: now."""
        self._advance(now)
        if cost == 0:
            return 0.0
        if self.rule.model == "concurrent":
            cost = 1.0
        start = self._start(key, now)
        owed = sum(
            each.cost
            for other, each in self.wanting.items()
            if other != key and each.until > now and each.start < start
        )
        need = min(cost + owed, self.size)
        return 0.0 if self.free(now) >= need else max(1_000.0, self._until(need, now))

    def want(self, key: str, cost: float, now: float, wait: float) -> None:
        """Notes that a kind waits for its turn."""
        cost = 1.0 if self.rule.model == "concurrent" else min(cost, self.size)
        self.wanting[key] = _Wanting(self._start(key, now), cost, now + wait + GRACE_US)

    def take(self, permit: str, key: str, weight: float, cost: float, now: float) -> None:
        """Takes what `wait` allowed."""
        if self.rule.model == "concurrent":
            cost = 1.0
        start = self._start(key, now)
        self.wanting.pop(key, None)
        self.virtual = max(self.virtual, start)
        self.finished[key] = start + cost / weight
        if len(self.finished) > 64:
            self.finished = {name: end for name, end in self.finished.items() if end > self.virtual}
            self.wanting = {name: each for name, each in self.wanting.items() if each.until > now}
        self.spent += cost
        self.open[permit] = _Open(cost, now + LEASE_US, self.spent, self.open_sum)
        self.open_sum += cost
        self.level -= cost

    def settle(self, permit: str, actual: float | None, report: Report | None, now: float) -> None:
        """A request was answered: `actual` units were used, None: those taken. Learns what the answer said."""
        self._advance(now)
        known = self.open.pop(permit, None)
        if known is not None:
            self.open_sum -= known.cost
            cost = known.cost if actual is None or self.rule.model == "concurrent" else actual
            if self.rule.model == "window":
                self._use(now, cost)
            self.level += known.cost - cost
        if report is not None:
            self._learn(report, known, now)

    def free(self, now: float) -> float:
        """Units that are left now."""
        if self.rule.model == "bucket":
            return self.level
        return self.size - self.open_sum - self.used_sum - self._ghost(now)

    def _start(self, key: str, now: float) -> float:
        waiting = self.wanting.get(key)
        if waiting is not None and waiting.until > now:
            return waiting.start
        return max(self.virtual, self.finished.get(key, 0.0))

    def _advance(self, now: float) -> None:
        while self.open:
            permit, first = next(iter(self.open.items()))
            if first.until > now:
                break
            del self.open[permit]
            self.open_sum -= first.cost
            if self.rule.model == "window":
                self._use(now, first.cost)
        if self.rule.model == "bucket":
            restored = max(0.0, now - self.at) * self.rate
            self.level = min(self.size - self.open_sum, self.level + restored)
        elif self.rule.model == "window":
            while self.used:
                tick, cost = next(iter(self.used.items()))
                if self._end(tick) > now:
                    break
                del self.used[tick]
                self.used_sum = self.used_sum - cost if self.used else 0.0
        self.at = max(self.at, now)

    def _end(self, tick: int) -> float:
        """When what was used in a tick is free again."""
        return (tick + 1) * (self.rule.per_us / TICKS) + self.rule.per_us

    def _use(self, at: float, cost: float) -> None:
        if cost <= 0:
            return
        tick = int(at // (self.rule.per_us / TICKS))
        behind = bool(self.used) and tick < next(reversed(self.used))
        self.used[tick] = self.used.get(tick, 0.0) + cost
        self.used_sum += cost
        if behind:
            self.used = dict(sorted(self.used.items()))

    def _ghost(self, now: float) -> float:
        if self.ghost_until <= now or self.rule.model != "window":
            return 0.0
        return (self.ghost_until - now) * self.size / self.rule.per_us

    def _until(self, need: float, now: float) -> float:
        if self.rule.model == "concurrent":
            return _LOOK_AGAIN_US
        if self.rule.model == "bucket":
            late = _LOOK_AGAIN_US if need > self.size - self.open_sum else 0.0
            return max(late, (need - self.level) / self.rate)
        missing = need - self.free(now)
        pace = self.size / self.rule.per_us
        ghost = max(0.0, self.ghost_until - now)
        for tick, cost in self.used.items():
            at = self._end(tick) - now
            if missing <= min(at, ghost) * pace:
                return missing / pace
            missing -= cost
            if missing <= min(at, ghost) * pace:
                return at
        return missing / pace if missing <= ghost * pace else self.rule.per_us

    def _learn(self, report: Report, known: _Open | None, now: float) -> None:
        if report.rate is not None and report.rate > 0:
            self.rate = report.rate
        if report.size is not None and report.size > 0:
            self.size = report.size
        if report.remaining is None or self.rule.model == "concurrent":
            return
        # what may have arrived after the system counted: taken since this request was, or on its way then
        later = None if known is None else self.spent - known.spent + known.before
        left = report.remaining
        if self.rule.model == "bucket":
            self.level = min(self.level, left, self.size - self.open_sum)
            if later is not None:
                self.level = max(self.level, min(left - later, self.size - self.open_sum))
            return
        if self.free(now) > left:
            span = self.rule.per_us if report.reset_us is None else min(report.reset_us, self.rule.per_us)
            self._use(now + span - self.rule.per_us, self.free(now) - left)
        elif later is not None and self.ghost_until > now and left - later > self.free(now):
            self.ghost_until -= (left - later - self.free(now)) * self.rule.per_us / self.size
