"""What a hub out of a backup sends: nothing that the hub before may have sent, without looking or asking."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from lab_hub import Lab

from hub.connect import operations
from hub.connect.operations import Confirmed, Rejected, Uncertain
from hub.connect.tables import Connection
from hub.outbox import restored
from hub.outbox.plan import DELIVERY
from hub.workers.admin.questions import answer

CONNECTION = Connection.__table__  # type: ignore[attr-defined]

DAY = 86_400


def _restore(lab: Lab, *, hours_ago: float = 1) -> None:
    with lab.database.write() as connection:
        restored.mark(connection, backed_up_at=lab.clock() - int(hours_ago * 3_600_000_000), now=lab.clock())
    lab.database.ids.restore(())  # as a process that starts


def _release(lab: Lab) -> None:
    with lab.database.write() as connection:
        restored.release(connection, 1, [lab.lab], lab.clock())


def _row(lab: Lab, key: str) -> Any:
    return next(row for row in lab.deliveries() if row.key == key)


def test_nothing_is_sent_before_the_release(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"total": 1})
    _restore(lab)
    lab.plan("invoice.create", "F2", {"total": 2})
    lab.send()
    assert lab.system.calls == []
    assert lab.states() == {"F1": "planned", "F2": "planned"}
    _release(lab)
    lab.send()
    assert lab.states() == {"F1": "confirmed", "F2": "confirmed"}


@pytest.mark.parametrize("planned", ["before the backup", "before the release", "after the release"])
def test_what_may_have_been_sent_is_looked_up_or_asked_about(lab: Lab, planned: str) -> None:
    def plan() -> None:
        lab.plan("customer.ensure", "customer:7", {"ref": "7"})
        lab.plan("message.send", "M1", {"text": "hello"})

    lab.receive({"id": 1})
    if planned == "before the backup":
        plan()
    _restore(lab)
    if planned == "before the release":
        plan()
    _release(lab)
    if planned == "after the release":
        plan()  # it follows from event 1, which was in before
    lab.system.customers.append({"id": "c9", "ref": "7"})  # made by the hub that was lost

    lab.send()

    assert (_row(lab, "customer:7").state, _row(lab, "customer:7").external_id) == ("confirmed", "c9")
    assert _row(lab, "M1").state == "uncertain"
    assert lab.system.paths() == [], "nothing was written"
    assert [question.kind for question in lab.questions()] == ["delivery.uncertain"]


def test_what_is_new_after_the_release_is_sent_as_ever(lab: Lab) -> None:
    _restore(lab)
    _release(lab)  # no event was in: event 1 is new
    lab.plan("message.send", "M1", {"text": "hello"})
    lab.send()
    assert lab.states() == {"M1": "confirmed"}
    assert len(lab.system.messages) == 1


def test_a_key_that_the_system_forgot_since_the_backup_is_no_safety(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"total": 1})
    _restore(lab, hours_ago=30)  # the lab remembers keys for a day
    _release(lab)
    lab.send()
    assert lab.states() == {"F1": "uncertain"}
    assert lab.system.invoices == {}


@pytest.mark.parametrize(
    ("operation", "key", "body"),
    [("customer.ensure", "customer:8", {"ref": "SO{id}"}), ("invoice.create", "payment:{id}", {"total": 1})],
)
def test_what_names_a_new_id_of_ours_cannot_be_found_and_is_asked_about(
    lab: Lab, operation: str, key: str, body: dict[str, Any]
) -> None:
    lab.receive({"id": 1})
    _restore(lab)
    lab.database.ids.ensure(10)
    new = str(lab.database.ids.next())
    named = {name: value.replace("{id}", new) if isinstance(value, str) else value for name, value in body.items()}
    lab.plan(operation, key.replace("{id}", new), named)
    lab.plan(
        "customer.ensure", f"customer:{new}", {"ref": "9"}
    )  # our key, which stays here; it is looked up by its content
    _release(lab)
    lab.send()
    assert _row(lab, key.replace("{id}", new)).state == "uncertain"
    assert _row(lab, f"customer:{new}").state == "confirmed"
    assert lab.system.paths() == ["/customers"]


def test_ids_of_the_lost_hub_are_not_given_again(lab: Lab) -> None:
    lab.database.ids.ensure(100_000)
    last = max(end for _, end in lab.database.ids.blocks())
    _restore(lab)
    lab.database.ids.ensure(10)
    assert lab.database.ids.next() >= last + restored.ID_GAP - 1_000_000


def test_a_month_after_the_release_nothing_is_looked_up_first_any_more(lab: Lab) -> None:
    _restore(lab)
    _release(lab)
    looks = lambda: [call.path for call in lab.system.calls if call.method == "GET"]  # noqa: E731
    lab.plan("customer.ensure", "customer:1", {"ref": "1"})
    lab.send()
    assert looks() == ["/customers"], "brought in by hand again, it may be there"
    lab.clock.forward(31 * DAY)
    lab.plan("customer.ensure", "customer:2", {"ref": "2"})
    lab.send()
    assert looks() == ["/customers"]


# -- one attempt ---------------------------------------------------------------------------------------------------


def test_an_operation_without_a_ladder_that_may_have_been_sent_is_not(lab: Lab) -> None:
    link = lab.hub.links.open(lab.lab)
    again = operations.execute(link, "message.send", {"text": "a"}, "M1", first_attempt=False)
    assert isinstance(again, Uncertain)
    assert lab.system.messages == []
    assert isinstance(operations.execute(link, "message.send", {"text": "a"}, "M1", first_attempt=True), Confirmed)


def test_a_key_that_another_record_took_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that the lost hub gave to order 1 goes to order 2 here: the key is the same, the answer is order 1's."""
    link = lab.hub.links.open(lab.lab)
    spec = link.operation("invoice.create")
    find = link.operation("customer.ensure").find
    monkeypatch.setitem(link.connector.manifest.operations, "invoice.create", spec.model_copy(update={"find": find}))
    lab.system.invoices["K1"] = {"id": "i1", "ref": "order 1"}

    for ref, kind in (("order 1", Confirmed), ("order 2", Rejected)):
        outcome = operations.execute(link, "invoice.create", {"ref": ref}, "K1", first_attempt=False)
        assert isinstance(outcome, kind), outcome
    assert isinstance(outcome, Rejected)
    assert "taken before by another record there (i1), which has another ref" in outcome.reason
    assert outcome.detail == {"ref": "order 1"}


def test_what_is_final_stays_as_it_is(lab: Lab) -> None:
    lab.plan("invoice.create", "F1", {"total": 1})
    lab.send()
    before = lab.deliveries()
    _restore(lab)
    assert lab.deliveries() == before
    with lab.database.read() as connection:
        assert connection.execute(DELIVERY.select().where(DELIVERY.c.maybe_sent)).all() == []


def test_what_waits_for_a_person_and_for_a_customer_waits_again_when_it_was_answered(lab: Lab) -> None:
    lab.receive({"id": 1})
    _restore(lab)
    lab.database.ids.ensure(10)
    key = f"payment:{lab.database.ids.next()}"
    lab.plan("invoice.create", key, {"total": 1, "customer": {"$ref": "customer", "key": "99"}})
    _release(lab)
    [question] = lab.questions()
    answer(lab.hub, question.id, "resend", by="test")
    lab.plan("invoice.create", "F2", {"total": 2})

    lab.send()

    assert lab.states() == {key: "waiting", "F2": "confirmed"}


def test_a_second_release_leaves_the_mode_that_a_person_gave_since(lab: Lab) -> None:
    _restore(lab)
    _release(lab)
    with lab.database.write() as connection:
        mode = restored.mode_now(connection, lab.lab, "paused")
        connection.execute(CONNECTION.update().where(CONNECTION.c.id == lab.lab).values(mode=mode))
    _release(lab)
    with lab.database.read() as connection:
        found = connection.execute(sa.select(CONNECTION.c.mode).where(CONNECTION.c.id == lab.lab)).scalar_one()
    assert found == "paused"
