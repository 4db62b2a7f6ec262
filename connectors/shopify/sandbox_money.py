"""Arithmetic of the sandbox's shop: integer minor units, rounding half up, discounts by largest remainder."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

PLACES = {"JPY": 0, "KRW": 0, "CLP": 0, "XPF": 0, "XAF": 0, "KWD": 3, "BHD": 3, "TND": 3}


def places(currency: str) -> int:
    return PLACES.get(currency, 2)


def minor(amount: str | int | float | Decimal, currency: str) -> int:
    """Minor units of an amount in major units (`"37.10"` EUR is 3710); more places than the currency has are refused."""
    scaled = Decimal(str(amount)).scaleb(places(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} {currency} has too many decimal places")
    return int(scaled)


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def share(total: int, part: int, whole: int) -> int:
    """`total * part / whole`, rounded half up: successive shares of a growing part add up to the total exactly."""
    return 0 if whole == 0 else (2 * total * part + whole) // (2 * whole)


def spread(amount: int, weights: list[int]) -> list[int]:
    """Splits an amount over weights, largest remainder first, ties to the earlier one."""
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for index in order[: amount - sum(parts)]:
        parts[index] += 1
    return parts


def tax_of(net: int, rate: Decimal, included: bool) -> int:
    """The tax of a net price, or the tax contained in a price that includes it; rounded half up, once."""
    if included:
        return half_up(Decimal(net) * rate / (1 + rate))
    return half_up(Decimal(net) * rate)


def convert(amount: int, currency: str, rate: Decimal, target: str) -> int:
    """Minor units of another currency at a rate (units of the target for one of the source)."""
    return half_up((Decimal(amount) * rate).scaleb(places(target) - places(currency)))


def graphql_decimal(amount: int, currency: str) -> str:
    """As the API writes a Decimal: no fixed places, at least one ("37.1", "5.0")."""
    text = format(Decimal(amount).scaleb(-places(currency)), "f")
    if "." not in text:
        return text + ".0"
    head, tail = text.split(".")
    return f"{head}.{tail.rstrip('0') or '0'}"


def fixed_decimal(amount: int, currency: str) -> str:
    """As webhook bodies and the Money scalar write an amount: all places ("37.10")."""
    return format(Decimal(amount).scaleb(-places(currency)), "f")
