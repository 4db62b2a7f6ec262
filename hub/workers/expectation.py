"""Compares what a test expects with what was found. An item is compared on the keys that it names; lists are complete."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from hub.connect import payload
from hub.records.money import Money, MoneyError, total
from hub.workers.matchers import Matcher, matcher

Path = tuple[str | int, ...]
#: what tells an item of a kind from the others
TELLING: dict[str, tuple[str, ...]] = {
    "invoices": ("number", "order", "total"),
    "credit_notes": ("number", "order", "total"),
    "entries": ("kind", "date"),
    "moves": ("sku", "quantity", "source", "destination"),
    "reservations": ("order", "sku", "quantity", "state"),
    "deliveries": ("role", "operation", "key", "state", "reason"),
    "questions": ("kind", "reason"),
    "orders": ("name", "financial_status", "state"),
    "runs": ("flow", "state", "reason"),
}


#: no found value stands for what a test says: the key itself is wrong
NOTHING: Any = object()


@dataclass(frozen=True)
class Difference:
    """One expectation that is not met; `path` leads to it in the test file, `value` is what is there instead."""

    path: Path
    what: str
    expected: str
    found: str
    value: Any = NOTHING


@dataclass(frozen=True)
class Paired:
    """A list that is expected beside the one that was found: for each expected item the found one that is meant, with
    what differs; those that have no counterpart; and the found items that are left."""

    pairs: dict[int, tuple[int, list[Difference]]]
    missing: list[int]
    left: list[int]


def items_of(expected: Any) -> tuple[Sequence[Any], Path]:
    """The items of a list that is expected, and the path to them: they may stand under `includes`."""
    found = matcher(expected)
    return (found.argument, ("includes",)) if found else (expected, ())


def compare(kind: str, expected: Any, found: Sequence[Mapping[str, Any]], path: Path) -> list[Difference]:
    """Compares a complete list (under `includes`: a part of one), in any order: each expected item needs one of its own."""
    items, below = items_of(expected)
    paired = pair(kind, items, found, (*path, *below))
    result: list[Difference] = []
    for place, want in enumerate(items):
        if place in paired.pairs:
            result += paired.pairs[place][1]
        else:
            result.append(Difference((*path, *below, place), f"{kind}[{place}]", _text(want), "no such item"))
    for place in [] if below else paired.left:
        result.append(Difference(path, kind, f"{len(items)} in all", f"one more: {_short(kind, found[place])}"))
    return result


def pair(kind: str, expected: Sequence[Any], found: Sequence[Mapping[str, Any]], path: Path) -> Paired:
    """Finds the counterpart of each expected item: one that fits, else the nearest that is left."""
    differing = [[_item(kind, want, each, (*path, place)) for each in found] for place, want in enumerate(expected)]
    matched = _assign([[not each for each in row] for row in differing])
    left = [place for place in range(len(found)) if place not in matched.values()]
    pairs: dict[int, tuple[int, list[Difference]]] = {place: (other, []) for place, other in matched.items()}
    missing = []
    for place in range(len(expected)):
        if place in pairs:
            continue
        near = min(left, key=lambda other: len(differing[place][other]), default=None)
        if near is None:
            missing.append(place)
        else:
            left.remove(near)
            pairs[place] = (near, differing[place][near])
    return Paired(pairs, missing, left)


def _assign(fits: Sequence[Sequence[bool]]) -> dict[int, int]:
    """The most pairs of an expected and a found item that fit, each used once."""
    taken: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fit in enumerate(fits[row]):
            if fit and column not in seen:
                seen.add(column)
                if column not in taken or place(taken[column], seen):
                    taken[column] = row
                    return True
        return False

    for row in range(len(fits)):
        place(row, set())
    return {row: column for column, row in taken.items()}


def _item(kind: str, want: Any, found: Mapping[str, Any], path: Path) -> list[Difference]:
    what = f"{kind}[{path[-1]}]"
    if not isinstance(want, dict):
        return [Difference(path, what, "an object", _text(want))]
    accounts = accounts_of(found) if kind == "entries" else {}
    result: list[Difference] = []
    for name, value in want.items():
        if kind == "entries" and name.isdigit():
            result += _value(value, accounts.get(name), (*path, name), f"{what}.{name}")
        elif name not in found:
            known = ", ".join(sorted(found))
            result.append(Difference((*path, name), what, f"{name!r}", f"there is only {known}"))
        else:
            result += _value(value, found[name], (*path, name), f"{what}.{name}")
    return result


def accounts_of(entry: Mapping[str, Any]) -> dict[str, Money]:
    """The sum of an entry on each account."""
    sums: dict[str, list[Money]] = {}
    for part in entry["postings"]:
        sums.setdefault(part["account"], []).append(part["amount"])
    return {code: total(amounts, amounts[0].currency) for code, amounts in sums.items()}


def _value(want: Any, found: Any, path: Path, what: str) -> list[Difference]:
    given = matcher(want)
    if given is not None:
        return _matched(given, want, found, path, what)
    if isinstance(want, dict) and isinstance(found, dict):
        result: list[Difference] = []
        for name, value in want.items():
            result += _value(value, found.get(name), (*path, name), f"{what}.{name}")
        return result
    if isinstance(want, list) and isinstance(found, list):
        if len(want) != len(found):
            return [Difference(path, what, f"{len(want)} items", f"{len(found)}: {_text(found)}", found)]
        result = []
        for place, (value, each) in enumerate(zip(want, found, strict=True)):
            result += _value(value, each, (*path, place), f"{what}[{place}]")
        return result
    return [] if _same(want, found) else [Difference(path, what, _text(want), _text(found), found)]


def _matched(given: Matcher, want: Any, found: Any, path: Path, what: str) -> list[Difference]:
    """What a matcher finds wrong: the whole of it, but for `exactly`, which says which key."""
    if given.word == "exactly" and isinstance(found, dict):
        result = _value({name: each for name, each in given.argument.items()}, found, (*path, "exactly"), what)
        more = sorted(set(found) - set(given.argument))
        if more:
            text = f"{', '.join(more)} as well"
            result.append(Difference((*path, "exactly"), what, "no other keys", text, found))
        return result
    return [] if _fits(given, found, path) else [Difference(path, what, _text(want), _text(found), found)]


def _fits(given: Matcher, found: Any, path: Path) -> bool:
    argument = given.argument
    match given.word:
        case "any":
            return found is not None
        case "absent":
            return found is None
        case "matches":
            return found is not None and not isinstance(found, (dict, list)) and _like(argument, _text(found))
        case "one_of":
            return any(not _value(each, found, path, "") for each in argument)
        case "includes" if isinstance(found, list):
            return len(_assign([[not _value(want, each, path, "") for each in found] for want in argument])) == len(
                argument
            )
    return False


def _like(pattern: str, text: str) -> bool:
    """Whether a text is as a pattern says; `*` stands for any text, and nothing else is special."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _same(want: Any, found: Any) -> bool:
    """Equal as a reader means it: money with its currency or as a number, numbers by value whatever they are written as."""
    if isinstance(found, Money):
        if isinstance(want, str):
            number, _, currency = want.strip().partition(" ")
            try:
                return Money.parse(number, currency.strip() or found.currency) == found
            except MoneyError:
                return False
        return _number(want) is not None and _number(want) == found.decimal()
    if isinstance(want, bool) or isinstance(found, bool) or want is None or found is None:
        return want is found
    if isinstance(want, (int, Decimal)) or isinstance(found, (int, Decimal)):
        return _number(want) is not None and _number(want) == _number(found)
    return bool(want == found)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _short(kind: str, item: Mapping[str, Any]) -> str:
    shown = {name: item.get(name) for name in TELLING.get(kind, ()) if item.get(name) is not None}
    if kind == "entries":
        shown.update(accounts_of(item))
    return _text(shown)


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (Money, str, Decimal)):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(each) for each in value) + "]"
    return payload.encode(value).decode()
