"""Calls: which argument is which, and what is wrong with them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from hub.mapping.check.kinds import Finding, conversion, same_kind, unknown_choice
from hub.mapping.check.operators import differ
from hub.mapping.check.scope import path_of
from hub.mapping.functions import Function
from hub.mapping.functions.results import AMOUNT_FORMS
from hub.mapping.functions.signatures import Given
from hub.records.schema import Kind

Arguments = Mapping[str, list[ast.expr]]
Shown = Callable[[ast.expr], str]
Place = ast.expr | None  # None: the whole call


def arguments(entry: Function, node: ast.Call) -> Arguments | None:
    """The arguments of a call by parameter; None when they do not bind, which compiling it says."""
    named = {word.arg: word.value for word in node.keywords if word.arg is not None}
    try:
        bound = entry.parameters.bind(*node.args, **named).arguments
    except TypeError:
        return None
    return {name: list(value) if isinstance(value, tuple) else [value] for name, value in bound.items()}


def findings(entry: Function, given: Arguments, types: Given, shown: Shown) -> Iterator[tuple[Place, Finding]]:
    """What is wrong with a call, each with its argument."""
    for name, nodes in given.items():
        takes = entry.types.takes[name]
        for node, type_ in zip(nodes, types[name], strict=True):
            if type_.kind is Kind.NULL or any(same_kind(type_, kind) for kind in takes.kinds):
                continue
            hint = next((how for kind in takes.kinds if (how := conversion(type_.kind, kind))), "")
            message = f"{entry.name} takes {takes}, and {shown(node)} is {type_.not_null()}"
            yield node, ("type-mismatch", message, hint or f"it is {entry.signature}")
    more = _RULES.get(entry.name)
    if more is not None:
        yield from more(given, types, shown)


def _money(given: Arguments, types: Given, shown: Shown) -> Iterator[tuple[Place, Finding]]:
    [currency], [type_] = given["currency"], types["currency"]
    if type_.kind is Kind.NULL or type_.nullable:
        when = "is always" if type_.kind is Kind.NULL else "may be"
        hint = "take the currency of the record, or make no money when there is none"
        yield currency, ("missing-currency", f"money without a currency: {shown(currency)} {when} null", hint)
    amounts = types.get("amount", ())
    for node, amount in zip(given.get("amount", []), amounts, strict=True):
        if amount.form == "computed":
            hint = "make money of each amount and add that: money(a, currency) + money(b, currency)"
            yield node, ("float-money", f"{shown(node)} was worked on as a plain number before it is money", hint)
        if differ(amount.currency, type_.currency):
            message = f"an amount of {amount.currency} in the currency of {type_.currency}"
            yield None, ("missing-currency", message, "take both from the same side")


def _round(given: Arguments, types: Given, shown: Shown) -> Iterator[tuple[Place, Finding]]:
    [node], [type_] = given["value"], types["value"]
    if type_.form in AMOUNT_FORMS:
        hint = "money(x, currency), tax_in(x, rate), portion(x, rate) round to the cent; split_money(x, weights) loses none"
        yield node, ("float-money", f"an amount is rounded by hand: {shown(node)}", hint)


def _lookup(given: Arguments, types: Given, shown: Shown) -> Iterator[tuple[Place, Finding]]:
    """A table with a key that the looked-up text can never be."""
    [table], [key], [type_] = given["table"], given["key"], types["key"]
    if not isinstance(table, ast.Dict) or not type_.choices or path_of(key) is None:
        return
    for each in table.keys:
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value not in type_.choices:
            yield each, unknown_choice(each.value, type_, shown(key))


_RULES: dict[str, Callable[[Arguments, Given, Shown], Iterator[tuple[Place, Finding]]]] = {
    "money": _money,
    "sum_money": _money,
    "round": _round,
    "lookup": _lookup,
}
