"""Each rule finds what its example shows and nothing else; the reference is made of them; an `allow` needs a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.connect.registry import Registry
from hub.flows.active import flow_files
from hub.flows.context import MappingFolder
from hub.flows.lint import RULES, Project, Rule, lint
from hub.flows.lint.reference import SUBJECTS, findings_of, refusals_markdown, rules_markdown, rules_of
from hub.flows.lint.refusals import REFUSALS
from hub.flows.lint.sources import Sources, sort_files
from hub.mapping import load_mapping

REGISTRY = Registry.discover()
HUB = Path(__file__).parents[3] / "hub"
PAGE = (Path(__file__).parents[3] / "docs" / "lint.md").read_text("utf-8")
INVOICE = "  - map: invoice\n  - deliver: {role: books, operation: invoice.create, key: invoice.number}\n"
MAIL = "  - map: invoice\n  - deliver: {role: mail, operation: message.send, key: invoice.number}\n"


def rules(files: dict[str, str], *, strict: bool = False) -> list[str]:
    sources = sort_files(files)
    return [each.rule for each in lint(sources.project(REGISTRY), strict=strict)]


def flow(steps: str, *, on: str = "{event: invoice.issued}", more: str = "") -> dict[str, str]:
    return {"flows/a.yaml": f"flow: a\non: {on}\n{more}steps:\n{steps}"}


@pytest.mark.parametrize("rule", RULES.by_id.values(), ids=lambda rule: rule.id)
def test_the_example_of_a_rule_has_that_fault_and_no_other(rule: Rule) -> None:
    assert [each.rule for each in findings_of(rule, REGISTRY)] == [rule.id]


def test_every_rule_is_in_the_reference_once() -> None:
    assert sorted(rule.id for module in SUBJECTS.values() for rule in rules_of(module)) == sorted(RULES.by_id)
    assert not RULES.by_id.keys() & REFUSALS.keys()


def said_in(module: Path) -> Iterator[str]:
    """The rules that a module names where it refuses something."""
    places = {"problem": 0, "problem_at_key": 0, "Problem": 3}
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = places.get(name, len(node.args))
            if place < len(node.args) and isinstance(node.args[place], ast.Constant):
                yield node.args[place].value


def test_whatever_refuses_a_file_is_in_the_reference() -> None:
    modules = [module for part in ("flows", "mapping") for module in (HUB / part).rglob("*.py")]
    said = {rule for module in modules for rule in said_in(module)}
    assert "fetch-after-core" in said
    of_versions = {"flow-version"}  # said of what is stored, not of a file
    assert sorted(said - of_versions - RULES.by_id.keys() - REFUSALS.keys()) == []


@pytest.mark.parametrize(("part", "made"), [("rules", rules_markdown), ("refusals", refusals_markdown)])
def test_the_page_is_in_step(part: str, made: object) -> None:
    assert callable(made)
    found = re.search(rf"<!-- {part}:.*? -->\n(.*)<!-- /{part} -->", PAGE, re.DOTALL)
    assert found, f"no marks for {part}"
    assert found[1].strip() == made().strip()


def test_the_example_of_allow_on_the_page_is_clean() -> None:
    example = PAGE.partition("## What is meant to be so")[2].partition("```yaml\n")[2].partition("```")[0]
    assert rules({"flows/a.yaml": example}) == []


def test_everything_shipped_is_clean() -> None:
    findings = lint(Project(flow_files(), MappingFolder.standard(), REGISTRY))
    assert [str(each) for each in findings] == []


def test_what_keeps_a_flow_from_loading_cannot_be_allowed() -> None:
    found = rules(
        flow(INVOICE.replace("invoice.create", "invoice.make"), more="allow: {unknown-operation: it comes}\n")
    )
    assert found == ["allow-unused", "unknown-operation"]


def test_an_allow_that_is_no_object_is_said() -> None:
    assert rules(flow(MAIL, more="allow: ladder-none\n")) == ["allow-reason", "ladder-none"]


NOTE = "mapping: shopify/note\nfrom: shopify.order\nto: note\nmap:\n  total: round(number(totalPriceSet.shopMoney.amount), 2)\n"


def test_a_mapping_allows_a_rule_with_its_reason() -> None:
    def found(allow: str) -> list[str]:
        return rules({"mappings/shopify/note.yaml": NOTE + allow})

    assert found("") == ["float-money"]
    assert found("allow: {float-money: the amount is only shown}\n") == []
    assert found("allow: {unknown-field: not that one}\n") == ["float-money", "allow-unused"]


@pytest.mark.parametrize("allow", ["{float-money: }", "{float-money: true}", '{float-money: " "}'])
def test_a_mapping_without_the_reason_is_said_and_loads(allow: str) -> None:
    text = f"{NOTE}allow: {allow}\n"
    assert rules({"mappings/shopify/note.yaml": text}) == ["allow-reason"]
    assert load_mapping(text, "note.yaml").name == "shopify/note"


def test_an_allow_counts_for_its_own_file_only() -> None:
    silent = flow(MAIL, more="allow: {ladder-none: at most once}\n")
    other = {
        "flows/b.yaml": silent["flows/a.yaml"]
        .replace("flow: a", "flow: b")
        .replace("allow: {ladder-none: at most once}\n", "")
        .replace("number}", "order_name}")
    }
    assert rules(silent | other) == ["ladder-none"]


def test_an_allow_of_a_strict_rule_is_used_without_strict_too() -> None:
    files = flow(INVOICE, more="allow: {no-test: tried by hand}\n")
    assert rules(files) == rules(files, strict=True) == []


def test_an_operation_is_unknown_only_if_no_connector_that_can_play_the_role_has_it(tmp_path: Path) -> None:
    manifest = "connector: ledgers\ntitle: Ledgers\nroles: [books]\noperations:\n"
    operation = "  {}:\n    ladder: find_first\n    request: {{path: /x}}\n    find: {{path: /x, where: {{id: '{{body.id}}'}}}}\n"
    (tmp_path / "connectors" / "ledgers").mkdir(parents=True)
    (tmp_path / "connectors" / "ledgers" / "connector.yaml").write_text(manifest + operation.format("entry.post"))
    registry = Registry.discover(tmp_path)

    def found(operation: str) -> list[str]:
        steps = f"  - deliver: {{role: books, operation: {operation}, key: invoice.number, body: \"{{'id': 1}}\"}}\n"
        sources = sort_files(flow(steps))
        return [each.rule for each in lint(sources.project(registry))]

    assert found("invoice.create") == found("entry.post") == []
    assert found("invoice.make") == ["unknown-operation"]


def test_a_role_that_a_connection_plays_is_tried_with_that_connection_only() -> None:
    steps = "  - deliver: {role: books, operation: invoice.create, key: invoice.number, body: \"{'DocNumber': invoice.number}\"}\n"
    connections = "connections:\n  b: {connector: smtp, settings: {host: localhost}}\nroles: {books: b}\n"
    assert rules(flow(steps)) == []
    assert rules(flow(steps) | {"connections.yaml": connections}) == ["unknown-operation"]


def test_a_write_changes_only_a_record_that_its_connector_declares(tmp_path: Path) -> None:
    folder = tmp_path / "connectors" / "ledgers"
    folder.mkdir(parents=True)
    (folder / "connector.yaml").write_text(
        "connector: ledgers\ntitle: Ledgers\nrecords: {entry: {}}\noperations:\n"
        "  entry.post: {ladder: none, request: {path: /x}, writes: entri}\n"
    )
    with pytest.raises(Exception, match="5:59: manifest: no record 'entri' is declared") as refused:
        Registry.discover(tmp_path).get("ledgers").check()
    assert "one of entry" in str(refused.value)


def test_files_are_known_by_what_they_say() -> None:
    sources = sort_files(
        {
            "x/one.yaml": "flow: one\non: {manual: x}\nsteps: []\n",
            "x/shopify/two.yaml": "mapping: shopify/two\n",
            "x/three.test.yaml": "flows: [one]\n",
            "x/four.yaml": "connections: {}\n",
            "flows/five.yaml": "stepz: []\n",
            "mappings/shopify/six.yaml": "form: x\n",
            "x/seven.yaml": "services: {}\n",
        }
    )
    assert [flow.file for flow in sources.flows] == ["x/one.yaml", "flows/five.yaml"]
    assert list(sources.mappings) == ["shopify/two", "shopify/six"]
    assert (list(sources.tests), list(sources.connections)) == (["x/three.test.yaml"], ["x/four.yaml"])
    assert sources.unknown == ["x/seven.yaml"]


def test_a_flow_takes_the_place_of_the_shipped_one_of_its_name() -> None:
    mine = {"flows/invoices-to-books.yaml": "flow: invoices-to-books\non: {manual: x}\nsteps: [{stop: x}]\n"}
    sources: Sources = sort_files(mine)
    project = sources.project(REGISTRY, base=flow_files())
    assert [view.on.manual for view in project.views if view.name == "invoices-to-books"] == ["x"]
    assert len(project.flows) == len(flow_files())
