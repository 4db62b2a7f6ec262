"""Functions that put lists in order and objects together."""

from __future__ import annotations

from typing import Any

from hub.mapping.budget import charge, charge_items
from hub.mapping.fault import Fault, describe
from hub.mapping.functions import results
from hub.mapping.functions.registry import function, need_list, need_text
from hub.mapping.operations import field, less

GROUP = "Order and shape"


@function(
    GROUP,
    ("sort([3, 1, 2])", "[1, 2, 3]"),
    ("[x.sku for x in sort([{'sku': 'B', 'n': 1}, {'sku': 'A', 'n': 2}], 'sku')]", "['A', 'B']"),
    ("sort(['2026-01', null, '2026-02'], descending=true)", "['2026-02', '2026-01', null]"),
    types="[T]?, text?, bool -> [T]",
    result=results.item_of,
)
def sort(values: Any, by: Any = None, descending: Any = False) -> list[Any]:
    """A list in order, by a field of its items when one is named. All are texts, all numbers or all money of one currency;
    what is null comes last, and what is equal stays as it was."""
    listed = list(need_list(values, "sort"))
    name = None if by is None else need_text(by, "sort")
    charge_items(len(listed), 2)
    charge(len(listed) * len(listed).bit_length() // 4)
    keyed = [(value if name is None else field(value, name), value) for value in listed]
    known = [pair for pair in keyed if pair[0] is not None]
    for key, _ in known:
        less(key, known[0][0])  # says what cannot be compared
    known.sort(key=lambda pair: pair[0], reverse=descending is True)
    return [value for _, value in known] + [value for key, value in keyed if key is None]


@function(
    GROUP,
    (
        "group_by([{'rate': 'A', 'n': 1}, {'rate': 'B', 'n': 2}, {'rate': 'A', 'n': 3}], 'rate')",
        "{'A': [{'rate': 'A', 'n': 1}, {'rate': 'A', 'n': 3}], 'B': [{'rate': 'B', 'n': 2}]}",
    ),
    types="[T]?, text -> object",
    result=results.groups,
)
def group_by(values: Any, by: Any) -> dict[str, list[Any]]:
    """Lists of the items with the same text in a field, by that text, in order of first appearance. An item without one is
    an error: nothing is left out. Loop over it with `keys`."""
    name = need_text(by, "group_by")
    groups: dict[str, list[Any]] = {}
    listed = need_list(values, "group_by")
    charge_items(len(listed), 2)
    for value in listed:
        groups.setdefault(need_text(field(value, name), f"group_by '{name}'"), []).append(value)
    return groups


@function(
    GROUP,
    ("pick({'a': 1, 'b': 2, 'c': 3}, ['a', 'c'])", "{'a': 1, 'c': 3}"),
    types="object?, [text] -> object",
    result=results.some_fields,
)
def pick(value: Any, names: Any) -> dict[str, Any]:
    """The named fields of an object, those that it has; null has none."""
    found = _object(value, "pick")
    return {name: found[name] for name in _names(names, "pick") if name in found}


@function(
    GROUP,
    ("omit({'a': 1, 'b': 2, 'c': 3}, ['b'])", "{'a': 1, 'c': 3}"),
    types="object?, [text] -> object",
    result=results.some_fields,
)
def omit(value: Any, names: Any) -> dict[str, Any]:
    """An object without the named fields; null has none."""
    found, without = _object(value, "omit"), set(_names(names, "omit"))
    charge_items(len(found))
    return {name: inner for name, inner in found.items() if name not in without}


@function(
    GROUP,
    ("merge({'a': 1, 'b': 2}, null, {'b': 3})", "{'a': 1, 'b': 3}"),
    types="object?... -> object",
    result=results.merged,
)
def merge(*values: Any) -> dict[str, Any]:
    """The fields of several objects in one; of a name that several have the last counts, and null counts as empty."""
    made: dict[str, Any] = {}
    for value in values:
        found = _object(value, "merge")
        charge_items(len(found))
        made |= found
    return made


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Fault("type", f"{what} needs an object, not {describe(value)}")
    return value


def _names(value: Any, what: str) -> list[str]:
    listed = need_list(value, what)
    charge_items(len(listed))
    return [need_text(name, what) for name in listed]
