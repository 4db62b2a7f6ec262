"""Exact arithmetic: whole numbers, decimals, text joined with `+`, and money. What does not fit raises `Fault`.

Every number that arithmetic gives is below 10^50 and has at most 30 decimal places (rounded half to even there, which
only products and quotients can reach). The decimal context is our own: what a caller set for its thread plays no part.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

from hub.mapping.budget import charge_items, charge_text
from hub.mapping.fault import Fault, describe
from hub.records.money import Money

MAX_MAGNITUDE = 50  # powers of ten
MAX_PLACES = 30
_LIMIT = 10**MAX_MAGNITUDE
_SMALLEST = Decimal(1).scaleb(-MAX_PLACES)
# Two operands in range have a product of at most 2 * (50 + 30) digits: exact before the one rounding to 30 places.
EXACT = Context(prec=170, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_DIVISION = Context(prec=90, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_MAX_MINOR = 2**63 - 1

Number = int | Decimal


def is_number(value: Any) -> bool:
    """Whether a value is a number: true and false are not."""
    kind = type(value)
    return kind is int or kind is Decimal


def bounded(value: Number) -> Number:
    """The number itself if arithmetic may work on it."""
    if type(value) is int:
        if not -_LIMIT < value < _LIMIT:
            raise Fault("limit", f"a number of over {MAX_MAGNITUDE} digits")
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise Fault("limit", f"{value} is not a number that can be used")
        if not -MAX_MAGNITUDE * 2 < value.adjusted() < MAX_MAGNITUDE:
            raise Fault("limit", f"a number outside 10^-{MAX_MAGNITUDE * 2} to 10^{MAX_MAGNITUDE}")
    return value


def rounded(value: Decimal, places: int) -> Decimal:
    """Half up (away from zero), as amounts are rounded."""
    bounded(value)
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, EXACT)


def _fine(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_PLACES:
        value = value.quantize(_SMALLEST, context=EXACT)
    bounded(value)
    return value


def _money(value: Money) -> Money:
    if not -_MAX_MINOR <= value.amount <= _MAX_MINOR:
        raise Fault("limit", "an amount of money too large to be booked")
    return value


def _refuse(sign: str, left: Any, right: Any) -> Fault:
    for operand, value in enumerate((left, right)):
        if value is None:
            return Fault("null-value", "{operand} is null", "use default({operand}, 0)", operand)
    if isinstance(left, Money) or isinstance(right, Money):
        hint = "money is added to money and multiplied by whole numbers; amount(x) gives its decimal amount"
        return Fault("type", f"{sign} does not work on {describe(left)} and {describe(right)}", hint)
    for value in (left, right):
        if not is_number(value):
            hint = "number(x) reads a number from text" if isinstance(value, str) else ""
            if sign == "+" and isinstance(value, str):
                hint = "text(x) makes text of a number, number(x) a number of text"
            return Fault("type", f"{sign} needs numbers, not {describe(value)}", hint)
    return Fault("type", f"{sign} does not work on {describe(left)} and {describe(right)}")


def add(left: Any, right: Any) -> Any:
    """`left + right` of numbers, texts, lists or money of one currency."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return bounded(left + right)
    if kind is str and other is str:
        charge_text(len(left) + len(right))
        return left + right
    if kind is Money and other is Money:
        return _money(left + right)
    if kind is list and other is list:
        charge_items(len(left) + len(right))
        return left + right
    if is_number(left) and is_number(right):
        return bounded(EXACT.add(bounded(left), bounded(right)))
    raise _refuse("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    """`left - right` of numbers or money of one currency."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return bounded(left - right)
    if kind is Money and other is Money:
        return _money(left - right)
    if is_number(left) and is_number(right):
        return bounded(EXACT.subtract(bounded(left), bounded(right)))
    raise _refuse("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    """`left * right` of numbers, or of money and a whole number. Never repeats text or lists."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return bounded(bounded(left) * bounded(right))
    if is_number(left) and is_number(right):
        return _fine(EXACT.multiply(bounded(left), bounded(right)))
    if kind is Money and other is int:
        return _money(left * bounded(right))
    if kind is int and other is Money:
        return _money(right * bounded(left))
    raise _refuse("*", left, right)


def _divisible(sign: str, left: Any, right: Any) -> None:
    if not (is_number(left) and is_number(right)):
        raise _refuse(sign, left, right)
    bounded(left)
    if not bounded(right):
        raise Fault("division-by-zero", "{operand} is 0", "test it first: x / y if y else 0", operand=1)


def divide(left: Any, right: Any) -> Decimal:
    """`left / right`, always a decimal."""
    _divisible("/", left, right)
    return _fine(_DIVISION.divide(left, right))


def floor_divide(left: Any, right: Any) -> int:
    """`left // right`: the whole number at or below the quotient, for decimals as for whole numbers."""
    _divisible("//", left, right)
    return _floor(left, right)[0]


def modulo(left: Any, right: Any) -> Number:
    """`left % right`: what `//` leaves, with the sign of the divisor. Never formats text."""
    _divisible("%", left, right)
    return _floor(left, right)[1]


def _floor(left: Number, right: Number) -> tuple[int, Number]:
    if isinstance(left, int) and isinstance(right, int):
        return divmod(left, right)
    quotient, rest = EXACT.divmod(left, right)
    bounded(quotient)
    whole = int(quotient)
    # Decimal truncates towards zero where int floors; one rule for both.
    if rest and (rest < 0) != (right < 0):
        return whole - 1, EXACT.add(rest, right)
    return whole, rest


def negate(value: Any) -> Any:
    """`-value` of a number or money."""
    if is_number(value):
        bounded(value)
        return -value if type(value) is int else EXACT.minus(value)
    if isinstance(value, Money):
        return -value
    if value is None:
        raise Fault("null-value", "{operand} is null", "use default({operand}, 0)", operand=0)
    raise Fault("type", f"- needs a number, not {describe(value)}")


def positive(value: Any) -> Any:
    """`+value`: the value, which has to be a number or money."""
    if is_number(value) or isinstance(value, Money):
        return value
    return negate(value)
