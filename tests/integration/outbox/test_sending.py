"""Sending: what becomes of each answer, by the ladder of its operation; nothing is sent twice, nothing is forgotten."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from lab_hub import SECOND, Lab, System
from sqlalchemy.exc import IntegrityError, OperationalError

from hub.connect import operations
from hub.connect.declared_limits import WindowLimit
from hub.connect.tables import Binding, Connection
from hub.outbox import claim, outcomes
from hub.outbox.breaker import Door
from hub.outbox.plan import DELIVERY, REFERENCE, DeliveryConflict
from hub.outbox.worker import _Flight

BINDING = Binding.__table__  # type: ignore[attr-defined]
CONNECTION = Connection.__table__  # type: ignore[attr-defined]
REF = {"$ref": "customer", "key": "7", "ensure": "customer.ensure", "data": {"ref": "7"}}


def _keys(system: System, path: str) -> list[str | None]:
    return [call.key for call in system.calls if call.path == path and call.method == "POST"]


def _leave_in_sending(lab: Lab) -> None:
    """Claims what is due and stops, as a process that is killed does."""
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        claim.claim(connection, rows, owner="dead", now=lab.clock())


# -- facts ------------------------------------------------------------------------------------------------------------


def test_a_fact_is_sent_once_and_bound(lab: Lab) -> None:
    first = lab.plan("invoice.create", "F1", {"total": 1})
    lab.send()
    assert lab.plan("invoice.create", "F1", {"total": 1}) == first, "equal content again: nothing is planned"
    lab.send()
    [row] = lab.deliveries()
    assert (row.state, row.external_id, row.attempts) == ("confirmed", "i1", 1)
    assert len(lab.system.invoices) == len(_keys(lab.system, "/invoices")) == 1


def test_the_same_fact_with_other_content_is_refused_before_and_after_it_was_sent(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"total": 1})
    with pytest.raises(DeliveryConflict, match="F1"):
        lab.plan("invoice.create", "F1", {"total": 2})
    lab.send()
    with pytest.raises(DeliveryConflict):
        lab.plan("invoice.create", "F1", {"total": 2})


@pytest.mark.parametrize("kind", ["status", "status_after", "drop_after"])
def test_a_native_key_is_sent_again_with_the_same_key_and_the_same_bytes(lab: Lab, kind: str) -> None:
    lab.system.fault("/invoices", kind)
    lab.plan("invoice.create", "F1", {"b": 1, "a": {"d": "é", "c": 1.50}})
    lab.send()
    assert lab.states() == {"F1": "retry"}
    lab.clock.forward(2)
    lab.send()
    assert lab.states() == {"F1": "confirmed"}
    one, two = [call for call in lab.system.calls if call.path == "/invoices"]
    assert (one.key, one.body) == (two.key, two.body)
    assert one.key is not None
    assert len(lab.system.invoices) == 1


@pytest.mark.parametrize("kind", ["status_after", "drop_after"])
def test_find_first_finds_what_an_attempt_without_an_answer_had_made(lab: Lab, kind: str) -> None:
    lab.system.fault("POST /customers", kind)
    lab.plan("customer.ensure", "customer:7", {"ref": "7"})
    lab.send()
    lab.clock.forward(2)
    lab.send()
    [row] = lab.deliveries()
    assert (row.state, row.external_id) == ("confirmed", "c1")
    assert len(lab.system.customers) == 1


@pytest.mark.parametrize("kind", ["status_after", "drop_after"])
def test_without_a_ladder_what_may_have_arrived_is_uncertain_and_never_sent_again(lab: Lab, kind: str) -> None:
    lab.system.fault("/messages", kind)
    lab.plan("message.send", "M1", {"to": "a"})
    lab.send()
    lab.clock.forward(100_000)
    lab.send()
    assert lab.states() == {"M1": "uncertain"}
    assert len(lab.system.messages) == 1
    [question] = lab.questions()
    assert question.kind == "delivery.uncertain"
    assert [each for each in ("confirmed", "resend", "drop") if f'"{each}"' in question.answers] == [
        "confirmed", "resend", "drop",
    ]  # fmt: skip


def test_without_a_ladder_a_refusal_before_anything_was_done_is_tried_again(lab: Lab) -> None:
    lab.system.fault("/messages", status=429)
    lab.plan("message.send", "M1", {"to": "a"})
    lab.send()
    assert lab.states() == {"M1": "retry"}
    lab.clock.forward(5)
    lab.send()
    assert lab.states() == {"M1": "confirmed"}
    assert len(lab.system.messages) == 1


def test_a_refusal_for_good_parks_the_delivery_and_lets_later_ones_of_its_key_go(lab: Lab) -> None:
    lab.system.fault("/invoices", status=400)
    lab.plan("invoice.create", "F1", {"n": 1}, ordering="order:1")
    lab.clock.forward(1)
    lab.plan("invoice.create", "F2", {"n": 2}, ordering="order:1")
    lab.send()
    assert lab.states() == {"F1": "rejected", "F2": "confirmed"}
    [question] = lab.questions()
    assert question.kind == "delivery.rejected"
    assert "F1" in question.reason


def test_retries_wait_longer_each_time_and_a_person_is_told_after_six(lab: Lab) -> None:
    lab.system.fault("/invoices", times=7)
    lab.plan("invoice.create", "F1", {"n": 1})
    waits = []
    for attempt in range(7):
        lab.send()
        [row] = lab.deliveries()
        assert (row.state, row.attempts) == ("retry", attempt + 1)
        waits.append((row.next_attempt_at - lab.clock()) // 1_000_000)
        assert len(lab.questions()) == (1 if attempt >= 5 else 0)
        lab.clock.now = row.next_attempt_at - 1
        assert lab.send() == 0, "not before its time"
        lab.clock.now += 1
    assert tuple(waits) == outcomes.BACKOFF_S[:7]
    lab.send()
    assert lab.states() == {"F1": "confirmed"}
    assert lab.questions() == []
    assert [question.kind for question in lab.questions("resolved")] == ["delivery.failing"]


# -- order and references -------------------------------------------------------------------------------------------------


def test_deliveries_of_one_ordering_key_go_out_in_order_and_a_failing_one_holds_the_later(lab: Lab) -> None:
    lab.system.fault("/invoices")
    lab.plan("invoice.create", "F1", {"n": 1}, ordering="order:1")
    lab.plan("message.send", "M1", {"n": 2}, ordering="order:1")
    lab.plan("message.send", "M2", {"n": 3}, ordering="order:2")
    lab.send()
    assert lab.states() == {"F1": "retry", "M1": "planned", "M2": "confirmed"}
    lab.clock.forward(2)
    lab.send()
    assert set(lab.states().values()) == {"confirmed"}
    assert [message["n"] for message in lab.system.messages] == [3, 2]


def test_the_order_is_that_of_planning_whichever_process_gave_the_ids(lab: Lab) -> None:
    later = lab.database.ids.next()  # an id of an earlier block
    lab.database.ids.restore(((9_000_000, 9_010_000),))
    lab.plan("message.send", "first", {"n": 1}, ordering="order:1")
    lab.clock.forward(1)
    lab.database.ids.restore(((later, later + 2_000),))
    lab.plan("message.send", "second", {"n": 2}, ordering="order:1")
    lab.database.ids.restore(((9_500_000, 9_520_000),))
    lab.send()
    assert [message["n"] for message in lab.system.messages] == [1, 2]


def test_many_that_are_held_do_not_stand_in_the_way_of_a_connection(lab: Lab) -> None:
    lab.system.fault("/invoices")
    lab.plan("invoice.create", "F1", {"n": 1}, ordering="order:1")
    lab.send()
    for number in range(80):
        lab.plan("message.send", f"M{number}", {"n": number}, ordering="order:1")
    lab.plan("message.send", "free", {"n": 0}, ordering="order:2")
    lab.send()
    assert lab.states()["free"] == "confirmed"


def test_a_reference_is_made_first_and_then_its_external_id_is_sent(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"customer": REF, "lines": [{"for": REF}]})
    assert lab.states() == {"customer:7": "planned", "F1": "waiting"}
    lab.send()
    assert lab.states() == {"customer:7": "confirmed", "F1": "confirmed"}
    [call] = [call for call in lab.system.calls if call.path == "/invoices"]
    assert call.body == b'{"customer":"c1","lines":[{"for":"c1"}]}'
    lab.plan("invoice.create", "F2", {"customer": REF})
    lab.send()
    assert len(lab.system.customers) == 1, "what is bound is not made again"


def test_a_rejected_dependency_leaves_those_that_need_it_waiting_and_no_others(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"customer": {**REF, "data": {"ref": "7", "bad": True}}})
    lab.plan("invoice.create", "F2", {"customer": {**REF, "key": "8", "data": {"ref": "8"}}})
    lab.plan("invoice.create", "F3", {})
    lab.send()
    assert lab.states() == {
        "customer:7": "rejected", "F1": "waiting", "customer:8": "confirmed", "F2": "confirmed", "F3": "confirmed",
    }  # fmt: skip
    assert len(lab.questions()) == 1


def test_a_binding_stored_between_plan_and_write_releases_the_delivery(lab: Lab) -> None:
    lab.plan("customer.ensure", "customer:7", {"ref": "7"})
    lab.plan("invoice.create", "F1", {"customer": REF}, before_write=lab.send)
    assert lab.states() == {"customer:7": "confirmed", "F1": "planned"}
    lab.send()
    assert lab.states()["F1"] == "confirmed"


def test_the_sweeper_releases_what_two_transactions_freed_at_once(lab: Lab) -> None:
    """Each saw the other's reference still there."""
    lab.plan("invoice.create", "F1", {"customer": REF})
    with lab.database.write() as connection:
        connection.execute(REFERENCE.delete())
    lab.send()
    assert lab.states()["F1"] == "waiting"
    lab.hub.outbox.sweep()
    lab.send()
    assert lab.states()["F1"] == "confirmed"


def test_a_binding_that_is_gone_makes_its_delivery_wait_again_and_holds_up_no_other(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"customer": REF})
    lab.send()
    lab.plan("invoice.create", "F2", {"customer": REF}, ordering="x")
    with lab.database.write() as connection:
        connection.execute(BINDING.delete())
    lab.plan("invoice.create", "F3", {})
    lab.send()
    assert (lab.states()["F2"], lab.states()["F3"]) == ("waiting", "confirmed")


def test_a_remote_record_that_is_another_of_ours_is_asked_about(lab: Lab) -> None:
    lab.plan("customer.ensure", "customer:7", {"ref": "7", "id": "same"})
    lab.send()
    lab.plan("invoice.create", "F1", {"customer": {**REF, "key": "8", "data": {"ref": "8", "id": "same"}}})
    lab.send()
    assert lab.states()["F1"] == "waiting"
    [question] = lab.questions()
    assert question.kind == "binding.taken"
    assert "customer same" in question.reason


# -- modes ----------------------------------------------------------------------------------------------------------------


def _mode(lab: Lab, mode: str) -> None:
    lab.set(CONNECTION, lab.lab, mode=mode)


def test_what_was_observed_is_never_sent_and_a_paused_connection_keeps_what_is_planned(lab: Lab) -> None:
    _mode(lab, "observe")
    lab.plan("invoice.create", "F1", {"n": 1}, mode="observe")
    _mode(lab, "paused")
    lab.plan("invoice.create", "F2", {"n": 1}, mode="paused")
    lab.send()
    assert lab.states() == {"F1": "observed", "F2": "planned"}
    _mode(lab, "live")
    lab.plan("invoice.create", "F1", {"n": 1})
    lab.send()
    assert lab.states() == {"F1": "observed", "F2": "confirmed"}
    assert len(lab.system.invoices) == 1


def test_what_live_deliveries_refer_to_is_made_also_where_it_was_only_observed_before(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"customer": REF}, mode="observe")
    assert set(lab.states().values()) == {"observed"}
    lab.plan("invoice.create", "F2", {"customer": REF})
    lab.send()
    assert lab.states() == {"F1": "observed", "customer:7": "confirmed", "F2": "confirmed"}


# -- crashes and faults of ours ---------------------------------------------------------------------------------------------


def test_what_a_crash_left_in_sending_follows_its_ladder(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"n": 1})
    lab.plan("customer.ensure", "customer:7", {"ref": "7"})
    lab.plan("message.send", "M1", {"n": 1})
    lab.system.customers.append({"id": "c1", "ref": "7"})  # the attempt had arrived
    _leave_in_sending(lab)
    assert set(lab.states().values()) == {"sending"}
    lab.send()
    assert lab.system.calls == [], "another sender may still be at it"
    lab.clock.forward(claim.LEASE_US / 1_000_000 + 1)
    lab.hub.outbox.sweep()
    lab.send()
    assert lab.states() == {"F1": "confirmed", "customer:7": "confirmed", "M1": "uncertain"}
    assert len(lab.system.customers) == 1
    assert lab.system.messages == []


def test_an_outcome_that_comes_too_late_changes_nothing_and_loses_no_other(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"n": 1})
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        [slow] = claim.claim(connection, rows, owner="slow", now=lab.clock()).sendings
    lab.clock.forward(claim.LEASE_US / 1_000_000 + 1)
    lab.hub.outbox.sweep()
    _leave_in_sending(lab)  # another worker has it now
    lab.plan("invoice.create", "F2", {"n": 1})
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        [quick] = claim.claim(connection, rows, owner="quick", now=lab.clock()).sendings
    spec = lab.registry.get("lab").manifest.operations["invoice.create"]
    results = [
        outcomes.Result(slow, operations.Retry(None, "late"), spec),
        outcomes.Result(quick, operations.Confirmed("i2"), spec),
    ]
    with lab.database.write() as connection:
        outcomes.commit(connection, lab.database.ids, lab.vault, results, lab.clock())
    assert lab.states() == {"F1": "sending", "F2": "confirmed"}


def test_two_workers_never_send_the_same_delivery(lab: Lab) -> None:
    for number in range(12):
        lab.plan("message.send", f"M{number}", {"n": number})
    with lab.database.read() as connection:
        seen_by_both = claim.due(connection, lab.lab, lab.clock(), 20)
    taken: list[int] = []

    def take(owner: str) -> None:
        with lab.database.write() as connection:
            taken.extend(s.id for s in claim.claim(connection, seen_by_both, owner=owner, now=lab.clock()).sendings)

    threads = [threading.Thread(target=take, args=(owner,)) for owner in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 12


def test_operations_take_turns_so_that_a_flood_of_one_keeps_no_other_waiting(lab: Lab) -> None:
    for number in range(30):
        lab.plan("message.send", f"M{number}", {"n": number})
    lab.clock.forward(1)
    lab.plan("invoice.create", "F1", {"n": 1})
    lab.plan("invoice.create", "F2", {"n": 2})
    with lab.database.read() as connection:
        keys = [row.key for row in claim.due(connection, lab.lab, lab.clock(), 5)]
        one = [row.key for row in claim.due(connection, lab.lab, lab.clock(), 1, after="invoice.create")]
        next_one = [row.key for row in claim.due(connection, lab.lab, lab.clock(), 1, after="message.send")]
    assert keys == ["F1", "M0", "F2", "M1", "M2"]
    assert (one, next_one) == (["M0"], ["F1"])


def test_with_one_place_to_send_connections_go_round(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.hub.outbox, "_threads", 1)
    doors = [Door(number, 1, None, None, 0, True) for number in (1, 2, 3)]
    monkeypatch.setattr(lab.hub.outbox._breaker, "doors", lambda _connection: doors)
    monkeypatch.setattr(
        claim, "due", lambda _connection, door, *_, **__: [SimpleNamespace(connection_id=door, operation="a.send")] * 9
    )
    with lab.database.read() as connection:
        turns = [lab.hub.outbox._due(connection, lab.clock()).rows for _ in range(6)]
    assert [row.connection_id for [row] in turns] == [1, 2, 3] * 2


def test_with_one_place_to_send_operations_go_round(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.hub.outbox, "_threads", 1)
    for number in range(3):
        lab.plan("message.send", f"M{number}", {"n": number})
    lab.clock.forward(1)
    for number in range(3):
        lab.plan("invoice.create", f"F{number}", {"n": number})
    lab.send()
    assert [call.path for call in lab.system.calls if call.method == "POST"] == ["/invoices", "/messages"] * 3


def test_what_a_person_dropped_meanwhile_is_not_sent(lab: Lab) -> None:
    dropped = lab.plan("message.send", "M1", {"n": 1})
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 20)
    assert dropped is not None
    lab.set(DELIVERY, dropped, state="superseded")
    with lab.database.write() as connection:
        assert claim.claim(connection, rows, owner="a", now=lab.clock()).sendings == []


def test_outcomes_are_kept_when_the_database_fails_and_no_sender_is_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = outcomes.commit, iter([OperationalError("x", {}, Exception("locked"))] * 2)

    def unlucky(*arguments: Any) -> set[int]:
        error = next(failures, None)
        if error is not None:
            raise error
        return real(*arguments)

    monkeypatch.setattr(outcomes, "commit", unlucky)
    for number in range(20):
        lab.plan("message.send", f"M{number}", {"n": number})
    for _ in range(20):
        try:
            lab.send()
            break
        except OperationalError:
            continue
    assert {(row.state, row.reason) for row in lab.deliveries()} == {("confirmed", None)}
    assert len(lab.system.messages) == 20
    assert lab.hub.outbox._in_flight == {}


def test_an_outcome_that_the_database_refuses_holds_up_no_other(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real = outcomes.commit

    def refuse(connection: Any, ids: Any, vault: Any, results: Any, now: int, listeners: Any) -> set[int]:
        if any(result.sending.key == "M3" for result in results):
            raise IntegrityError("x", {}, Exception("no"))
        return real(connection, ids, vault, results, now, listeners)

    monkeypatch.setattr(outcomes, "commit", refuse)
    for number in range(6):
        lab.plan("message.send", f"M{number}", {"n": number})
    for _ in range(20):
        try:
            lab.send()
            break
        except IntegrityError:
            continue
    states = lab.states()
    assert states.pop("M3") == "sending", "its lease runs out, and then its ladder decides"
    assert set(states.values()) == {"confirmed"}
    assert lab.hub.outbox._in_flight == {}


def test_a_fault_of_the_hub_follows_the_ladder_like_a_crash(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real = operations.execute
    broken = {"invoice.create", "message.send"}

    def stumble(link: Any, operation: str, *arguments: Any, **more: Any) -> Any:
        if operation in broken:
            raise KeyError("a fault of ours")
        return real(link, operation, *arguments, **more)

    monkeypatch.setattr(operations, "execute", stumble)
    lab.plan("invoice.create", "F1", {"n": 1})
    lab.plan("message.send", "M1", {"n": 1})
    lab.send()
    assert lab.states() == {"F1": "retry", "M1": "uncertain"}
    broken.clear()
    lab.clock.forward(2)
    lab.send()
    assert lab.states() == {"F1": "confirmed", "M1": "uncertain"}


def test_a_connection_that_lets_nobody_in_waits_for_a_person_and_nothing_is_lost(lab: Lab) -> None:
    lab.system.fault("/invoices", status=401, times=2)
    lab.plan("invoice.create", "F1", {"n": 1})
    lab.send()
    assert lab.states() == {"F1": "retry"}
    assert [question.kind for question in lab.questions()] == ["connection.reconnect"]
    [row] = lab.rows(CONNECTION)
    assert row.status == "reconnect_needed"
    lab.clock.forward(1_000)
    calls = len(lab.system.calls)
    lab.send()
    assert len(lab.system.calls) == calls
    lab.system.faults.clear()
    lab.set(CONNECTION, lab.lab, status="connected")
    lab.send()
    assert lab.states() == {"F1": "confirmed"}


def test_connections_take_turns(lab: Lab) -> None:
    other = lab.connect("other", ("mail",))
    for number in range(200):
        lab.plan("message.send", f"A{number}", {"n": number})
    for number in range(5):
        lab.plan("message.send", f"B{number}", {"n": number}, connection_id=other)
    with lab.database.read() as connection:
        rows = lab.hub.outbox._due(connection, lab.clock()).rows
    assert {row.connection_id for row in rows[:2]} == {lab.lab, other}


# -- quota ------------------------------------------------------------------------------------------------------------


def test_waiting_for_quota_is_no_attempt(lab: Lab) -> None:
    """Ten a minute are allowed: forty deliveries take their time, and no attempt is counted for it."""
    manifest = lab.registry.get("lab").manifest
    limit = WindowLimit(model="window", requests=10, per=60)
    link = lab.hub.links.open(lab.lab)
    link.gate.declare(manifest.model_copy(update={"limits": [limit]}), {})
    for number in range(40):
        lab.plan("message.send", f"M{number:02}", {"n": number})
    arrived = []
    for _ in range(8):
        lab.send()
        arrived.append(len(lab.system.messages))
        lab.clock.forward(31)
    assert arrived == [10, 10, 20, 20, 30, 30, 40, 40]
    assert set(lab.states().values()) == {"confirmed"}
    assert {row.attempts for row in lab.deliveries()} == {1}
    assert lab.questions() == []


def test_a_delivery_without_quota_says_what_it_waits_for(lab: Lab) -> None:
    manifest = lab.registry.get("lab").manifest
    limit = WindowLimit(model="window", requests=1, per=60)
    lab.hub.links.open(lab.lab).gate.declare(manifest.model_copy(update={"limits": [limit]}), {})
    lab.plan("message.send", "M1", {"n": 1})
    lab.plan("message.send", "M2", {"n": 2})
    lab.send()
    waiting = next(row for row in lab.deliveries() if row.key == "M2")
    assert (waiting.state, waiting.attempts, waiting.frozen_body) == ("planned", 0, None)
    assert "quota" in waiting.reason
    assert waiting.next_attempt_at > lab.clock()


def test_what_may_have_been_sent_keeps_the_day_it_was_while_it_waits_for_quota(lab: Lab) -> None:
    """Out of a backup, or sent again by a person, it counts no attempts, and the vendor forgets its key all the same."""
    manifest = lab.registry.get("lab").manifest
    limit = WindowLimit(model="window", requests=1, per=60)
    lab.hub.links.open(lab.lab).gate.declare(manifest.model_copy(update={"limits": [limit]}), {})
    lab.plan("invoice.create", "F1", {"n": 1})
    maybe = lab.plan("invoice.create", "F2", {"n": 2})
    assert maybe is not None
    before = lab.clock() - 60 * SECOND
    lab.set(DELIVERY, maybe, maybe_sent=True, first_sent_at=before)
    lab.send()
    [waiting] = [row for row in lab.deliveries() if row.key == "F2"]
    assert (waiting.state, waiting.attempts, waiting.first_sent_at) == ("retry", 0, before)


def test_an_answer_of_an_attempt_that_was_taken_over_leaves_the_next_one_in_the_air(lab: Lab) -> None:
    delivery = lab.plan("message.send", "M1", {"n": 1})
    assert delivery is not None
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        [first] = claim.claim(connection, rows, owner="us", now=lab.clock()).sendings
    outbox = lab.hub.outbox
    newer = _Flight(lab.lab, first.fence + 1, lab.clock() + 30 * SECOND)
    outbox._in_flight[delivery] = newer
    spec = lab.registry.get("lab").manifest.operations["message.send"]
    outbox._results.put(outcomes.Result(first, operations.Retry(None, "cut", sent=True), spec))
    outbox.step()
    assert outbox._in_flight.get(delivery) is newer
    outbox._in_flight.clear()
