"""The file of a flow's tests, `flows/NAME.test.yaml`: read and checked, every problem with its place."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from hub.db.types import instant_us
from hub.mapping import Document, Problem, SourceError, load_document
from hub.workers.alerts.rules import Rule
from hub.workers.matchers import OF_LISTS, fault, matcher
from hub.workers.orderrefs import is_ref

Path = tuple[str | int, ...]
EXPECTED = (
    "invoices",
    "credit_notes",
    "entries",
    "moves",
    "reservations",
    "deliveries",
    "questions",
    "orders",
    "runs",
)
#: what may be given, and what each form may hold
GIVEN: dict[str, frozenset[str]] = {
    "webhook": frozenset({"role", "file", "body", "refs"}),
    "repeat": frozenset(),
    "manual": frozenset({"record", "file"}),
    "read": frozenset({"role", "file", "body", "refs"}),
    "sandbox": frozenset({"post", "body"}),
    "poll": frozenset(),
    "schedule": frozenset(),
    "wait": frozenset(),
    "alert": frozenset(),
}
ANSWER = frozenset({"role", "operation", "match", "status", "times", "kind", "body", "headers", "seconds", "message"})
ROLE = ("connector", "mode", "settings")
MODES = ("live", "observe", "paused")
ITEM = ("quantity", "title", "price", "vat")
FILE = frozenset({"description", "flows", "roles", "clock", "stock", "tests"})
TEST = frozenset({"name", "given", "answers", "expect"})
_CLOCK = "2026-01-05T09:00:00+01:00"


class BrokenTest(Exception):
    """A test file that cannot be run: all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Role:
    """The connector that plays a role, on its sandbox, with settings of its connection."""

    connector: str
    mode: str = "live"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One test and where it stands in its file."""

    name: str
    given: list[Any]
    answers: list[Any]
    expect: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class TestFile:
    """Tests of flows, and what they share."""

    file: File
    shown: str
    document: Document
    flows: list[str]
    roles: dict[str, Role]
    clock: int
    #: SKU to units, and how the shop sells it where the file says it
    stock: dict[str, tuple[int, dict[str, Any]]]
    cases: list[Case]

    @property
    def home(self) -> File:
        """The folder whose flows, mappings and connectors are tested."""
        folder = self.file.resolve().parent
        return folder.parent if folder.name == "flows" else folder

    def place(self, path: Path) -> str:
        """`file:line:column` of a part of the file."""
        place = self.document.position(path)
        return f"{place.file}:{place.line}:{place.column}"


def read_test(file: File, shown: str) -> TestFile:
    """Reads a test file. Raises: BrokenTest, OSError."""
    try:
        document = load_document(file.read_text("utf-8"), shown)
    except SourceError as error:
        raise BrokenTest([error.problem]) from None
    reader = _Reader(document)
    made = reader.read(file, shown)
    if reader.problems:
        raise BrokenTest(reader.problems)
    return made


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def problem(self, message: str, path: Path, hint: str = "", *, key: bool = False) -> None:
        place = self.document.key_position(path) if key else self.document.position(path)
        self.problems.append(Problem(place.file, place.line, place.column, "test", message, hint))

    def keys(self, value: Any, known: Collection[str], path: Path) -> dict[str, Any]:
        """An object with known keys only."""
        if not isinstance(value, dict):
            self.problem("an object is needed here", path)
            return {}
        for name in value:
            if name not in known:
                near = difflib.get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(sorted(known))}"
                self.problem(f"{name!r} is not known", (*path, name), hint, key=True)
        return value

    def items(self, value: Any, path: Path) -> list[Any]:
        if isinstance(value, list):
            return value
        self.problem("a list is needed here", path)
        return []

    def read(self, file: File, shown: str) -> TestFile:
        value = self.keys(self.document.value, FILE, ())
        flows = [str(name) for name in self.items(value.get("flows", []), ("flows",))]
        if not flows:
            self.problem("`flows` names the flows that are tested", ())
        cases = [
            self.case(each, ("tests", place))
            for place, each in enumerate(self.items(value.get("tests", []), ("tests",)))
        ]
        if not cases:
            self.problem("there is no test in it", ())
        return TestFile(
            file,
            shown,
            self.document,
            flows,
            self.roles(value.get("roles", {})),
            self.clock(value.get("clock", _CLOCK)),
            self.stock(value.get("stock", {})),
            cases,
        )

    def roles(self, value: Any) -> dict[str, Role]:
        found: dict[str, Role] = {}
        for name, role in (value if isinstance(value, dict) else self.keys(value, (), ("roles",))).items():
            if isinstance(role, dict):
                self.keys(role, ROLE, ("roles", name))
                mode = str(role.get("mode", "live"))
                if mode not in MODES:
                    self.problem(f"{mode!r} is no mode", ("roles", name, "mode"), "live, observe or paused")
                found[name] = Role(str(role.get("connector")), mode, role.get("settings") or {})
            else:
                found[name] = Role(str(role))
        return found

    def clock(self, value: Any) -> int:
        try:
            return instant_us(str(value))
        except ValueError:
            self.problem(f"{value!r} is no instant", ("clock",), "2026-11-24T09:00:00+01:00")
            return instant_us(_CLOCK)

    def stock(self, value: Any) -> dict[str, tuple[int, dict[str, Any]]]:
        found: dict[str, tuple[int, dict[str, Any]]] = {}
        for sku, units in (value if isinstance(value, dict) else self.keys(value, (), ("stock",))).items():
            path: Path = ("stock", sku)
            more: dict[str, Any] = {}
            if isinstance(units, dict):
                more = dict(self.keys(units, ITEM, path))
                units = more.pop("quantity", 0)
            if isinstance(units, bool) or not isinstance(units, int) or units < 0:
                self.problem("the units of an item are a whole number", path)
                units = 0
            found[sku] = (units, more)
        return found

    def case(self, value: Any, path: Path) -> Case:
        value = self.keys(value, TEST, path)
        given = self.items(value.get("given", []), (*path, "given"))
        for place, each in enumerate(given):
            self.given(each, given, (*path, "given", place))
        answers = self.items(value.get("answers", []), (*path, "answers"))
        for place, each in enumerate(answers):
            self.keys(each, ANSWER, (*path, "answers", place))
        expect = self.keys(value.get("expect", {}), EXPECTED, (*path, "expect"))
        if not expect:
            self.problem("a test expects something", path)
        for name, items in expect.items():
            here: Path = (*path, "expect", name)
            instead = matcher(items)
            if instead is None:
                self.items(items, here)
            elif instead.word not in OF_LISTS:
                self.problem(f"{instead.word!r} does not stand for a list", here, "a list, or {includes: [...]}")
            self.matchers(items, here)
        return Case(str(value.get("name", f"test {path[-1]}")), given, answers, expect, path)

    def matchers(self, value: Any, path: Path) -> None:
        """Says what is wrong with the matchers of a value."""
        if wrong := fault(value):
            self.problem(f"{next(iter(value))!r} is used wrongly", path, wrong)
        elif isinstance(value, dict):
            for name, each in value.items():
                self.matchers(each, (*path, name))
        elif isinstance(value, list):
            for place, each in enumerate(value):
                self.matchers(each, (*path, place))

    def _alert(self, value: Any, path: Path) -> None:
        try:
            Rule.model_validate({"alert": "test", **value} if isinstance(value, dict) else value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            self.problem(
                f"{where}: {first['msg']}" if where else first["msg"], path, "{when: {questions: ['*']}, to: [webhook]}"
            )

    def given(self, value: Any, all_given: list[Any], path: Path) -> None:
        kinds = [name for name in GIVEN if isinstance(value, dict) and name in value]
        if len(kinds) != 1:
            self.problem(f"one of {', '.join(GIVEN)} is given", path, "for example - webhook: orders/paid")
            return
        [kind] = kinds
        self.keys(value, {kind, *GIVEN[kind]}, path)
        if kind == "webhook" and "file" not in value and "body" not in value:
            self.problem("a webhook has a `file` or a `body`", path)
        refs = value.get("refs", {})
        if not isinstance(refs, dict) or not all(is_ref(ref) and isinstance(name, str) for ref, name in refs.items()):
            hint = '{SO12-1001: "#1001"}'
            self.problem("`refs` says of references of orders which orders they name here", (*path, "refs"), hint)
        if kind == "sandbox" and "post" not in value:
            self.problem("`post` says which action of the sandbox", path)
        if kind == "wait" and not isinstance(value["wait"], int):
            self.problem("`wait` is a number of seconds", (*path, "wait"))
        if kind == "alert":
            self._alert(value["alert"], (*path, "alert"))
        if kind == "repeat":
            index = value["repeat"]
            good = isinstance(index, int) and 0 <= index < path[-1]  # type: ignore[operator]
            if not good or "webhook" not in all_given[index]:
                self.problem("`repeat` is the number of an earlier webhook, counted from 0", (*path, "repeat"))
