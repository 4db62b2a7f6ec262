"""The schedule of one seed: what customers, merchants, the warehouse, the network and the hub's processes do, step by step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hub.connect.signatures import SignatureError
from hub.workers.sandboxed import SandboxRefused

from .instants import Crash
from .invariants import Invariants
from .processes import Process
from .shopping import Customers
from .stage import BEGIN, POLLED, Stage
from .weather import Weather

_S = 1_000_000
#: how far the clock goes at once, in seconds; a lease is 60 s in the inbox and 120 s in the outbox
_WAITS = (1, 2, 5, 15, 40, 70, 130, 400)
_MOST_STOPS = 2


class Schedule:
    """One seed on a stage."""

    def __init__(self, stage: Stage, invariants: Invariants, seed: int) -> None:
        self.stage = stage
        self.chance = random.Random(seed)
        self.trace: list[str] = []
        self.invariants = invariants
        self._stops = 0
        chance = self.chance
        self.customers = Customers(stage, chance)
        self.weather = Weather(stage, chance)
        self.steps = chance.randint(50, 110)
        #: each seed has its own mixture of what goes wrong: some nothing of one kind
        self._crashes = chance.choice((0, 0.03, 0.08))
        self._stopping = chance.choice((0, 0.03, 0.08))
        self._loses = chance.choice((0, 0, 0.1, 0.3))
        self._repeats = chance.choice((0, 0.1, 0.3))
        self._shuffles = chance.random() < 0.7
        self._storms = chance.choice((0, 1, 3))
        self._receipts = 0
        stage.wire.silent = frozenset(chance.sample(_TOPICS, chance.randint(0, len(_TOPICS))))

    def run(self) -> None:
        """All steps, then until everything is at rest. Raises: Broken, and whatever the hub raises."""
        for _ in range(self.steps):
            self.step()
        self.rest()

    def step(self) -> None:
        """One step, and what always holds after it."""
        self.stage.clock.now += 1_000  # no two steps are at the same instant
        acts = self._acts()
        [(name, act)] = self.chance.choices(list(acts), weights=[acts[each] for each in acts])
        self.note(name, act())
        self.invariants.check()

    def note(self, name: str, outcome: Any = None) -> None:
        """A line of the trace."""
        at = (self.stage.clock.now - BEGIN) / _S
        self.trace.append(f"{at:8.1f} {'  ' * self._stops}{name}{f': {outcome}' if outcome is not None else ''}")

    def _acts(self) -> dict[tuple[str, Callable[[], Any]], float]:
        acts: dict[tuple[str, Callable[[], Any]], float] = {
            ("time", self._wait): 4,
            ("customer", self._customer): 7,
            ("fault", self.weather.plant): self._storms,
        }
        awake = [process for process in self.stage.processes if not process.stopped]
        if awake:
            process = self.chance.choice(awake)
            acts[(f"{process.name} webhooks", lambda: self._deliver(process))] = 8 if self.stage.wire.waiting else 0
            acts[(f"{process.name} receipt", lambda: self._receipt(process))] = 0.7
            acts[(f"{process.name} poll", lambda: self._poll(process))] = 1.5
            acts[(f"{process.name} all", lambda: self._turn(process))] = 5
            for job, weight in _JOBS.items():
                acts[(f"{process.name} {job}", lambda job=job: self._job(process, job))] = weight  # type: ignore[misc]
        return acts

    # -- the world ---------------------------------------------------------------------------------------------------

    def _wait(self) -> str:
        seconds = self.chance.choice(_WAITS)
        self.stage.clock.now += seconds * _S
        return f"{seconds} s"

    def _customer(self) -> str:
        try:
            return self.customers.act()
        except SandboxRefused as refused:
            return f"refused: {refused}"

    # -- the hub -----------------------------------------------------------------------------------------------------

    def _do(self, process: Process, work: Callable[[], Any]) -> Any:
        """One step of a process, perhaps interrupted."""
        self.stage.clock.now += 1_000
        drawn, at = self.chance.random(), 1 + int(self.chance.expovariate(1 / 12))
        interrupted = None
        if drawn < self._crashes:
            interrupted = ("crash", at)
        elif drawn < self._crashes + self._stopping and self._stops < _MOST_STOPS:
            interrupted = ("stop", at)
        done = process.step(work, interrupted, self._meanwhile)
        said = [str(done) if done is not None else "", *process.instants.happened, process.failed or ""]
        return ", ".join(each for each in said if each)

    def _meanwhile(self) -> None:
        """What happens while a process is stopped. Some never go on."""
        self._stops += 1
        for _ in range(self.chance.randint(2, 12)):
            self.step()
        self._stops -= 1
        if self.chance.random() < 0.2:
            raise Crash

    def _job(self, process: Process, job: str) -> Any:
        began = self.stage.clock.now + 1_000
        done = self._do(process, process.jobs()[job])
        if job == "books" and done == "True" and began == self.stage.clock.now:
            self.invariants.leased(f"{process.hub.owner}-books", began)
        return done

    def _turn(self, process: Process) -> Any:
        """Each of its threads has a turn."""
        return ", ".join(f"{job} {self._job(process, job)}" for job in ("books", "fetch", "send", "books", "send"))

    def _poll(self, process: Process) -> Any:
        return self.poll(process, *self.chance.choice(POLLED))

    def poll(self, process: Process, role: str, record: str) -> str:
        """A process asks a system what changed."""
        return f"{role} {self._do(process, lambda: process.poll(self.stage.connections[role], record))}"

    def _receipt(self, process: Process) -> Any:
        self._receipts += 1
        sku, units = self.chance.choice(self.customers.skus), self.chance.randint(1, 4)
        ref = f"R-{self._receipts}"
        event = self.stage.scratch.manual("receipts", {"sku": sku, "quantity": units, "ref": ref})
        answered: list[str] = []

        def store() -> str:
            process.store(event)
            answered.append(ref)
            return f"{ref} {units} {sku}"

        said = self._do(process, store)
        self.customers.received(sku, units, ref)
        return said

    def _deliver(self, process: Process) -> Any:
        """Some webhooks reach a process: lost, in another order, more than once."""
        said = []
        for _ in range(self.chance.randint(1, 6)):
            if not self.stage.wire.waiting:
                break
            said.append(self.deliver(process))
        return "; ".join(said)

    def deliver(self, process: Process) -> str:
        """The next webhook reaches a process, or is lost."""
        wire = self.stage.wire
        message = wire.waiting.pop(self.chance.randrange(len(wire.waiting)) if self._shuffles else 0)
        if self.chance.random() < self._loses:
            return f"{message} lost"
        answered: list[bytes] = []

        def receive() -> str:
            try:
                answered.append(
                    process.receive(self.stage.connections[message.role], wire.headers(message), message.body)
                )
            except SignatureError:  # it stood still for longer than a signature is good for: the sender signs anew
                return f"{message} refused"
            return str(message)

        said = self._do(process, receive)
        if answered:
            self.invariants.acknowledged.append((self.stage.connections[message.role], answered[0]))
        if not answered or self.chance.random() < self._repeats:
            wire.waiting.append(message)  # whoever is not answered sends again
        return str(said)

    # -- the end -----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Faults end; until nothing moves any more."""
        from .quiet import come_to_rest

        self._crashes = self._stopping = self._loses = self._repeats = 0
        self.stage.end_faults()
        come_to_rest(self)


_JOBS = {"books": 5, "fetch": 3, "send": 6, "tick": 0.2, "sweep": 1.0, "pending": 1.5}
_TOPICS = (
    "orders/updated", "orders/paid", "orders/edited", "order_transactions/create", "refunds/create",
    "fulfillments/create", "orders/cancelled",
)  # fmt: skip
