"""`docs/flows.md` says what is so: its examples lint, run and print what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import typer
from typer.testing import CliRunner

from hub.cli.simulate import command
from hub.connect.registry import Registry, shipped
from hub.flows.active import load_flows
from hub.flows.context import ConnectionInfo, MappingFolder, Roles
from hub.flows.lint import Project, lint
from hub.flows.reference import events_markdown, steps_markdown
from hub.flows.source import FlowFile
from hub.flows.steps import KINDS
from hub.workers.flowtest import run_file
from hub.workers.matchers import WORDS
from hub.workers.testfile import EXPECTED, GIVEN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "flows.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def part(name: str) -> str:
    found = re.search(rf"<!-- {name}:.*? -->\n(.*)<!-- /{name} -->", PAGE, re.DOTALL)
    assert found, f"no marks for {name}"
    return found[1].strip()


def test_the_flow_of_the_page_does_what_its_test_says(tmp_path: Path) -> None:
    flow, *_, test = blocks("yaml")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "large-invoices.yaml").write_text(flow, "utf-8")
    (tmp_path / "flows" / "large-invoices.test.yaml").write_text(test, "utf-8")
    shutil.copytree(shipped("flows") / "payloads", tmp_path / "flows" / "payloads")

    result = run_file(tmp_path / "flows" / "large-invoices.test.yaml")

    assert result.problems == []
    assert [case.failures for case in result.cases] == [[], []]


def test_every_flow_of_the_page_lints() -> None:
    files = [FlowFile(f"f{number}", f"flows/f{number}.yaml", text) for number, text in enumerate(blocks("yaml")[:-1])]
    roles = Roles(
        {
            1: ConnectionInfo(1, "post", "smtp", "live", 0, {}, ("mail",)),
            2: ConnectionInfo(2, "shop", "shopify", "live", 0, {}, ("shop",)),
        },
        Registry.discover(),
    )

    made = load_flows(files, roles, MappingFolder([]))
    findings = lint(Project(files, MappingFolder([]), roles.registry, list(roles.connections.values())))

    assert [str(problem) for problem in (*made.problems, *findings)] == []
    assert len(made.flows) + sum(file.called is not None for file in files) == len(files)


def test_the_simulation_of_the_page_prints_what_it_shows() -> None:
    [console] = blocks("console")
    line, *shown = console.splitlines()
    arguments = line.removeprefix("$ hub simulate ").split()
    app = typer.Typer()
    app.command()(command)

    found = CliRunner().invoke(app, [str(ROOT / each) for each in arguments])

    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[: len(shown)] == shown


def test_the_reference_of_steps_and_events_is_in_step() -> None:
    assert part("steps") == steps_markdown().strip()
    assert part("events") == events_markdown().strip()
    assert all(f"### `{name}`" in PAGE for name in KINDS)


def test_the_page_tells_all_that_a_test_may_give_and_expect() -> None:
    tests = PAGE.partition("## Tests")[2].partition("## Simulate")[0]
    given, _, matchers = tests.partition("In place of a value")

    assert set(re.findall(r"^\| `\{(\w+):", given, re.MULTILINE)) == set(GIVEN)
    assert set(re.findall(r"^\| `\{(\w+):", matchers, re.MULTILINE)) == WORDS
    assert all(f"`{name}`" in tests for name in EXPECTED)
