"""Functions on numbers and money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hub.mapping.budget import charge_items
from hub.mapping.fault import Fault, describe
from hub.mapping.functions import results
from hub.mapping.functions.registry import function, need_list, need_text, need_whole
from hub.mapping.numbers import MAX_PLACES, add, bounded, is_number, negate, rounded
from hub.mapping.operations import less
from hub.records.money import Money

GROUP = "Numbers and money"


@function(
    GROUP,
    ("money('37.10', 'EUR') + money(5, 'EUR')", "money(42.10, 'EUR')"),
    ("money('500', 'JPY').amount", "500"),
    types="text|number, text -> money",
    result=results.money,
)
def money(amount: Any, currency: Any) -> Money:
    """Money of a decimal amount in major units; more decimal places than the currency has are refused."""
    if type(amount) is Money:
        raise Fault("type", f"{describe(amount)} is money already", "amount(x) is its decimal amount")
    if amount is None:
        raise Fault("null-value", "the amount of money is null", "use default(x, 0) where nothing means zero")
    return Money.parse(amount, need_text(currency, "the currency of money"))


@function(GROUP, ("amount(money('37.10', 'EUR'))", "37.10"), types="money? -> number~", result=results.amount)
def amount(value: Any) -> Decimal | None:
    """The decimal amount of money in major units (`.amount` is in minor units); null stays null."""
    if value is None:
        return None
    if type(value) is not Money:
        raise Fault("type", f"amount needs money, not {describe(value)}", "money(x, currency) makes money")
    return value.decimal()


@function(
    GROUP,
    ("sum_money([], 'EUR')", "money(0, 'EUR')"),
    ("sum_money([money(1, 'EUR'), money(2, 'EUR')], 'EUR')", "money(3, 'EUR')"),
    types="[money]?, text -> money",
    result=results.sum_money,
)
def sum_money(amounts: Any, currency: Any) -> Money:
    """The sum of money of one currency; zero of it when there is none."""
    values = need_list(amounts, "sum_money")
    charge_items(len(values))
    total = Money.zero(need_text(currency, "the currency of sum_money"))
    for value in values:
        if type(value) is not Money:
            raise Fault("type", f"sum_money needs money, not {describe(value)}", "money(x, currency) makes money")
        total = add(total, value)
    return total


@function(
    GROUP, ("round(1.005, 2)", "1.01"), ("round(-2.5)", "-3"), types="number, whole -> number", result=results.rounded
)
def round_(value: Any, places: Any = 0) -> int | Decimal:
    """A number rounded half up (away from zero); with no places a whole number."""
    size = need_whole(places, "round", 0, MAX_PLACES)
    if not is_number(value):
        hint = "use default(x, 0)" if value is None else ""
        raise Fault("null-value" if value is None else "type", f"round needs a number, not {describe(value)}", hint)
    result = rounded(Decimal(bounded(value)), size)
    return result if size else int(result)


@function(GROUP, ("abs(-12.50)", "12.50"), types="number|money -> T", result=results.same)
def abs_(value: Any) -> Any:
    """A number or money without its sign."""
    negative = negate(value)
    return negative if less(value, negative) else value


@function(GROUP, ("min(3, 1.5)", "1.5"), ("min([4, 2, 8])", "2"), types="T... -> T", result=results.extreme)
def min_(*values: Any) -> Any:
    """The least of several values or of one list, all of one kind; null of an empty list."""
    return _extreme(values, "min", lambda one, best: less(one, best))


@function(
    GROUP,
    ("max(3, 1.5)", "3"),
    ("max(['2026-01-31', '2026-02-01'])", "'2026-02-01'"),
    types="T... -> T",
    result=results.extreme,
)
def max_(*values: Any) -> Any:
    """The greatest of several values or of one list, all of one kind; null of an empty list."""
    return _extreme(values, "max", lambda one, best: less(best, one))


def _extreme(values: tuple[Any, ...], what: str, better: Any) -> Any:
    listed = need_list(values[0], what) if len(values) == 1 else values
    charge_items(len(listed))
    if not listed:
        return None
    best = listed[0]
    for value in listed:
        # The first is compared with itself, so that a list of one wrong value is refused too.
        if better(value, best):
            best = value
    return best
