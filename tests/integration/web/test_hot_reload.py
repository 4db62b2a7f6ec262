"""Flows are edited and loaded again while webhooks stream in: every event is worked once, on a version that there was."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa
from web_signing import SECRET, signed

from hub.core.stock.tables import ITEM
from hub.flows.tables import FlowVersion, Run
from hub.inbox.tables import Inbox
from hub.web.server import Server

CONNECTIONS = """
connections:
  desk: {connector: http, settings: {topic_header: x-topic, record: thing}}
roles: {shop: desk}
"""
FLOW = """
flow: things
on: {role: shop, record: thing}
steps:
  - item.sync: {sku: text(record.id), title: "'edit %d'"}
"""
EDITS = 20
SENDERS = 3


def stream(url: str, sender: int, stop: threading.Event, sent: list[int], failures: list[Any]) -> None:
    """Sends webhooks of new things until it is told to stop."""
    with httpx2.Client(base_url=url, trust_env=False) as client:
        number = sender
        while not stop.is_set():
            text = json.dumps({"id": number}).encode()
            answer = client.post("/webhooks/desk", content=text, headers=signed(text))
            (sent if answer.status_code == 200 else failures).append(number)
            number += SENDERS


def worked(server: Server, edit: int) -> bool:
    """Whether an event ran this edit of the flow."""
    with server.hub.database.read() as connection:
        found = connection.execute(sa.select(ITEM.c.id).where(ITEM.c.title == f"edit {edit}").limit(1))
        return found.first() is not None


def test_twenty_edits_under_load_lose_nothing_and_work_nothing_twice(
    admin: httpx2.Client, server: Server, home: Path
) -> None:
    flow = home / "flows" / "things.yaml"
    flow.parent.mkdir(exist_ok=True)
    flow.write_text(FLOW % 0, "utf-8")
    assert admin.post("/api/connections/apply", json={"text": CONNECTIONS}).status_code == 200
    admin.put("/api/connections/desk/secrets", json={"secrets": {"webhook_secret": SECRET}})

    stop, sent, failures = threading.Event(), [], []
    threads = [
        threading.Thread(target=stream, args=(server.url, sender, stop, sent, failures)) for sender in range(SENDERS)
    ]
    for thread in threads:
        thread.start()
    for edit in range(1, EDITS + 1):
        broken = edit % 5 == 0
        flow.write_text((FLOW % edit).replace("item.sync", "item.sink") if broken else FLOW % edit, "utf-8")
        answer = admin.post("/api/flows/reload")
        assert any("things.yaml:5:5" in problem for problem in answer.json()["problems"]) is broken, answer.text
        while not broken and not worked(server, edit):
            assert any(thread.is_alive() for thread in threads)
            stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join(20)
    while not admin.get("/api/status").json()["idle"]:
        stop.wait(0)

    assert failures == []
    with server.hub.database.read() as connection:
        rows = lambda model: connection.execute(sa.select(model.__table__)).all()  # noqa: E731
        events = {row.seq: row for row in rows(Inbox)}
        titles = {row.sku: row.title for row in connection.execute(sa.select(ITEM))}
        texts = {row.hash: json.loads(row.text)["flow"] for row in rows(FlowVersion)}
        runs = [run for run in rows(Run) if run.flow == "things"]
    assert {event.state for event in events.values()} == {"done"}
    assert len(events) == len(sent) == len(titles), "each that was answered 200 is there, worked, once"
    assert sorted(run.event_seq for run in runs) == sorted(events), "one run an event"
    for run in runs:
        assert f"'{titles[events[run.event_seq].record_id]}'" in texts[run.version_hash], "the version that worked it"
    told = {int(title.removeprefix("edit ")) for title in titles.values()}
    assert told - {0} == {edit for edit in range(1, EDITS + 1) if edit % 5}, "no broken edit ever ran"
