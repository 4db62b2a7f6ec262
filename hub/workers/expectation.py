"""Compares what a test expects with what was found. An item is compared on the keys that it names; lists are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from hub.connect import payload
from hub.records.money import Money, MoneyError, total

Path = tuple[str | int, ...]
#: what tells an item of a kind from the others, for messages
_SHORT: dict[str, tuple[str, ...]] = {
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


@dataclass(frozen=True)
class Difference:
    """One expectation that is not met; `path` leads to it in the test file."""

    path: Path
    what: str
    expected: str
    found: str


def compare(kind: str, expected: Sequence[Any], found: Sequence[Mapping[str, Any]], path: Path) -> list[Difference]:
    """Compares a complete list, in any order: each expected item needs an item of its own."""
    differing = [[_item(kind, want, each, (*path, place)) for each in found] for place, want in enumerate(expected)]
    matched = _assign([[not each for each in row] for row in differing])
    left = [place for place in range(len(found)) if place not in matched.values()]
    result: list[Difference] = []
    for place, want in enumerate(expected):
        if place in matched:
            continue
        near = min(left, key=lambda other: len(differing[place][other]), default=None)
        if near is None:
            result.append(Difference((*path, place), f"{kind}[{place}]", _text(want), "no such item"))
        else:
            left.remove(near)
            result += differing[place][near]
    result += [
        Difference(path, kind, f"{len(expected)} in all", f"one more: {_short(kind, found[place])}") for place in left
    ]
    return result


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
    accounts = _accounts(found) if kind == "entries" else {}
    result: list[Difference] = []
    for name, value in want.items():
        if kind == "entries" and name.isdigit():
            amount = accounts.get(name)
            if amount is None or not _same(value, amount):
                result.append(Difference((*path, name), f"{what}.{name}", _text(value), _text(amount)))
        elif name not in found:
            known = ", ".join(sorted(found))
            result.append(Difference((*path, name), what, f"{name!r}", f"there is only {known}"))
        else:
            result += _value(value, found[name], (*path, name), f"{what}.{name}")
    return result


def _accounts(entry: Mapping[str, Any]) -> dict[str, Money]:
    sums: dict[str, list[Money]] = {}
    for part in entry["postings"]:
        sums.setdefault(part["account"], []).append(part["amount"])
    return {code: total(amounts, amounts[0].currency) for code, amounts in sums.items()}


def _value(want: Any, found: Any, path: Path, what: str) -> list[Difference]:
    if isinstance(want, dict) and isinstance(found, dict):
        result: list[Difference] = []
        for name, value in want.items():
            result += _value(value, found.get(name), (*path, name), f"{what}.{name}")
        return result
    if isinstance(want, list) and isinstance(found, list):
        if len(want) != len(found):
            return [Difference(path, what, f"{len(want)} items", f"{len(found)}: {_text(found)}")]
        result = []
        for place, (value, each) in enumerate(zip(want, found, strict=True)):
            result += _value(value, each, (*path, place), f"{what}[{place}]")
        return result
    return [] if _same(want, found) else [Difference(path, what, _text(want), _text(found))]


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
    shown = {name: item.get(name) for name in _SHORT.get(kind, ()) if item.get(name) is not None}
    if kind == "entries":
        shown.update(_accounts(item))
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
