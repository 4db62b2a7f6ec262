"""What reads, polls and people see of a system that is down."""

from __future__ import annotations

from typing import Any

import pytest
from lab_hub import QUESTION, Lab

from hub.connect.tables import Connection
from hub.core.plan import Plan
from hub.core.stock.tables import ITEM
from hub.inbox.questions import raise_question
from hub.workers.admin import connections
from hub.workers.admin.events import poll
from hub.workers.alerts import rules as alert_rules
from hub.workers.alerts.rules import read
from hub.workers.alerts.watch import ways
from hub.workers.gauges import Gauges

CONNECTION = Connection.__table__  # type: ignore[attr-defined]
THINGS = "flow: things\non: {role: shop, record: thing}\nsteps:\n"
ITEMS = "  - item.sync: {sku: \"default(other.name, 'none')\", title: record.id}\n"


@pytest.fixture
def down(lab: Lab) -> Lab:
    """A lab whose system went down, with one thing there."""
    lab.system.fault("/invoices", times=1_000)
    for number in range(5):
        lab.plan("invoice.create", f"I-{number}", {"total": number})
    lab.send()
    assert _row(lab).down_since == lab.clock()
    lab.system.records["/thing/7"] = {"id": "7", "name": "seven"}
    lab.system.calls.clear()
    return lab


def _row(lab: Lab) -> Any:
    [row] = lab.rows(CONNECTION, id=lab.lab)
    return row


def _recovers(lab: Lab) -> None:
    lab.system.faults.clear()
    lab.clock.forward(5)
    lab.work()
    assert _row(lab).down_since is None


def _reads(lab: Lab) -> list[str]:
    return [call.path for call in lab.system.calls if call.method == "GET"]


def test_the_read_of_a_record_waits_and_is_made_when_it_answers(down: Lab) -> None:
    down.write(things=THINGS + "  - item.sync: {sku: record.name, title: record.id}\n")
    down.system.pages["0"] = {"items": [{"id": "7", "at": "2026-11-24T08:00:00Z"}], "cursor": "1", "more": False}
    down.hub.poller.poll(1, down.lab, "order")  # a person asks, and is answered
    down.system.records["/order/7"] = {"id": "7", "lines": []}
    down.system.calls.clear()
    down.clock.forward(4)
    down.work()
    assert (_reads(down), [row.attempts for row in down.events(state="fetch")]) == ([], [0])

    _recovers(down)
    assert _reads(down) == ["/order/7"]
    assert down.events(state="fetch") == []


def test_what_a_flow_asks_of_it_waits_without_an_attempt(down: Lab) -> None:
    down.write(things=THINGS + "  - fetch: {role: books, record: thing, id: record.other, as: other}\n" + ITEMS)
    down.receive({"id": "1", "other": "7"})
    down.work()
    [event] = down.events()
    assert (event.state, event.attempts, event.outcome, _reads(down)) == ("fetch", 0, "lab is down", [])
    assert event.next_attempt_at == _row(down).probe_at

    _recovers(down)
    down.clock.forward(1)
    down.work()
    assert [row.sku for row in down.rows(ITEM)] == ["seven"]
    assert down.questions() == []


def test_it_is_polled_less_often_and_a_poll_that_is_answered_lets_all_go_on(down: Lab) -> None:
    """What waits may fail by its own fault: then no probe is ever answered."""
    poller = down.hub.poller
    down.system.fault("GET /changes", times=1_000)
    poller.soon(down.lab)
    for _ in range(100):
        down.clock.forward(10)
        poller._poll_due()
    attempts = [row.attempts for row in down.deliveries()]
    assert 1 <= len(_reads(down)) / 3 <= 4, "every 300 s, three times at once"
    assert _row(down).down_since is not None

    down.system.faults[:] = [each for each in down.system.faults if each["path"] != "GET /changes"]
    down.clock.forward(300)
    poller._poll_due()
    assert _row(down).down_since is None
    assert [row.attempts for row in down.deliveries()] == attempts
    assert [each.kind for each in down.questions()] == []


def test_what_was_asked_for_while_it_was_down_is_not_forgotten(down: Lab) -> None:
    poller = down.hub.poller
    poller.soon(down.lab)
    poller._poll_due()
    assert _reads(down) == []
    assert poll(down.hub, "lab")["connection"] == "lab"
    assert "/changes" in _reads(down), "a person who asks is answered"

    down.system.calls.clear()
    _recovers(down)
    assert "/changes" in _reads(down)


def test_people_see_since_when_why_and_what_comes_next(down: Lab) -> None:
    [shown] = connections.listed(down.hub)["items"]
    assert shown["status"] == "connected"
    assert shown["down"] == {
        "since": "2026-11-24T08:00:00.000000Z",
        "reason": "503",
        "next_probe": "2026-11-24T08:00:05.000000Z",
        "probes": 0,
    }
    assert _gauge(down) == [1.0]

    _recovers(down)
    [shown] = connections.listed(down.hub)["items"]
    assert shown["down"] is None
    assert _gauge(down) == [0.0]


def _gauge(lab: Lab) -> list[float]:
    families = {family.name: family for family in Gauges(lab.database, lab.registry, lab.clock).collect()}
    return [sample.value for sample in families["hub_connection_down"].samples]


def test_a_check_that_is_answered_lets_all_go_on(down: Lab) -> None:
    down.system.faults.clear()
    connections.connected(down.hub, "lab")
    assert _row(down).down_since is None
    assert down.questions() == []
    down.clock.forward(1)
    down.work()
    assert set(down.states().values()) == {"confirmed"}


def test_that_mail_is_down_is_told_another_way(lab: Lab) -> None:
    mail = lab.connect("letters", ("mail",))
    lab.connect("pager", ("alerts",))
    lab.write()
    rules = read("alerts: [{alert: a, when: {questions: ['*']}, to: [ops@example.org]}]")

    def told() -> tuple[list[str], bool]:
        with lab.database.read() as connection:
            return ways(connection, lab.hub.active(1), rules.rules[0], rules)

    assert told() == (["ops@example.org"], False)
    lab.set(CONNECTION, mail, down_since=1, probe_at=2)
    assert told() == ([], True)


def test_the_shipped_rules_tell_of_it_by_a_rule_of_its_own(lab: Lab) -> None:
    lab.connect("pager", ("alerts",))
    lab.write(
        hook="flow: hook\non: {event: alert.raised}\nwhen: alert.webhook\nallow: {ladder-none: a test}\nsteps:\n"
        "  - deliver: {role: alerts, operation: message.send, key: alert.id, body: alert}\n"
    )
    lab.database.ids.ensure(10)
    with lab.database.write() as connection:
        plan = Plan(1, connection, lab.database.ids, lab.clock())
        raise_question(plan, kind="connection.down", subject=f"connection:{lab.lab}", reason="lab is down")
        plan.write(connection, (QUESTION,))
    assert lab.hub.alerts.look(1, read(alert_rules._SHIPPED.read_text("utf-8"))) == 1
    lab.work()
    assert [told["rule"] for told in lab.system.messages] == ["down"]


@pytest.mark.parametrize("where", ["http://127.0.0.1:9"])
def test_nobody_who_listens_is_a_system_that_is_down(lab: Lab, where: str) -> None:
    gone = lab.connect("gone", ("mail",), url=where)
    for number in range(6):
        lab.plan("message.send", f"M-{number}", {"n": number}, connection_id=gone)
    lab.send()
    [row] = lab.rows(CONNECTION, id=gone)
    assert row.down_since == lab.clock()
    assert "no connection to 127.0.0.1" in row.down_reason
    assert set(lab.states().values()) == {"retry"}, "nothing was sent, so nothing is uncertain"
