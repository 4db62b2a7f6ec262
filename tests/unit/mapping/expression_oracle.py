"""A second reading of the expression language: walks a tree of tuples with fractions, and shares no code with the first.

`well_typed()` makes pairs of an expression's text and its tree; `value_of(tree, names)` is what it gives, or `Refused`.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from hub.records.money import Money

Tree = tuple[Any, ...]
Pair = tuple[str, Tree]

FINEST = Fraction(1, 10**30)
BIGGEST = 10**50


class Refused(Exception):
    """The language has no value for this."""


class TooBig(Exception):
    """Beyond the caps of the language: the oracle has none."""


# -- values ----------------------------------------------------------------------------------------------------------------
# whole and decimal numbers: Fraction; money: ("money", minor units); all else is what JSON has


def plain(value: Any) -> Any:
    """A value of the hub as the oracle has it."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, Money):
        return ("money", value.amount)
    if isinstance(value, int | Decimal):
        return Fraction(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value]


def _fine(value: Fraction) -> Fraction:
    if abs(value) >= BIGGEST:
        raise TooBig
    return value if (value / FINEST).denominator == 1 else round(value / FINEST) * FINEST


def _half_up(value: Fraction) -> int:
    size = int(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


def _is_money(value: Any) -> bool:
    return isinstance(value, tuple)


def _numbers(*values: Any) -> None:
    if not all(isinstance(value, Fraction) for value in values):
        raise Refused


def _truth(value: Any) -> bool:
    return bool(value[1]) if _is_money(value) else bool(value)


# -- operations ------------------------------------------------------------------------------------------------------------


def _add(one: Any, other: Any) -> Any:
    if _is_money(one) and _is_money(other):
        return ("money", one[1] + other[1])
    for kind in (str, list):
        if isinstance(one, kind) and isinstance(other, kind):
            return one + other  # type: ignore[operator]
    _numbers(one, other)
    return _fine(one + other)


def _subtract(one: Any, other: Any) -> Any:
    if _is_money(one) and _is_money(other):
        return ("money", one[1] - other[1])
    _numbers(one, other)
    return _fine(one - other)


def _multiply(one: Any, other: Any) -> Any:
    if _is_money(other):
        one, other = other, one
    if _is_money(one):
        _numbers(other)
        if other.denominator != 1:
            raise Refused
        return ("money", one[1] * int(other))
    _numbers(one, other)
    return _fine(one * other)


def _divide(one: Any, other: Any) -> Any:
    _numbers(one, other)
    if not other:
        raise Refused
    return _fine(one / other)


def _floor(one: Any, other: Any) -> Any:
    _numbers(one, other)
    if not other:
        raise Refused
    return Fraction(one // other)


def _modulo(one: Any, other: Any) -> Any:
    _numbers(one, other)
    if not other:
        raise Refused
    return one - (one // other) * other


def _less(one: Any, other: Any) -> bool:
    for kind in (Fraction, str, tuple):
        if isinstance(one, kind) and isinstance(other, kind):
            return bool(one < other)  # type: ignore[operator]
    raise Refused


def _within(one: Any, other: Any) -> bool:
    return other is not None and one in other


BINARY = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "//": _floor,
    "%": _modulo,
    "==": lambda one, other: one == other and isinstance(one, bool) == isinstance(other, bool),
    "!=": lambda one, other: not BINARY["=="](one, other),
    "<": _less,
    ">": lambda one, other: _less(other, one),
    "<=": lambda one, other: not _less(other, one),
    ">=": lambda one, other: not _less(one, other),
    "in": _within,
    "not in": lambda one, other: not _within(one, other),
}


def _tax_in(gross: Any, rate: Any) -> Any:
    return None if gross is None else ("money", _half_up(gross[1] * rate / (1 + rate)))


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise Refused from None


def _sorted(values: Any) -> list[Any]:
    known = [value for value in values if value is not None]
    return sorted(known) + [None] * (len(values) - len(known))


def _extreme(values: list[Any], best: Any) -> Any:
    if any(value is None for value in values):
        raise Refused
    return best(values) if values else None


def _unique(values: list[Any]) -> list[Any]:
    return [value for at, value in enumerate(values) if value not in values[:at]]


FUNCTIONS: dict[str, Any] = {
    "upper": lambda x: None if x is None else x.upper(),
    "trim": lambda x: None if x is None else x.strip(),
    "left": lambda x, n: None if x is None else x[: int(n)],
    "len": lambda x: Fraction(0 if x is None else len(x)),
    "join": lambda parts, by: by.join(part for part in parts if part is not None),
    "sum": lambda values: sum(values, Fraction(0)),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "unique": _unique,
    "sort": _sorted,
    "min": lambda values: _extreme(values, min),
    "max": lambda values: _extreme(values, max),
    "default": lambda *values: next((value for value in values if value is not None), None),
    "exists": lambda value: value is not None,
    "abs": lambda x: ("money", abs(x[1])) if _is_money(x) else abs(x),
    "round": lambda x, places: Fraction(_half_up(x * 10**places), 10 ** int(places)),
    "number": lambda x: None if x is None else Fraction(x),
    "money": lambda x, _: ("money", int(Fraction(x) * 100)),
    "amount": lambda x: None if x is None else Fraction(x[1], 100),
    "sum_money": lambda values, _: ("money", sum(value[1] for value in values)),
    "tax_in": _tax_in,
    "net_of": lambda gross, rate: None if gross is None else ("money", gross[1] - _tax_in(gross, rate)[1]),
    "portion": lambda value, rate: None if value is None else ("money", _half_up(value[1] * rate)),
    "add_days": lambda day, count: None if day is None else (_day(day) + timedelta(days=int(count))).isoformat(),
    "days_between": lambda one, other: Fraction((_day(other) - _day(one)).days),
    "end_of_month": lambda day: (
        None if day is None else day[:8] + str(calendar.monthrange(int(day[:4]), int(day[5:7]))[1]).zfill(2)
    ),
    "weekday": lambda day: None if day is None else Fraction(_day(day).isoweekday()),
}


# -- walking ---------------------------------------------------------------------------------------------------------------


def value_of(tree: Tree, names: dict[str, Any]) -> Any:
    """What a tree gives. Raises: Refused."""
    kind, *parts = tree
    if kind == "literal":
        return parts[0]
    if kind == "name":
        return names[parts[0]]
    if kind == "field":
        value = value_of(parts[0], names)
        return None if value is None else value.get(parts[1])
    if kind == "index":
        values, at = value_of(parts[0], names), parts[1]
        return values[at] if values is not None and -len(values) <= at < len(values) else None
    if kind == "binary":
        return BINARY[parts[0]](value_of(parts[1], names), value_of(parts[2], names))
    if kind == "negate":
        value = value_of(parts[0], names)
        return ("money", -value[1]) if _is_money(value) else -value
    if kind == "not":
        return not _truth(value_of(parts[0], names))
    if kind == "and":
        left = value_of(parts[0], names)
        return value_of(parts[1], names) if _truth(left) else left
    if kind == "or":
        left = value_of(parts[0], names)
        return left if _truth(left) else value_of(parts[1], names)
    if kind == "if":
        return value_of(parts[0] if _truth(value_of(parts[1], names)) else parts[2], names)
    if kind == "list":
        return [value_of(part, names) for part in parts]
    if kind == "object":
        return {key: value_of(value, names) for key, value in parts}
    if kind == "loop":
        return _loop(parts, names)
    assert kind == "call"
    return FUNCTIONS[parts[0]](*(value_of(part, names) for part in parts[1:]))


def _loop(parts: list[Any], names: dict[str, Any]) -> list[Any]:
    name, over, condition, each = parts
    made = []
    for item in value_of(over, names) or ():
        inner = {**names, name: item}
        if condition is None or _truth(value_of(condition, inner)):
            made.append(value_of(each, inner))
    return made


# -- well-typed expressions --------------------------------------------------------------------------------------------------

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31)).map(date.isoformat)
_TEXTS = st.text("abé Ж-'\"\\\n", max_size=6)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _named(name: str, within: str = "") -> Pair:
    return (f"{within}.{name}", ("field", ("name", within), name)) if within else (name, ("name", name))


def _binary(sign: str, one: Pair, other: Pair) -> Pair:
    return f"({one[0]} {sign} {other[0]})", ("binary", sign, one[1], other[1])


def _call(name: str, *arguments: Pair) -> Pair:
    return f"{name}({', '.join(text for text, _ in arguments)})", ("call", name, *(tree for _, tree in arguments))


def _choose(one: Pair, condition: Pair, other: Pair) -> Pair:
    return f"({one[0]} if {condition[0]} else {other[0]})", ("if", one[1], condition[1], other[1])


def _whole(value: int) -> Pair:
    text = str(value)
    return (f"({text})" if value < 0 else text), ("literal", Fraction(value))


def _decimal(value: Decimal) -> Pair:
    return f"{abs(value):f}", ("literal", Fraction(abs(value)))


def _text(value: str) -> Pair:
    return _quoted(value), ("literal", value)


RATES = st.sampled_from(["0.2", "0.1", "0.055", "0.021", "0"]).map(lambda rate: (rate, ("literal", Fraction(rate))))


def _seldom(leaf: st.SearchStrategy[Pair], depth: int) -> st.SearchStrategy[Pair]:
    """Leaves only near the leaves, so that what is made is not one most of the time."""
    return leaf if depth == 1 else st.nothing()


def number(depth: int, item: str = "") -> st.SearchStrategy[Pair]:
    """A number that is never null."""
    leaf = st.integers(-50, 50).map(_whole) | st.decimals(0, 99, places=3).map(_decimal)
    leaf |= st.sampled_from([_named("quantity", item)] if item else [_named("a"), _named("b")])
    if depth == 0:
        return leaf
    inner = number(depth - 1, item)
    made = _seldom(leaf, depth) | st.builds(_binary, st.sampled_from("+ - * / // %".split()), inner, inner)
    made |= st.builds(lambda x: (f"(-{x[0]})", ("negate", x[1])), inner)
    made |= st.builds(_choose, inner, condition(depth - 1, item), inner)
    made |= st.builds(lambda x: _call("abs", x), inner)
    made |= st.builds(lambda x, places: _call("round", x, _whole(places)), inner, st.integers(0, 6))
    made |= st.builds(lambda x: _call("len", x), text(depth - 1, item))
    made |= st.builds(lambda x: _call("default", x, _whole(0)), st.just(_named("maybe")))
    if not item:
        made |= st.builds(lambda x: _call("sum", x), numbers(depth - 1))
        made |= st.builds(lambda x: _call("default", _call("first", x), _whole(7)), numbers(depth - 1))
        made |= st.builds(lambda one, other: _call("days_between", one, other), day(depth - 1), day(depth - 1))
        made |= st.builds(lambda x: _call("amount", x), money(depth - 1))
    return made


def text(depth: int, item: str = "") -> st.SearchStrategy[Pair]:
    """A text that is never null."""
    leaf = _TEXTS.map(_text) | st.just(_named("t"))
    if depth == 0:
        return leaf
    inner = text(depth - 1, item)
    made = _seldom(leaf, depth) | st.builds(_binary, st.just("+"), inner, inner)
    made |= st.builds(lambda name, x: _call(name, x), st.sampled_from(["upper", "trim"]), inner)
    made |= st.builds(lambda x, n: _call("left", x, _whole(n)), inner, st.integers(0, 5))
    made |= st.builds(_choose, inner, condition(depth - 1, item), inner)
    city = ("customer.address.city", ("field", ("field", ("name", "customer"), "address"), "city"))
    made |= st.builds(lambda x: _call("default", city, x), inner)
    if item:
        made |= st.builds(lambda x: _call("default", _named("sku", item), x), inner)
    else:
        skus = ("[x.sku for x in lines]", ("loop", "x", ("name", "lines"), None, ("field", ("name", "x"), "sku")))
        made |= st.builds(lambda by: _call("join", skus, by), inner)
    return made


def money(depth: int, item: str = "") -> st.SearchStrategy[Pair]:
    """Money that is never null, all of one currency."""
    leaf = st.integers(-(10**5), 10**5).map(
        lambda cents: _call("money", _text(f"{Decimal(cents) / 100:f}"), _text("EUR"))
    )
    leaf |= st.just(_named("net", item) if item else _named("m"))
    if depth == 0:
        return leaf
    inner = money(depth - 1, item)
    made = _seldom(leaf, depth) | st.builds(_binary, st.sampled_from("+-"), inner, inner)
    made |= st.builds(_binary, st.just("*"), inner, st.integers(-9, 9).map(_whole))
    made |= st.builds(
        lambda name, x, rate: _call(name, x, rate), st.sampled_from(["tax_in", "net_of", "portion"]), inner, RATES
    )
    made |= st.builds(lambda x: _call("abs", x), inner)
    made |= st.builds(_choose, inner, condition(depth - 1, item), inner)
    if not item:
        each = money(depth - 1, "x")
        made |= st.builds(lambda e: _call("sum_money", _loop_over("lines", "x", None, e), _text("EUR")), each)
    return made


def day(depth: int) -> st.SearchStrategy[Pair]:
    """A calendar day."""
    leaf = DAYS.map(_text) | st.just(_named("d"))
    if depth == 0:
        return leaf
    inner = day(depth - 1)
    made = _seldom(leaf, depth) | st.builds(lambda x, n: _call("add_days", x, _whole(n)), inner, st.integers(-400, 400))
    made |= st.builds(lambda x: _call("end_of_month", x), inner)
    return made | st.builds(_choose, inner, condition(depth - 1), inner)


def condition(depth: int, item: str = "") -> st.SearchStrategy[Pair]:
    """Something that holds or not."""
    leaf = st.sampled_from(
        [
            ("true", ("literal", True)),
            ("false", ("literal", False)),
            ("exists(maybe)", ("call", "exists", ("name", "maybe"))),
            ("customer != null", ("binary", "!=", ("name", "customer"), ("literal", None))),
        ]
    )
    if depth == 0:
        return leaf
    signs = st.sampled_from("== != < <= > >=".split())
    made = _seldom(leaf, depth) | st.builds(_binary, signs, number(depth - 1, item), number(depth - 1, item))
    made |= st.builds(_binary, signs, text(depth - 1, item), text(depth - 1, item))
    made |= st.builds(_binary, signs, money(depth - 1, item), money(depth - 1, item))
    made |= st.builds(_binary, st.sampled_from(["in", "not in"]), text(depth - 1, item), text(depth - 1, item))
    inner = condition(depth - 1, item)
    for word in ("and", "or"):
        made |= st.builds(
            lambda one, other, word=word: (f"({one[0]} {word} {other[0]})", (word, one[1], other[1])), inner, inner
        )
    return made | st.builds(lambda x: (f"(not {x[0]})", ("not", x[1])), inner)


def _loop_over(over: str, name: str, test: Pair | None, each: Pair) -> Pair:
    shown = f" if {test[0]}" if test else ""
    tree = ("loop", name, ("name", over), test[1] if test else None, each[1])
    return f"[{each[0]} for {name} in {over}{shown}]", tree


def numbers(depth: int) -> st.SearchStrategy[Pair]:
    """A list of numbers."""
    listed = st.lists(number(0), max_size=4).map(
        lambda items: (f"[{', '.join(text for text, _ in items)}]", ("list", *(tree for _, tree in items)))
    )
    if depth == 0:
        return listed
    tests = st.none() | condition(depth - 1, "x")
    made = listed | st.builds(lambda each, test: _loop_over("lines", "x", test, each), number(depth - 1, "x"), tests)
    made |= st.builds(lambda x: _call("sort", x), numbers(depth - 1))
    made |= st.builds(lambda x: _call("unique", x), numbers(depth - 1))
    return made | st.builds(_binary, st.just("+"), numbers(depth - 1), numbers(depth - 1))


def _object(first: Pair, second: Pair) -> Pair:
    text = "{" + f"'one': {first[0]}, 'two': {second[0]}" + "}"
    return text, ("object", ("one", first[1]), ("two", second[1]))


def well_typed(depth: int = 3) -> st.SearchStrategy[Pair]:
    """An expression that means something: its text and its tree."""
    single = st.one_of(number(depth), text(depth), money(depth), day(depth), condition(depth), numbers(depth))
    nested = st.builds(lambda made: (f"{made[0]}.two", ("field", made[1], "two")), st.builds(_object, single, single))
    paths = st.sampled_from(
        [
            ("customer.address.city", ("field", ("field", ("name", "customer"), "address"), "city")),
            ("lines[0].net", ("field", ("index", ("name", "lines"), 0), "net")),
            ("lines[-1].sku", ("field", ("index", ("name", "lines"), -1), "sku")),
            ("lines[9].quantity", ("field", ("index", ("name", "lines"), 9), "quantity")),
        ]
    )
    return single | st.builds(_object, single, single) | nested | paths


#: what the records are
SCHEMA = """
schema: fuzz.record
record:
  a: whole
  b: number
  t: text
  m: money
  d: date
  maybe: whole?
  "customer?": {"address?": {city: text?}}
  lines: [{sku: text?, quantity: whole, net: money}]
"""


def records() -> st.SearchStrategy[dict[str, Any]]:
    """Records that the expressions read."""
    amounts = st.integers(-(10**6), 10**6).map(lambda cents: Money(cents, "EUR"))
    line = {"sku": st.none() | _TEXTS, "quantity": st.integers(-2, 20), "net": amounts}
    address = st.none() | st.fixed_dictionaries({"city": st.none() | _TEXTS})
    return st.fixed_dictionaries(
        {
            "a": st.integers(-(10**6), 10**6),
            "b": st.decimals(-1000, 1000, places=4),
            "t": _TEXTS,
            "m": amounts,
            "d": DAYS,
            "maybe": st.none() | st.integers(-5, 5),
            "customer": st.none() | st.fixed_dictionaries({"address": address}),
            "lines": st.lists(st.fixed_dictionaries(line), max_size=4),
        }
    )
