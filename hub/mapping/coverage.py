"""Which lines and branches of mappings and flows ran: probes that are compiled into their code while coverage is on.

They are there only then: code that is compiled while it is off holds no probe and costs nothing. (`sys.monitoring` would do
the same for lines from Python 3.12 on; an expression has several branches on one line, and 3.11 is supported.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.mapping.source import Position


class Kind(StrEnum):
    """What a point is, and so which outcomes it can have."""

    RUNS = "runs"
    DECIDES = "decides"
    LOOPS = "loops"
    LEADS = "leads"


#: what is to be seen of a point of each kind, and how it is said that it was not
OUTCOMES: Mapping[Kind, Mapping[str, str]] = {
    Kind.RUNS: {"ran": "never ran"},
    Kind.DECIDES: {"true": "never true", "false": "never false"},
    Kind.LOOPS: {"some": "never with an item", "none": "never empty"},
    Kind.LEADS: {"taken": "never taken"},
}
#: the outcome that a value is that passes a point, whether it is true or false
_PASSED: Mapping[Kind, tuple[str, str]] = {
    Kind.RUNS: ("ran", "ran"),
    Kind.DECIDES: ("true", "false"),
    Kind.LOOPS: ("some", "none"),
    Kind.LEADS: ("taken", "taken"),
}


@dataclass(frozen=True, order=True)
class Point:
    """A place in a file where something runs, decides, loops or leads elsewhere; `text` is the expression, the step or the
    way."""

    file: str
    line: int
    column: int
    kind: Kind
    text: str


Seen = Mapping[Point, frozenset[str]]


class Coverage:
    """Points and what was seen of them. Safe to share between threads: sets are only added to."""

    def __init__(self) -> None:
        self._seen: dict[Point, set[str]] = {}

    def _point(self, position: Position, kind: Kind, text: str) -> set[str]:
        point = Point(position.file, position.line, position.column, kind, " ".join(text.split()))
        return self._seen.setdefault(point, set())

    def probe(self, position: Position, kind: Kind, text: str) -> Callable[[Any], Any]:
        """Code that is given a value as it passes, notes the outcome and gives it back."""
        seen = self._point(position, kind, text)
        yes, no = _PASSED[kind]

        def note(value: Any) -> Any:
            seen.add(yes if value else no)
            return value

        return note

    def snapshot(self) -> Seen:
        """What was seen, to be kept or sent elsewhere."""
        return {point: frozenset(seen) for point, seen in self._seen.items()}

    def add(self, seen: Seen) -> None:
        """What was seen elsewhere, such as in another process."""
        for point, outcomes in seen.items():
            self._seen.setdefault(point, set()).update(outcomes)

    def files(self) -> list[FileCoverage]:
        """What was seen of each file, by name."""
        by_file: dict[str, dict[Point, frozenset[str]]] = {}
        for point, outcomes in sorted(self.snapshot().items()):
            by_file.setdefault(point.file, {})[point] = outcomes
        return [FileCoverage(file, seen) for file, seen in sorted(by_file.items())]


#: the coverage that is on now; code that is compiled meanwhile has probes
active: Coverage | None = None


@contextmanager
def covering(coverage: Coverage) -> Iterator[Coverage]:
    """What is compiled while this holds notes what runs of it."""
    global active
    before, active = active, coverage
    try:
        yield coverage
    finally:
        active = before


@dataclass(frozen=True)
class FileCoverage:
    """What was seen of one file."""

    file: str
    seen: Seen

    @property
    def lines(self) -> tuple[int, int]:
        """(covered, all): lines on which an expression or a step stands."""
        found = self._lines()
        return sum(found.values()), len(found)

    @property
    def branches(self) -> tuple[int, int]:
        """(covered, all): each way that a condition or a loop can go."""
        points = [(point, seen) for point, seen in self.seen.items() if point.kind is not Kind.RUNS]
        return sum(len(seen) for _, seen in points), sum(len(OUTCOMES[point.kind]) for point, _ in points)

    @property
    def missing_lines(self) -> list[int]:
        return [line for line, ran in sorted(self._lines().items()) if not ran]

    @property
    def missing_branches(self) -> list[dict[str, Any]]:
        """Ways that were not gone, but for those of lines that never ran: `{line, column, text, missed}`."""
        silent = set(self.missing_lines)
        return [
            {"line": point.line, "column": point.column, "text": point.text, "missed": OUTCOMES[point.kind][outcome]}
            for point, seen in sorted(self.seen.items())
            if point.kind is not Kind.RUNS and point.line not in silent
            for outcome in OUTCOMES[point.kind]
            if outcome not in seen
        ]

    def _lines(self) -> dict[int, bool]:
        """Whether all that stands on a line ran."""
        found: dict[int, bool] = {}
        for point, seen in self.seen.items():
            if point.kind is Kind.RUNS:
                found[point.line] = found.get(point.line, True) and bool(seen)
        return found


def percent(files: Iterable[FileCoverage]) -> float:
    """Lines and branches covered, of all, in percent; 100 where there are none."""
    sums = [(*file.lines, *file.branches) for file in files]
    there = sum(each[1] + each[3] for each in sums)
    return 100.0 * sum(each[0] + each[2] for each in sums) / there if there else 100.0
