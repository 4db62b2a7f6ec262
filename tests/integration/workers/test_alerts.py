"""Alerts: told once, together, not at night, and another way where their own is broken."""

from __future__ import annotations

import json
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from lab_hub import QUESTION, Lab
from structlog.testing import capture_logs

from hub.connect.tables import Connection
from hub.core.plan import Plan
from hub.inbox.questions import raise_question
from hub.workers.admin import connections
from hub.workers.alerts import rules as alert_rules
from hub.workers.alerts import watch
from hub.workers.alerts.rules import Rules, read
from hub.workers.alerts.watch import AlertWatch

CONNECTION = Connection.__table__  # type: ignore[attr-defined]
FLOWS = {
    "by_mail": """
flow: by-mail
on: {event: alert.raised}
when: len(alert.to) > 0
allow: {ladder-none: a test}
steps:
  - deliver: {role: mail, operation: message.send, key: "'mail:' + alert.id", body: alert}
""",
    "by_hook": """
flow: by-hook
on: {event: alert.raised}
when: alert.webhook
allow: {ladder-none: a test}
steps:
  - deliver: {role: alerts, operation: message.send, key: "'hook:' + alert.id", body: alert}
""",
}


@pytest.fixture
def mail(lab: Lab) -> int:
    """A lab with flows that tell of alerts, and a connection for each way. The id of that for mail."""
    found = lab.connect("letters", ("mail",))
    lab.connect("pager", ("alerts",))
    problems = lab.write(**FLOWS)
    assert [each for each in problems if each.file in ("flows/by-mail.yaml", "flows/by-hook.yaml")] == []
    return found


def _rules(text: str) -> Rules:
    found = read("alerts:\n" + text)
    assert found.problems == ()
    return found


def _ask(lab: Lab, number: int, kind: str = "sku.unknown", first: int = 0) -> None:
    lab.database.ids.ensure(number + 100)
    with lab.database.write() as connection:
        plan = Plan(1, connection, lab.database.ids, lab.clock())
        for index in range(first, first + number):
            raise_question(plan, kind=kind, subject=f"order:{index}", reason=f"SKU X{index} is no item")
        plan.write(connection, (QUESTION,))


def _told(lab: Lab) -> list[tuple[str, dict]]:
    """The way and the record of each alert that was sent."""
    return [(row.key.partition(":")[0], json.loads(row.body)) for row in lab.deliveries()]


ALL = _rules("  - {alert: all, when: {questions: ['*']}, to: [ops@example.org], throttle: 1h}\n")


def test_a_storm_of_questions_is_one_alert_and_what_follows_waits_for_the_throttle(lab: Lab, mail: int) -> None:
    _ask(lab, 300)
    assert [lab.hub.alerts.look(1, ALL) for _ in range(3)] == [1, 0, 0]

    [(way, alert)] = _told(lab)
    assert (way, alert["count"], len(alert["items"]), alert["more"]) == ("mail", 300, 20, 280)
    assert alert["items"][0] == {"subject": "order:0", "text": "sku.unknown: SKU X0 is no item"}

    lab.clock.forward(60)
    _ask(lab, 2, first=300)
    assert lab.hub.alerts.look(1, ALL) == 0
    lab.clock.forward(3600)
    assert lab.hub.alerts.look(1, ALL) == 1
    assert _told(lab)[-1][1]["count"] == 2
    lab.work()
    assert len(lab.system.messages) == 2


def test_the_first_rule_that_fits_tells_of_a_question(lab: Lab, mail: int) -> None:
    rules = _rules(
        "  - {alert: deliveries, when: {questions: [delivery.*]}, to: [webhook]}\n"
        "  - {alert: rest, when: {questions: ['*']}, to: [ops@example.org]}\n"
    )
    _ask(lab, 1, "delivery.uncertain")
    _ask(lab, 1)

    assert lab.hub.alerts.look(1, rules) == 2
    assert {(way, alert["rule"], alert["count"]) for way, alert in _told(lab)} == {
        ("hook", "deliveries", 1),
        ("mail", "rest", 1),
    }


def test_nothing_is_told_in_quiet_hours_of_the_merchant_and_all_after_them(lab: Lab, mail: int) -> None:
    rules = _rules("  - {alert: all, when: {questions: ['*']}, to: [ops@example.org], quiet: '22:00-07:00'}\n")
    # the night in which the clocks go back: 22:00 to 07:00 are ten hours
    night = datetime(2026, 10, 24, 22, 0, tzinfo=ZoneInfo("Europe/Paris"))
    lab.clock.now = int(night.timestamp()) * 1_000_000
    _ask(lab, 3)

    told = []
    for _ in range(11):
        told.append(lab.hub.alerts.look(1, rules))
        lab.clock.forward(3600)

    assert told == [0] * 10 + [1]
    assert _told(lab)[0][1]["count"] == 3


def test_that_mail_is_dead_is_not_told_by_mail(lab: Lab, mail: int) -> None:
    rules = _rules("  - {alert: dead, when: {questions: [connection.reconnect]}, to: [ops@example.org]}\n")
    lab.set(CONNECTION, mail, status="reconnect_needed")
    _ask(lab, 1, "connection.reconnect")

    assert lab.hub.alerts.look(1, rules) == 1
    assert [way for way, _ in _told(lab)] == ["hook"]


def test_where_no_way_is_open_it_is_told_as_soon_as_one_is(lab: Lab, mail: int) -> None:
    [pager] = lab.rows(CONNECTION, name="pager")
    for connection_id in (mail, pager.id):
        lab.set(CONNECTION, connection_id, status="reconnect_needed")
    _ask(lab, 1)
    assert lab.hub.alerts.look(1, ALL) == 0
    assert _told(lab) == []

    lab.set(CONNECTION, mail, status="connected")

    assert lab.hub.alerts.look(1, ALL) == 1


def test_a_queue_that_is_old_is_told_once_until_it_was_worked(lab: Lab, mail: int) -> None:
    rules = _rules("  - {alert: late, when: {queue: 10m}, to: [ops@example.org], throttle: 1s}\n")
    told = []
    for number in (1, 2):
        lab.trigger("nothing", {"id": number}, key=str(number))
        lab.clock.now = max(row.received_at for row in lab.events()) + number * 700_000_000
        told += [lab.hub.alerts.look(1, rules), lab.hub.alerts.look(1, rules)]
        lab.work()
        told.append(lab.hub.alerts.look(1, rules))

    assert told == [1, 0, 0, 1, 0, 0]
    assert "1 events wait for more than 10m" in _told(lab)[0][1]["items"][0]["text"]


def test_a_connection_whose_deliveries_fail_for_long_is_told_by_its_name(lab: Lab, mail: int) -> None:
    rules = _rules("  - {alert: failing, when: {failing: 10m}, to: [ops@example.org]}\n")
    lab.system.fault("/invoices", times=100)
    lab.plan("invoice.create", "I-1", {"total": 1})
    lab.send()
    assert lab.hub.alerts.look(1, rules) == 0
    lab.clock.forward(601)

    assert lab.hub.alerts.look(1, rules) == 1
    [item] = _told(lab)[-1][1]["items"]
    assert item["subject"] == f"connection:{lab.lab}"
    assert item["text"].startswith("lab: 1 deliveries have failed for more than 10m")


def test_two_processes_that_look_tell_once(lab: Lab, mail: int) -> None:
    _ask(lab, 5)
    other = lab.another_hub()
    try:
        # both have seen the news before either takes the book
        second = AlertWatch(other)
        seen = second._news(1, ALL)
        assert lab.hub.alerts.look(1, ALL) == 1
        assert len(seen) == 1
        assert second.look(1, ALL) == 0
    finally:
        other.intake.close()
        other.links.close()
    assert len(_told(lab)) == 1


def test_news_without_a_way_out_take_no_book(lab: Lab, mail: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("letters", "pager"):
        connections.set_mode(lab.hub, name, "paused")
    _ask(lab, 3)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(watch, "change", None)
        assert [lab.hub.alerts.look(1, ALL) for _ in range(3)] == [0, 0, 0]
    assert [(each["event"], each["things"]) for each in logs] == [("alert has no way out", 3)]
    connections.set_mode(lab.hub, "pager", "live")
    assert lab.hub.alerts.look(1, ALL) == 1


def test_thousands_of_questions_are_shared_out_among_rules_in_no_time(lab: Lab, mail: int) -> None:
    rules = _rules(
        "  - {alert: deliveries, when: {questions: [delivery.*]}, to: [webhook]}\n"
        "  - {alert: rest, when: {questions: ['*']}, to: [ops@example.org]}\n"
    )
    _ask(lab, 3_000, "delivery.uncertain")
    _ask(lab, 3_000)
    began = time.thread_time()
    assert lab.hub.alerts.look(1, rules) == 2
    assert time.thread_time() - began < 3, "each was compared with each: 7 s"
    assert {alert["count"] for _, alert in _told(lab)} == {3_000}


def test_a_file_that_is_wrong_is_said_once_and_again_when_it_is_otherwise_wrong(lab: Lab, mail: int) -> None:
    file = lab.home / "alerts.yaml"
    with capture_logs() as logs:
        for content in (b"alerts: [", b"alerts: [", b"alerts: 5", b"\xff", b"alerts: []", b"\xff"):
            file.write_bytes(content)
            lab.hub.alerts._look_all()
    said = [each["problem"] for each in logs if each["event"].startswith("alerts.yaml is wrong")]
    assert len(said) == 4
    assert "cannot be read" in said[2]


def test_a_merchant_that_cannot_be_looked_at_keeps_no_other_from_being_told(
    lab: Lab, mail: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.open_merchant(2)
    (lab.home / "alerts.yaml").write_text(
        "alerts:\n  - {alert: all, when: {questions: ['*']}, to: [ops@example.org]}\n"
    )
    real, looked = lab.hub.alerts.look, []

    def look(merchant_id: int, rules: Rules) -> int:
        if merchant_id == 1:
            raise LookupError("its settings are torn")
        looked.append(merchant_id)
        return real(merchant_id, rules)

    monkeypatch.setattr(lab.hub.alerts, "look", look)
    lab.hub.alerts._look_all()
    assert looked == [2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alerts: [{alert: a, when: {queue: 10m}, to: [webhook], often: 1}]", "1:56: alerts: 'often' is not known"),
        ("alerts: [{alert: a, when: {queue: 10m, failing: 1m}, to: [webhook]}]", "give one of"),
        ("alerts: [{alert: a, when: {queue: soon}, to: [webhook]}]", "1:35: alerts: String should match"),
        ("alerts: [{alert: a, when: {queue: 10m}, to: [nobody]}]", "1:46: alerts: String should match"),
        (
            "alerts: [{alert: a, when: {queue: 1m}, to: [webhook]}, {alert: a, when: {queue: 1m}, to: [webhook]}]",
            "twice",
        ),
        ("alerts: [", "yaml-syntax"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_place(text: str, says: str) -> None:
    found = read(text)

    assert found.rules == ()
    assert says in str(found.problems[0])


def test_a_rule_whose_only_way_may_be_the_broken_one_is_advised_of() -> None:
    one = read("alerts: [{alert: a, when: {failing: 10m}, to: [ops@example.org]}]")
    two = read("alerts: [{alert: a, when: {failing: 10m}, to: [ops@example.org, webhook]}]")

    assert [each.rule for each in one.advice] == ["alert-one-way"]
    assert (len(one.rules), two.advice) == (1, [])


def test_the_shipped_rules_are_sound() -> None:
    text = alert_rules._SHIPPED.read_text("utf-8")
    assert [rule.alert for rule in read(text).rules] == ["failing", "reconnect", "down", "late", "questions"]
