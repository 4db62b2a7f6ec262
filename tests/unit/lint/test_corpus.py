"""Lint finds seeded faults at their exact place and says nothing of sound files.

`corpus/*.yaml` are lists of cases: `{name, files: {path: text}, expect: [{file, line, column, rule}]}`, with `expect: []` for
sound files. A case stands alone: its flows are read without the shipped ones, with the shipped mappings and connectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.connect.registry import Registry
from hub.flows.lint import RULES, lint
from hub.flows.lint.sources import sort_files

CORPUS = Path(__file__).parent / "corpus"
WANTED = 0.95
#: Connectors are read once for all cases that bring none of their own.
REGISTRY = Registry.discover()


@dataclass
class Case:
    """One case, and where each of its expected findings stands: `file:line:column: rule`."""

    name: str
    corpus: str
    files: dict[str, str]
    expected: list[str]
    strict: bool = False
    found: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        return [each for each in self.expected if each not in self.found]


def read_cases() -> Iterator[Case]:
    for file in sorted(CORPUS.glob("*.yaml")):
        for case in yaml.load(file.read_text("utf-8"), yaml.CSafeLoader):
            expected = [f"{each['file']}:{each['line']}:{each['column']}: {each['rule']}" for each in case["expect"]]
            yield Case(case["name"], file.name, case["files"], expected, case.get("strict", False))


def run(case: Case, folders: pytest.TempPathFactory) -> Case:
    sources = sort_files(case.files)
    registry = REGISTRY
    if sources.connectors:
        folder = folders.mktemp("case")
        for path in sources.connectors:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(case.files[path], "utf-8")
        registry = Registry.discover(folder)
    findings = lint(sources.project(registry), strict=case.strict)
    case.found = [f"{each.file}:{each.line}:{each.column}: {each.rule}" for each in findings]
    case.said = [str(each) for each in findings]
    return case


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return [run(case, tmp_path_factory) for case in read_cases()]


def test_at_least_95_of_100_seeded_faults_are_found_at_their_place(cases: list[Case]) -> None:
    seeded = sum(len(case.expected) for case in cases)
    missed = sum(len(case.missed) for case in cases)
    share = (seeded - missed) / seeded
    print(f"{seeded - missed} of {seeded} faults found with place and rule: {share:.1%}")
    for case in cases:
        for each in case.missed:
            print(f"missed in {case.corpus}, {case.name}: {each}")
            print("\n".join(f"    found {said}" for said in case.said) or "    found nothing")
    assert share >= WANTED


def test_sound_files_have_no_finding(cases: list[Case]) -> None:
    sound = [case for case in cases if not case.expected]
    assert sound
    assert {f"{case.corpus}, {case.name}": case.said for case in sound if case.said} == {}


def test_a_faulty_file_has_few_findings_that_nobody_planted(cases: list[Case]) -> None:
    """Fewer than one in twenty: a rule that shouts in every faulty file would pass otherwise."""
    more = [(case.name, each) for case in cases if case.expected for each in set(case.found) - set(case.expected)]
    seeded = sum(len(case.expected) for case in cases)
    print(f"{len(more)} findings beside {seeded} faults: {more}")
    assert len(more) < (1 - WANTED) * seeded


def test_every_rule_has_a_case(cases: list[Case]) -> None:
    expected = {each.rpartition(": ")[2] for case in cases for each in case.expected}
    assert sorted(RULES.by_id.keys() - expected) == []


def test_each_case_has_a_name_of_its_own(cases: list[Case]) -> None:
    names: list[Any] = [(case.corpus, case.name) for case in cases]
    assert len(names) == len(set(names))
