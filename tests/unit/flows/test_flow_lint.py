"""What is wrong with a flow is said with file, line and column, what was found, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.connect.registry import Registry
from hub.flows.active import FlowFile, Loaded, load_flows
from hub.flows.context import ConnectionInfo, MappingFolder, Roles

ROLES = Roles(
    {
        1: ConnectionInfo(1, "shop", "shopify", "live", 0, {}, ("shop",)),
        2: ConnectionInfo(2, "books", "quickbooks", "live", 0, {}, ("books",)),
        3: ConnectionInfo(3, "one", "shipbob", "live", 0, {}, ("warehouse",)),
        4: ConnectionInfo(4, "two", "shipbob", "live", 0, {}, ("warehouse",)),
    },
    Registry.discover(),
)
HEAD = "flow: f\non: {role: shop, record: order}\nsteps:\n"


def loaded(text: str, *others: str, folders: list[Path] | None = None) -> Loaded:
    files = [FlowFile("f", "flows/f.yaml", text)]
    files += [FlowFile(f"g{index}", f"flows/g{index}.yaml", other) for index, other in enumerate(others)]
    mappings = MappingFolder.standard() if folders is None else MappingFolder(folders)
    return load_flows(files, ROLES, mappings)


@pytest.mark.parametrize(
    ("text", "place", "rule", "says"),
    [
        ("", "1:1", "flow", "a flow is a mapping"),
        ("- a\n", "1:1", "flow", "a flow is a mapping"),
        ("flow: f\n  on: x\n", "2:", "", ""),
        ("flow: f\nflow: g\n", "2:1", "", "flow"),
        ("on: {manual: x}\nsteps: [{stop: x}]\n", "1:1", "missing-key", "`flow` is missing"),
        ("flow: f\nsteps: [{stop: x}]\n", "1:1", "missing-key", "`on` is missing"),
        ("flow: f\non: {manual: x}\n", "1:1", "missing-key", "`steps` is missing"),
        ("flow: f\non: {manual: x}\nsteps: []\n", "3:8", "steps", "at least one"),
        ("flow: f\non: {manual: x}\nsteps: {stop: x}\n", "3:8", "steps", "a list"),
        ("flow: 'a b'\non: {manual: x}\nsteps: [{stop: x}]\n", "1:7", "flow-name", "letters"),
        ("flow: f\nstepz: 1\non: {manual: x}\nsteps: [{stop: x}]\n", "2:1", "unknown-key", "did you mean 'steps'"),
        ("flow: f\non: {roll: shop}\nsteps: [{stop: x}]\n", "2:5", "trigger", "{role, record}"),
        ("flow: f\non: shop.order\nsteps: [{stop: x}]\n", "2:5", "trigger", "{role, record}"),
        ("flow: f\non: {event: invoice.isued}\nsteps: [{stop: x}]\n", "2:13", "unknown-event", "did you mean 'invoice.issued'"),
        ("flow: f\non: {manual: x}\norder: random\nsteps: [{stop: x}]\n", "3:8", "order", "strict"),
        ("flow: f\non: {manual: x}\nwhen: 5\nsteps: [{stop: x}]\n", "3:7", "expression", "a text"),
        ("flow: f\non: {manual: x}\nwhen: record.a ==\nsteps: [{stop: x}]\n", "3:", "", ""),
        (HEAD + "  - mapp: order\n", "4:5", "unknown-step", "did you mean 'map'"),
        (HEAD + "  - map: order\n    stop: x\n", "4:5", "step", "one name"),
        (HEAD + "  - stop\n", "4:5", "step", "one name"),
        (HEAD + "  - map: {name: order, nmae: x}\n", "4:24", "step-settings", "did you mean 'name'"),
        (HEAD + "  - map: nothing\n", "4:10", "mapping-missing", "mappings/shopify/nothing.yaml"),
        (HEAD + "  - map: 5\n", "4:10", "step-settings", "string"),
        (HEAD + "  - order.sync: {}\n", "4:17", "order-missing", "map: order"),
        (HEAD + "  - map: order\n  - order.sync: {invoice: never}\n", "5:27", "step-settings", "on_payment"),
        (HEAD + "  - set: {a: record.b +}\n", "4:", "", ""),
        (HEAD + "  - set: {a: open('x')}\n", "4:14", "", "open"),
        (HEAD + "  - set: {a: record.__class__}\n", "4:14", "", "__class__"),
        (HEAD + "  - set: {'1a': record.b}\n", "4:11", "name", "not a name"),
        (HEAD + "  - set: {a: 5}\n", "4:14", "expression", "a text"),
        (HEAD + "  - validate: {else: no}\n", "4:15", "step-settings", "`that` is missing"),
        (HEAD + "  - when: {if: record.a, steps: [{stopp: x}]}\n", "4:35", "unknown-step", "stop"),
        (HEAD + "  - deliver: {role: books, key: record.id}\n", "4:14", "step-settings", "`operation` is missing"),
        (HEAD + "  - deliver: {role: books, operation: invoice.make, key: record.id}\n", "4:39", "unknown-operation", "invoice.create"),
        (HEAD + "  - deliver: {role: warehouse, operation: order.create, key: record.id}\n", "4:21", "role-several", "2 connections"),
        (HEAD + "  - deliver: {role: books, operation: invoice.create, key: 'a b'}\n", "4:", "", ""),
        (HEAD + "  - deliver: {role: books, operation: invoice.create, key: record.id, state: true}\n", "4:78", "operation-state", "state"),
        ("flow: f\non: {schedule: '0 7 * *'}\nsteps: [{stop: x}]\n", "2:16", "schedule", "five fields"),
        ("flow: f\non: {schedule: '0 25 * * *'}\nsteps: [{stop: x}]\n", "2:16", "schedule", "no schedule"),
        ("flow: f\non: {schedule: 0 7 * * *, zone: Europe/Pari}\nsteps: [{stop: x}]\n", "2:33", "zone", "did you mean 'Europe/Paris'"),
        ("flow: f\non: {zone: Europe/Paris}\nsteps: [{stop: x}]\n", "2:5", "trigger", "{schedule, zone}"),
        (HEAD + "  - fetch: {role: books, as: a}\n", "4:12", "step-settings", "one of the two"),
        (HEAD + "  - fetch: {role: shop, record: order, as: a}\n", "4:12", "step-settings", "one of the two"),
        (HEAD + "  - fetch: {role: shop, record: order, id: record.id, operation: stock.read, as: a}\n", "4:12", "step-settings", "one of the two"),
        (HEAD + "  - fetch: {role: shop, record: ordre, id: record.id, as: a}\n", "4:33", "fetch-record", "one of: "),
        (HEAD + "  - fetch: {role: shop, operation: stock.set, body: record, as: a}\n", "4:36", "fetch-operation", "writes"),
        (HEAD + "  - fetch: {role: shop, operation: stock.reed, body: record, as: a}\n", "4:36", "fetch-operation", "stock.read"),
        (HEAD + "  - fetch: {role: warehouse, record: shipment, id: record.id, as: a}\n", "4:19", "role-several", "2 connections"),
        (
            HEAD + "  - emit: {event: a.b}\n  - when: {if: record.a, steps: [{fetch: {role: shop, record: order, id: record.id, as: a}}]}\n",
            "5:42", "fetch-after-core", "before the first step",
        ),
        (
            HEAD + "  - for_each:\n      in: record.a\n      as: a\n      steps:\n        - fetch: {role: shop, record: order, id: a, as: b}\n"
            "        - item.sync: {sku: b.name}\n",
            "8:18", "fetch-after-core", "to the front",
        ),
        (HEAD + "  - deliver: {role: books, operation: invoice.create, key: record.id, retry: {}}\n", "4:78", "step-settings", "attempts"),
        (HEAD + "  - deliver: {role: books, operation: invoice.create, key: record.id, retry: {within: 2w}}\n", "4:87", "step-settings", "match"),
        (HEAD + "  - emit: {event: invoice.issued}\n", "4:19", "core-event", "another name"),
        (HEAD + "  - emit: {event: question.raised}\n", "4:19", "core-event", "another name"),
        (HEAD + "  - stock.move: {source: a, destination: b}\n", "4:17", "step-settings", "`ref` is missing"),
    ],
)  # fmt: skip
def test_a_faulty_flow_is_refused_with_its_place(text: str, place: str, rule: str, says: str) -> None:
    problems = loaded(text).problems
    assert problems
    found = [p for p in problems if str(p).startswith(f"flows/f.yaml:{place}") and rule in p.rule]
    assert found, [str(problem) for problem in problems]
    assert any(says in str(problem) for problem in found), [str(problem) for problem in found]


def test_all_that_is_wrong_is_said_at_once() -> None:
    problems = loaded(HEAD + "  - mapp: order\n  - set: {a: 'x +'}\n  - emit: {event: a.b, extra: 1}\n").problems
    assert {problem.line for problem in problems} == {4, 5, 6}


def test_two_files_with_one_name_are_refused() -> None:
    text = "flow: f\non: {manual: x}\nsteps: [{stop: x}]\n"
    made = loaded(text, text)
    assert [flow.file for flow in made.flows] == ["flows/f.yaml"]
    assert "flows/f.yaml" in str(made.problems[0])
    assert made.broken == {"g0"}


def test_every_flow_that_uses_a_broken_mapping_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shopify").mkdir()
    (tmp_path / "shopify" / "thing.yaml").write_text(
        "mapping: shopify/thing\nfrom: shopify.order\nto: thing\nmap:\n  a: 1 +\n"
    )
    flow = "flow: {}\non: {{role: shop, record: order}}\nsteps:\n  - map: thing\n"
    made = loaded(flow.format("f"), flow.format("g"), folders=[tmp_path])
    assert made.flows == []
    assert made.broken == {"f", "g0"}
    assert any(problem.file == "mappings/shopify/thing.yaml" and problem.line == 5 for problem in made.problems)


def test_an_event_that_another_flow_emits_may_be_answered() -> None:
    emits = "flow: g\non: {manual: x}\nsteps:\n  - when: {if: record.a, steps: [{emit: {event: order.flagged}}]}\n"
    answers = "flow: f\non: {event: order.flagged}\nsteps: [{stop: x}]\n"
    assert loaded(answers, emits).problems == []
    [problem] = loaded(answers).problems
    assert problem.rule == "unknown-event"


def test_a_mapping_is_one_of_the_system_that_the_next_deliver_goes_to(tmp_path: Path) -> None:
    for connector in ("quickbooks", "shopify"):
        (tmp_path / connector).mkdir()
        (tmp_path / connector / "note.yaml").write_text(
            f"mapping: {connector}/note\nfrom: invoice\nto: {connector}.note\nmap:\n  a: number\n"
        )
    made = loaded(
        "flow: f\non: {event: invoice.issued}\nsteps:\n"
        "  - map: note\n  - deliver: {role: books, operation: invoice.create, key: invoice.number}\n"
        "  - map: note\n  - when:\n      if: invoice.number\n      steps:\n"
        "        - deliver: {role: shop, operation: stock.read, key: invoice.number}\n",
        folders=[tmp_path],
    )
    assert made.problems == []
    [flow] = made.flows
    assert [list(step.mappings) for step in flow.steps if hasattr(step, "mappings")] == [["quickbooks"], ["shopify"]]


def test_a_version_is_its_text_its_mappings_and_nothing_else(tmp_path: Path) -> None:
    text = "flow: f\non: {manual: x}\nsteps: [{stop: x}]\n"
    [one], [two], [other] = loaded(text).flows, loaded(text).flows, loaded(text + "# note\n").flows
    assert one.version_hash == two.version_hash != other.version_hash


def test_the_shipped_flows_lint() -> None:
    from hub.flows.active import flow_files

    single = Roles({key: info for key, info in ROLES.connections.items() if key != 4}, ROLES.registry)
    made = load_flows(flow_files(), single, MappingFolder.standard())
    assert [str(problem) for problem in made.problems] == []
