"""Functions that take money apart, exact to the minor unit: nothing is lost and nothing made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hub.mapping.budget import charge, charge_items
from hub.mapping.fault import Fault, describe
from hub.mapping.functions import results
from hub.mapping.functions.registry import function, need_list
from hub.mapping.numbers import EXACT, bounded, is_number
from hub.records.money import Money

GROUP = "Taxes and shares"

_MAX_RATE = 10


@function(
    GROUP,
    ("tax_in(money('12.00', 'EUR'), 0.2)", "money('2.00', 'EUR')"),
    ("tax_in(money('9.99', 'EUR'), 0.055)", "money('0.52', 'EUR')"),
    types="money?, number -> money",
    result=results.like_first,
)
def tax_in(gross: Any, rate: Any) -> Money | None:
    """The tax that an amount with tax holds at a rate (`0.2` is 20 %), rounded half up; null stays null."""
    if gross is None:
        return None
    value, share = _money(gross, "tax_in"), _rate(rate, "tax_in")
    return _minor(EXACT.multiply(value.amount, share), EXACT.add(share, 1), value.currency)


@function(
    GROUP,
    ("net_of(money('12.00', 'EUR'), 0.2)", "money('10.00', 'EUR')"),
    ("net_of(money('9.99', 'EUR'), 0.055)", "money('9.47', 'EUR')"),
    types="money?, number -> money",
    result=results.like_first,
)
def net_of(gross: Any, rate: Any) -> Money | None:
    """An amount with tax without its tax: what `tax_in` leaves, so that the two make the amount again; null stays null."""
    tax = tax_in(gross, rate)
    return None if tax is None else gross - tax


@function(
    GROUP,
    ("portion(money('19.90', 'EUR'), 0.015)", "money('0.30', 'EUR')"),
    ("portion(money('10.00', 'EUR'), 0.2)", "money('2.00', 'EUR')"),
    types="money?, number -> money",
    result=results.like_first,
)
def portion(value: Any, rate: Any) -> Money | None:
    """Money times a rate (a tax on top, a fee, a discount), rounded half up; null stays null."""
    if value is None:
        return None
    whole = _money(value, "portion")
    return _minor(EXACT.multiply(whole.amount, _rate(rate, "portion")), Decimal(1), whole.currency)


@function(
    GROUP,
    ("[amount(x) for x in split_money(money('10.00', 'EUR'), [1, 1, 1])]", "[3.34, 3.33, 3.33]"),
    ("[amount(x) for x in split_money(money('5.00', 'EUR'), [money(10, 'EUR'), money(30, 'EUR')])]", "[1.25, 3.75]"),
    types="money, [any] -> [money]",
    result=results.shares,
)
def split_money(total: Any, weights: Any) -> list[Money]:
    """An amount split by weights (numbers, or money of one currency, none negative). The parts make the amount again: what
    rounding leaves goes to the largest remainders, and to the earlier part where they are equal."""
    value, listed = _money(total, "split_money"), need_list(weights, "split_money")
    charge_items(len(listed))
    charge(len(listed) * len(listed).bit_length() // 4)
    numbers = [_weight(weight, listed[0]) for weight in listed]
    places = max((-int(number.as_tuple().exponent) for number in numbers), default=0)
    scaled = [int(number.scaleb(max(places, 0), EXACT)) for number in numbers]
    if sum(scaled) <= 0 or min(scaled) < 0:
        raise Fault(
            "value", "the weights of split_money are not negative, and not all zero", "[1, 1] splits in two halves"
        )
    return value.allocate(scaled)


def _weight(value: Any, first: Any) -> Decimal:
    if type(value) is Money and type(first) is Money:
        return (value - Money.zero(first.currency)).decimal()  # refuses another currency
    if not is_number(value) or not is_number(first):
        raise Fault("type", f"a weight of split_money is a number, or all are money, and not {describe(value)}")
    return Decimal(bounded(value))


def _money(value: Any, what: str) -> Money:
    if type(value) is not Money:
        raise Fault("type", f"{what} needs money, not {describe(value)}", "money(x, currency) makes money")
    return value


def _rate(value: Any, what: str) -> Decimal:
    if not is_number(value):
        hint = "use default(x, 0)" if value is None else ""
        raise Fault(
            "null-value" if value is None else "type", f"the rate of {what} is a number, not {describe(value)}", hint
        )
    if not 0 <= bounded(value) <= _MAX_RATE:
        raise Fault("value", f"the rate of {what} is a fraction such as 0.2, not {describe(value)}", "20 % is 0.2")
    return Decimal(value)


def _minor(numerator: Decimal, divisor: Decimal, currency: str) -> Money:
    """A quotient as minor units, rounded once: a quotient that was rounded before could round up twice."""
    quotient, rest = EXACT.divmod(numerator.copy_abs(), divisor)
    up = EXACT.multiply(rest, 2) >= divisor
    amount = int(quotient) + (1 if up else 0)
    return Money(-amount if numerator < 0 else amount, currency)
