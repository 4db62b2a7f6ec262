"""A key that fails for ever costs the others nothing: they are worked and sent at their first turn, and what it holds back is
not even looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import sqlalchemy as sa
import tenacity.nap
from lab_hub import ASKING, Lab

from hub.workers.hub import Hub

OTHERS, KEYS, FEW, MANY = 40, 8, 2, 60


class _NoTime:
    @staticmethod
    def sleep(_seconds: float) -> None:
        """A wait between two tries of a read is no time."""


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    with mock.patch.object(tenacity.nap, "time", _NoTime):
        yield


@contextmanager
def counted(lab: Lab) -> Iterator[list[str]]:
    """The statements that are run meanwhile, but those that take a block of ids every so often."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "id_counter" not in statement:
            statements.append(statement)

    sa.event.listen(lab.database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(lab.database.engine, "before_cursor_execute", note)


def _others(lab: Lab, name: str) -> None:
    for number in range(OTHERS):
        lab.receive({"id": f"{name}{number % KEYS}", "n": number, "asks": False})


def _all_worked_at_once(lab: Lab, name: str) -> None:
    events = [row for row in lab.events() if row.record_id.startswith(name)]
    assert [(row.state, row.attempts, row.claims) for row in events] == [("done", 0, 0)] * OTHERS
    sent = [row for row in lab.deliveries() if row.key.startswith(name)]
    assert [(row.state, row.attempts) for row in sent] == [("confirmed", 1)] * OTHERS


def test_events_behind_a_read_that_fails_for_ever_cost_nothing(lab: Lab) -> None:
    lab.write(things=ASKING)
    lab.system.fault("GET /thing/bad", times=1_000_000)
    lab.receive({"id": "bad", "n": 0, "asks": True})
    lab.work()
    ran = {}
    for name, held in (("warm", 0), ("few", FEW), ("many", MANY)):
        for number in range(held):
            lab.receive({"id": "bad", "n": f"{name}{number}", "asks": False})
        _others(lab, name)
        with counted(lab) as statements:
            while lab.hub.books.work_once():
                pass
        ran[name] = len(statements)
        lab.work()
        _all_worked_at_once(lab, name)
    bad = [row for row in lab.events() if row.record_id == "bad"]
    assert [row.state for row in bad] == ["fetch"] + ["ready"] * (FEW + MANY)
    assert ran["many"] <= ran["few"] + 10, "of some 150, while thirty times as much is held back"


def test_deliveries_behind_one_that_fails_for_ever_cost_nothing(lab: Lab) -> None:
    lab.write(things=ASKING)
    lab.system.fault("/customers", times=1_000_000)
    # one that sends in this thread: how often it looks is the same each time
    hub = Hub(lab.database, lab.vault, lab.registry, homes=[lab.home], clock=lab.clock, outbox_threads=0)
    ran = {}
    for name, held in (("warm", 1), ("few", FEW), ("many", MANY)):
        for number in range(held):
            lab.plan("customer.ensure", f"bad {name}{number}", {"ref": "bad"}, ordering="bad")
        hub.outbox.run_until_idle()
        _others(lab, name)
        while hub.books.work_once():
            pass
        with counted(lab) as statements:
            hub.outbox.run_until_idle()
        ran[name] = len(statements)
        _all_worked_at_once(lab, name)
    hub.intake.close()
    assert len([call for call in lab.system.calls if call.path == "/customers" and call.method == "POST"]) == 1
    assert ran["many"] <= ran["few"] + 10, "of some 150, while thirty times as much is held back"
