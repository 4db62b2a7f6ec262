"""What operators give for types, and which they cannot take."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hub.mapping.check.kinds import Finding, conversion, unknown_choice
from hub.mapping.check.scope import path_of
from hub.mapping.functions.results import AMOUNT_FORMS, COMPUTED
from hub.records.joins import join
from hub.records.schema import ANY, MONEY, NUMBER, TEXT, WHOLE, Kind, Type, list_of

_NUMBERS = (Kind.WHOLE, Kind.NUMBER)
_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_BY_HAND = "money stays exact: tax_in(x, rate), net_of(x, rate), portion(x, rate), split_money(x, weights)"

Outcome = tuple[Type, Finding | None]


def binary(node: ast.BinOp, left: Type, right: Type) -> Outcome:
    """The type of `left op right`, and what is wrong with it. Nulls are an error when it runs: they are left out."""
    sign, left, right = _SIGNS.get(type(node.op), "?"), left.not_null(), right.not_null()
    for side, type_ in ((node.left, left), (node.right, right)):
        if type_.kind is Kind.NULL:
            return ANY, ("type-mismatch", f"one side of {sign} is always null", "default(x, 0) says what to take then")
        del side
    if Kind.MONEY in (left.kind, right.kind):
        return _money(node, sign, left, right)
    if left.kind in _NUMBERS and right.kind in _NUMBERS:
        return _numbers(node, sign, left, right)
    if sign == "+" and (Kind.TEXT in (left.kind, right.kind) or Kind.LIST in (left.kind, right.kind)):
        return _joined(left, right)
    for type_ in (left, right):
        if type_.kind not in (*_NUMBERS, Kind.ANY):
            hint = conversion(type_.kind, Kind.NUMBER)
            return ANY, ("type-mismatch", f"{sign} works on numbers, and one side is {type_}", hint)
    # one side is not known: it may be money too
    return (NUMBER if sign == "/" else WHOLE if sign == "//" else ANY), None


def _joined(left: Type, right: Type) -> Outcome:
    for one, other in ((left, right), (right, left)):
        if one.kind in (Kind.TEXT, Kind.LIST) and other.kind not in (one.kind, Kind.ANY):
            hint = "text(x) makes text of a number" if one.kind is Kind.TEXT else "a list is added to a list: [x]"
            return ANY, ("type-mismatch", f"+ joins {one} with {one}, and the other side is {other}", hint)
    if Kind.TEXT in (left.kind, right.kind):
        return TEXT, None
    if left.kind is right.kind:
        return join(left, right), None
    return list_of(ANY), None


def _is_fraction(node: ast.expr) -> bool:
    """Whether a number is written out and is no whole one: `0.2`."""
    return isinstance(node, ast.Constant) and isinstance(node.value, (Decimal, float)) and node.value % 1 != 0


def _money(node: ast.BinOp, sign: str, left: Type, right: Type) -> Outcome:
    one, other = (left, right) if left.kind is Kind.MONEY else (right, left)
    if sign in ("+", "-"):
        if other.kind not in (Kind.MONEY, Kind.ANY):
            hint = conversion(other.kind, Kind.MONEY) or "money(x, currency) makes money of it"
            return MONEY, ("type-mismatch", f"{sign} works on money and money, and one side is {other}", hint)
        if differ(left.currency, right.currency):
            message = f"amounts of two currencies: {left.currency} and {right.currency}"
            return MONEY, ("missing-currency", message, "take both from the same side")
        return replace(MONEY, currency=left.currency or right.currency), None
    if sign == "*":
        if other.kind in (Kind.WHOLE, Kind.ANY):
            return replace(MONEY, currency=one.currency), None
        if other.kind is Kind.NUMBER and not _is_fraction(node.left if one is right else node.right):
            # it may be a whole number when it runs
            return replace(MONEY, currency=one.currency), None
        return MONEY, (
            "type-mismatch",
            f"money is multiplied by whole numbers, and the other side is {other}",
            _BY_HAND,
        )
    return ANY, ("type-mismatch", f"{sign} does not work on money", _BY_HAND)


def _numbers(node: ast.BinOp, sign: str, left: Type, right: Type) -> Outcome:
    made = NUMBER if sign == "/" else WHOLE if sign == "//" else join(left, right)
    amounts = [type_ for type_ in (left, right) if type_.form in AMOUNT_FORMS]
    if not amounts or sign in ("//", "%"):
        return replace(made, form=""), None
    if sign == "/" and len(amounts) == 2:
        return NUMBER, None  # a proportion is no amount
    if sign == "*" and len(amounts) == 1:
        other = right if amounts[0] is left else left
        value = node.right if other is right else node.left
        if other.kind is Kind.NUMBER and not _whole_literal(value):
            return COMPUTED, ("float-money", "an amount is multiplied by a rate as a plain number", _BY_HAND)
    return COMPUTED, None


def _whole_literal(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value.is_integer()


def differ(one: str, other: str) -> bool:
    """Whether two amounts are known to be of different currencies: two literal codes, or two sides of a price."""
    return bool(one and other) and one != other and one.startswith("'") == other.startswith("'")


Side = tuple[ast.expr, Type]


def compare(
    operator: ast.cmpop, left: Side, right: Side, shown: Callable[[ast.expr], str]
) -> tuple[ast.expr | None, Finding] | None:
    """What is wrong with a comparison, and at which of its sides; None for the whole."""
    sign = _SIGNS[type(operator)]
    if sign in ("in", "not in"):
        return _within(left, right, shown)
    (_, one), (_, other) = left, right
    if Kind.NULL in (one.kind, other.kind) or Kind.ANY in (one.kind, other.kind):
        return None
    if not _comparable(one, other) and not (one.nullable and other.nullable and sign in ("==", "!=")):
        hint = conversion(one.kind, other.kind) or conversion(other.kind, one.kind)
        outcome = {"==": "is never equal to", "!=": "always differs from"}.get(sign, "cannot be compared with")
        message = f"{shown(left[0])} is {one.not_null()}: it {outcome} {other.not_null()}"
        return None, ("type-mismatch", message, hint)
    if one.kind is Kind.MONEY and differ(one.currency, other.currency) and sign not in ("==", "!="):
        message = f"amounts of two currencies: {one.currency} and {other.currency}"
        return None, ("missing-currency", message, "take both from the same side")
    return _choice(left, right, shown) or _choice(right, left, shown)


def _comparable(one: Type, other: Type) -> bool:
    if one.kind in _NUMBERS and other.kind in _NUMBERS:
        return True
    return one.kind is other.kind or Kind.REFERENCE in (one.kind, other.kind)


def _choice(described: Side, written: Side, shown: Callable[[ast.expr], str]) -> tuple[ast.expr, Finding] | None:
    """A literal text that the other side can never be. Only paths have choices that somebody described."""
    node, type_ = described
    literal = written[0]
    if not (isinstance(literal, ast.Constant) and isinstance(literal.value, str)) or path_of(node) is None:
        return None
    if not type_.choices or literal.value in type_.choices:
        return None
    return literal, unknown_choice(literal.value, type_, shown(node))


def _within(left: Side, right: Side, shown: Callable[[ast.expr], str]) -> tuple[ast.expr | None, Finding] | None:
    node, type_ = right
    if type_.kind is Kind.LIST:
        for item in node.elts if isinstance(node, ast.List) else ():
            if found := _choice(left, (item, TEXT), shown):
                return found
        one, items = left[1], type_.item or ANY
        unknown = Kind.ANY in (one.kind, items.kind) or Kind.NULL in (one.kind, items.kind) or one.nullable
        if unknown or _comparable(one, items):
            return None
        message = f"{shown(left[0])} is {one}: it is never in a list whose items are {items}"
        return None, ("type-mismatch", message, conversion(one.kind, items.kind))
    if type_.kind not in (Kind.OBJECT, Kind.TEXT, Kind.ANY, Kind.NULL, Kind.REFERENCE):
        return node, ("type-mismatch", f"`in` needs a list, an object or a text, and {shown(node)} is {type_}", "")
    return None
