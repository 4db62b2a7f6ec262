"""`fetch`: what a flow reads is kept with its event, and a flow of the core that reads runs after its transaction, once."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from lab_hub import Crash, Lab, crashing

from hub.connect import links
from hub.connect.tables import RoleBinding
from hub.core.stock.tables import ITEM
from hub.flows.tables import Run
from hub.inbox import claim
from hub.inbox.tables import Inbox
from hub.records.schema import fits
from hub.records.structs import canonical
from hub.workers.admin import events, questions
from hub.workers.hub import Hub

RUN = Run.__table__  # type: ignore[attr-defined]
INBOX = Inbox.__table__  # type: ignore[attr-defined]
THINGS = "flow: things\non: {role: shop, record: thing}\nsteps:\n"
FETCH = "  - fetch: {role: books, record: thing, id: record.other, as: other}\n"
ITEMS = "  - item.sync: {sku: \"default(other.name, 'none')\", title: record.id}\n"
#: a flow of a core event that reads, and one that only the event is enough for
START = "flow: start\non: {manual: go}\nsteps:\n  - emit: {event: line.sold, record: record, subject: \"'line:' + record.id\"}\n"
TELL = (
    "flow: tell\non: {event: line.sold}\nsteps:\n"
    "  - fetch: {role: books, record: thing, id: line.other, as: other, required: true}\n"
    "  - deliver: {role: books, operation: invoice.create, key: line.id, body: \"{'name': other.name}\"}\n"
)


def load(lab: Lab, **flows: str) -> None:
    problems = [str(problem) for problem in lab.write(**flows) if problem.file[6:-5] in flows]
    assert problems == []


def reads(lab: Lab, path: str) -> int:
    return sum(call.path == path for call in lab.system.calls)


def skus(lab: Lab) -> list[str]:
    return [row.sku for row in lab.rows(ITEM)]


def test_an_answer_that_cannot_be_stored_keeps_no_other_from_being_stored(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.open_merchant(2)
    other = lab.connect("second", ("shop", "books"), merchant_id=2)
    lab.hub = Hub(lab.database, lab.vault, lab.registry, homes=[lab.home], clock=lab.clock, outbox_threads=0)
    load(lab, things=THINGS + FETCH + ITEMS)
    real = claim.was_fetched

    def was_fetched(connection: Any, event: claim.Event, *arguments: Any, **more: Any) -> bool:
        if event.record_id == "1":
            raise OverflowError("more than a column holds")
        return real(connection, event, *arguments, **more)

    monkeypatch.setattr(claim, "was_fetched", was_fetched)
    for number in ("1", "2", "3"):
        lab.system.records[f"/thing/{number}"] = {"id": number, "name": f"n{number}"}
        lab.receive({"id": number, "other": number})
    lab.receive({"id": "4", "other": "3"}, connection_id=other, merchant_id=2)
    while lab.hub.books.work_once():
        pass
    with pytest.raises(OverflowError):
        lab.hub.fetch.fetch_once()
    while lab.hub.books.work_once():
        pass
    assert sorted(skus(lab)) == ["n2", "n3", "n3"]
    monkeypatch.undo()
    lab.clock.forward(31)
    lab.work()
    assert sorted(skus(lab)) == ["n1", "n2", "n3", "n3"], "it is read again once its lease has run out"


# -- flows of a record -------------------------------------------------------------------------------------------------


def test_a_record_is_read_before_the_books_are_touched(lab: Lab) -> None:
    load(lab, things=THINGS + FETCH + ITEMS)
    lab.system.records["/thing/7"] = {"id": "7", "name": "seven", "price": 1.10}
    lab.receive({"id": "1", "other": "7"})
    lab.work()
    assert skus(lab) == ["seven"]
    assert [row.state for row in lab.events()] == ["done"]
    assert len(lab.rows(RUN)) == 1, "the attempt that found what to read leaves no run"


def test_what_is_not_there_is_null_or_a_question_that_is_asked_anew_when_answered(lab: Lab) -> None:
    load(lab, things=THINGS + FETCH + ITEMS)
    for other in ("8", None):
        lab.receive({"id": "1", "other": other})
        lab.work()
    assert skus(lab) == ["none"]
    assert reads(lab, "/thing/8") == 1
    load(lab, things=THINGS + FETCH.replace("as: other", "as: other, required: true") + ITEMS)
    lab.receive({"id": "1", "other": "9"})
    lab.work()
    [question] = lab.questions()
    assert (question.kind, question.reason) == ("fetch.missing", "thing 9: books has none")
    lab.system.records["/thing/9"] = {"name": "nine"}
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert skus(lab) == ["none", "nine"]
    assert lab.questions() == []


def test_the_stored_answer_counts_though_the_system_says_something_else_by_now(lab: Lab) -> None:
    check = "  - validate: {that: record.id == other.wanted, else: not the one}\n"
    load(lab, things=THINGS + FETCH + check + ITEMS)
    lab.system.records["/thing/7"] = {"name": "before", "wanted": "x"}
    lab.receive({"id": "1", "other": "7"})
    lab.work()
    assert [question.kind for question in lab.questions()] == ["validate"]
    lab.system.records["/thing/7"] = {"name": "after", "wanted": "1"}
    load(lab, things=THINGS + FETCH + ITEMS)
    events.replay(lab.hub, [lab.events()[0].seq])
    lab.work()
    assert skus(lab) == ["before"]
    assert reads(lab, "/thing/7") == 1
    lab.receive({"id": "1", "other": "7"})
    lab.work()
    assert skus(lab) == ["before", "after"], "another event reads for itself"


def test_an_event_that_waits_for_a_read_lets_other_keys_pass_and_holds_its_own(lab: Lab) -> None:
    load(lab, things=THINGS + "  - when: {if: record.other, steps: [{" + FETCH.strip(" -\n") + "}]}\n" + ITEMS)
    lab.system.records["/thing/7"] = {"name": "seven"}
    lab.system.fault("/thing/7", times=3)  # what one read tries
    lab.receive({"id": "1", "other": "7"})
    lab.receive({"id": "1", "name": "later"})
    lab.receive({"id": "2"})
    lab.work()
    first, later, other = lab.events()
    assert (first.state, later.state, other.state) == ("fetch", "ready", "done")
    assert first.next_attempt_at > lab.clock()
    assert "503" in first.outcome
    lab.clock.forward(2)
    lab.work()
    assert [row.state for row in lab.events()] == ["done", "done", "done"]
    order = [row.event_seq for row in lab.rows(RUN)]
    assert order == [other.seq, first.seq, later.seq]


def test_what_the_system_refuses_is_a_question(lab: Lab) -> None:
    load(lab, things=THINGS + FETCH + ITEMS)
    lab.system.fault("/thing/7", status=422, times=1)
    lab.receive({"id": "1", "other": "7"})
    lab.work()
    [question] = lab.questions()
    assert question.kind == "fetch.refused"
    assert question.reason.startswith("thing 7: 422")
    lab.system.records["/thing/7"] = {"name": "seven"}
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert skus(lab) == ["seven"]


def test_a_connection_that_lets_nobody_in_is_a_question_of_its_own_and_the_event_waits(lab: Lab) -> None:
    load(lab, things=THINGS + FETCH + ITEMS)
    lab.system.records["/thing/7"] = {"name": "seven"}
    lab.system.fault("/thing/7", status=401, times=1)
    lab.receive({"id": "1", "other": "7"})
    lab.work()
    assert [question.kind for question in lab.questions()] == ["connection.reconnect"]
    [event] = lab.events()
    assert (event.state, event.attempts) == ("fetch", 1)
    lab.clock.forward(1)
    lab.work()
    assert skus(lab) == ["seven"]


def test_the_reads_of_a_loop_are_made_at_once_and_equal_ones_once(lab: Lab) -> None:
    steps = (
        "  - set: {names: '[]'}\n  - for_each:\n      in: record.others\n      as: each\n      steps:\n"
        "        - fetch: {role: books, record: thing, id: each, as: other}\n"
        '        - set: {names: "names + [other.name]"}\n'
        '  - fetch: {role: books, record: thing, id: "names[0]", as: last}\n'
        "  - item.sync: {sku: \"join(names, '-') + last.name\", title: record.id}\n"
    )
    load(lab, things=THINGS + steps)
    lab.system.records |= {f"/thing/{name}": {"name": name.upper()} for name in ("a", "b", "c", "A")}
    lab.receive({"id": "1", "others": ["a", "b", "c", "a"]})
    claims = []
    while lab.hub.books.work_once() or lab.hub.fetch.fetch_once():
        claims.append(lab.events()[0].state)
    assert skus(lab) == ["A-B-C-AA"]
    assert [reads(lab, f"/thing/{name}") for name in ("a", "b", "c", "A")] == [1, 1, 1, 1]
    assert claims.count("fetch") == 2, "one turn for the loop, one for the read that follows from it"


def http(lab: Lab) -> int:
    """A connection of the connector `http` to the lab's system, which plays the role `crm`."""
    ids = lab.database.ids
    ids.ensure(20)
    connection_id = ids.next()
    with lab.database.write() as connection:
        links.create(
            connection, lab.registry, lab.vault, connection_id=connection_id, merchant_id=1, name="crm", connector="http",
            settings={"url": lab.url}, mode="live", go_live_at=0,
        )  # fmt: skip
        connection.execute(
            RoleBinding.__table__.insert(),  # type: ignore[attr-defined]
            [{"id": ids.next(), "merchant_id": 1, "role": "crm", "connection_id": connection_id}],
        )
    return connection_id


def test_an_operation_that_reads_answers_with_exact_numbers(lab: Lab) -> None:
    http(lab)
    get = "  - fetch: {role: crm, operation: get, body: \"{'path': '/thing/' + record.other}\", as: other}\n"
    load(
        lab,
        things=THINGS
        + get
        + "  - item.sync: {sku: \"text(default(other.price, 0)) + '/' + text(default(other.id, 0))\", title: record.id}\n",
    )
    lab.system.records["/thing/7"] = {"id": 12345678901234567890, "price": 1.10}
    lab.receive({"id": "1", "other": "7"})
    lab.work()
    assert skus(lab) == ["1.1/12345678901234567890"]
    lab.receive({"id": "1", "other": "missing"})
    lab.work()
    assert lab.questions() == []
    assert json.loads(lab.events()[1].fetched)[0]["answer"] is None


def test_a_read_of_the_record_itself_comes_first(lab: Lab) -> None:
    """A poll finds an order: it is read, and then what its flow asks for."""
    load(lab, things=THINGS + FETCH + ITEMS)
    lab.system.records |= {"/thing/1": {"id": "1", "other": "7"}, "/thing/7": {"id": "7", "name": "seven"}}
    lab.receive({"id": "1", "other": "none"}, topic="things/changed", kind="thing")
    with lab.database.write() as connection:
        values = {"kind": "poll", "state": "fetch", "body": None}
        connection.execute(INBOX.update().values(**values))
    lab.work()
    assert skus(lab) == ["seven"]
    assert (reads(lab, "/thing/1"), reads(lab, "/thing/7")) == (1, 1)


# -- flows of the core -------------------------------------------------------------------------------------------------


def test_a_flow_of_the_core_that_reads_runs_after_as_an_event_of_its_own(lab: Lab) -> None:
    load(lab, start=START, tell=TELL)
    lab.system.records["/thing/7"] = {"name": "seven"}
    lab.trigger("go", {"id": "L1", "other": "7"})
    lab.work()
    came, deferred = lab.events()
    assert (deferred.kind, deferred.topic, deferred.record, deferred.record_id) == (
        "core",
        "line.sold",
        "tell",
        "line:L1",
    )
    assert (deferred.ordering_key, deferred.parent_seq, deferred.state) == ("line:L1:tell", came.seq, "done")
    run = lab.rows(RUN)[-1]
    assert (run.flow, run.trigger, run.subject, run.event_seq) == ("tell", "line.sold", "line:L1", deferred.seq)
    [delivery] = lab.deliveries()
    assert (delivery.state, delivery.ordering_key, json.loads(delivery.body)) == (
        "confirmed",
        "line:L1",
        {"name": "seven"},
    )


def test_a_deferred_run_that_is_refused_is_worked_again_as_its_event(lab: Lab) -> None:
    load(lab, start=START, tell=TELL)
    lab.trigger("go", {"id": "L1", "other": "7"})
    lab.work()
    assert [row.state for row in lab.events()] == ["done", "parked"]
    [question] = lab.questions()
    assert (question.kind, question.subject) == ("fetch.missing", "line:L1:tell")
    lab.system.records["/thing/7"] = {"name": "seven"}
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert [row.state for row in lab.events()] == ["done", "done"]
    assert lab.states() == {"L1": "confirmed"}


def test_a_run_that_was_parked_by_a_flow_that_reads_since_then_is_deferred_when_answered(lab: Lab) -> None:
    refuses = "flow: tell\non: {event: line.sold}\nsteps:\n  - validate: {that: line.good, else: no}\n  - item.sync: {sku: line.id}\n"
    load(lab, start=START, tell=refuses)
    lab.trigger("go", {"id": "L1", "other": "7"})
    lab.work()
    [question] = lab.questions()
    lab.system.records["/thing/7"] = {"name": "seven"}
    load(lab, tell=TELL)
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert lab.states() == {"L1": "confirmed"}


def until(lab: Lab, state: str, count: int) -> None:
    """Waits until so many events have a state."""
    for _ in range(1_000):
        if len(lab.events(state=state)) == count:
            return
        threading.Event().wait(0.02)
    raise AssertionError([(row.seq, row.state, row.outcome) for row in lab.events()])


def test_with_the_workers_running_a_slow_read_keeps_no_other_event_waiting(lab: Lab) -> None:
    load(lab, start=START, tell=TELL)
    gate = lab.system.gates["/thing/slow"] = threading.Event()
    names = ["slow", *map(str, range(30))]
    lab.system.records |= {f"/thing/{name}": {"name": name} for name in names}
    lab.hub.start()
    try:
        for name in names:
            lab.trigger("go", {"id": name, "other": name}, key=name)
        until(lab, "done", 2 * len(names) - 1)
        [slow] = lab.events(state="fetch")
        assert slow.record_id == "line:slow"
        gate.set()
        until(lab, "done", 2 * len(names))
    finally:
        gate.set()
        lab.hub.stop()
    assert lab.questions() == []
    assert [json.loads(row.body)["name"] for row in lab.deliveries(key="slow")] == ["slow"]


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_deferred_flow_runs_exactly_once_wherever_the_process_dies(lab: Lab, after_commit: bool) -> None:
    load(lab, start=START, tell=TELL)
    died = 0
    for at in range(1, 30):
        key, path = f"L{at}", f"/thing/{at}"
        lab.clock.forward(200)  # no other process holds a lane
        lab.system.records[path] = {"name": f"first {at}"}
        lab.trigger("go", {"id": key, "other": str(at)}, key=key)
        hub = lab.another_hub()
        hub._actives = dict(lab.hub._actives)
        try:
            with crashing(lab, at, after_commit=after_commit):
                while hub.books.work_once() or hub.fetch.fetch_once():
                    pass
            lab.send()
        except Crash:
            died += 1
            answered = any(
                row.fetched and '"answer"' in row.fetched.decode() for row in lab.events(record_id=f"line:{key}")
            )
            lab.system.records[path] = {"name": f"second {at}"}
            lab.clock.forward(200)  # leases run out
            lab.work()
            if answered:
                assert json.loads(lab.deliveries(key=key)[0].body) == {"name": f"first {at}"}
        finally:
            hub.intake.close()
            hub.links.close()
        assert [row.state for row in lab.events(record_id=f"line:{key}")] == ["done"], at
        assert [row.state for row in lab.deliveries(key=key)] == ["confirmed"], at
        assert len(lab.rows(RUN, flow="tell", subject=f"line:{key}")) == 1
        if died < at:
            break
    assert died >= 8, "claim, work, claim, look, claim to read, store, claim, work: it died at each"
    assert len(lab.system.invoices) == at


# -- what was sent ------------------------------------------------------------------------------------------------------

SEND = "flow: send\non: {manual: go}\nsteps:\n  - deliver: {role: books, operation: OPERATION, key: record.id, body: record}\n"
SENT = (
    "flow: sent\non: {event: delivery.confirmed}\nwhen: delivery.operation == 'invoice.create'\nsteps:\n"
    "  - item.sync: {sku: \"delivery.key + ' is ' + delivery.external_id\", title: event.subject}\n"
)


def test_a_confirmed_delivery_is_told_to_the_flows_that_answer_it_once(lab: Lab) -> None:
    load(lab, send=SEND.replace("OPERATION", "invoice.create"), sent=SENT)
    lab.system.fault("/invoices", "status_after")
    lab.trigger("go", {"id": "F1"})
    lab.work()
    lab.clock.forward(5)
    lab.work()
    assert skus(lab) == ["F1 is i1"]
    came, told = lab.events()
    [delivery] = lab.deliveries()
    assert (told.kind, told.topic, told.record, told.parent_seq) == ("core", "delivery.confirmed", "sent", came.seq)
    assert told.record_id == delivery.ordering_key
    type_ = canonical("delivery.confirmed")
    assert type_ is not None
    assert fits(json.loads(told.body)["record"], type_) == []


def test_nobody_is_told_of_a_delivery_where_no_flow_asks(lab: Lab) -> None:
    load(lab, send=SEND.replace("OPERATION", "invoice.create"))
    lab.trigger("go", {"id": "F1"})
    lab.work()
    assert len(lab.events()) == 1


def test_a_delivery_that_a_person_found_is_told_too(lab: Lab) -> None:
    load(lab, send=SEND.replace("OPERATION", "message.send"), sent=SENT.replace("invoice.create", "message.send"))
    lab.system.fault("/messages", "drop_after")
    lab.trigger("go", {"id": "M1"})
    lab.work()
    [question] = lab.questions()
    assert question.kind == "delivery.uncertain"
    questions.answer(lab.hub, question.id, "confirmed", {"external_id": "m77"})
    lab.work()
    assert skus(lab) == ["M1 is m77"]


def test_deliveries_that_lead_to_each_other_for_ever_end_in_a_question(lab: Lab) -> None:
    again = (
        "flow: again\non: {event: delivery.confirmed}\nsteps:\n"
        "  - deliver: {role: books, operation: invoice.create, key: \"delivery.key + 'x'\", body: delivery}\n"
    )
    load(lab, send=SEND.replace("OPERATION", "invoice.create"), again=again)
    lab.trigger("go", {"id": "F"})
    lab.work()
    assert [question.kind for question in lab.questions()] == ["flow.loop"]
    assert len(lab.deliveries()) == 21
