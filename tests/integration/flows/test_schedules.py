"""Scheduled flows: each tick enters the inbox once, and what was missed is told by the latest."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from lab_hub import Crash, Lab, crashing

from hub.core.stock.tables import ITEM
from hub.db.engine import Database
from hub.db.types import instant_text
from hub.flows.tables import FlowSchedule, Run
from hub.workers.flowtest import run_file

RUN = Run.__table__  # type: ignore[attr-defined]
SCHEDULE = FlowSchedule.__table__  # type: ignore[attr-defined]
DAILY = (
    "flow: daily\non: {schedule: 0 7 * * *, zone: Europe/Paris}\nsteps:\n"
    "  - item.sync: {sku: record.day, title: \"default(record.since, 'never before') + ' -> ' + record.at\"}\n"
)
HOUR = 3600


def load(lab: Lab, **flows: str) -> None:
    assert [str(problem) for problem in lab.write(**flows) if problem.file[6:-5] in flows] == []
    lab.hub.scheduler.tick()


def days(lab: Lab) -> list[str]:
    return [row.sku for row in lab.rows(ITEM)]


def row_of(lab: Lab) -> object:
    with lab.database.read() as connection:
        return connection.execute(SCHEDULE.select()).one_or_none()


def test_a_flow_runs_at_its_tick_and_is_told_of_the_one_before(lab: Lab) -> None:
    """The lab's clock begins on 25 November 2026 at 09:20 UTC."""
    load(lab, daily=DAILY)
    lab.work()
    assert lab.events() == []
    for _ in range(2):
        lab.clock.forward(24 * HOUR)
        lab.work()
        lab.work()
    first, second = (json.loads(row.body) for row in lab.events())
    assert (first["day"], first["since"]) == (days(lab)[0], None)
    assert second["since"] == first["at"]
    assert first["at"].endswith("T06:00:00.000000Z")
    assert [row.kind for row in lab.events()] == ["schedule", "schedule"]
    assert [row.state for row in lab.rows(RUN)] == ["done", "done"]


def test_what_was_missed_is_told_once_by_the_latest_tick(lab: Lab) -> None:
    load(lab, daily=DAILY)
    lab.clock.forward(24 * HOUR)
    lab.work()
    [before] = lab.events()
    lab.clock.forward(10 * 24 * HOUR)
    hub = lab.another_hub()
    hub.run_until_idle()
    assert len(lab.events()) == 2
    record = json.loads(lab.events()[1].body)
    assert record["since"] == json.loads(before.body)["at"]
    assert record["at"] == instant_text(row_of(lab).last_run_at)  # type: ignore[attr-defined]
    assert lab.clock() - row_of(lab).last_run_at < 24 * HOUR * 1_000_000  # type: ignore[attr-defined]
    hub.intake.close()


def test_of_many_processes_one_brings_each_tick(lab: Lab) -> None:
    load(lab, daily=DAILY)
    hubs = [lab.hub, *(lab.another_hub() for _ in range(3))]
    if not lab.database.sqlite:
        for hub in hubs[1:]:
            hub.scheduler._database = Database(lab.database.url)
    for hub in hubs:
        hub.active(1)
    for count in range(1, 4):
        lab.clock.forward(24 * HOUR)
        start = threading.Barrier(len(hubs))
        came: list[bool] = []

        def tick(hub: object, start: threading.Barrier = start, came: list[bool] = came) -> None:
            start.wait()
            came.append(hub.scheduler.tick())  # type: ignore[attr-defined]

        threads = [threading.Thread(target=tick, args=(hub,)) for hub in hubs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(came) == [False, False, False, True]
        assert len(lab.events()) == count
    for hub in hubs[1:]:
        hub.intake.close()
        if hub.scheduler._database is not lab.database:
            hub.scheduler._database.dispose()


def test_a_schedule_that_changes_begins_anew_and_one_that_is_gone_ends(lab: Lab) -> None:
    load(lab, daily=DAILY)
    kept = row_of(lab).next_run_at  # type: ignore[attr-defined]
    load(lab, daily=DAILY + "  - stop: it ran\n")
    assert row_of(lab).next_run_at == kept, "another version with the same schedule goes on"  # type: ignore[attr-defined]
    load(lab, daily=DAILY.replace("0 7", "0 12"))
    assert row_of(lab).next_run_at == kept - 19 * HOUR * 1_000_000  # type: ignore[attr-defined]
    (lab.home / "flows" / "daily.yaml").unlink()
    lab.hub.reload()
    lab.hub.scheduler.tick()
    assert row_of(lab) is None
    lab.clock.forward(48 * HOUR)
    lab.work()
    assert lab.events() == []


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_tick_is_neither_lost_nor_there_twice_when_the_process_dies(lab: Lab, after_commit: bool) -> None:
    load(lab, daily=DAILY)
    lab.clock.forward(24 * HOUR)
    with suppress(Crash), crashing(lab, 1, after_commit=after_commit):
        lab.hub.scheduler.tick()
    assert len(lab.events()) == (1 if after_commit else 0)
    lab.work()
    assert len(lab.events()) == len(days(lab)) == 1


def test_a_flow_test_goes_to_the_next_tick(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "daily.yaml").write_text(
        "flow: daily\non: {schedule: 0 7 * * 1-5}\nsteps:\n"
        "  - deliver: {role: mail, operation: message.send, key: \"'daily:' + record.day\", "
        "body: \"{'to': ['a@example.org'], 'subject': record.day, 'text': default(record.since, 'first')}\"}\n"
    )
    (tmp_path / "flows" / "daily.test.yaml").write_text(
        "flows: [daily]\nroles: {mail: smtp}\nclock: 2026-11-27T18:00:00+01:00\ntests:\n"
        "  - name: on Monday\n    given: [{schedule: daily}, {schedule: daily}]\n    expect:\n      deliveries:\n"
        "        - {state: confirmed, body: {subject: '2026-11-30', text: first}}\n"
        "        - {state: confirmed, body: {subject: '2026-12-01', text: '2026-11-30T06:00:00.000000Z'}}\n"
        "  - name: nobody\n    given: [{schedule: nobody}]\n    expect: {deliveries: []}\n"
    )
    result = run_file(tmp_path / "flows" / "daily.test.yaml")
    assert result.problems == []
    assert result.cases[0].failures == []
    assert "no flow 'nobody'" in result.cases[1].failures[0]["found"]
