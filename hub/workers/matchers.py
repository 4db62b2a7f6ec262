"""What may stand in a test in place of a value: `{any: true}`, `{absent: true}`, `{matches: "F*"}`, `{one_of: [...]}`,
`{includes: [...]}` and `{exactly: {...}}`.

An object with one key that is such a word is always a matcher. There is none for "about so much": money is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: the words, what each takes, and how that is told
_TAKES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "any": (lambda value: value is True, "`any` is true: something is there, whatever it is"),
    "absent": (lambda value: value is True, "`absent` is true: nothing is there, or null"),
    "matches": (lambda value: isinstance(value, str), "`matches` is a pattern, where * stands for any text: 'F*'"),
    "one_of": (lambda value: isinstance(value, list) and bool(value), "`one_of` is a list of values"),
    "includes": (lambda value: isinstance(value, list), "`includes` is a list of items that are there among others"),
    "exactly": (lambda value: isinstance(value, dict), "`exactly` is an object that has no other keys"),
}
WORDS = frozenset(_TAKES)
#: the words that may stand in place of a whole list of invoices, entries...
OF_LISTS = frozenset({"includes"})


@dataclass(frozen=True)
class Matcher:
    """A matcher and what it was given."""

    word: str
    argument: Any


def matcher(value: Any) -> Matcher | None:
    """The matcher that a value is; None for a plain value."""
    if isinstance(value, dict) and len(value) == 1:
        [(word, argument)] = value.items()
        if word in _TAKES:
            return Matcher(word, argument)
    return None


def fault(value: Any) -> str | None:
    """What is wrong with a matcher; None when nothing is, or it is none."""
    found = matcher(value)
    if found is None:
        return None
    fits, help_ = _TAKES[found.word]
    return None if fits(found.argument) else help_
