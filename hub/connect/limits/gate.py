"""The gate of each connection: a request waits here for its turn, or is told when to come back."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from hub.connect.declared_limits import CostLimit
from hub.connect.errors import NoQuota
from hub.connect.limits import reports
from hub.connect.limits.memory import Asked, Memory, Settled, TalliesAway
from hub.connect.limits.rule import Rule, rules_of
from hub.connect.limits.turns import WEIGHTS, Turn, current
from hub.observe import metrics

if TYPE_CHECKING:
    from hub.connect.client import Answer
    from hub.connect.limits.shared import Shared
    from hub.connect.manifest import Manifest

_log = structlog.get_logger("hub.limits")
#: processes that a quota is shared by, at least, where Redis did not count them lately
_ASSUMED_PROCESSES = 4
_COUNTED_S = 60.0
#: seconds between looks whether Redis is back
_LOOK_S = 1.0
#: seconds for which answers come together before they are told to Redis
_GATHER_S = 0.005


def monotonic_us() -> float:
    return time.monotonic_ns() / 1_000


class Limits:
    """The limits of one process: its own, or with Redis those of all processes of the hub.

    `sleep` null: no thread waits, whoever has no quota is told when to come back; for clocks that are set by hand.
    `enforced` false: everything goes out at once, as sandboxes in this process may be asked."""

    def __init__(
        self,
        redis_url: str = "",
        *,
        clock: Callable[[], float] = monotonic_us,
        sleep: Callable[[float], None] | None = time.sleep,
        owner: str = "",
        enforced: bool = True,
    ) -> None:
        self.owner = owner or f"{os.getpid()}-{os.urandom(4).hex()}"
        self.sleep = sleep
        self.enforced = enforced
        self.numbers = itertools.count()
        #: what operations were said to cost, by connector and operation
        self.costs: dict[tuple[str, str], float] = {}
        self._clock = clock
        self._memory = Memory(clock)
        self._shared = _shared(redis_url, self.owner) if redis_url else None
        #: processes that Redis counted, and when
        self._processes, self._counted_at = 1, float("-inf")
        #: Redis is away until somebody finds it again; how often it was
        self._away = False
        self._sharing = _ASSUMED_PROCESSES
        self._look_at = 0.0
        self._outages = 0
        self._lock = threading.Lock()
        self._gates: dict[int, Gate] = {}
        self._told = threading.Event()
        self._stopping = False
        self._teller: threading.Thread | None = None

    def gate(self, connection_id: int) -> Gate:
        """The gate of a connection: one a process."""
        with self._lock:
            return self._gates.setdefault(connection_id, Gate(self, connection_id))

    @property
    def away(self) -> bool:
        """Redis cannot be reached: this process keeps to its part of each quota."""
        return self._away

    def take(self, gate: Gate, asked: Asked) -> tuple[float, bool]:
        """Microseconds to wait (0: taken), and whether Redis said so."""
        if self._shared is None:
            return self._memory.take(asked), False
        if not self._away or self._may_look():
            settled = gate.settled()
            used = gate.outages != self._outages
            try:
                wait, self._processes = self._shared.take(asked, settled, used=used)
            except TalliesAway as error:
                gate.give_back(settled)
                self._lost(error)
            else:
                gate.outages, self._counted_at = self._outages, time.monotonic()
                self._found()
                return wait, True
        return self._memory.take(gate.part_of(asked, 1 / self._sharing)), False

    def settle(self, gate: Gate, settled: Settled, *, shared: bool) -> None:
        """A request is over. Redis is told a moment later, by another thread or with the next request."""
        if not shared:
            self._memory.settle(settled)
            return
        gate.settle_later(settled)
        if self._teller is None:
            with self._lock:
                if self._teller is None:
                    self._teller = threading.Thread(target=self._tell, name="limits", daemon=True)
                    self._teller.start()
        self._told.set()

    def close(self) -> None:
        """Tells Redis what is over, and ends."""
        self._stopping = True
        self._told.set()
        if self._teller is not None:
            self._teller.join(5)
        if self._shared is not None:
            self._shared.close()

    def _tell(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            if not self._stopping:
                time.sleep(_GATHER_S)
            for gate in list(self._gates.values()):
                if self._shared is None or self._away:
                    break  # told with the next request, once Redis is back
                settled = gate.settled()
                try:
                    if settled:
                        self._shared.settle(gate.connection_id, settled)
                except TalliesAway as error:
                    gate.give_back(settled)
                    self._lost(error)
            if self._stopping:
                return

    def _may_look(self) -> bool:
        """Whether this thread looks if Redis is back. The others go on meanwhile."""
        with self._lock:
            now = time.monotonic()
            if now < self._look_at:
                return False
            self._look_at = now + _LOOK_S
            return True

    def _lost(self, error: Exception) -> None:
        with self._lock:
            self._look_at = time.monotonic() + _LOOK_S
            if self._away:
                return
            self._away = True
            self._outages += 1
            lately = time.monotonic() - self._counted_at < _COUNTED_S
            self._sharing = self._processes if lately else max(self._processes, _ASSUMED_PROCESSES)
            self._memory = Memory(self._clock, used=True)
        _log.warning("redis is away: this process keeps to its part of each quota", reason=str(error)[:200])

    def _found(self) -> None:
        if self._away:
            with self._lock:
                self._away = False
            _log.info("redis is back")


def _shared(redis_url: str, owner: str) -> Shared:
    from hub.connect.limits.shared import Shared  # loaded only where there is a Redis

    return Shared(redis_url, owner)


class Gate:
    """Where the requests of one connection wait. Safe to share between threads."""

    def __init__(self, limits: Limits, connection_id: int) -> None:
        self.connection_id = connection_id
        #: outages of Redis that it was told of
        self.outages = 0
        self._limits = limits
        self._rules: Sequence[Rule] = ()
        self._parts: tuple[float, Sequence[Rule], Sequence[Rule]] = (0.0, (), ())
        self._manifest: Manifest | None = None
        #: of each kind one thread at a time asks; the others stand behind it
        self._heads: dict[str, threading.Lock] = {}
        self._settled: deque[Settled] = deque()

    def declare(self, manifest: Manifest, settings: Mapping[str, Any]) -> None:
        """The limits as the manifest and the settings have them now."""
        self._manifest = manifest
        rules = rules_of(manifest, self.connection_id, settings) if self._limits.enforced else []
        if rules != self._rules:
            self._rules = rules

    def enter(self, asks: str = "", *, writes: bool = False) -> Permit:
        """Waits until a request may go out. `asks`: the name that its cost is known by. Raises: NoQuota with the seconds
        after which to come back; nothing was sent then."""
        turn = current()
        rules = self._rules
        number = f"{self._limits.owner}:{next(self._limits.numbers)}"
        costs = [self._cost(rule, asks) for rule in rules]
        asked = Asked(self.connection_id, number, turn.kind, WEIGHTS[turn.kind], rules, costs)
        with self._head(turn):
            shared = self._wait(asked, turn)
        return Permit(self, asked, asks, writes, shared)

    def _wait(self, asked: Asked, turn: Turn) -> bool:
        """Waits for as long as the turn has patience. Returns whether Redis gave the permit."""
        patience = turn.waits_s if self._limits.sleep is not None else 0.0
        waited = 0.0
        while True:
            wait_us, shared = self._limits.take(self, asked)
            if wait_us <= 0:
                break
            wait = wait_us / 1_000_000
            if waited + wait > patience or self._limits.sleep is None:
                self._waited(wait)
                raise NoQuota(f"the quota of connection {self.connection_id} is used up for now", wait)
            self._limits.sleep(wait)
            waited += wait
        if waited:
            self._waited(waited)
        return shared

    def _waited(self, seconds: float) -> None:
        metrics.limited(self._manifest.connector if self._manifest else "", seconds, asked=False)

    def _head(self, turn: Turn) -> AbstractContextManager[Any]:
        """The place at the head of a kind. Raises: NoQuota when those before take too long."""
        lock = self._heads.setdefault(turn.kind, threading.Lock())
        patience = turn.waits_s if self._limits.sleep is not None else 0.0
        if not lock.acquire(timeout=max(patience, 0.5)):
            self._waited(max(patience, 0.5))
            raise NoQuota(f"others wait for the quota of connection {self.connection_id}", max(patience, 0.5))
        return _Held(lock)

    def _cost(self, rule: Rule, asks: str) -> float:
        if not rule.points:
            return 1.0
        if not asks or not isinstance(rule.declared, CostLimit) or self._manifest is None:
            return 0.0
        known = self._limits.costs.get((self._manifest.connector, asks))
        return float(known if known is not None else rule.declared.costs.get(asks, rule.declared.most))

    def part_of(self, asked: Asked, part: float) -> Asked:
        """The same request with this process's part of each quota."""
        if self._parts[0] != part or self._parts[1] is not asked.rules:
            self._parts = (part, asked.rules, [rule.share(part) for rule in asked.rules])
        return Asked(asked.connection_id, asked.permit, asked.key, asked.weight, self._parts[2], asked.costs)

    def over(self, permit: Permit, answer: Answer | None, *, sent: bool) -> None:
        """What became of a request: answered, lost on its way, or never sent."""
        if sent:
            turn = current()
            turn.begun = True
            turn.wrote = turn.wrote or permit.writes
        asked = permit.asked
        rules = asked.rules
        actual: list[float | None] = [None if sent else 0.0 for _ in rules]
        found: list[Any] = [None for _ in rules]
        pause = 0.0
        if answer is not None and self._manifest is not None:
            for number, rule in enumerate(rules):
                said = reports.said(rule, answer)
                found[number] = said.report
                if said.actual is not None:
                    actual[number] = said.actual
                if said.requested is not None and permit.asks:
                    self._limits.costs[(self._manifest.connector, permit.asks)] = said.requested
            if answer.status >= 429 and self._limits.enforced:
                pause = reports.pause_s(answer, self._manifest.errors)
        if not permit.shared:
            rules = self._parts[2] if self._parts[1] is asked.rules and self._parts[0] else rules
            if rules is not asked.rules:
                found = [None for _ in rules]  # what is left there is not only ours
        settled = Settled(self.connection_id, asked.permit, rules, actual, found, pause * 1_000_000)
        self._limits.settle(self, settled, shared=permit.shared)

    def settle_later(self, settled: Settled) -> None:
        self._settled.append(settled)

    def settled(self) -> list[Settled]:
        """What Redis was not told yet."""
        found = []
        while self._settled:
            try:
                found.append(self._settled.popleft())
            except IndexError:  # another thread took it
                break
        return found

    def give_back(self, settled: Sequence[Settled]) -> None:
        self._settled.extendleft(reversed(settled))


class _Held:
    """A lock that is held already."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Free:
    """Leave for a request that no quota is for, such as one for tokens."""

    def answered(self, _answer: Answer) -> None: ...

    def lost(self) -> None: ...

    def unsent(self) -> None: ...


FREE = Free()


@dataclass(frozen=True)
class Permit:
    """Leave to send one request. Exactly one of its methods is called."""

    gate: Gate
    asked: Asked
    asks: str
    #: it may change something there
    writes: bool
    shared: bool

    def answered(self, answer: Answer) -> None:
        """The system answered, whatever it said."""
        self.gate.over(self, answer, sent=True)

    def lost(self) -> None:
        """It may have arrived, and nothing came back."""
        self.gate.over(self, None, sent=True)

    def unsent(self) -> None:
        """It never reached the system."""
        self.gate.over(self, None, sent=False)
