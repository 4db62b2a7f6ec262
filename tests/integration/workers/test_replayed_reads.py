"""`hub simulate --from-inbox` with flows that read: what the hub kept answers, and what it did not is told. Nothing is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab_hub import Lab
from lab_orders import ORDER, ORDERS, order

from hub.workers.effect_diff import Difference, EffectDiff, compare
from hub.workers.effects import Effect
from hub.workers.recorded import read_world, window
from hub.workers.rerun import Rerun, Version, rerun
from hub.workers.simulate import simulated

THINGS = (
    "flow: things\non: {role: shop, record: thing}\nsteps:\n"
    "  - fetch: {role: books, record: thing, id: record.other, as: other}\n"
    "  - deliver: {role: books, operation: invoice.create, key: record.id, body: \"{'name': other.name}\"}\n"
)
#: a flow of the core that reads, about an order
TELL = (
    "flow: tell\non: {event: invoice.issued}\nsteps:\n"
    "  - fetch: {role: books, record: thing, id: \"replace(invoice.order_name, '#', 'L')\", as: found, required: true}\n"
    "  - deliver: {role: books, operation: invoice.create, key: \"'tell:' + invoice.number\", body: \"{'name': found.name}\"}\n"
)
#: the same, about an item
LEVELS = (
    "flow: levels\non: {event: stock.changed}\nsteps:\n"
    "  - fetch: {role: books, record: thing, id: stock.sku, as: found}\n"
    "  - deliver: {role: books, operation: invoice.create, key: \"stock.sku + ':' + text(stock.available)\", "
    "body: \"{'name': found.name}\"}\n"
)
DAILY = (
    "flow: daily\non: {schedule: 0 7 * * *}\nsteps:\n"
    "  - fetch: {role: books, record: thing, id: record.day, as: found}\n"
    "  - deliver: {role: books, operation: invoice.create, key: record.day, body: \"{'name': found.name}\"}\n"
)


def url_of(lab: Lab) -> str:
    return lab.database.engine.url.render_as_string(hide_password=False)


def again(lab: Lab, home: Path | None = None) -> Rerun:
    """The past of the lab, worked by the flows of a home: its own, where no other is given."""
    url, calls = url_of(lab), len(lab.system.calls)
    chosen = window(url, since=None, until=None)
    made = rerun(Version("these", home or lab.home), read_world(url, since=0), url, chosen)
    own = {f"flows/{file.name}" for file in (lab.home / "flows").glob("*.yaml")}
    assert [str(problem) for problem in made.problems if problem.file in own] == [], (
        "the shipped flows are not for the lab"
    )
    assert len(lab.system.calls) == calls, "nothing is read"
    return made


def of_kind(made: Rerun, kind: str) -> list[Effect]:
    return [effect for effect in made.effects if effect.kind == kind]


def told(made: Rerun) -> list[str]:
    """The names that were sent."""
    return sorted(effect.text.partition('"name":"')[2].partition('"')[0] for effect in of_kind(made, "deliveries"))


def candidate(lab: Lab, folder: Path, **flows: str) -> Path:
    """A home with the lab's connectors and mappings, and these flows in the place of its own."""
    for kind in ("connectors", "mappings"):
        if (lab.home / kind).is_dir():
            folder.mkdir(exist_ok=True)
            (folder / kind).symlink_to(lab.home / kind)
    (folder / "flows").mkdir(parents=True)
    files = {file.name: file.read_text("utf-8") for file in (lab.home / "flows").glob("*.yaml")}
    for name, text in (files | {f"{name}.yaml": text for name, text in flows.items()}).items():
        (folder / "flows" / name).write_text(text, "utf-8")
    return folder


def load(lab: Lab, **flows: str) -> None:
    assert [str(problem) for problem in lab.write(**flows) if problem.file[6:-5] in flows] == []


def differences(before: Rerun, after: Rerun) -> list[Difference]:
    return compare(before.effects, after.effects, EffectDiff("now", "then", 0, [])).differences


@pytest.fixture
def things(lab: Lab) -> Lab:
    """A lab whose flow read three things, the last of them refused."""
    load(lab, things=THINGS)
    for number in (1, 2):
        lab.system.records[f"/thing/{number}"] = {"id": str(number), "name": f"then {number}"}
        lab.receive({"id": f"T{number}", "other": str(number)})
    lab.work()
    lab.system.fault("/thing/3", status=422, times=1)
    lab.receive({"id": "T3", "other": "3"})
    lab.work()
    assert [row.state for row in lab.events()] == ["done", "done", "parked"]
    lab.system.records.clear()
    return lab


def test_an_event_is_answered_as_it_was(things: Lab) -> None:
    made = again(things)
    assert told(made) == ["then 1", "then 2"]
    assert ["thing 3: 422" in effect.text for effect in of_kind(made, "questions")] == [True]
    assert of_kind(made, "reads") == []


def test_a_read_counts_wherever_it_stands_in_another_version(things: Lab, tmp_path: Path) -> None:
    moved = THINGS.replace("steps:\n", "steps:\n  - set: {seen: record.id}\n").replace(
        "other.name}", "other.name + '!'}"
    )
    made = again(things, candidate(things, tmp_path / "then", things=moved))
    assert told(made) == ["then 1!", "then 2!"]
    assert of_kind(made, "reads") == []


def test_what_the_hub_never_read_is_told_and_the_event_waits_with_the_later_ones_of_its_key(
    things: Lab, tmp_path: Path
) -> None:
    things.receive({"id": "T1", "other": "1", "again": True})
    things.work()
    new = THINGS.replace("id: record.other", "id: \"'new ' + record.other\"")
    before, after = again(things), again(things, candidate(things, tmp_path / "then", things=new))
    assert told(after) == []
    names = [effect.name for effect in of_kind(after, "reads")]
    assert names == ["lab: thing new 1", "lab: thing new 2", "lab: thing new 3"]
    shown = [(each.kind, each.how) for each in differences(before, after)]
    assert shown.count(("reads", "new")) == 3
    assert shown.count(("deliveries", "gone")) == 2


@pytest.fixture
def sold(lab: Lab) -> Lab:
    """A lab that told of the invoices of two orders and of the stock of an item."""
    load(lab, orders=ORDERS, lab__order=ORDER, tell=TELL, levels=LEVELS)
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 9})
    lab.work()
    for number in (1, 2):
        lab.system.records |= {
            f"/thing/L{number}": {"name": f"then {number}"},
            "/thing/MUG": {"name": f"level {number}"},
        }
        lab.receive(order(number), topic="orders/changed", kind="order")
        lab.work()
    assert [question.reason for question in lab.questions()] == []
    lab.system.records.clear()
    return lab


def test_an_event_of_the_core_is_answered_as_that_of_the_same_order_was(sold: Lab) -> None:
    assert {row.kind for row in sold.events()} == {"webhook", "manual", "core"}
    kept = {row.body.decode() for row in sold.deliveries() if row.key.startswith("tell:")}
    assert len(kept) == 2
    made = again(sold)
    of_orders = [effect for effect in of_kind(made, "deliveries") if "tell:" in effect.name]
    assert [effect.text.partition("then ")[2][:1] for effect in of_orders] == ["1", "2"]
    assert [effect.about for effect in of_orders] == ["#1", "#2"]
    assert of_kind(made, "reads") == []


def test_a_flow_of_the_core_that_reads_since_then_waits_and_the_books_stay(sold: Lab, tmp_path: Path) -> None:
    new = TELL.replace("'L')", "'N')")
    before, after = again(sold), again(sold, candidate(sold, tmp_path / "then", tell=new))
    kinds = {(each.kind, each.how) for each in differences(before, after)}
    assert kinds == {("deliveries", "gone"), ("reads", "new")}
    assert len(of_kind(after, "documents")) == 2


def test_a_scheduled_run_is_worked_again_with_what_it_read(lab: Lab) -> None:
    load(lab, daily=DAILY)
    lab.hub.scheduler.tick()
    for _ in range(2):
        lab.clock.forward(24 * 3600)
        lab.system.records |= {f"/thing/2026-11-{day}": {"name": f"of the {day}"} for day in (25, 26, 27)}
        lab.work()
    assert [row.kind for row in lab.events()] == ["schedule", "schedule"]
    sent = sorted(row.key for row in lab.deliveries())
    made = again(lab)
    assert len(sent) == 2
    assert told(made) == [f"of the {day[-2:]}" for day in sent]


def test_what_one_version_would_read_is_told_of_a_simulation_too(things: Lab, tmp_path: Path) -> None:
    new: Any = THINGS.replace("record: thing, id: record.other", "record: thing, id: record.id")
    url = url_of(things)
    home = candidate(things, tmp_path / "then", things=new)
    made = simulated(Version("then", home), read_world(url, since=0), url, window(url, since=None, until=None))
    assert made.reads == [{"record": "thing", "record_id": f"T{number}"} for number in (1, 2, 3)]
    assert made.outcome["deliveries"] == []
