"""Which line of an order has which tax, where an export names taxes for the whole order only. An answer is given if it is
the only one that comes to each tax to the cent; what cannot be told is not guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from math import prod

from hub.records.money import allocate

#: ways to spread the taxes that are tried; an order with more is asked about
MAX_WAYS = 20_000


@dataclass(frozen=True)
class Taxed:
    """A line: its amount after discounts in minor units; `taxable` null: not told."""

    amount: int
    taxable: bool | None = None


@dataclass(frozen=True)
class OrderTax:
    """A tax of a whole order: rate as a fraction, amount in minor units."""

    title: str
    rate: Decimal
    amount: int


#: the taxes of each line: (number of the tax, amount in minor units)
Spread = list[list[tuple[int, int]]]


class NotTold(Exception):
    """The taxes cannot be given to the lines: says why."""


def spread(lines: Sequence[Taxed], taxes: Sequence[OrderTax], included: bool) -> Spread:
    """The taxes of each line. Raises: NotTold."""
    if any(line.amount < 0 for line in lines):
        raise NotTold("the discount of a line is more than the line")
    free = [number for number, line in enumerate(lines) if line.amount and line.taxable is not False]
    choices = [
        [_share(lines[number].amount, own, taxes, included) for own in _choices(len(taxes), lines[number].taxable)]
        for number in free
    ]
    ways = prod(len(each) for each in choices)
    if ways > MAX_WAYS:
        raise NotTold(f"there are {ways:,} ways to give its {len(taxes)} taxes to its {len(free)} lines")
    found: tuple[_Share, ...] | None = None
    for way in product(*choices):
        if _fits(way, taxes):
            if found is not None:
                raise NotTold("more than one way to give its taxes to its lines comes to them to the cent")
            found = way
    if found is None:
        raise NotTold("no way to give its taxes to its lines comes to them to the cent")
    return _amounts(len(lines), free, found, taxes)


#: what a line has of each of its taxes, exactly and to the minor unit
_Share = dict[int, tuple[Decimal, int]]


def _choices(taxes: int, taxable: bool | None) -> Iterator[tuple[int, ...]]:
    """What a line may have: one of the taxes, all of them (a state's and a county's), or none where that may be."""
    yield from ((number,) for number in range(taxes))
    if taxes > 1:
        yield tuple(range(taxes))
    if taxable is None:
        yield ()


def _share(amount: int, own: tuple[int, ...], taxes: Sequence[OrderTax], included: bool) -> _Share:
    whole = 1 + sum((taxes[number].rate for number in own), Decimal(0)) if included else Decimal(1)
    exact = {number: amount * taxes[number].rate / whole for number in own}
    return {number: (part, _cents(part)) for number, part in exact.items()}


def _cents(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def _fits(way: Sequence[_Share], taxes: Sequence[OrderTax]) -> bool:
    """Each tax is the sum of the lines', rounded line by line or as a whole."""
    for number, tax in enumerate(taxes):
        parts = [share[number] for share in way if number in share]
        if not parts:
            return False
        if (
            sum(part[1] for part in parts) != tax.amount
            and _cents(sum((part[0] for part in parts), Decimal(0))) != tax.amount
        ):
            return False
    return True


def _amounts(count: int, free: Sequence[int], way: Sequence[_Share], taxes: Sequence[OrderTax]) -> Spread:
    found: Spread = [[] for _ in range(count)]
    for number, tax in enumerate(taxes):
        own = [(line, share[number]) for line, share in zip(free, way, strict=True) if number in share]
        parts = [part for _, (_, part) in own]
        if sum(parts) != tax.amount:  # rounded as a whole: the cents go to the largest remainders
            parts = allocate(tax.amount, [_cents(exact * 10**6) for _, (exact, _) in own])
        for (line, _), part in zip(own, parts, strict=True):
            found[line].append((number, part))
    return found
