"""What paths, comparisons and loops of an expression call. No Python attribute is ever read for an expression."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from typing import Any

from hub.mapping.budget import charge, charge_items
from hub.mapping.fault import Fault, describe
from hub.mapping.numbers import is_number
from hub.records.money import Money

_KEYS = "only objects have fields"


def name(scope: AnyMapping[str, Any], key: str) -> Any:
    """A top-level name of the scope."""
    try:
        return scope[key]
    except KeyError:
        raise Fault("unknown-name", f"{key} is not given here") from None


def field(value: Any, key: str) -> Any:
    """`value.key`: null for a missing key and for a field of null."""
    if type(value) is dict:
        return value.get(key)
    return _other_field(value, key)


def path(value: Any, *keys: str) -> Any:
    """`value.a.b.c` in one call."""
    for key in keys:
        if type(value) is dict:
            value = value.get(key)
        elif value is None:
            return None
        else:
            value = _other_field(value, key)
    return value


def _other_field(value: Any, key: str) -> Any:
    if value is None:
        return None
    if type(value) is Money:
        if key == "amount":
            return value.amount
        if key == "currency":
            return value.currency
        raise Fault("type", f"money has no .{key}", "it has .amount (minor units) and .currency")
    if isinstance(value, AnyMapping):
        return value.get(key)
    hint = f"take an item with [0], or loop: [x.{key} for x in ...]" if isinstance(value, list | tuple) else _KEYS
    raise Fault("type", f"{describe(value)} has no .{key}", hint)


def index(value: Any, key: Any) -> Any:
    """`value[key]`: an item of a list by number (negative from the end), a field by text; null when there is none."""
    if value is None or key is None:
        return None
    if isinstance(value, list | tuple):
        if type(key) is not int:
            raise Fault("type", f"a list is indexed by a whole number, not {describe(key)}")
        return value[key] if -len(value) <= key < len(value) else None
    if isinstance(value, str):
        raise Fault("type", f"{describe(value)} cannot be indexed", "left(x, n) and right(x, n) give parts of a text")
    if type(key) is not str:
        raise Fault("type", f"a field is named by text, not {describe(key)}", "text(x) makes text of a number")
    return _other_field(value, key)


def items(value: Any, steps: int) -> Any:
    """The list a loop goes over, paid for in advance; null counts as empty."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        hint = "keys(x) lists the keys of an object" if isinstance(value, dict) else ""
        raise Fault("type", f"a loop needs a list, not {describe(value)}", hint)
    charge_items(len(value), steps)
    return value


def object_key(key: Any) -> str:
    """A key of an object that an expression builds."""
    if type(key) is not str:
        raise Fault("type", f"a key is text, not {describe(key)}", "text(x) makes text of a number")
    return key


def equal(left: Any, right: Any) -> bool:
    """`left == right`: numbers by value, never equal to text or to true; values of two kinds are not equal."""
    kind, other = type(left), type(right)
    if kind is bool or other is bool:
        return kind is other and left is right
    if kind is str or other is str or left is None or right is None:
        return bool(left == right)
    if kind is dict and other is dict:
        charge(len(left))
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if kind in (list, tuple) and other in (list, tuple):
        charge(len(left))
        return len(left) == len(right) and all(equal(one, two) for one, two in zip(left, right, strict=True))
    return bool(left == right)


def unequal(left: Any, right: Any) -> bool:
    """`left != right`."""
    return not equal(left, right)


def _order(sign: str, left: Any, right: Any) -> None:
    kind, other = type(left), type(right)
    if kind is str and other is str:
        return
    if is_number(left) and is_number(right):
        return
    if kind is Money and other is Money:
        return
    for operand, value in enumerate((left, right)):
        if value is None:
            raise Fault("null-value", "{operand} is null", "use default({operand}, 0), or test it: x != null", operand)
    raise Fault("type", f"{sign} cannot compare {describe(left)} with {describe(right)}")


def less(left: Any, right: Any) -> bool:
    """`left < right` of two numbers, two texts or two amounts of one currency."""
    _order("<", left, right)
    return bool(left < right)


def less_or_equal(left: Any, right: Any) -> bool:
    """`left <= right`."""
    _order("<=", left, right)
    return bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    """`left > right`."""
    _order(">", left, right)
    return bool(left > right)


def greater_or_equal(left: Any, right: Any) -> bool:
    """`left >= right`."""
    _order(">=", left, right)
    return bool(left >= right)


def within(left: Any, right: Any) -> bool:
    """`left in right`: an item of a list, a key of an object, a part of a text. Nothing is in null."""
    if right is None:
        return False
    if isinstance(right, str):
        if not isinstance(left, str):
            raise Fault("type", f"in a text only text is looked for, not {describe(left)}")
        charge(1 + len(right) // 64)
        return left in right
    if isinstance(right, dict):
        return type(left) is str and left in right
    if isinstance(right, list | tuple):
        charge_items(len(right))
        return any(equal(left, item) for item in right)
    raise Fault("type", f"in needs a list, an object or a text, not {describe(right)}")


def not_within(left: Any, right: Any) -> bool:
    """`left not in right`."""
    return not within(left, right)


def chain(signs: tuple[str, ...], *values: Any) -> bool:
    """`a < b <= c`: every neighbouring pair compares."""
    return all(COMPARE[sign](left, right) for sign, left, right in zip(signs, values, values[1:], strict=False))


COMPARE = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": less_or_equal,
    ">": greater,
    ">=": greater_or_equal,
    "in": within,
    "not in": not_within,
}
