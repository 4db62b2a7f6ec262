"""What a process holds while it sends: it is held on to for as long as it takes, and not sent by one that was away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from lab_hub import Lab
from sqlalchemy.exc import OperationalError

from hub.outbox import claim

LEASE_S = claim.LEASE_US / 1_000_000


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.002)


class _Gate(threading.Event):
    """Says when the first request has come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().wait(timeout)


@contextmanager
def _held_up(lab: Lab, path: str) -> Iterator[_Gate]:
    """The system takes requests to a path and answers them when the body is done."""
    gate = lab.system.gates[path] = _Gate()
    try:
        yield gate
    finally:
        gate.set()
        del lab.system.gates[path]


def test_a_slow_answer_is_waited_for_beyond_the_lease(lab: Lab) -> None:
    lab.plan("message.send", "M1", {"n": 1})
    other = lab.another_hub()
    with _held_up(lab, "/messages"):
        lab.hub.outbox.step()
        for _ in range(4):
            lab.clock.forward(LEASE_S * 0.6)
            lab.hub.outbox.step()
            other.outbox.sweep()
            assert lab.states() == {"M1": "sending"}
    lab.send()
    assert lab.states() == {"M1": "confirmed"}
    assert len(lab.system.messages) == 1
    other.stop()


def test_a_process_that_was_away_for_longer_than_its_lease_sends_nothing_more(lab: Lab) -> None:
    lab.plan("customer.ensure", "customer:7", {"ref": "7"})
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        claim.claim(connection, rows, owner="dead", now=lab.clock())
    lab.clock.forward(LEASE_S + 1)
    lab.hub.outbox.sweep()
    other = lab.another_hub()
    with _held_up(
        lab, "/customers"
    ) as gate:  # it looks whether the customer is there, and is stopped before it is told
        lab.hub.outbox.step()
        assert gate.reached.wait(10)
        lab.clock.forward(LEASE_S + 1)
    _until(lambda: not lab.hub.outbox._results.empty())
    assert [call.method for call in lab.system.calls] == ["GET"]
    other.outbox.sweep()
    other.outbox.run_until_idle()
    lab.send()
    assert lab.states() == {"customer:7": "confirmed"}
    assert len(lab.system.customers) == 1
    other.stop()


def test_outcomes_are_kept_while_the_database_is_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.plan("message.send", "M1", {"n": 1})
    outbox = lab.hub.outbox
    outbox.step()
    _until(lambda: not outbox._results.empty())
    with monkeypatch.context() as patched:
        patched.setattr(claim, "due", _away)
        with pytest.raises(OperationalError):
            outbox.step()
    lab.send()
    assert lab.states() == {"M1": "confirmed"}
    assert len(lab.system.messages) == 1


def _away(*_: object, **_named: object) -> list[int]:
    raise OperationalError("SELECT", {}, Exception("the database is away"))
