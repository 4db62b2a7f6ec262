"""The notation in which types are written: plain data, as YAML gives it.

| written | what it is |
| --- | --- |
| `text`, `whole`, `number`, `bool`, `money`, `any` | a text, a whole number, an exact number, true or false, money, anything |
| `instant`, `date`, `amount` | a text: a moment with its offset, a day, a decimal amount |
| `object`, `list` | an object, a list of anything |
| `text?` | the same, or null; so is a field whose name ends in `?`, which may be left out as well |
| `[text]` | a list of texts |
| `{sku: text?, quantity: whole}` | an object with these fields and no others |
| `{sku: text, "*": any}` | an object with this field and any other |
| `{"*": number}` | an object whose keys are data |
| `{choices: [PAID, VOIDED]}` | a text that is one of these |

A name given under `types:` stands for its type below it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hub.records.schema import ANY, BOOL, MONEY, NUMBER, OBJECT, TEXT, WHOLE, Type, choices, list_of, object_of, text

Path = tuple[str | int, ...]
#: takes a problem: path of the value, rule, message, hint
Report = Callable[[Path, str, str, str], None]

NAMED: Mapping[str, Type] = MappingProxyType(
    {
        "text": TEXT,
        "instant": text("instant"),
        "date": text("date"),
        "amount": text("amount"),
        "whole": WHOLE,
        "number": NUMBER,
        "bool": BOOL,
        "money": MONEY,
        "any": ANY,
        "object": OBJECT,
        "list": list_of(ANY),
    }
)


def read_types(value: Any, path: Path, report: Report) -> dict[str, Type]:
    """Names and their types; each may use the names before it."""
    known = dict(NAMED)
    if not isinstance(value, dict):
        report(path, "shape", "types: holds names, each with a type", "")
        return known
    for name, written in value.items():
        if name in NAMED:
            report((*path, name), "name", f"{name} is a type of the language", "give yours another name")
            continue
        known[name] = read_type(written, (*path, name), known, report)
    return known


def read_type(value: Any, path: Path, known: Mapping[str, Type], report: Report) -> Type:
    """The type that a value says; what is wrong in it is reported and taken for `any`."""
    if isinstance(value, str):
        return _named(value, path, known, report)
    if isinstance(value, list):
        if len(value) == 1:
            return list_of(read_type(value[0], (*path, 0), known, report))
        report(path, "type", "a list of one type has one item", "[text]; [any] when its items differ")
        return list_of(ANY)
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("choices"), list):
            return _choices(value["choices"], (*path, "choices"), report)
        return _object(value, path, known, report)
    report(path, "type", f"{value!r} is no type", f"one of {', '.join(known)}, a [list] or an {{object}}")
    return ANY


def _named(value: str, path: Path, known: Mapping[str, Type], report: Report) -> Type:
    name = value.removesuffix("?")
    found = known.get(name)
    if found is None:
        report(path, "unknown-type", f"there is no type {name}", nearest(name, known))
        return ANY
    return found.or_null() if name != value else found


def _choices(values: list[Any], path: Path, report: Report) -> Type:
    if not values or not all(isinstance(each, str) for each in values):
        report(path, "type", "choices are texts, at least one", "quote a number, true or null")
        return TEXT
    return choices(*dict.fromkeys(values))


def _object(value: dict[str, Any], path: Path, known: Mapping[str, Type], report: Report) -> Type:
    fields: dict[str, Type] = {}
    rest: Type | None = None
    for key, written in value.items():
        type_ = read_type(written, (*path, key), known, report)
        if key == "*":
            rest = type_
            continue
        name = key.removesuffix("?")
        if name in fields:
            report((*path, key), "duplicate-key", f"{name} is described twice", "keep one of the two")
        fields[name] = type_.or_null() if name != key else type_
    return object_of(MappingProxyType(_with_sides(fields)), rest=rest)


def _with_sides(fields: dict[str, Type]) -> dict[str, Type]:
    """Fields that hold the same amount in two currencies (`{shopMoney: price, presentmentMoney: price}`) say which is which."""
    amounts = {
        name: type_.not_null().fields
        for name, type_ in fields.items()
        if any(inner.form == "amount" for inner in type_.fields.values())
    }
    sides = [name for name, one in amounts.items() if sum(one == other for other in amounts.values()) > 1]
    return fields | {name: replace(fields[name], currency=name) for name in sides}


def nearest(word: str, known: Collection[str]) -> str:
    """A hint with the known word that looks most like another."""
    found = difflib.get_close_matches(word, known, 1, 0.6)
    return f"did you mean {found[0]}?" if found else ""
