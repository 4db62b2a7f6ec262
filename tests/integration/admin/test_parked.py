"""What is parked: found by its class, edited, settled once by whoever is first, and worked again in bulk."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from lab_hub import QUESTION, Lab, lab
from lab_orders import ORDER, ORDERS, order

from hub.connect import operations
from hub.inbox.replay import BULK
from hub.outbox import claim, outcomes
from hub.outbox.outcomes import Result
from hub.outbox.tables import DeliveryEdit, Effect
from hub.workers.admin import answers, deliveries, edits, events, questions, replays, reports, verify
from hub.workers.admin.errors import AdminError
from hub.workers.narrowed import INBOX, RUN
from hub.workers.replays import Replays

__all__ = ["lab"]
EFFECT = Effect.__table__  # type: ignore[attr-defined]
THINGS = """
flow: things
on: {role: shop, record: thing}
steps:
  - validate: {that: record.ok, else: it is not ok}
  - deliver: {role: books, operation: invoice.create, key: text(record.n), body: "{'n': record.n}"}
"""


def load(lab: Lab, **files: str) -> None:
    """Flows and mappings of the lab's home; what is shipped is not for the lab."""
    own = {f"flows/{name}.yaml" for name in files}
    assert [str(problem) for problem in lab.write(**files) if problem.file in own] == []


@pytest.fixture
def things(lab: Lab) -> Lab:
    """A lab whose flow takes only what is `ok`."""
    load(lab, things=THINGS)
    return lab


def parked(lab: Lab, count: int, *, keys: int | None = None) -> list[int]:
    """Parks some events, of so many ordering keys. Gives their numbers."""
    for n in range(count):
        lab.receive({"id": f"T{n}", "n": n, "ok": False}, key=str(n % (keys or count)))
    lab.work()
    return [row.seq for row in lab.events(state="parked")]


def mended(lab: Lab) -> None:
    load(lab, things=THINGS.replace("that: record.ok", 'that: "true"'))


def runs(lab: Lab, state: str) -> list[int]:
    return sorted(row.event_seq for row in lab.rows(RUN, state=state))


# -- classes ----------------------------------------------------------------------------------------------------


def test_what_is_parked_is_found_by_class_connection_flow_and_time(things: Lab) -> None:
    [seq] = parked(things, 1)
    things.clock.forward(3600)
    things.system.fault("/invoices", status=400)
    things.receive({"id": "R", "n": 1, "ok": True})
    things.work()
    hub = things.hub

    found = {"error_class": "validation", "connection": "lab", "flow": "things"}
    assert [row["seq"] for row in reports.inbox(hub, **found)["items"]] == [seq]
    assert [row["event"] for row in reports.runs(hub, **found)["items"]] == [seq]
    assert [row["event"] for row in questions.listed(hub, **found)["items"]] == [seq]
    refused = {**found, "error_class": "rejected"}
    assert [row["key"] for row in reports.outbox(hub, **refused)["items"]] == ["1"]
    assert [row["kind"] for row in questions.listed(hub, **refused)["items"]] == ["delivery.rejected"]
    assert questions.listed(hub, flow="another")["items"] == []
    later = "2026-11-24T08:30:00+00:00"  # half an hour after the lab's clock begins
    assert [row["error_class"] for row in questions.listed(hub, since=later)["items"]] == ["rejected"]
    assert [row["error_class"] for row in questions.listed(hub, until=later)["items"]] == ["validation"]
    for wrong in ({"error_class": "odd"}, {"connection": "nobody"}, {"since": "monday"}):
        with pytest.raises(AdminError, match=next(iter(wrong.values()))):
            reports.inbox(hub, **wrong)


def test_what_is_worked_in_the_end_has_no_class_any_more(things: Lab) -> None:
    [seq] = parked(things, 1)
    mended(things)
    events.replay(things.hub, [seq])
    things.work()
    [row] = things.events()
    assert (row.state, row.error_class, row.outcome[:8]) == ("done", None, "delivery")


# -- settling ---------------------------------------------------------------------------------------------------


def uncertain(lab: Lab) -> int:
    lab.system.fault("/messages", "drop_after")
    delivery = lab.plan("message.send", "M1", {"to": "a"})
    lab.send()
    assert lab.states() == {"M1": "uncertain"}
    assert delivery is not None
    return delivery


def late(lab: Lab) -> tuple[int, Result]:
    """A sender that stops for longer than its lease: its delivery is uncertain by then. Gives what it says in the end."""
    delivery = lab.plan("message.send", "M1", {"to": "a"})
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        [sending] = claim.claim(connection, rows, owner="slow", now=lab.clock()).sendings
    lab.clock.forward(200)
    lab.hub.outbox.sweep()
    assert lab.states() == {"M1": "uncertain"}
    spec = lab.registry.get("lab").manifest.operations["message.send"]
    assert delivery is not None
    return delivery, Result(sending, operations.Confirmed("m1"), spec)


def late_and_again(lab: Lab) -> tuple[Result, claim.Sending]:
    """A sender that was given up has an answer, and the attempt of another runs, because a person had it sent again."""
    delivery, result = late(lab)
    deliveries.resolve(lab.hub, delivery, "resend")
    with lab.database.read() as connection:
        rows = claim.due(connection, lab.lab, lab.clock(), 10)
    with lab.database.write() as connection:
        [now] = claim.claim(connection, rows, owner="quick", now=lab.clock()).sendings
    return result, now


def say(lab: Lab, *results: Result) -> None:
    lab.database.ids.ensure(1_000)
    with lab.database.write() as connection:
        outcomes.commit(connection, lab.database.ids, lab.vault, results, lab.clock())


def test_it_is_there_is_logged_bound_and_lets_go_what_waits_for_it(lab: Lab) -> None:
    lab.system.fault("POST /customers", status=400)
    ref = {"$ref": "customer", "key": "7", "ensure": "customer.ensure", "data": {"ref": "7"}}
    lab.plan("invoice.create", "F1", {"customer": ref})
    lab.send()
    assert lab.states() == {"customer:7": "rejected", "F1": "waiting"}
    [refused] = lab.deliveries(state="rejected")

    answered = deliveries.resolve(lab.hub, refused.id, "confirmed", external_id="c77", by="ada")
    lab.work()

    assert lab.states() == {"customer:7": "confirmed", "F1": "confirmed"}
    assert b"c77" in next(call.body for call in lab.system.calls if call.path == "/invoices")
    assert len(lab.system.customers) == 0
    assert verify.verify(lab.hub) == {"ok": True, "faults": []}
    [said] = deliveries.shown(lab.hub, refused.id)["questions"]
    assert (said["id"], said["answered_by"]) == (answered["question"], "ada")
    assert said["closed_at"]
    assert "c77" in said["answer"]


@pytest.mark.parametrize("state", ["planned", "sending", "retry", "confirmed", "superseded", "observed"])
def test_only_what_is_parked_is_settled(lab: Lab, state: str) -> None:
    delivery = lab.plan("message.send", "M1", {"to": "a"})
    assert delivery is not None
    lab.set(outcomes.DELIVERY, delivery, state=state)
    for answer in ("confirmed", "resend", "drop"):
        with pytest.raises(AdminError, match=f"delivery {delivery} is {state}: it"):
            deliveries.resolve(lab.hub, delivery, answer, external_id="x")
    assert lab.states() == {"M1": state}


def test_a_person_may_have_an_uncertain_write_without_a_ladder_sent_once_more(lab: Lab) -> None:
    delivery = uncertain(lab)
    deliveries.resolve(lab.hub, delivery, "resend", by="ada")
    lab.work()
    assert lab.states() == {"M1": "confirmed"}
    assert len(lab.system.messages) == 2, "the person said so"
    assert deliveries.shown(lab.hub, delivery)["questions"][0]["answered_by"] == "ada"
    with pytest.raises(AdminError, match="it has arrived; ada said resend on"):
        deliveries.resolve(lab.hub, delivery, "drop")


def test_an_uncertain_write_with_a_ladder_follows_it_when_a_person_has_it_sent_again(lab: Lab) -> None:
    """Given up after the write: the look-up finds it, the key is the same, nothing is made twice."""
    lab.system.fault("POST /customers", "drop_after")
    lab.system.fault("/invoices", "drop_after")
    lab.clock.forward(1)
    lab.plan("customer.ensure", "customer:7", {"ref": "7"})
    lab.plan("invoice.create", "F1", {"n": 1})
    with lab.database.write() as connection:
        connection.execute(outcomes.DELIVERY.update().values(retry_attempts=1))
    lab.send()
    assert set(lab.states().values()) == {"uncertain"}
    for row in lab.deliveries():
        deliveries.resolve(lab.hub, row.id, "resend")
    lab.work()
    assert set(lab.states().values()) == {"confirmed"}
    assert (len(lab.system.customers), len(lab.system.invoices)) == (1, 1)


def test_a_key_that_the_vendor_has_forgotten_protects_no_more(lab: Lab) -> None:
    lab.system.fault("/invoices", "drop_after", times=1)
    delivery = lab.plan("invoice.create", "F1", {"n": 1})
    lab.send()
    lab.clock.forward(2 * 86_400)
    lab.send()
    assert lab.states() == {"F1": "uncertain"}
    assert delivery is not None
    deliveries.resolve(lab.hub, delivery, "resend")
    lab.work()
    assert lab.states() == {"F1": "confirmed"}


def test_of_two_people_one_settles_it_and_the_other_is_told(lab: Lab) -> None:
    delivery = uncertain(lab)
    said: list[Any] = []
    start = threading.Barrier(2)

    def settle(answer: str) -> None:
        start.wait()
        try:
            deliveries.resolve(lab.hub, delivery, answer, external_id="m1", by=answer)
            said.append(answer)
        except AdminError as error:
            said.append(error)

    threads = [threading.Thread(target=settle, args=(answer,)) for answer in ("confirmed", "drop")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [won] = [each for each in said if isinstance(each, str)]
    [told] = [str(each) for each in said if isinstance(each, AdminError)]
    assert won in told
    assert lab.states() == {"M1": "confirmed" if won == "confirmed" else "superseded"}
    assert len(lab.rows_of(EFFECT)) == (won == "confirmed")


def test_proof_that_comes_late_counts_while_nobody_has_settled_it(lab: Lab) -> None:
    delivery, result = late(lab)
    say(lab, result)
    [row] = lab.deliveries()
    assert (row.state, row.external_id) == ("confirmed", "m1")
    assert lab.questions() == []
    with pytest.raises(AdminError, match="is confirmed: it has arrived"):
        deliveries.resolve(lab.hub, delivery, "resend")
    assert len(lab.rows_of(EFFECT)) == 1


def test_proof_that_comes_before_the_resend_is_sent_spares_it(lab: Lab) -> None:
    delivery, result = late(lab)
    deliveries.resolve(lab.hub, delivery, "resend")
    say(lab, result)
    lab.work()
    assert lab.states() == {"M1": "confirmed"}
    assert lab.system.messages == []


@pytest.mark.parametrize("answer", ["drop", "confirmed"])
def test_proof_that_comes_after_a_person_settled_it_otherwise_is_told(lab: Lab, answer: str) -> None:
    delivery, result = late(lab)
    deliveries.resolve(lab.hub, delivery, answer, external_id="another")
    say(lab, result)
    assert lab.states() == {"M1": "superseded" if answer == "drop" else "confirmed"}
    [question] = lab.questions()
    assert (question.kind, question.error_class) == ("delivery.late", "conflict")
    assert "m1" in question.reason
    assert len(lab.rows_of(EFFECT)) == (answer == "confirmed")


def test_a_late_refusal_is_not_taken_for_that_of_the_attempt_that_runs_now(lab: Lab) -> None:
    """A person had it sent again, which counts attempts from nothing: the late sender has the same count, not the same
    attempt."""
    result, now = late_and_again(lab)
    assert now.attempts == result.sending.attempts

    say(lab, Result(result.sending, operations.Rejected("no"), result.spec))
    assert lab.states() == {"M1": "sending"}
    say(lab, Result(now, operations.Confirmed("m2"), result.spec))
    [row] = lab.deliveries()
    assert (row.state, row.external_id) == ("confirmed", "m2")
    say(lab, result)
    assert [question.kind for question in lab.questions()] == ["delivery.late"], "it may be there twice"


def test_a_late_answer_with_what_the_next_attempt_finds_is_a_question_only_until_then(lab: Lab) -> None:
    result, now = late_and_again(lab)
    say(lab, result)
    assert [question.kind for question in lab.questions()] == ["delivery.late"]
    say(lab, Result(now, operations.Confirmed("m1"), result.spec))
    assert lab.states() == {"M1": "confirmed"}
    assert lab.questions() == [], "both made or found m1: it is there once"


def test_a_late_answer_in_one_group_with_the_same_one_is_no_question(lab: Lab) -> None:
    result, now = late_and_again(lab)
    say(lab, Result(now, operations.Confirmed("m1"), result.spec), result)
    assert lab.questions() == []


# -- edits ------------------------------------------------------------------------------------------------------


def test_a_parked_event_is_worked_with_an_edited_body_and_the_first_is_kept(things: Lab) -> None:
    [seq] = parked(things, 1)
    original = things.events()[0].body
    shown = edits.event(things.hub, seq)

    made = edits.edit_event(things.hub, seq, values={"ok": True}, of=shown["sha256"], why="it is", by="ada")
    things.work()

    assert made == {"event": seq, "version": 1}
    assert things.events()[0].state == "done"
    assert len(things.system.invoices) == 1
    first, second = edits.event(things.hub, seq)["versions"]
    assert (first["body"].encode(), first["by"]) == (original, None)
    assert ('"ok":true' in second["body"], second["by"], second["why"]) == (True, "ada", "it is")
    [question] = things.questions("answered")
    assert (question.answer, question.answered_by) == ("edit 1", "ada")


def test_an_edit_that_does_not_fit_changes_nothing(things: Lab) -> None:
    [seq] = parked(things, 1)
    hub = things.hub
    for values, says in (({"lines.0.sku": 1}, "no 'lines'"), ({"n.x": 1}, "nothing in which 'x'")):
        with pytest.raises(AdminError, match=says):
            edits.edit_event(hub, seq, values=values)
    with pytest.raises(AdminError, match="changed since it was looked at"):
        edits.edit_event(hub, seq, body="{}", of="0" * 64)
    with pytest.raises(AdminError, match="either the whole body or"):
        edits.edit_event(hub, seq)
    assert things.events()[0].state == "parked"
    assert len(edits.event(hub, seq)["versions"]) == 1
    things.receive({"id": "G", "n": 5, "ok": True})
    things.work()
    with pytest.raises(AdminError, match="is done: only what is parked"):
        edits.edit_event(hub, seq + 1, body="{}")


def test_a_repeat_of_an_edited_event_is_still_one(things: Lab) -> None:
    body = {"id": "T", "n": 1, "ok": False}
    things.receive(body, dedup="d1")
    things.work()
    edits.edit_event(things.hub, things.events()[0].seq, values={"ok": True})
    things.receive(body, dedup="d1")
    things.work()
    assert [row.state for row in things.events()] == ["done"]


def test_a_refused_delivery_is_sent_with_an_edited_body_under_its_key(lab: Lab) -> None:
    lab.system.fault("/invoices", status=400)
    delivery = lab.plan("invoice.create", "F1", {"n": 1, "tax": "odd"})
    lab.send()
    assert delivery is not None

    deliveries.edit(lab.hub, delivery, values={"tax": "20"}, why="their code", by="ada")
    lab.work()

    one, two = [call for call in lab.system.calls if call.path == "/invoices"]
    assert one.key == two.key
    assert (one.body, two.body) == (b'{"n":1,"tax":"odd"}', b'{"n":1,"tax":"20"}')
    shown = deliveries.shown(lab.hub, delivery)
    assert [(each["version"], each["by"]) for each in shown["versions"]] == [(0, None), (1, "ada")]
    assert shown["questions"][0]["answer"] == "edit 1"
    assert lab.plan("invoice.create", "F1", {"n": 1, "tax": "odd"}) == delivery, "planned again it is the same still"
    assert verify.verify(lab.hub) == {"ok": True, "faults": []}
    with pytest.raises(AdminError, match="is confirmed: only what was refused"):
        deliveries.edit(lab.hub, delivery, values={"tax": "0"})


def test_what_may_have_arrived_is_not_edited(lab: Lab) -> None:
    lab.system.fault("/invoices", "drop_after")
    delivery = lab.plan("invoice.create", "F1", {"n": 1})
    lab.send()
    lab.clock.forward(2)
    lab.system.fault("/invoices", status=400)
    lab.send()
    assert delivery is not None
    assert lab.states() == {"F1": "rejected"}
    with pytest.raises(AdminError, match="an earlier attempt may have arrived"):
        deliveries.edit(lab.hub, delivery, values={"n": 2})
    assert lab.rows_of(DeliveryEdit.__table__) == []  # type: ignore[attr-defined]


# -- bulk replays -----------------------------------------------------------------------------------------------


def test_all_of_a_class_is_worked_again_once_in_order_of_each_key(things: Lab) -> None:
    seqs = parked(things, 250, keys=7)
    counted = replays.begin(things.hub, error_class="validation", dry_run=True)
    assert counted == {"events": 250, "runs": 0, "deliveries": 0, "classes": {"validation": 250}}
    assert replays.listed(things.hub)["items"] == []
    mended(things)

    begun = replays.begin(things.hub, error_class="validation", by="ada")
    with pytest.raises(AdminError, match=f"--resume {begun['id']}"):
        replays.begin(things.hub, error_class="validation")
    things.work()

    made = replays.one(things.hub, int(begun["id"]))
    assert (made["state"], made["taken"], made["total"], made["events"]) == ("done", 250, 250, {"done": 250})
    assert runs(things, "done") == seqs
    assert things.questions() == []
    assert {row.answered_by for row in things.questions("answered")} == {f"replay {begun['id']} (ada)"}
    sent = [int(call.body[5:-1]) for call in things.system.calls if call.path == "/invoices"]
    assert len(sent) == len(things.system.invoices) == 250
    of_key = [[n for n in sent if n % 7 == key] for key in range(7)]
    assert of_key == [sorted(each) for each in of_key]


def test_what_parks_again_is_not_taken_again_by_the_same_replay(things: Lab) -> None:
    parked(things, 3)
    begun = replays.begin(things.hub, flow="things")
    things.work()
    made = replays.one(things.hub, int(begun["id"]))
    assert (made["state"], made["taken"], made["events"]) == ("done", 3, {"parked": 3})
    assert len(runs(things, "parked")) == 6
    assert len(things.questions()) == 3


def test_a_bulk_replay_comes_after_all_that_comes_in(things: Lab) -> None:
    parked(things, 120)
    mended(things)
    replays.begin(things.hub, error_class="validation")
    assert things.hub.replays.step()
    assert not things.hub.replays.step(), "the next page waits until the last one is worked"
    things.receive({"id": "live", "n": 1_000, "ok": True})

    assert things.hub.books.work_once()

    [live] = things.events(priority=0, state="done", replay_id=None)
    assert live.record_id == "live"
    assert {row.priority for row in things.events(state="ready")} == {BULK}


def test_a_replay_is_paused_resumed_and_limited(things: Lab) -> None:
    parked(things, 250)
    mended(things)
    begun = replays.begin(things.hub, error_class="validation", most=150)
    things.hub.replays.step()
    replays.set_state(things.hub, int(begun["id"]), "paused")
    things.work()
    assert len(runs(things, "done")) == 100

    replays.set_state(things.hub, int(begun["id"]), "running")
    things.work()
    made = replays.one(things.hub, int(begun["id"]))
    assert (made["state"], made["taken"], len(runs(things, "done"))) == ("done", 150, 150)
    with pytest.raises(AdminError, match="is done"):
        replays.set_state(things.hub, int(begun["id"]), "running")


def test_a_replay_of_nothing_in_particular_is_refused(things: Lab) -> None:
    with pytest.raises(AdminError, match="say what is to be worked again"):
        replays.begin(things.hub)


def test_events_are_worked_again_in_bulk_with_the_version_that_parked_them(things: Lab) -> None:
    parked(things, 2)
    mended(things)
    begun = replays.begin(things.hub, error_class="validation", same_version=True)
    things.work()
    assert replays.one(things.hub, int(begun["id"]))["events"] == {"parked": 2}
    begun = replays.begin(things.hub, error_class="validation")
    things.work()
    assert replays.one(things.hub, int(begun["id"]))["events"] == {"done": 2}


def test_an_erased_body_is_skipped_and_told(things: Lab) -> None:
    seqs = parked(things, 2)
    with things.database.write() as connection:
        connection.execute(INBOX.update().where(INBOX.c.seq == seqs[0]).values(body=None))
    mended(things)
    begun = replays.begin(things.hub, error_class="validation")
    things.work()
    made = replays.one(things.hub, int(begun["id"]))
    assert (made["taken"], made["skipped"]) == (1, 1)
    assert f"event {seqs[0]} came in on" in made["skipped_reason"]


TELL = """
flow: tell
on: {event: invoice.issued}
steps:
  - validate: {that: "false", else: not yet}
  - deliver: {role: books, operation: invoice.create, key: invoice.number, body: "{'n': invoice.number}"}
"""


def test_parked_runs_and_refused_deliveries_are_worked_again_in_bulk(lab: Lab) -> None:
    load(lab, orders=ORDERS, lab__order=ORDER, tell=TELL)
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 9})
    lab.work()
    for number in (1, 2, 3):
        lab.receive(order(number), topic="orders/changed", kind="order")
    lab.work()
    assert [question.error_class for question in lab.questions()] == ["validation"] * 3
    load(lab, tell=TELL.replace('"false"', '"true"'))
    lab.system.fault("/invoices", status=400, times=2)

    begun = replays.begin(lab.hub, error_class="validation", flow="tell")
    assert begun["total"] == 3
    lab.work()
    assert replays.one(lab.hub, int(begun["id"]))["taken"] == 3
    invoices = {"operation": "invoice.create"}
    assert sorted(row.state for row in lab.deliveries(**invoices)) == ["confirmed", "rejected", "rejected"]

    assert replays.begin(lab.hub, error_class="rejected", connection="lab")["total"] == 2
    lab.work()
    assert [row.state for row in lab.deliveries(**invoices)] == ["confirmed"] * 3
    assert len(lab.system.invoices) == 3
    assert lab.questions() == []
    assert verify.verify(lab.hub) == {"ok": True, "faults": []}


def three_parked_runs(lab: Lab) -> None:
    load(lab, orders=ORDERS, lab__order=ORDER, tell=TELL)
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 9})
    for number in (1, 2, 3):
        lab.receive(order(number), topic="orders/changed", kind="order")
    lab.work()
    load(lab, tell=TELL.replace('"false"', '"true"'))


def test_what_a_person_answered_meanwhile_is_left_to_him(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    three_parked_runs(lab)
    first, second, _ = sorted(question.id for question in lab.questions())
    real, asked = Replays._answer, []

    def slow(self: Replays, row: Any, question: Any) -> bool:
        asked.append(question["id"])
        if question["id"] == first:
            questions.answer(lab.hub, second, "replay", by="somebody")
        return real(self, row, question)

    monkeypatch.setattr(Replays, "_answer", slow)
    begun = replays.begin(lab.hub, error_class="validation", flow="tell")
    lab.work()
    made = replays.one(lab.hub, int(begun["id"]))
    assert (len(asked), made["taken"], made["skipped"], made["state"]) == (3, 2, 1, "done")
    assert f"question {second} is answered already by somebody" in made["skipped_reason"]
    assert [row.answered_by for row in lab.rows(QUESTION, id=second)] == ["somebody"]
    assert len(lab.deliveries(operation="invoice.create")) == 3


def test_one_that_fails_keeps_no_other_from_being_replayed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    three_parked_runs(lab)
    real, failed = answers.run_again, []

    def broken(hub: Any, changing: Any, question: Any, **more: Any) -> bool:
        if not failed:
            failed.append(question["id"])
            raise ZeroDivisionError
        return bool(real(hub, changing, question, **more))

    monkeypatch.setattr(answers, "run_again", broken)
    begun = replays.begin(lab.hub, error_class="validation", flow="tell")
    lab.work()
    made = replays.one(lab.hub, int(begun["id"]))
    assert (made["taken"], made["skipped"], made["state"]) == (2, 1, "done")
    assert "ZeroDivisionError" in made["skipped_reason"]
    assert [question.id for question in lab.questions()] == failed


def test_what_is_done_is_not_replayed_by_a_class_of_errors(things: Lab) -> None:
    with pytest.raises(AdminError, match="no class of errors"):
        replays.begin(things.hub, state="done", error_class="validation")


def test_a_question_that_parks_several_events_stays_open_for_those_left(things: Lab) -> None:
    """Nothing is parked without a question."""
    first, second, third = parked(things, 3, keys=1)
    [question] = things.questions()
    assert question.event_seq == first
    mended(things)
    events.replay(things.hub, [first])
    things.work()
    [left] = things.questions()
    assert (left.id, left.event_seq) == (question.id, second)
    questions.answer(things.hub, left.id, "replay")
    things.work()
    assert {row.state for row in things.events()} == {"done"}
    assert third
    assert things.questions() == []


def test_all_runs_that_a_question_is_of_are_run_again(lab: Lab) -> None:
    """Two changes of one item parked: both are told in the end, not only the first."""
    told = TELL.replace("invoice.issued", "stock.changed").replace(
        "key: invoice.number, body: \"{'n': invoice.number}\"",
        "key: \"stock.sku + ':' + text(stock.available)\", body: \"{'n': stock.available}\"",
    )
    load(lab, tell=told)
    lab.trigger("items", {"sku": "MUG", "title": "Mug"})
    lab.work()
    for number in (1, 2):
        lab.trigger("receipts", {"sku": "MUG", "ref": f"R{number}", "quantity": 1}, key=str(number))
        lab.work()
    [question] = [each for each in lab.questions() if each.subject.endswith(":tell")]
    parked_runs = lab.rows(RUN, state="parked", flow="tell")
    load(lab, tell=told.replace('"false"', '"true"'))
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert len(parked_runs) > 1
    assert len(lab.rows(RUN, state="done", flow="tell")) == len(parked_runs)


def test_a_statement_of_a_bulk_replay_finds_what_is_parked_by_its_index(things: Lab) -> None:
    if not things.database.sqlite:
        pytest.skip("explained on SQLite")
    row = {
        "merchant_id": 1, "criteria": '{"error_class": "validation", "state": "parked"}', "cursor": 0, "last_seq": 9,
        "created_at": 1, "phase": "events",
    }  # fmt: skip
    from hub.workers.replays import events_after

    made = events_after(row).limit(5).compile(things.database.engine, compile_kwargs={"literal_binds": True})
    with things.database.read() as connection:
        plan = " | ".join(connection.execute(sa.text(f"EXPLAIN QUERY PLAN {made}")).scalars("detail").all())
    assert "inbox_parked" in plan
    assert "SCAN inbox" not in plan
