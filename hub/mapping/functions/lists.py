"""Functions on lists and objects, and on what may be missing."""

from __future__ import annotations

from typing import Any

from hub.mapping.budget import charge_items
from hub.mapping.fault import Fault, describe
from hub.mapping.functions import results
from hub.mapping.functions.registry import function, need_list
from hub.mapping.numbers import add, is_number
from hub.records.money import Money

GROUP = "Lists, objects and missing values"

_SINGLE = (str, int, Money)


@function(GROUP, ("len([1, 2])", "2"), ("len(null)", "0"), ("len('abc')", "3"), types="text|list|object? -> whole")
def len_(value: Any) -> int:
    """Number of items of a list, fields of an object or characters of a text; 0 of null."""
    if value is None:
        return 0
    if not isinstance(value, str | list | tuple | dict):
        raise Fault("type", f"len needs a list, an object or a text, not {describe(value)}")
    return len(value)


@function(GROUP, ("sum([0.1, 0.2])", "0.3"), ("sum([])", "0"), types="[number]? -> number", result=results.total)
def sum_(values: Any) -> Any:
    """The sum of a list of numbers, exact; 0 of an empty list or null."""
    listed = need_list(values, "sum")
    charge_items(len(listed))
    total: Any = 0
    for value in listed:
        if not is_number(value):
            hint = "sum_money(list, currency) adds money" if isinstance(value, Money) else ""
            hint = "use default(x, 0) for each" if value is None else hint
            raise Fault("null-value" if value is None else "type", f"sum needs numbers, not {describe(value)}", hint)
        total = add(total, value)
    return total


@function(GROUP, ("first(['a', 'b'])", "'a'"), ("first([])", "null"), types="[T]? -> T?")
def first(values: Any) -> Any:
    """The first item of a list; null when there is none."""
    return next(iter(need_list(values, "first")), None)


@function(GROUP, ("last(['a', 'b'])", "'b'"), types="[T]? -> T?")
def last(values: Any) -> Any:
    """The last item of a list; null when there is none."""
    listed = need_list(values, "last")
    return listed[-1] if listed else None


@function(GROUP, ("unique(['a', 'b', 'a'])", "['a', 'b']"), types="[T]? -> [T]")
def unique(values: Any) -> list[Any]:
    """A list of single values without repeats, in order of first appearance."""
    listed = need_list(values, "unique")
    charge_items(len(listed))
    seen: dict[Any, Any] = {}
    for value in listed:
        if value is not None and not isinstance(value, _SINGLE) and not is_number(value):
            raise Fault("type", f"unique needs single values, not {describe(value)}")
        # Python holds true and 1 for equal; the language does not.
        seen.setdefault((isinstance(value, bool), value), value)
    return list(seen.values())


@function(GROUP, ("flatten([[1, 2], null, [3]])", "[1, 2, 3]"), types="[[T]?]? -> [T]")
def flatten(values: Any) -> list[Any]:
    """A list of lists as one list; a null in it counts as empty."""
    result: list[Any] = []
    listed = need_list(values, "flatten")
    charge_items(len(listed))
    for value in listed:
        part = need_list(value, "flatten")
        charge_items(len(result) + len(part), 0)
        charge_items(len(part))
        result.extend(part)
    return result


@function(GROUP, ("keys({'a': 1, 'b': 2})", "['a', 'b']"), types="object? -> [text]")
def keys(value: Any) -> list[str]:
    """The keys of an object, to loop over; null has none."""
    if value is None:
        return []
    if not isinstance(value, dict):
        raise Fault("type", f"keys needs an object, not {describe(value)}")
    charge_items(len(value))
    return list(value)


@function(
    GROUP,
    ("lookup({'paid': 'done'}, 'paid')", "'done'"),
    ("lookup({'FR': 20.0}, 'XX', 0)", "0"),
    types="object?, text?, any -> any",
    result=results.lookup,
)
def lookup(table: Any, key: Any, default: Any = None) -> Any:
    """The value of a key in an object; the default when the key is null or not there."""
    if table is None or key is None:
        return default
    if not isinstance(table, dict) or type(key) is not str:
        raise Fault("type", f"lookup needs an object and a text key, not {describe(table)} and {describe(key)}")
    return table.get(key, default)


@function(
    GROUP, ("default(null, 0)", "0"), ("default(null, null, 'FR')", "'FR'"), types="any... -> T", result=results.default
)
def default(*values: Any) -> Any:
    """The first value that is not null; null when all are."""
    return next((value for value in values if value is not None), None)


@function(GROUP, ("exists(null)", "false"), ("exists(0)", "true"), types="any -> bool")
def exists(value: Any) -> bool:
    """Whether a value is not null."""
    return value is not None
