"""The limits of one process: all of a hub that is one process, and what is left to go by while Redis is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hub.connect.limits.rule import Rule
from hub.connect.limits.tally import Report, Tally


class TalliesAway(Exception):
    """The tallies that all processes share cannot be asked."""


@dataclass(frozen=True)
class Asked:
    """What a request takes: of which connection, whose turn it is, and its cost in the units of each rule."""

    connection_id: int
    permit: str
    key: str
    weight: float
    rules: Sequence[Rule]
    costs: Sequence[float]

    @property
    def keys(self) -> list[str]:
        """Whose turn it is at each rule: connections that share a quota take turns too."""
        own = f"c{self.connection_id}:"
        return [self.key if rule.key.startswith(f"hub:limit:{own}") else own + self.key for rule in self.rules]


@dataclass(frozen=True)
class Settled:
    """What became of a request: units used and what was learned, for each rule; `pause_us`: nothing goes out for so long."""

    connection_id: int
    permit: str
    rules: Sequence[Rule]
    actual: Sequence[float | None]
    reports: Sequence[Report | None]
    pause_us: float = 0.0


class Memory:
    """Tallies in this process. Safe to share between threads. `used`: what was used before is not known."""

    def __init__(self, clock: Callable[[], float], *, used: bool = False) -> None:
        self._clock = clock
        self._used = used
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._paused: dict[int, float] = {}

    def take(self, asked: Asked) -> float:
        """Takes of all rules or of none. Returns microseconds to wait; 0: taken."""
        with self._lock:
            now = self._clock()
            tallies = [self._tally(rule, now) for rule in asked.rules]
            keys = asked.keys
            waits = [tally.wait(key, cost, now) for tally, key, cost in zip(tallies, keys, asked.costs, strict=True)]
            wait = max(0.0, self._paused.get(asked.connection_id, 0.0) - now, *waits)
            for tally, key, cost, own in zip(tallies, keys, asked.costs, waits, strict=True):
                if wait == 0:
                    tally.take(asked.permit, key, asked.weight, cost, now)
                elif own > 0:
                    tally.want(key, cost, now, own)
            return wait

    def settle(self, settled: Settled) -> None:
        """A request is over."""
        with self._lock:
            now = self._clock()
            for rule, actual, report in zip(settled.rules, settled.actual, settled.reports, strict=True):
                self._tally(rule, now).settle(settled.permit, actual, report, now)
            if settled.pause_us:
                until = max(self._paused.get(settled.connection_id, 0.0), now + settled.pause_us)
                self._paused[settled.connection_id] = until

    def _tally(self, rule: Rule, now: float) -> Tally:
        known = self._tallies.get(rule.key)
        if known is not None and known.rule is rule:
            return known
        if known is None or known.rule != rule:
            # other numbers are another quota, of which we do not know what is used
            known = Tally(rule, now, used=self._used or known is not None)
            self._tallies[rule.key] = known
        return known
