"""`hub lint` on files and folders: what it prints for people, for programs and for pull requests, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from hub.cli.lint import command

FAULTY = """\
flow: faulty
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoce.number}
"""


def lint(*arguments: str, home: Path) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [*arguments, "--home", str(home / "no-hub")])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "faulty.yaml").write_text(FAULTY)
    (tmp_path / "flows" / "sound.yaml").write_text("flow: sound\non: {manual: x}\nsteps: [{stop: nothing to do}]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_linted_with_places_as_they_were_given(folder: Path) -> None:
    found = lint("flows", home=folder)
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        "flows/faulty.yaml:5:60: unknown-name: nothing before brings invoce (did you mean invoice?)",
        "1 problem in 0 connectors, 0 mappings, 2 flows, 0 tests",
    ]


def test_files_that_were_not_given_are_read_and_not_spoken_of(folder: Path) -> None:
    found = lint("flows/sound.yaml", home=folder)
    assert (found.exit_code, found.stdout) == (0, "No problem in 0 connectors, 0 mappings, 1 flows, 0 tests.\n")


def test_a_double_of_a_shipped_write_is_found(folder: Path) -> None:
    (folder / "flows" / "faulty.yaml").write_text(FAULTY.replace("invoce", "invoice"))
    found = lint("flows", home=folder)
    assert "flows/faulty.yaml:5:60: duplicate-write: flows/invoices-to-books.yaml writes invoice.create" in found.stdout


def test_programs_get_json(folder: Path) -> None:
    found = lint("flows", "--json", home=folder)
    assert found.exit_code == 1
    assert json.loads(found.stdout)["problems"] == [
        {
            "file": "flows/faulty.yaml",
            "line": 5,
            "column": 60,
            "rule": "unknown-name",
            "message": "nothing before brings invoce",
            "hint": "did you mean invoice?",
        }
    ]


def test_pull_requests_get_annotations(folder: Path) -> None:
    found = lint("flows", "--format", "github", home=folder)
    assert found.stdout == (
        "::error file=flows/faulty.yaml,line=5,col=60,title=unknown-name::"
        "nothing before brings invoce (did you mean invoice?)\n"
    )


def test_strict_asks_for_tests_beside_the_flows(folder: Path) -> None:
    (folder / "flows" / "faulty.test.yaml").write_text("flows: [faulty]\ntests: []\n")
    found = lint("flows", "--strict", home=folder)
    assert "flows/sound.yaml:1:7: no-test: no test tries sound" in found.stdout
    assert "no test tries faulty" not in found.stdout
    one = lint("flows/faulty.yaml", "--strict", home=folder)
    assert "no-test" not in one.stdout


def test_mappings_and_connectors_beside_the_flows_are_used(folder: Path) -> None:
    (folder / "connectors" / "ledgers").mkdir(parents=True)
    manifest = "connector: ledgers\ntitle: Ledgers\nroles: [ledgers]\noperations:\n  entry.post: {ladder: none, request: {path: /x}}\n"
    (folder / "connectors" / "ledgers" / "connector.yaml").write_text(manifest)
    (folder / "mappings" / "ledgers").mkdir(parents=True)
    (folder / "mappings" / "ledgers" / "note.yaml").write_text(
        "mapping: ledgers/note\nfrom: invoice\nto: ledgers.note\nlet: {unread: number}\nmap: {number: numbr}\n"
    )
    steps = "  - map: note\n  - deliver: {role: ledgers, operation: entry.post, key: invoice.number}\n"
    (folder / "flows" / "faulty.yaml").write_text(f"flow: faulty\non: {{event: invoice.issued}}\nsteps:\n{steps}")
    assert [line.split(": ")[:2] for line in lint(".", home=folder).stdout.splitlines()[:-1]] == [
        ["flows/faulty.yaml:5:41", "ladder-none"],
        ["mappings/ledgers/note.yaml:4:7", "unused-name"],
        ["mappings/ledgers/note.yaml:5:15", "unknown-field"],
    ]


def test_a_file_that_is_none_of_ours_is_refused(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services: {}\n")
    found = lint("compose.yaml", home=folder)
    assert "compose.yaml is no flow, mapping, test, connections.yaml or alerts.yaml" in str(found.exception)
    assert "nowhere.yaml is not there" in str(lint("nowhere.yaml", home=folder).exception)
