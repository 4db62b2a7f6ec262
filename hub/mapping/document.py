"""YAML files with a position for every value, without YAML's traps.

Only `true`, `false`, `null` (also `~` and nothing at all), whole numbers and decimals are more than text, so that `NO`
stays Norway, `1.10` keeps its zero, and a postcode `01000` or a date stays what was written. Keys are always text.
Anchors, aliases, merge keys and tags are refused: a reader sees all that a file says where it says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml

from hub.mapping.source import Position, Problem, Scalar, SourceError

__all__ = ["Document", "Path", "Position", "Problem", "SourceError", "load_document"]

Path = tuple[str | int, ...]

MAX_CHARACTERS = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 40
MAX_DIGITS = 60

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}


class Document:
    """Plain data read from YAML, and where each part of it stands."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.value: Any = None
        self._values: dict[Path, Position] = {(): Position(file, 1, 1)}
        self._keys: dict[Path, Position] = {}

    def position(self, path: Path) -> Position:
        """Where the value at a path stands; for a path that is not there, its nearest parent that is."""
        while path not in self._values:
            path = path[:-1]
        return self._values[path]

    def key_position(self, path: Path) -> Position:
        """Where the key of the value at a path stands; the value itself for an item of a list."""
        return self._keys.get(path) or self.position(path)


def load_document(text: str, file: str) -> Document:
    """Reads one YAML document; `file` is the name used in positions. Raises `SourceError`."""
    start = Position(file, 1, 1)
    if len(text) > MAX_CHARACTERS:
        raise SourceError.at(start, "too-large", f"over {MAX_CHARACTERS:,} characters", "split the file")
    try:
        return _Reader(text.removeprefix("\ufeff"), file).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Position(file, mark.line + 1, mark.column + 1) if mark else start
        message = ": ".join(part for part in (error.context, error.problem) if part)
        hint = "quote an expression as a whole if it holds ': ' or ' #', starts with a quote or a bracket, or stands in { }"
        raise SourceError.at(place, "yaml-syntax", message, hint) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise SourceError.at(start, "yaml-syntax", str(error).splitlines()[0], "") from None


class _Reader:
    """Walks the parser's events: unlike a composed tree they end at the first alias, tag or level too deep."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.document = Document(file)
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self.count = 0

    def read(self) -> Document:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self.count:
                    raise self._error(event, "several-documents", "a second document starts here", "use one file each")
                self.document.value = self._value(next(self.events), ())
        return self.document

    def _value(self, event: Any, path: Path) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise self._error(event, "too-large", f"over {MAX_VALUES:,} values", "split the file")
        if len(path) > MAX_DEPTH:
            raise self._error(event, "too-deep", f"over {MAX_DEPTH} levels deep", "")
        self._refuse_references(event)
        self.document._values[path] = self._position(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._object(path)

    def _list(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _object(self, path: Path) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event)
            here = (*path, key)
            if key in fields:
                first = self.document.key_position(here)
                message = f"{key!r} is already given at line {first.line}"
                raise self._error(event, "duplicate-key", message, "keep one of the two")
            self.document._keys[here] = self._position(event)
            fields[key] = self._value(next(self.events), here)
        return fields

    def _key(self, event: Any) -> str:
        self._refuse_references(event)
        if not isinstance(event, yaml.ScalarEvent) or (event.value == "" and not event.style):
            raise self._error(event, "key", "a key is a text", "quote it")
        if event.value == "<<" and not event.style:
            raise self._error(event, "merge-key", "merge keys are not read", "write the keys out")
        return str(event.value)

    def _scalar(self, event: Any) -> Any:
        value: str = event.value
        if event.style:
            return value
        if value in _WORDS:
            return _WORDS[value]
        whole, point = _INTEGER.fullmatch(value), _DECIMAL.fullmatch(value)
        if (whole or point) and len(value) > MAX_DIGITS:
            raise self._error(
                event, "too-large", f"a number of over {MAX_DIGITS} digits", "quote it to keep it as text"
            )
        if whole:
            return int(value)
        return Decimal(value) if point else value

    def _refuse_references(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, "alias", f"alias *{event.anchor} is not read", "write the value out")
        if event.anchor is not None:
            raise self._error(
                event, "alias", f"anchor &{event.anchor} is not read", "write the value out where it is used"
            )
        if event.tag is not None:
            raise self._error(event, "tag", f"tag {event.tag} is not read", "leave it out")

    def _position(self, event: Any) -> Position:
        mark: Any = event.start_mark
        scalar = None
        if isinstance(event, yaml.ScalarEvent):
            end: Any = event.end_mark
            scalar = Scalar(self.text[mark.index : end.index], event.style, event.value)
        return Position(self.document.file, mark.line + 1, mark.column + 1, scalar)

    def _error(self, event: Any, rule: str, message: str, hint: str) -> SourceError:
        return SourceError.at(self._position(event), rule, message, hint)
