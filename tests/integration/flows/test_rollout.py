"""Which version of a flow runs: pins, canaries and their rule, going back, and processes that notice it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from lab_hub import Lab
from lab_orders import ORDER, ORDERS, order

from hub.core.ledger.verify import verify_ledger
from hub.core.sales.tables import DOCUMENT
from hub.core.stock.tables import ITEM
from hub.flows.canary import Rule
from hub.flows.tables import FlowCanary, Run
from hub.workers.admin import events, questions, rollout
from hub.workers.admin.errors import AdminError, NotThere

RUN = Run.__table__  # type: ignore[attr-defined]
CANARY = FlowCanary.__table__  # type: ignore[attr-defined]
THINGS = "flow: things\non: {role: shop, record: thing}\nsteps:\n  - map: thing\n  - item.sync: {sku: item.sku, title: item.sku}\n"
MAPPING = "mapping: lab/thing\nfrom: lab.thing\nto: item\nmap:\n  sku: name\n"
UPPER = MAPPING.replace("sku: name", "sku: upper(name)")
#: stumbles over every third thing
BAD = MAPPING.replace("sku: name", 'sku: "upper(name) if number % 3 != 0 else name + 1"')


@pytest.fixture
def things(lab: Lab) -> Lab:
    """A lab whose flow `things` runs."""
    lab.write(things=THINGS, lab__thing=MAPPING)
    return lab


def tell(lab: Lab, *numbers: int) -> None:
    for number in numbers:
        lab.receive({"id": number, "name": f"a{number}", "number": number})


def edit(lab: Lab, text: str) -> None:
    """Changes the mapping in the files; nobody loads it."""
    (lab.home / "mappings/lab/thing.yaml").write_text(text, "utf-8")


def one(lab: Lab, flow: str = "things") -> dict[str, Any]:
    [found] = [item for item in rollout.listed(lab.hub)["items"] if item["flow"] == flow]
    return dict(found)


def skus(lab: Lab) -> set[str]:
    return {row.sku for row in lab.rows(ITEM)}


# -- pins -------------------------------------------------------------------------------------------------------------


def test_the_files_say_what_runs_until_a_version_is_pinned(things: Lab) -> None:
    first = one(things)
    assert (first["by"], first["pinned"], first["files"]["state"]) == ("files", False, "same")
    edit(things, UPPER)
    assert one(things)["files"]["state"] == "differs"
    things.hub.reload()
    second = one(things)
    assert second["before"] == first["version"] != second["version"]

    back = rollout.rollback(things.hub, "things", by="ada")["items"][0]
    assert (back["version"], back["pinned"], back["by"]) == (first["version"], True, "ada")
    things.hub.reload()
    tell(things, 1)
    things.work()
    assert skus(things) == {"a1"}, "the pinned mapping, from its stored text"
    again = things.another_hub()
    assert {flow.name: flow.version_hash for flow in again.active(1).flows}["things"] == first["version"]
    again.intake.close()

    rollout.activate(things.hub, "things", files=True)
    tell(things, 2)
    things.work()
    assert skus(things) == {"a1", "A2"}
    assert (one(things)["by"], one(things)["pinned"]) == ("files", False)
    assert [run.version_hash for run in things.rows(RUN, flow="things")] == [first["version"], second["version"]]
    counts = sorted((each["version"], each["runs"], each["parked"]) for each in one(things)["runs"])
    assert counts == sorted([(first["version"], 1, 0), (second["version"], 1, 0)])


def test_a_version_is_named_by_a_part_of_its_hash_and_may_be_the_one_of_the_files(things: Lab) -> None:
    first = one(things)["version"]
    edit(things, UPPER)
    rollout.activate(things.hub, "things", by="ada")
    assert one(things)["version"] == one(things)["files"]["version"] != first
    rollout.activate(things.hub, "things", version=first[:8])
    assert one(things)["version"] == first
    rollout.activate(things.hub, "things", version="before")
    assert one(things)["version"] != first
    with pytest.raises(NotThere, match="has no version 'ffffffff'"):
        rollout.activate(things.hub, "things", version="ffffffff")
    with pytest.raises(AdminError, match=r"no flow 'nothing' that lints: there are .*things"):
        rollout.activate(things.hub, "nothing")


def test_a_version_that_does_not_run_any_more_is_refused_and_what_runs_goes_on(things: Lab) -> None:
    first = one(things)["version"]
    edit(things, UPPER)
    things.hub.reload()
    second = one(things)["version"]
    with things.database.write() as connection:
        connection.execute(sa.text("UPDATE flow_version SET language_version = 0 WHERE hash = :hash"), {"hash": first})
    with pytest.raises(AdminError, match=f"version {first[:8]} of flow things was written for language 0.*goes on"):
        rollout.rollback(things.hub, "things")
    with things.database.write() as connection:
        text = json.loads(
            connection.execute(
                sa.text("SELECT text FROM flow_version WHERE hash = :hash"), {"hash": first}
            ).scalar_one()
        )
        text["flow"] = text["flow"].replace("item.sync", "item.gone")
        connection.execute(
            sa.text("UPDATE flow_version SET language_version = 1, text = :text WHERE hash = :hash"),
            {"hash": first, "text": json.dumps(text)},
        )
    with pytest.raises(AdminError, match=r"things\.yaml:5:5: unknown-step: there is no step 'item\.gone'"):
        rollout.activate(things.hub, "things", version=first)
    assert (one(things)["version"], one(things)["pinned"]) == (second, False)


def test_events_of_a_pinned_version_that_does_not_run_after_an_upgrade_are_parked_and_none_is_lost(things: Lab) -> None:
    rollout.activate(things.hub, "things", version="active")
    edit(things, UPPER)
    with things.database.write() as connection:
        connection.exec_driver_sql("UPDATE flow_version SET language_version = 0")
    problems = [str(problem) for problem in things.hub.reload()]
    assert any("flow-version" in problem and "its events are parked" in problem for problem in problems), problems
    tell(things, 1)
    things.work()
    assert [event.state for event in things.events()] == ["parked"]
    assert skus(things) == set(), "the files do not run: a person chose another version"
    rollout.activate(things.hub, "things", files=True)
    [question] = things.questions()
    questions.answer(things.hub, question.id, "replay")
    things.work()
    assert (skus(things), things.questions()) == ({"A1"}, [])


# -- comparing --------------------------------------------------------------------------------------------------------


def test_the_difference_of_two_versions_names_every_file(things: Lab) -> None:
    first = one(things)["version"]
    edit(things, UPPER)
    (things.home / "flows/things.yaml").write_text(THINGS.replace("title: item.sku", "title: record.name"), "utf-8")
    told = rollout.diff(things.hub, "things")
    assert told["a"] == first
    lines = told["diff"].splitlines()
    assert f"--- flows/things.yaml ({first[:8]})" in lines
    assert f"+++ mappings/lab/thing.yaml ({told['b'][:8]})" in lines
    assert {"-  sku: name", "+  sku: upper(name)"} <= set(lines)
    things.hub.reload()
    assert rollout.diff(things.hub, "things")["diff"] == ""
    turned = rollout.diff(things.hub, "things", a=first[:8])
    assert (turned["a"], turned["diff"]) == (first, told["diff"]), "the stored texts against what runs"


# -- canaries ---------------------------------------------------------------------------------------------------------


def test_a_canary_takes_its_share_of_the_keys_and_always_the_same_ones(things: Lab) -> None:
    stable = one(things)["version"]
    edit(things, UPPER)
    rollout.activate(things.hub, "things", share=30, by="ada")
    canary = one(things)["canary"]
    assert (canary["share"], canary["by"], one(things)["version"]) == (30, "ada", stable)
    tell(things, *range(1, 101))
    things.work()
    took = {int(sku[1:]) for sku in skus(things) if sku.startswith("A")}
    assert 15 <= len(took) <= 45, "about thirty of a hundred"
    by_version = {run.event_seq: run.version_hash for run in things.rows(RUN, flow="things")}
    assert sum(version == canary["version"] for version in by_version.values()) == len(took)

    tell(things, *range(1, 101))  # later events of the same keys
    things.work()
    events.replay(things.hub, [row.seq for row in things.events()[:20]])
    things.work()
    assert {int(sku[1:]) for sku in skus(things) if sku.startswith("A")} == took
    rollout.activate(things.hub, "things", version="canary", share=60)
    tell(things, *range(1, 101))
    things.work()
    more = {int(sku[1:]) for sku in skus(things) if sku.startswith("A")}
    assert took < more, "a larger share keeps those it had"
    assert len(more) < 80

    promoted = rollout.activate(things.hub, "things")["items"][0]
    assert (promoted["version"], promoted["canary"], promoted["pinned"]) == (canary["version"], None, True)
    assert [row.state for row in things.rows(CANARY)] == ["ended", "promoted"]


def test_a_canary_that_a_person_takes_back_leaves_the_pinned_version(things: Lab) -> None:
    stable = one(things)["version"]
    edit(things, UPPER)
    rollout.activate(things.hub, "things", share=50)
    ended = rollout.rollback(things.hub, "things")["items"][0]
    assert (ended["version"], ended["canary"], ended["pinned"]) == (stable, None, True)
    things.hub.reload()
    tell(things, 1, 2, 3, 4)
    things.work()
    assert skus(things) == {"a1", "a2", "a3", "a4"}, "the files do not come back by themselves"


@pytest.mark.parametrize(
    ("text", "asked", "why"),
    [
        (MAPPING, {"share": 10}, "runs already, for all"),
        (UPPER, {"share": 0}, "0 % is no share"),
        (UPPER, {"rollback_if": "many errors"}, "is not a rule: write `errors > 5% of 50`"),
        (UPPER, {"rollback_if": "errors > 5% of 0"}, "is not a rule"),
        (UPPER, {"files": True, "share": 5}, "`files` goes without"),
    ],
)
def test_a_canary_that_makes_no_sense_is_refused(things: Lab, text: str, asked: dict[str, Any], why: str) -> None:
    edit(things, text)
    with pytest.raises(AdminError, match=why):
        rollout.activate(things.hub, "things", **asked)
    assert things.rows(CANARY) == []


def test_a_canary_has_the_trigger_of_the_version_beside_it(things: Lab) -> None:
    manual = THINGS.replace("{role: shop, record: thing}", "{manual: things}").replace("  - map: thing\n", "")
    (things.home / "flows/things.yaml").write_text(manual.replace("item.sku", "record.name"), "utf-8")
    with pytest.raises(
        AdminError, match=r"starts on things and the active version on shop\.thing: activate it for all"
    ):
        rollout.activate(things.hub, "things", share=10)


def test_a_bad_mapping_is_withdrawn_by_its_rule_and_what_it_parked_ends_right(things: Lab) -> None:
    stable = one(things)["version"]
    edit(things, BAD)
    rollout.activate(things.hub, "things", rollback_if="errors > 20% of 10")
    for number in range(1, 31):
        tell(things, number)
        things.work()
    # the third error makes three of ten certain: things 3, 6 and 9
    [row] = things.rows(CANARY)
    assert (row.state, row.runs, row.parked) == ("withdrawn", 9, 3)
    versions = [run.version_hash == row.version_hash for run in things.rows(RUN, flow="things")]
    assert versions == [True] * 9 + [False] * 21, "from the next batch on the pinned version runs"
    assert (one(things)["version"], one(things)["canary"]) == (stable, None)

    [question] = [question for question in things.questions() if question.kind == "flow.withdrawn"]
    assert "3 of its last 9 runs were parked (errors > 20% of 10)" in question.reason
    assert "parked 0 of 0 runs" in question.reason
    questions.answer(things.hub, question.id, "replay", by="ada")
    things.work()
    assert {event.state for event in things.events()} == {"done"}
    assert things.questions() == []
    assert skus(things) == {f"a{n}" if n % 3 == 0 or n > 9 else f"A{n}" for n in range(1, 31)}


INVOICES = """
flow: invoices
on: {event: invoice.issued}
steps:
  - deliver: {role: books, operation: invoice.create, key: invoice.number, body: "{'number': invoice.number}"}
"""


def test_a_withdrawn_flow_of_a_core_event_loses_no_delivery(lab: Lab) -> None:
    lab.write(orders=ORDERS, lab__order=ORDER, invoices=INVOICES)
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 100})
    lab.work()
    bad = INVOICES.replace("{'number': invoice.number}", "{'number': invoice.number + 1}")
    (lab.home / "flows/invoices.yaml").write_text(bad, "utf-8")
    rollout.activate(lab.hub, "invoices", share=50, rollback_if="errors > 10% of 20")
    for start in range(1, 41, 4):
        for number in range(start, start + 4):
            lab.receive(order(number), topic="orders/changed", kind="order")
        lab.work()
    [row] = lab.rows(CANARY)
    assert row.state == "withdrawn"
    assert 3 <= row.parked <= 6
    assert row.stable_parked == 0 < row.stable_runs
    assert len(lab.rows(DOCUMENT)) == 40, "the books commit whatever the subscriber does"
    assert len(lab.system.invoices) == 40 - row.parked
    [question] = [question for question in lab.questions() if question.kind == "flow.withdrawn"]
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert lab.questions() == []
    assert len(lab.system.invoices) == 40
    assert {row.state for row in lab.deliveries(is_state=False)} == {"confirmed"}
    with lab.database.read() as connection:
        assert verify_ledger(connection, 1, lambda key: lab.vault.key(connection, 1, key).key) == []


@pytest.mark.parametrize(
    ("rule", "recent", "holds"),
    [
        ("errors > 5% of 50", "x" * 2 + "." * 48, False),
        ("errors > 5% of 50", "xxx", True),
        ("errors > 5% of 50", "xxx" + "." * 48, False),  # the first is beyond the fifty
        ("errors>0%of 10", "." * 9 + "x", True),
        ("errors > 0% of 10", "." * 10, False),
        ("errors > 2.5% of 40", "x", False),
        ("errors > 2.5% of 40", ".x" * 2, True),
    ],
)
def test_a_rule_holds_as_soon_as_it_is_certain(rule: str, recent: str, holds: bool) -> None:
    assert Rule.parse(rule).holds(recent) is holds


# -- merchants and processes ------------------------------------------------------------------------------------------


def test_a_canary_may_be_one_merchant(things: Lab) -> None:
    things.open_merchant(2)
    things.connect("second", ("shop", "books"), merchant_id=2)
    things.hub.reload()
    edit(things, UPPER)
    rollout.activate(things.hub, "things", merchant=2, rollback_if="errors > 50% of 4")
    items = {item["merchant"]: item for item in rollout.listed(things.hub)["items"] if item["flow"] == "things"}
    assert (items["1"]["canary"], items["1"]["pinned"]) == (None, False)
    assert items["2"]["canary"]["share"] == 100
    things.hub.reload()
    rollout.rollback(things.hub, "things")
    items = {item["merchant"]: item for item in rollout.listed(things.hub)["items"] if item["flow"] == "things"}
    assert items["2"]["canary"] is None
    assert items["1"]["version"] != items["2"]["version"], "only where the canary ran was something taken back"


def test_another_process_runs_what_was_activated_without_being_told(things: Lab) -> None:
    second = things.another_hub()
    second.active(1)
    edit(things, UPPER)
    things.hub.reload()
    tell(things, 1)
    second.run_until_idle()
    assert skus(things) == {"A1"}
    rollout.rollback(things.hub, "things")
    tell(things, 2)
    second.run_until_idle()
    assert skus(things) == {"A1", "a2"}
    edit(things, BAD)
    rollout.activate(things.hub, "things", rollback_if="errors > 0% of 10")
    tell(things, 3)
    things.work()
    tell(things, 6)
    second.run_until_idle()
    assert skus(things) == {"A1", "a2", "a6"}, "it was withdrawn in the other process"
    second.intake.close()


# -- replay -----------------------------------------------------------------------------------------------------------


def test_an_event_is_worked_again_with_what_runs_or_with_the_version_that_worked_it(things: Lab) -> None:
    tell(things, 1)
    things.work()
    edit(things, UPPER)
    things.hub.reload()
    [seq] = [row.seq for row in things.events()]
    events.replay(things.hub, [seq], same_version=True)
    things.work()
    assert skus(things) == {"a1"}
    events.replay(things.hub, [seq])
    things.work()
    assert skus(things) == {"a1", "A1"}
    first, same, now = (run.version_hash for run in things.rows(RUN, flow="things"))
    assert first == same != now
    with things.database.write() as connection:
        connection.execute(sa.text("UPDATE flow_version SET language_version = 0 WHERE hash = :hash"), {"hash": first})
    fresh = things.another_hub()
    events.replay(fresh, [seq], same_version=True)  # the last version that worked it
    fresh.run_until_idle()
    assert things.rows(RUN, flow="things")[-1].version_hash == now
    fresh.intake.close()
