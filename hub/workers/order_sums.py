"""How the amounts of an exported order add up to its total: whether its prices hold the tax, and what its discounts are on.
The export does not say; an answer is taken if it is the only one that comes to the total to the cent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from hub.records.money import allocate


class NotAdding(Exception):
    """The amounts do not come to the total, or in more than one way. `found`: what they come to, in minor units."""

    def __init__(self, reason: str, found: int | None = None) -> None:
        super().__init__(reason)
        self.found = found


@dataclass(frozen=True)
class Amounts:
    """The amounts of an order in minor units. `lines` and `line_discounts`: one a line, of all its units."""

    lines: tuple[int, ...]
    line_discounts: tuple[int, ...]
    shipping: int
    tax: int
    discount: int
    duties: int
    total: int
    subtotal: int | None


@dataclass(frozen=True)
class Reading:
    """`included`: prices hold the tax. `discounts`: one a line; `shipping_discount`: on the shipping."""

    included: bool
    discounts: tuple[int, ...]
    shipping_discount: int = 0


def reading(amounts: Amounts, include_tax: bool | Literal["auto"]) -> Reading:
    """What the amounts mean. Raises: NotAdding."""
    possible = [replace(each, included=included) for each in _discounts(amounts) for included in _included(include_tax)]
    if not amounts.tax:  # without a tax it is all one
        possible = [replace(each, included=include_tax is not False) for each in possible]
    fitting = list(dict.fromkeys(each for each in possible if _fits(amounts, each)))
    if not fitting:
        raise NotAdding("they do not add up", _sum(amounts, possible[0]))
    if len(fitting) > 1:
        raise NotAdding("they add up in more than one way: on the goods or on the shipping, before or after tax")
    return fitting[0]


def _included(include_tax: bool | Literal["auto"]) -> tuple[bool, ...]:
    return (True, False) if include_tax == "auto" else (include_tax,)


def _discounts(amounts: Amounts) -> Iterator[Reading]:
    """What the discount of the order may be: the discounts of its lines together, one more, or one on the shipping."""
    own, of_order = amounts.line_discounts, amounts.discount
    if of_order in (0, sum(own)):
        yield Reading(True, own)
        if not of_order:
            return
    left = [line - part for line, part in zip(amounts.lines, own, strict=True)]
    if 0 < of_order <= sum(left) and min(left) >= 0:
        parts = allocate(of_order, left)
        yield Reading(True, tuple(part + more for part, more in zip(own, parts, strict=True)))
    rest = of_order - sum(own)
    if sum(own) and 0 < rest <= sum(left) and min(left) >= 0:
        yield Reading(True, tuple(part + more for part, more in zip(own, allocate(rest, left), strict=True)))
    for on_shipping in (of_order, rest):
        if 0 < on_shipping <= amounts.shipping:
            yield Reading(True, own, on_shipping)
    yield Reading(True, own)


def _sum(amounts: Amounts, read: Reading) -> int:
    goods = sum(amounts.lines) - sum(read.discounts)
    freight = amounts.shipping - read.shipping_discount
    return goods + freight + amounts.duties + (0 if read.included else amounts.tax)


def _fits(amounts: Amounts, read: Reading) -> bool:
    goods = sum(amounts.lines) - sum(read.discounts)
    return _sum(amounts, read) == amounts.total and amounts.subtotal in (None, goods)
