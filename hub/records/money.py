"""Money: integer minor units and an ISO 4217 currency with its exponent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

import msgspec

# ISO 4217 exponents that differ from 2 (list one of the standard, active codes only).
_EXPONENTS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),
        0,
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_CURRENCIES = frozenset(
    (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY "
        "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
        "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
        "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
        "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ).split()
) | frozenset(_EXPONENTS)


class MoneyError(ValueError):
    """An amount or a currency that cannot be used: says which and why."""


def exponent(currency: str) -> int:
    """Number of decimal places of a currency's minor unit (EUR 2, JPY 0, KWD 3)."""
    if currency not in _CURRENCIES:
        raise MoneyError(f"unknown currency {currency!r}: give an ISO 4217 code such as EUR")
    return _EXPONENTS.get(currency, 2)


class Money(msgspec.Struct, frozen=True):
    """An amount in minor units of one currency: `Money(3710, "EUR")` is 37.10 EUR. Adding two currencies raises."""

    amount: int
    currency: str

    @classmethod
    def parse(cls, value: str | int | Decimal, currency: str) -> Money:
        """Reads a decimal amount in major units, exactly. More places than the currency has are refused."""
        # texts repeat: an order says many times 0.00 and the same price, rate by rate
        return _of_text(value, currency) if type(value) is str else cls._parse(value, currency)

    @classmethod
    def _parse(cls, value: str | int | Decimal, currency: str) -> Money:
        places = exponent(currency)
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise MoneyError(f"{value!r} is not an amount: give decimal text, a whole number or a Decimal")
        try:
            number = Decimal(value.strip()) if isinstance(value, str) else Decimal(value)
        except InvalidOperation:
            raise MoneyError(f"{value!r} is not a decimal amount") from None
        if not number.is_finite() or abs(number.adjusted()) > 18:
            raise MoneyError(f"{value!r} is not an amount that can be booked")
        minor = number.scaleb(places)
        whole = minor.to_integral_value()
        if minor != whole:
            raise MoneyError(f"{value} {currency} has more than {places} decimal places")
        return cls(int(whole), currency)

    @classmethod
    def rounded(cls, value: Decimal, currency: str) -> Money:
        """A computed decimal amount in major units, rounded half up to the minor unit."""
        return cls(int(value.scaleb(exponent(currency)).quantize(Decimal(1), ROUND_HALF_UP)), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    def decimal(self) -> Decimal:
        """The amount in major units, with all the currency's places: `Decimal("37.10")`."""
        return Decimal(self.amount).scaleb(-exponent(self.currency))

    def _same(self, other: Money) -> None:
        if other.currency != self.currency:
            raise MoneyError(f"{self} and {other} are of different currencies and are never added or compared")

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, times: int) -> Money:
        if isinstance(times, bool) or not isinstance(times, int):
            return NotImplemented
        return Money(self.amount * times, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __gt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount > other.amount

    def __ge__(self, other: Money) -> bool:
        self._same(other)
        return self.amount >= other.amount

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def allocate(self, weights: Sequence[int]) -> list[Money]:
        """Splits the amount by non-negative weights, largest remainder first: the parts add up to it exactly."""
        return [Money(part, self.currency) for part in allocate(self.amount, weights)]


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Splits an integer by non-negative integer weights, largest remainder first, ties to the earlier part."""
    total = sum(weights)
    if not weights or total <= 0 or min(weights) < 0:
        raise MoneyError("weights must be non-negative and not all zero")
    sign, size = (-1, -amount) if amount < 0 else (1, amount)
    parts = [size * weight // total for weight in weights]
    left = size - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
    for index in by_remainder[:left]:
        parts[index] += 1
    return [sign * part for part in parts]


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum of amounts of one currency; zero of it when there are none."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result


@lru_cache(maxsize=8192)
def _of_text(value: str, currency: str) -> Money:
    return Money._parse(value, currency)
