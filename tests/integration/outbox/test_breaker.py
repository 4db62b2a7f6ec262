"""The circuit breaker: a system that is down is left alone by all that waits for it, asked by one probe at a time, and
goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab_hub import QUESTION, Crash, Lab, crashing

from hub.connect.tables import Connection
from hub.outbox.plan import DELIVERY
from hub.workers.hub import Hub

CONNECTION = Connection.__table__  # type: ignore[attr-defined]


@contextmanager
def _another(lab: Lab) -> Iterator[Hub]:
    made = lab.another_hub()
    try:
        yield made
    finally:
        made.outbox.stop()
        made.intake.close()
        made.links.close()


def _row(lab: Lab) -> Any:
    [row] = lab.rows(CONNECTION, id=lab.lab)
    return row


def _plan(lab: Lab, number: int, first: int = 1, operation: str = "invoice.create") -> list[int | None]:
    return [lab.plan(operation, f"I-{index}", {"total": index}) for index in range(first, first + number)]


def _asked(lab: Lab) -> int:
    """How many requests arrived since the last look."""
    count = len(lab.system.calls)
    lab.system.calls.clear()
    return count


def _down(lab: Lab, number: int = 5, operation: str = "invoice.create", **fault: Any) -> None:
    """Its system goes down under so many deliveries."""
    lab.system.fault({"invoice.create": "/invoices", "message.send": "/messages"}[operation], times=1_000, **fault)
    _plan(lab, number, operation=operation)
    lab.send()
    assert _row(lab).down_since == lab.clock()
    _asked(lab)


def _kinds(lab: Lab) -> list[str]:
    return [row.kind for row in lab.questions()]


def test_a_system_that_is_down_is_left_alone_and_nothing_uses_up_an_attempt(lab: Lab) -> None:
    _down(lab)
    planned = _plan(lab, 20, first=100)
    lab.clock.forward(4)
    lab.send()

    assert _asked(lab) == 0
    assert [(row.state, row.attempts) for row in lab.deliveries() if row.id in planned] == [("planned", 0)] * 20
    assert {(row.state, row.attempts) for row in lab.deliveries() if row.id not in planned} == {("retry", 1)}
    [question] = lab.questions()
    assert (question.kind, question.error_class, question.subject) == (
        "connection.down",
        "failing",
        f"connection:{lab.lab}",
    )
    assert question.reason.startswith("lab is down: 5 attempts in a row failed, the last with: 503")


def test_one_probe_at_a_time_later_each_time_and_its_failing_is_no_attempt(lab: Lab) -> None:
    _down(lab)
    waits = []
    for _ in range(9):
        before = lab.clock()
        while not lab.system.calls:
            lab.clock.forward(1)
            lab.send()
        waits.append((lab.clock() - before) // 1_000_000)
        assert _asked(lab) == 1

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert {(row.state, row.attempts, row.maybe_sent) for row in lab.deliveries()} == {("retry", 1, True)}
    assert _row(lab).probes == 9
    assert _kinds(lab) == ["connection.down"]


@pytest.mark.parametrize("status", [200, 422, 429, 409])
def test_a_probe_that_is_answered_lets_all_go_on_at_once(lab: Lab, status: int) -> None:
    _down(lab)
    _plan(lab, 20, first=100)
    lab.system.faults.clear()
    if status != 200:
        lab.system.fault("/invoices", status=status)
    lab.clock.forward(5)
    lab.send()

    row = _row(lab)
    assert (row.down_since, row.down_reason, row.probe_at, row.probes) == (None, None, None, 0)
    assert "connection.down" not in _kinds(lab)
    [closed] = lab.rows(QUESTION, kind="connection.down")
    assert (closed.state, closed.answer) == ("resolved", "it answers again")
    lab.clock.forward(60 if status == 429 else 0)  # what was refused for its quota waits for it
    lab.send()
    states = list(lab.states().values())
    assert states.count("confirmed") == (24 if status in (422, 409) else 25)
    assert len(lab.system.invoices) == states.count("confirmed")


@pytest.mark.parametrize("kind", ["status_after", "drop_after"])
def test_nothing_is_done_twice_by_a_system_that_fails_after_it_did_it(lab: Lab, kind: str) -> None:
    _down(lab, kind=kind)
    for _ in range(3):
        lab.clock.forward(60)
        lab.send()
    lab.system.faults.clear()
    lab.clock.forward(300)
    lab.send()

    assert set(lab.states().values()) == {"confirmed"}
    assert len(lab.system.invoices) == 5


def test_a_few_deliveries_that_fail_do_not_close_the_door_for_others(lab: Lab) -> None:
    lab.system.fault("/invoices", times=1_000)
    _plan(lab, 2)
    for _ in range(12):
        lab.clock.forward(3_600)
        lab.send()
    assert _row(lab).down_since is None
    assert {row.attempts for row in lab.deliveries()} == {12}
    assert _kinds(lab) == ["delivery.failing"] * 2


@pytest.mark.parametrize("status", [422, 429, 401])
def test_refusals_and_quotas_are_answers(lab: Lab, status: int) -> None:
    lab.system.fault("/invoices", status=status, times=1_000)
    _plan(lab, 12)
    lab.send()
    assert _row(lab).down_since is None
    assert "connection.down" not in _kinds(lab)


def test_an_answer_between_failures_starts_the_count_again(lab: Lab) -> None:
    lab.system.fault("/invoices", times=4)
    for number in range(1, 5):
        _plan(lab, 1, first=number)
        lab.send()
    _plan(lab, 1, first=5)
    lab.send()
    lab.system.fault("/invoices", times=4)
    for number in range(6, 10):
        _plan(lab, 1, first=number)
        lab.send()
    assert _row(lab).down_since is None

    lab.system.fault("/invoices", times=1)
    _plan(lab, 1, first=10)
    lab.send()
    assert _row(lab).down_since == lab.clock()


def test_two_processes_make_one_probe_and_both_see_that_it_is_over(lab: Lab) -> None:
    _down(lab)
    gate = lab.system.gates["/invoices"] = threading.Event()
    lab.system.faults.clear()
    lab.clock.forward(5)
    with _another(lab) as other:
        with lab.database.read() as connection:  # it has seen that a probe is due
            due = other.outbox._due(connection, lab.clock())
        assert len(due.probes) == 1
        lab.hub.outbox.step()  # and the other process was first
        assert other.outbox._commit([], due) == []
        assert other.outbox.step() == 0
        assert list(lab.states().values()).count("sending") == 1
        gate.set()
        lab.send()
        _plan(lab, 1, first=6)
        assert other.outbox.run_until_idle() > 0
    assert set(lab.states().values()) == {"confirmed"}
    assert len(lab.system.invoices) == _asked(lab) == 6


def test_a_process_that_dies_while_it_probes_is_followed_by_another(lab: Lab) -> None:
    _down(lab)
    lab.clock.forward(5)
    lab.hub.outbox.stop()
    dead = lab.another_hub()
    with lab.database.read() as connection:
        due = dead.outbox._due(connection, lab.clock())
    [probe] = dead.outbox._commit([], due)  # and is gone
    lab.system.faults.clear()
    with _another(lab) as other:
        lab.clock.forward(29)
        other.outbox.sweep()
        assert (other.outbox.run_until_idle(), _asked(lab)) == (0, 0)
        lab.clock.forward(2)
        other.outbox.sweep()
        other.outbox.run_until_idle()
    assert set(lab.states().values()) == {"confirmed"}
    assert len(lab.system.invoices) == 5
    assert probe.id in {row.id for row in lab.deliveries()}
    dead.outbox.stop()
    dead.intake.close()
    dead.links.close()


def test_a_slow_probe_keeps_its_turn(lab: Lab) -> None:
    _down(lab)
    lab.system.faults.clear()
    gate = lab.system.gates["/invoices"] = threading.Event()
    lab.clock.forward(5)
    lab.hub.outbox.step()
    with _another(lab) as other:
        for _ in range(5):
            lab.clock.forward(18)
            assert (lab.hub.outbox.step(), other.outbox.step()) == (0, 0)
        gate.set()
        lab.send()
    assert set(lab.states().values()) == {"confirmed"}
    assert _asked(lab) == 5


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("at", [1, 2])
def test_a_crash_around_a_probe_loses_nothing(lab: Lab, at: int, after_commit: bool) -> None:
    _down(lab)
    lab.system.faults.clear()
    lab.clock.forward(5)
    outbox = lab.hub.outbox
    with crashing(lab, at, after_commit=after_commit), pytest.raises(Crash):
        lab.send()
    with _another(lab) as other:
        for _ in range(3):
            lab.clock.forward(31)
            other.outbox.sweep()
            other.outbox.run_until_idle()
    assert _row(lab).down_since is None
    assert set(lab.states().values()) == {"confirmed"}
    assert len(lab.system.invoices) == 5
    assert _kinds(lab) == []
    outbox._in_flight.clear()


def test_who_can_be_asked_again_probes_before_what_would_be_uncertain(lab: Lab) -> None:
    _down(lab, 5, operation="message.send")
    assert sorted(lab.states().values()) == ["uncertain"] * 5
    _plan(lab, 2, first=10, operation="message.send")
    lab.clock.forward(1)
    _plan(lab, 1, first=20)
    lab.system.fault("/invoices", times=1_000)
    for _ in range(3):
        lab.clock.forward(100)
        lab.send()
    states = lab.states()
    assert (states["I-10"], states["I-11"], states["I-20"]) == ("planned", "planned", "retry")


def test_a_delivery_that_fails_by_its_own_fault_does_not_keep_the_others_waiting(lab: Lab) -> None:
    _down(lab)
    lab.clock.forward(5)
    lab.send()
    [probed] = [row for row in lab.deliveries() if row.next_attempt_at == lab.clock()]
    lab.clock.forward(10)
    lab.send()
    again = [row for row in lab.deliveries() if row.next_attempt_at == lab.clock()]
    assert [row.id for row in again] != [probed.id]
    assert len(again) == 1


def test_a_breaker_that_holds_nothing_closes(lab: Lab) -> None:
    _down(lab)
    with lab.database.write() as connection:
        connection.execute(DELIVERY.update().values(state="superseded"))
    lab.clock.forward(4)
    lab.send()
    assert _row(lab).down_since is not None
    lab.clock.forward(1)
    lab.send()
    assert _row(lab).down_since is None
    [closed] = lab.rows(QUESTION, kind="connection.down")
    assert (closed.state, closed.answer) == ("resolved", "nothing waits for it")


@pytest.mark.parametrize("values", [{"mode": "paused"}, {"status": "reconnect_needed"}])
def test_a_connection_that_is_shut_for_another_reason_is_not_down_as_well(lab: Lab, values: dict[str, str]) -> None:
    _down(lab)
    lab.set(CONNECTION, lab.lab, **values)
    lab.clock.forward(5)
    lab.send()
    assert _row(lab).down_since is None
    assert _asked(lab) == 0
    assert _kinds(lab) == []


def test_other_connections_go_on(lab: Lab) -> None:
    other = lab.connect("other", ("mail",))
    _down(lab)
    lab.plan("customer.ensure", "customer:7", {"ref": "7"}, connection_id=other)
    lab.send()
    assert lab.states()["customer:7"] == "confirmed"


def test_a_first_attempt_that_its_flow_allows_alone_is_given_up_as_ever(lab: Lab) -> None:
    _down(lab)
    with lab.database.write() as connection:
        connection.execute(DELIVERY.update().values(retry_attempts=2))
    for _ in range(4):
        lab.clock.forward(300)
        lab.send()
    assert {(row.state, row.attempts) for row in lab.deliveries()} == {("retry", 1)}

    with lab.database.write() as connection:
        connection.execute(DELIVERY.update().values(retry_within_us=60_000_000))
    lab.clock.forward(300)
    lab.send()
    parked = [row for row in lab.deliveries() if row.state == "uncertain"]
    assert len(parked) == 1
    assert parked[0].reason.startswith("given up in time, as its flow says")


def test_an_operation_that_refused_the_probe_before_it_is_sent_gives_the_turn_back(lab: Lab) -> None:
    _down(lab)
    lab.system.faults.clear()
    broken = lab.plan("invoice.create", "I-0", {"customer": {"$ref": "customer", "key": "7"}})
    # what it refers to was bound when it was planned, and is not any more
    lab.set(DELIVERY, broken or 0, state="planned")
    lab.clock.forward(5)
    lab.send()
    assert _row(lab).down_since is None
    assert sorted(lab.states().values()) == ["confirmed"] * 5 + ["waiting"]
