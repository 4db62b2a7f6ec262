"""What no webhook told is found, each once, and a page that was not stored is read again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab_hub import SECOND, Lab
from lab_orders import ORDER, ORDERS, order
from structlog.testing import capture_logs

from hub.connect import reads
from hub.connect.links import Link
from hub.connect.registry import Registry
from hub.connect.tables import Connection, PollCursor
from hub.inbox.tables import Inbox
from hub.workers.fetch import BACKOFF_S

CURSOR = PollCursor.__table__  # type: ignore[attr-defined]
CONNECTION = Connection.__table__  # type: ignore[attr-defined]
INBOX = Inbox.__table__  # type: ignore[attr-defined]
FLOW = "flow: orders\non: {role: shop, record: order}\nsteps:\n  - item.sync: {sku: \"'o' + text(record.id)\", title: record.at}\n"


def page(lab: Lab, since: str, cursor: str, *items: tuple[str, str], more: bool = False) -> None:
    lab.system.pages[since] = {"items": [{"id": i, "at": at} for i, at in items], "cursor": cursor, "more": more}
    for identity, at in items:
        lab.system.records[f"/order/{identity}"] = {"id": identity, "at": at, "lines": []}


def poll(lab: Lab) -> int:
    return lab.hub.poller.poll(1, lab.lab, "order")


def cursor(lab: Lab) -> str:
    [row] = lab.rows(CURSOR)
    return str(row.cursor)


@pytest.fixture
def shop(lab: Lab) -> Lab:
    lab.write(orders=FLOW)
    return lab


def test_a_lost_webhook_is_found_and_its_record_read_once(shop: Lab) -> None:
    page(shop, "0", "10", ("1", "2026-11-24T08:00:00Z"), ("2", "2026-11-24T08:01:00Z"))
    assert poll(shop) == 2
    shop.work()
    assert [(row.kind, row.state, row.record_id) for row in shop.events()] == [
        ("poll", "done", "1"),
        ("poll", "done", "2"),
    ]
    assert cursor(shop) == "10"
    page(shop, "10", "11", ("2", "2026-11-24T08:01:00Z"))  # the look-back tells it again
    assert poll(shop) == 0
    page(shop, "11", "12", ("2", "2026-11-24T08:02:00Z"))
    assert poll(shop) == 1, "it has changed since"
    shop.work()
    assert len([call for call in shop.system.calls if call.path == "/order/2"]) == 2


def test_pages_follow_each_other_and_each_commits_with_its_cursor(shop: Lab) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"), more=True)
    page(shop, "1", "2", ("2", "2026-11-24T08:00:00Z"), more=True)
    shop.system.fault("GET /changes", times=0)
    assert poll(shop) == 2
    assert cursor(shop) == "2"


def test_a_page_that_was_not_stored_is_asked_for_again(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    monkeypatch.setattr(shop.hub.poller, "_store", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        poll(shop)
    assert shop.events() == shop.rows(CURSOR) == []
    monkeypatch.undo()
    assert poll(shop) == 1
    assert cursor(shop) == "1"


def test_records_without_a_stamp_are_read_again_each_time_they_are_told(
    shop: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.system.records["/order/1"] = {"id": "1", "at": "x", "lines": []}
    monkeypatch.setattr(reads, "poll", lambda *_: reads.Page([("1", None)], "1", False))
    assert [poll(shop), poll(shop)] == [1, 1]


def test_an_order_that_is_booked_as_it_is_told_is_not_read(shop: Lab) -> None:
    shop.write(orders=ORDERS, lab__order=ORDER)
    shop.receive(order(7), topic="orders/changed", kind="order")
    shop.work()
    page(shop, "0", "1", ("7", "2026-11-24T09:00:00+01:00"), ("8", "2026-11-24T08:00:00Z"))
    assert poll(shop) == 1
    assert [row.record_id for row in shop.events(kind="poll")] == ["8"]


def test_a_stamp_that_is_no_instant_stops_no_poll(shop: Lab) -> None:
    shop.write(orders=ORDERS, lab__order=ORDER)
    shop.receive(order(7), topic="orders/changed", kind="order")
    shop.work()
    page(shop, "0", "1", ("7", "just now"), ("8", "2026-11-24T08:00:00Z"))
    assert poll(shop) == 2, "it may be news"


@pytest.mark.parametrize("what", ["unknown", "broken"])
def test_a_connection_whose_connector_cannot_be_used_is_said_once_and_the_others_are_polled(
    shop: Lab, what: str
) -> None:
    broken = shop.home / "connectors" / "broken"
    broken.mkdir()
    (broken / "connector.yaml").write_text("connector: broken\ntitle: 5\n")
    with shop.database.write() as connection:
        shop.database.ids.ensure(1)
        row = dict(connection.execute(CONNECTION.select()).mappings().first() or {})
        connection.execute(
            CONNECTION.insert(), [{**row, "id": shop.database.ids.next(), "name": "other", "connector": what}]
        )
    shop.hub.registry = shop.hub.poller._registry = Registry.discover(shop.home)
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    with capture_logs() as logs:
        for _ in range(3):
            shop.hub.poller._poll_due()
            shop.clock.forward(61)
    assert [row.record_id for row in shop.events(kind="poll")] == ["1"]
    assert [each["event"] for each in logs if each["log_level"] == "error"] == ["connection not polled: see hub doctor"]


def test_a_poll_that_fails_keeps_no_other_from_being_made(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    other = shop.connect("other", ("shop",))
    for each in (shop.lab, other):
        shop.hub.poller.soon(each)
    real = reads.poll

    def fail(link: Link, *arguments: Any) -> Any:
        if link.id == shop.lab:
            raise KeyError("a fault of a connector")
        return real(link, *arguments)

    monkeypatch.setattr(reads, "poll", fail)
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    shop.hub.poller.poll_asked()
    assert [(row.connection_id, row.record_id) for row in shop.events(kind="poll")] == [(other, "1")]


def test_an_order_of_which_only_webhooks_are_booked_is_read_once(shop: Lab) -> None:
    """A stamp of whole seconds does not tell the order from the one of a moment later, and webhooks say no payments."""
    before, _, rest = ORDER.partition("  payments:\n")
    unpaid = before + "  refunds:" + rest.partition("  refunds:")[2]
    shop.write(orders=ORDERS, lab__order=unpaid)
    shop.receive(order(7), topic="orders/changed", kind="order")
    shop.work()
    for since, following in (("0", "1"), ("1", "2")):
        page(shop, since, following, ("7", "2026-11-24T09:00:00+01:00"))
    assert [poll(shop), poll(shop)] == [1, 0]


def test_polls_are_due_after_their_interval_and_at_once_when_asked_for(shop: Lab) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    poller = shop.hub.poller
    poller._poll_due()
    assert shop.rows(CURSOR) == [], "its webhooks come first"
    shop.clock.forward(61)
    poller._poll_due()
    assert cursor(shop) == "1"
    page(shop, "1", "2", ("2", "2026-11-24T08:00:00Z"))
    poller._poll_due()
    assert cursor(shop) == "1"
    poller.soon(shop.lab)
    poller._poll_due()
    assert cursor(shop) == "2"


def test_a_read_that_fails_is_made_again_later_and_holds_its_key_only(shop: Lab) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"), ("2", "2026-11-24T08:00:00Z"))
    poll(shop)
    shop.system.fault("/order/1", times=100)
    waits = []
    for _ in range(3):
        shop.work()
        [row] = shop.events(record_id="1")
        assert row.state == "fetch"
        assert "503" in row.outcome
        waits.append((row.next_attempt_at - shop.clock()) // SECOND)
        shop.clock.now = row.next_attempt_at
    assert tuple(waits) == BACKOFF_S[:3]
    assert [row.state for row in shop.events(record_id="2")] == ["done"]
    shop.system.faults.clear()
    shop.work()
    assert [row.state for row in shop.events()] == ["done", "done"]


def test_a_record_that_is_gone_is_asked_about(shop: Lab) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    poll(shop)
    shop.system.records.clear()
    shop.work()
    assert [question.kind for question in shop.questions()] == ["record.gone"]


@pytest.mark.parametrize("how", ["read", "poll"])
def test_dead_credentials_are_told_and_reads_wait_for_the_new_ones(shop: Lab, how: str) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    shop.hub.poller._poll_due()
    if how == "read":
        poll(shop)
        shop.system.fault("/order/1", status=401, times=100)
    else:
        shop.system.fault("/changes", status=401, times=100)
        shop.clock.forward(61)
        shop.hub.poller._poll_due()
    shop.work()
    assert [question.kind for question in shop.questions()] == ["connection.reconnect"]
    assert [row.status for row in shop.rows(CONNECTION)] == ["reconnect_needed"]
    calls = len(shop.system.calls)
    shop.clock.forward(1_000)
    shop.work()
    shop.hub.poller._poll_due()
    assert len(shop.system.calls) == calls, "nothing knocks at a closed door"
    shop.system.faults.clear()
    shop.set(CONNECTION, shop.lab, status="connected")
    shop.hub.links.forget(shop.lab)
    if how == "poll":
        poll(shop)
    shop.work()
    assert [row.state for row in shop.events()] == ["done"]


def test_a_fault_of_a_connectors_code_is_seen_and_tried_again(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    poll(shop)
    monkeypatch.setattr(reads, "read", lambda *_: 1 / 0)
    shop.work()
    [row] = shop.events()
    assert (row.state, row.outcome) == ("fetch", "ZeroDivisionError: division by zero")
    monkeypatch.undo()
    shop.clock.forward(2)
    shop.work()
    assert [event.state for event in shop.events()] == ["done"]
    assert json.loads(shop.events()[0].reads)["id"] == "1"


def test_reads_keep_what_they_found_for_a_replay(shop: Lab) -> None:
    from hub.workers.admin import events

    page(shop, "0", "1", ("1", "2026-11-24T08:00:00Z"))
    poll(shop)
    shop.work()
    [row] = shop.events()
    assert json.loads(row.reads)["at"] == "2026-11-24T08:00:00Z"
    events.replay(shop.hub, [row.seq])
    shop.work()
    assert [event.state for event in shop.events()] == ["done"]
