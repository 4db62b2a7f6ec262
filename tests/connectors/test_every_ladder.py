"""Every write of every shipped connector, sent by a hub to the connector's sandbox over real connections: its answer is lost, or
is an error though it was done, or the hub dies before it keeps the outcome. There is one effect in the end; an operation
that nothing makes safe is a question, and every other one is confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from hub.connect.http import httpx
from hub.connect.registry import Registry
from hub.core.plan import Plan
from hub.flows.batch import WRITE_ORDER
from hub.inbox.tables import Question
from hub.outbox import plan as outbox_plan
from hub.outbox.plan import DELIVERY, Target, plan_delivery
from hub.workers.admin.connections import adopt_stock
from hub.workers.hub import Hub
from hub.workers.recorded import Stocked
from hub.workers.sandboxed import FakeClock, Sandboxes
from hub.workers.scratch import MERCHANT_ID, Scratch
from tests.connectors.operation_samples import SAMPLES, Sample

QUESTION = Question.__table__  # type: ignore[attr-defined]
NOW = 1_795_507_200_000_000
MINUTE = 60_000_000
REGISTRY = Registry.discover()
WRITES = [
    (name, operation)
    for name in REGISTRY.names()
    for operation, spec in REGISTRY.get(name).manifest.operations.items()
    if not spec.read
]
FAULTS = ["answer lost", "error after the write", "killed before the outcome was kept"]
_FINAL = ("confirmed", "rejected", "uncertain", "superseded")


class Killed(BaseException):
    """The process is gone."""


class House:
    """A hub with a connection to one connector's sandbox, which listens on loopback."""

    def __init__(self, folder: Path, connector: str) -> None:
        self.connector = connector
        self.role = REGISTRY.get(connector).manifest.roles[0]
        self.clock = FakeClock(NOW)
        self.sandboxes = Sandboxes(REGISTRY, {self.role: connector}, self.clock.moment, sockets=True)
        product = {"sku": "MUG-01", "title": "Mug", "price": "12.00", "quantity": 100}
        settings = self.sandboxes.reset([product])[self.role]
        self._url = settings.get("base_url") or settings.get("url")
        self.scratch = Scratch(folder, REGISTRY, self.clock)
        self.connection_id = self.scratch.connect(self.role, connector, settings, mode="live")
        self.hub = self.scratch.hub
        if connector == "shopify":
            self.scratch.stock([Stocked("MUG-01", "Mug", True, {"main": 100})])
            adopt_stock(self.hub, self.role)

    def state(self) -> dict[str, Any]:
        inside = self.sandboxes.inside(self.role)
        if self._url is not None:
            answer = httpx.get(f"{self._url}/_sandbox/state", timeout=10)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())
        return {"files": inside.files()} if self.connector == "files" else dict(inside.state())

    def plan(self, operation: str, key: str, body: Any) -> None:
        """A delivery as a flow plans it."""
        spec = REGISTRY.get(self.connector).manifest.operations[operation]
        database = self.scratch.database
        database.ids.ensure(1_000)
        with database.write() as connection:
            plan = Plan(MERCHANT_ID, connection, database.ids, self.clock())
            target = Target(self.connection_id, "live", operation, spec.ladder, spec.state)
            plan_delivery(plan, target, key=key, body=body, ordering_key=key, event_seq=1, run_id=None)
            plan.write(connection, WRITE_ORDER)
            outbox_plan.settle(connection, plan)

    def receive_goods(self, name: str) -> None:
        """More units than the shop shows."""
        self.scratch.receive(self.scratch.manual("receipts", {"sku": "MUG-01", "quantity": 1, "ref": name}))
        self.scratch.work()

    def send(self) -> None:
        """Sends what is due, until nothing is left that moves by itself."""
        for _ in range(12):
            self.hub.run_until_idle()
            self.clock.now += 2 * MINUTE
            self.hub.outbox.sweep()
            if all(row.state in _FINAL for row in self.deliveries()):
                return

    def die(self) -> None:
        """The next thing that is sent is the last one: a new process finds it."""
        keep = self.hub.outbox._commit

        def dies(results: Any, *more: Any) -> Any:
            if results:
                raise Killed
            return keep(results, *more)

        with mock.patch.object(self.hub.outbox, "_commit", dies), pytest.raises(Killed):
            self.hub.run_until_idle()
        self.hub.intake.close()
        self.hub = Hub(
            self.scratch.database,
            self.scratch.vault,
            REGISTRY,
            clock=self.clock,
            outbox_threads=0,
            limits=self.hub.links.limits,
        )

    def deliveries(self) -> list[Any]:
        with self.scratch.database.read() as connection:
            return list(connection.execute(DELIVERY.select().order_by(DELIVERY.c.id)).all())

    def close(self) -> None:
        self.scratch.close()
        self.sandboxes.close()


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, House]]:
    """Made when they are asked for first; one for all operations of a connector."""
    made: dict[str, House] = {}
    yield made
    for house in made.values():
        house.close()


def test_every_write_has_a_sample() -> None:
    missing = sorted(set(WRITES) - set(SAMPLES))
    assert not missing, (
        "add to SAMPLES of tests/connectors/operation_samples.py a body, and how its effects are counted at the sandbox, "
        f"for: {missing}"
    )
    assert sorted(set(SAMPLES) - set(WRITES)) == [], "samples of operations that are no more"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("connector", "operation"), WRITES)
def test_one_effect_whatever_becomes_of_the_answer(
    connector: str, operation: str, fault: str, houses: dict[str, House], tmp_path_factory: pytest.TempPathFactory
) -> None:
    sample = SAMPLES[connector, operation]
    if fault == FAULTS[1] and not hasattr(REGISTRY.get(connector).module("sandbox"), "create"):
        pytest.skip("its protocol has no such answer: an error says that it was not done")
    place = f"{connector}-stock" if sample.planned_by_stock else connector  # orders placed there would change its stock
    if place not in houses:
        houses[place] = House(tmp_path_factory.mktemp(place), connector)
    house = houses[place]
    name = f"N{WRITES.index((connector, operation))}-{FAULTS.index(fault)}"
    # what it refers to is there, so that the fault hits the write itself
    _plan(house, sample, operation, f"{name}-before")
    house.send()
    effects, known = sample.count(house.state()), {row.id for row in house.deliveries()}

    if fault != FAULTS[2]:
        kind = {"kind": "drop_after"} if fault == FAULTS[0] else {"kind": "status_after", "status": 500}
        where = {"match": sample.request} if sample.request else {"operation": operation}
        house.sandboxes.plant(house.role, {**where, **kind})
    _plan(house, sample, operation, name)
    if fault == FAULTS[2]:
        house.die()
    house.send()

    [sent] = [row for row in house.deliveries() if row.id not in known and row.operation == operation]
    assert sample.count(house.state()) - effects == sample.leaves, (sent.state, sent.reason)
    ladder = REGISTRY.get(connector).manifest.operations[operation].ladder
    assert sent.state == ("uncertain" if ladder == "none" else "confirmed"), sent.reason
    asked = {each.kind for each in _questions(house) if each.delivery_id == sent.id}
    assert ("delivery.uncertain" in asked) == (ladder == "none")
    assert sample.leaves == 0 or sent.attempts > 1 or ladder == "none" or fault == FAULTS[2], "the fault was met"


def _plan(house: House, sample: Sample, operation: str, name: str) -> None:
    if sample.planned_by_stock:
        house.receive_goods(name)
        return
    for before, body in sample.before(name):
        house.plan(before, name, body)
        house.send()
    house.plan(operation, name, sample.body(name, lambda path, body: house.sandboxes.post(house.role, path, body)))


def _questions(house: House) -> list[Any]:
    with house.scratch.database.read() as connection:
        return list(connection.execute(QUESTION.select().where(QUESTION.c.state == "open")).all())
