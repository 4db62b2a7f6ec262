"""Where things stand in a YAML file, and the errors that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

_BLANK = " \t\r\n"
# Characters an escape of a double-quoted YAML scalar takes, by the letter after the backslash (2 for all others).
_ESCAPE_WIDTH = {"x": 4, "u": 6, "U": 10}


@dataclass(frozen=True)
class Scalar:
    """A YAML scalar as it is written: lets an offset into its value be found again in the file."""

    raw: str  # from the first to the last character, with quotes or block header
    style: str | None  # None or "" plain, else one of ' " | >
    value: str

    def index(self, offset: int) -> int:
        """Index into `raw` of the value's character at `offset` (whitespace that YAML folds: only nearly)."""
        raw, place = self.raw, self._start()
        for number, char in enumerate(self.value):
            place = self._skip(place, char)
            if number == offset:
                break
            place += self._width(place, char)
        return min(place, len(raw))

    def _start(self) -> int:
        if self.style in ("'", '"'):
            return 1
        if self.style in ("|", ">"):
            return self.raw.find("\n") + 1
        return 0

    def _skip(self, place: int, char: str) -> int:
        raw = self.raw
        while place < len(raw):
            if self.style == '"' and raw[place] == "\\" and raw[place + 1 : place + 2] in ("\n", "\r"):
                place += 2
            elif raw[place] in _BLANK and char not in _BLANK:
                place += 1
            else:
                break
        return place

    def _width(self, place: int, char: str) -> int:
        here = self.raw[place : place + 2]
        if self.style == '"' and here.startswith("\\"):
            return _ESCAPE_WIDTH.get(here[1:], 2)
        if self.style == "'" and char == "'":
            return 2
        return 0 if char in _BLANK and here[:1] not in tuple(_BLANK) else 1


@dataclass(frozen=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int
    scalar: Scalar | None = field(default=None, compare=False, repr=False)

    def inside(self, offset: int, text: str) -> Position:
        """The place of the character at `offset` of `text`, which stands at this position."""
        if self.scalar is not None and self.scalar.value == text:
            before = self.scalar.raw[: self.scalar.index(offset)]
        else:
            before = text[:offset]
        breaks = before.count("\n")
        column = len(before) - before.rfind("\n") if breaks else self.column + len(before)
        return Position(self.file, self.line + breaks, column)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file, for callers that gather several."""

    file: str
    line: int
    column: int
    rule: str  # short id in kebab case, e.g. "unknown-function"
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.rule}: {self.message}{hint}"


class SourceError(Exception):
    """Something in a file is wrong: where, which rule it breaks, what to do."""

    def __init__(self, file: str, line: int, column: int, rule: str, message: str, hint: str = "") -> None:
        super().__init__(file, line, column, rule, message, hint)
        self.file = file
        self.line = line
        self.column = column
        self.rule = rule
        self.message = message
        self.hint = hint

    @classmethod
    def at(cls, position: Position, rule: str, message: str, hint: str = "") -> Self:
        """The error of a place."""
        return cls(position.file, position.line, position.column, rule, message, hint)

    @property
    def problem(self) -> Problem:
        """The same, as a value to gather."""
        return Problem(self.file, self.line, self.column, self.rule, self.message, self.hint)

    def __str__(self) -> str:
        return str(self.problem)
