"""`hub test --update`: writes what was found into the `expect:` of tests that fail. Only values that differ change: the rest of
the file, its comments and its layout stay as they are, because the text is edited and never written anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path as File
from typing import Any

import yaml

from hub.records.money import Money
from hub.workers.expectation import NOTHING, TELLING, Difference, Path, accounts_of, items_of, pair
from hub.workers.flowtest import Benches, FileResult
from hub.workers.matchers import matcher
from hub.workers.outcome import Item
from hub.workers.testfile import BrokenTest, Case, TestFile, read_test
from hub.workers.yamltext import rendered


class NotUpdated(Exception):
    """A test whose expectations are not written for it: says which and why."""


@dataclass
class Updated:
    """What `update` did to a file: its text before and after, and why tests were left as they are."""

    file: File
    before: str
    after: str
    refused: list[str]


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


def update(file: File, failed: FileResult) -> Updated:
    """Rewrites the expectations of the tests that failed, runs them again and writes the file if they pass. Raises: OSError."""
    before = file.read_bytes().decode("utf-8")
    made = Updated(file, before, before, list(failed.problems))
    places = {case.place for case in failed.cases if not case.passed}
    if failed.problems or not places:
        return made
    tests = read_test(file, failed.file)
    benches = Benches()
    try:
        edits: list[_Edit] = []
        for case in tests.cases:
            if tests.place(case.path) not in places:
                continue
            try:
                edits += _of_case(before, tests, case, benches)
            except NotUpdated as reason:
                made.refused.append(f"{tests.place(case.path)}: {case.name}: {reason}")
        after = _edited(before, edits)
        wrong = _still_failing(
            tests, after, places - {each.rpartition(": ")[0] for each in made.refused}, benches, made
        )
        if wrong:
            made.refused += wrong
        elif after != before:
            made.after = after
            file.write_bytes(after.encode("utf-8"))
    finally:
        benches.close()
    return made


def _of_case(text: str, tests: TestFile, case: Case, benches: Benches) -> list[_Edit]:
    """The edits that make one test pass. Raises: NotUpdated."""
    bench = benches.of(tests)
    failures = bench.run(case).failures
    for failure in failures:
        if failure["what"] == "given":
            raise NotUpdated(f"what is given cannot be done: {failure['found']}")
    found = bench.found()
    expected_kinds = {
        each.get("kind") for each in items_of(case.expect.get("questions", []))[0] if isinstance(each, dict)
    }
    for question in found["questions"]:
        if question["kind"] not in expected_kinds:
            raise NotUpdated(
                f"a question is open, {question['kind']}: {question['reason']}; if it is meant, expect it under `questions`"
            )
    source = _Source(text)
    edits: list[_Edit] = []
    for kind, expected in case.expect.items():
        items, below = items_of(expected)
        path = (*case.path, "expect", kind, *below)
        paired = pair(kind, items, found[kind], path)
        for _, differences in paired.pairs.values():
            edits += _of_values(source, case, differences)
        edits += source.without(path, paired.missing)
        if paired.left and not below:
            new = [_shown(kind, items, found[kind][place]) for place in paired.left]
            edits += source.with_items(path, new)
    return edits


def _of_values(source: _Source, case: Case, differences: Sequence[Difference]) -> Iterator[_Edit]:
    for each in differences:
        if each.value is NOTHING:
            raise NotUpdated(f"{each.what}: expected {each.expected}, found {each.found}")
        yield source.value(each.path, _like(_at(case.expect, each.path[len(case.path) + 1 :]), each.value))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _like(want: Any, found: Any) -> Any:
    """What was found, with the keys that the test names; money without a currency where the test has it so."""
    if matcher(want) is not None:
        return found
    if isinstance(found, Money) and (
        isinstance(want, (int, Decimal)) or (isinstance(want, str) and " " not in want.strip())
    ):
        return found.decimal()
    if isinstance(want, dict) and isinstance(found, dict):
        return {name: _like(each, found.get(name)) for name, each in want.items()}
    if isinstance(want, list) and isinstance(found, list):
        named = _named(want)
        return [
            {name: _like(named[name], each[name]) for name in named if name in each}
            if named and isinstance(each, dict)
            else each
            for each in found
        ]
    return found


def _named(items: Sequence[Any]) -> dict[str, Any]:
    """The keys that the items of a list name, each with one of its values."""
    return {name: value for item in items if isinstance(item, dict) for name, value in item.items()}


def _shown(kind: str, items: Sequence[Any], found: Item) -> dict[str, Any]:
    """An item that the test has not: the keys that its others name, or those that tell it from others."""
    named = _named(items)
    if kind == "entries":
        keys = {name: value for name, value in named.items() if not name.isdigit()} or {"kind": ""}
        amounts = {code: amount.decimal() for code, amount in accounts_of(found).items() if amount.amount}
        return {**{name: found[name] for name in keys if name in found}, **amounts}
    keys = named or {name: None for name in TELLING[kind] if found.get(name) is not None}
    return {name: _like(value, found[name]) for name, value in keys.items() if name in found}


def _still_failing(tests: TestFile, after: str, places: set[str], benches: Benches, made: Updated) -> list[str]:
    """What still fails of the tests that were updated, were the file so."""
    trial = tests.file.with_name(f".{tests.file.name}.tmp")
    try:
        trial.write_bytes(after.encode("utf-8"))
        again = read_test(trial, tests.shown)
    except BrokenTest as error:
        return [f"{tests.shown}: the text that was made cannot be read: {error}"]
    finally:
        trial.unlink(missing_ok=True)
    again = replace(again, file=tests.file)
    bench = benches.of(again)
    refused = {each.split(": ", 1)[0] for each in made.refused}
    wrong = []
    for old, case in zip(tests.cases, again.cases, strict=True):
        if tests.place(old.path) in places and tests.place(old.path) not in refused:
            wrong += [f"{each['place']}: still not as found: {each['found']}" for each in bench.run(case).failures]
    return wrong


def _edited(text: str, edits: Sequence[_Edit]) -> str:
    for edit in sorted(edits, key=lambda each: (each.start, each.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


class _Source:
    """The text of a file with the places of its nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)
        self._shift = 0

    def node(self, path: Path) -> Any:
        """The node at a path of keys and numbers."""
        node: Any = self._root
        for part in path:
            if isinstance(part, int):
                node = node.value[part]
            else:
                node = next(value for key, value in node.value if key.value == part)
        return node

    def value(self, path: Path, found: Any) -> _Edit:
        """The value at a path replaced."""
        node = self.node(path)
        return _Edit(node.start_mark.index, self._end(node), rendered(found))

    def without(self, path: Path, places: Sequence[int]) -> list[_Edit]:
        """Items of a list taken out."""
        if not places:
            return []
        node = self.node(path)
        if len(places) == len(node.value):
            return [self._emptied(node)]
        return [self._cut(node, place) for place in places]

    def with_items(self, path: Path, items: Sequence[Mapping[str, Any]]) -> list[_Edit]:
        """Items put at the end of a list."""
        node = self.node(path)
        texts = [rendered(item) for item in items]
        if not node.value:
            return [_Edit(node.start_mark.index, self._end(node), f"[{', '.join(texts)}]")]
        end = self._end(node.value[-1])
        if node.flow_style:
            return [_Edit(end, end, "".join(f", {text}" for text in texts))]
        line_end = self.text.find("\n", end)
        line_end = len(self.text) if line_end < 0 else line_end
        line_end -= self.text[line_end - 1 : line_end] == "\r"
        lead = "\n" + " " * node.start_mark.column + "- "
        return [_Edit(line_end, line_end, "".join(lead + text for text in texts))]

    def _emptied(self, node: Any) -> _Edit:
        """A list with nothing left in it. A block list goes behind its key, with no line of its own."""
        start = node.start_mark.index
        if not node.flow_style:
            start = self.text.rindex(":", 0, start) + 1
            return _Edit(start, self._end(node), " []")
        return _Edit(start, self._end(node), "[]")

    def _cut(self, node: Any, place: int) -> _Edit:
        """One item among others, with its comma or its lines."""
        item = node.value[place]
        start, end = item.start_mark.index, self._end(item)
        if node.flow_style:
            if place + 1 < len(node.value):
                return _Edit(start, node.value[place + 1].start_mark.index, "")
            return _Edit(self._end(node.value[place - 1]), end, "")
        start = self.text.rindex("\n", 0, self.text.rindex("-", 0, start)) + 1
        line_end = self.text.find("\n", end)
        return _Edit(start, len(self.text) if line_end < 0 else line_end + 1, "")

    def _end(self, node: Any) -> int:
        """Where what is written of a node ends: of a block that is the end of its last part, without what follows."""
        if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
            end = int(node.end_mark.index)
            while self.text[end - 1 : end] in ("\n", " ", "\r"):  # a block text ends with its line
                end -= 1
            return end
        last = node.value[-1]
        return self._end(last[1] if isinstance(last, tuple) else last)
