"""What an order should have invoiced and credited, line by line and to the cent, from the shop's own figures.

The taxes of the shop are posted as it computed them. What is left of a line after an edit is its amounts in proportion to
the units, rounded from the whole, so that what is kept and what was taken away always add up to the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from hub.core.ledger.rules import Rules, UnmappedTax
from hub.core.plan import Row
from hub.core.sales import regions
from hub.core.sales.regions import Destination
from hub.core.sales.snapshot import LineState, RefundContent
from hub.records.money import allocate

ROUNDING = "~rounding"
_ZERO = Decimal(0)


class Coding(NamedTuple):
    """How an amount is booked, and what it stands for: `source` is an order line, `~rounding` or `~refund:ID`."""

    source: str
    kind: str
    account: str | None
    vat_code: str | None
    tax_account: str | None
    rate: str | None


class Amounts(NamedTuple):
    """Units, net and tax in minor units."""

    quantity: int
    net: int
    tax: int


Composition = dict[Coding, Amounts]
NOTHING = Amounts(0, 0, 0)


def add(target: Composition, coding: Coding, quantity: int, net: int, tax: int) -> None:
    """Adds amounts to a composition."""
    before = target.get(coding)
    if before is not None:
        quantity, net, tax = before[0] + quantity, before[1] + net, before[2] + tax
    target[coding] = Amounts(quantity, net, tax)


def merge(target: Composition, other: Composition, sign: int = 1) -> None:
    """Adds or takes off a whole composition."""
    for coding, (quantity, net, tax) in other.items():
        add(target, coding, sign * quantity, sign * net, sign * tax)


def gross(parts: Iterable[Amounts]) -> int:
    """Net and tax of all parts."""
    return sum(part[1] + part[2] for part in parts)


def share(amount: int, kept: int, of: int) -> int:
    """The part of an amount that `kept` of `of` units have, rounded half up from the whole."""
    if kept == of or not amount:
        return amount
    sign, size = (-1, -amount) if amount < 0 else (1, amount)
    return sign * ((2 * size * kept + of) // (2 * of))


def line_net(state: LineState, included: bool) -> int:
    """What a line costs without tax, after its discounts."""
    net: int = state.row["gross"] - state.discount
    if included:
        for tax in state.taxes:
            net -= tax[1]
    return net


#: the rules are kept with what they answered: charts are few and never change
_CODED: dict[tuple[int, str, str, str | None, str | None], tuple[Rules, tuple[str, str, str | None]]] = {}


def _coded(rules: Rules, kind: str, region: str, rate: str | None, country: str | None) -> tuple[str, str, str | None]:
    key = (id(rules), kind, region, rate, country)
    found = _CODED.get(key)
    if found is None:
        number = Decimal(rate) if rate else _ZERO
        answer = (
            rules.sale(kind, region, number),
            rules.vat_code(region, number, country),
            rules.vat(region, number),
        )
        found = _CODED[key] = (rules, answer)
    return found[1]


@dataclass(slots=True)
class Regime:
    """The rules under which the lines of one order are coded."""

    rules: Rules
    place: Destination
    included: bool
    oss: bool
    home: str = "FR"
    taxed: bool = False

    @property
    def region(self) -> str | None:
        return regions.region_of(self.place, self.taxed, oss=self.oss, home=self.home)

    def code(self, kind: str, rate: str | None) -> tuple[str | None, str | None, str | None]:
        """(account, VAT code, tax account) of a kind of line at a rate.

        Raises: UnmappedTax when the rules do not know the rate there, or nothing explains that there is no tax."""
        if rate is None and kind in self.rules.untaxed:
            return self.rules.untaxed[kind], None, None
        region = self.region
        if region is None:
            raise UnmappedTax(
                f"the shop charged no tax on a sale to {self.place.country}, and the order names no VAT number that explains "
                "it: correct the order in the shop",
                details={"country": self.place.country, "kind": kind},
                answers=[{"answer": "retry", "needs": [], "text": "The order is corrected in the shop: try again"}],
            )
        country = self.place.country if region == regions.EU_CONSUMER else None
        return _coded(self.rules, kind, region, rate, country)


def whole(state: LineState, regime: Regime) -> Composition:
    """What a line is invoiced as when all of it is: its parts, one for each rate.

    A tax that a marketplace remits is no VAT of ours: it is a part of its own on the suspense account."""
    row = state.row
    source, kind, quantity = row["external_id"], row["kind"], row["quantity"]
    net = line_net(state, regime.included)
    parts: Composition = {}
    ours = [tax for tax in state.taxes if not tax[2] and (tax[1] or tax[0] != "0")]
    if not ours:
        account, vat_code, tax_account = regime.code(kind, None) if net else (None, None, None)
        add(parts, Coding(source, kind, account, vat_code, tax_account, None), quantity, net, 0)
    for index, (rate, amount, _, _) in enumerate(ours):
        if index == 0 and not (net or amount):
            add(parts, Coding(source, kind, None, None, None, rate), quantity, 0, 0)
            continue
        account, vat_code, tax_account = regime.code(kind, rate)
        coding = Coding(source, kind, account, vat_code, tax_account, rate)
        add(parts, coding, 0 if index else quantity, 0 if index else net, amount)
    for _, amount, remitted, title in state.taxes:
        if remitted and amount:
            add(parts, Coding(source, "channel_tax", regime.rules.suspense, None, None, title), 0, amount, 0)
    return parts


def kept(parts: Composition, units: int, of: int) -> Composition:
    """What is left of a line's parts when `units` of `of` are: the whole less the rounded share of what was taken away."""
    if units == of:
        return parts
    gone = of - units
    return {
        coding: Amounts(units if quantity else 0, net - share(net, gone, of), tax - share(tax, gone, of))
        for coding, (quantity, net, tax) in parts.items()
    }


def refunded_line(parts: Composition, quantity: int, subtotal: int, tax: int) -> Composition:
    """The shop's figures of a line given back, on the parts that the line was sold as."""
    taxed = [coding for coding, amounts in parts.items() if amounts.tax]
    remitted = [coding for coding in parts if coding.kind == "channel_tax"]
    first = next(iter(parts))
    result: Composition = {}
    add(result, first, quantity, subtotal, 0)
    if not tax:
        return result
    bearers = taxed + remitted
    if not bearers:
        add(result, first, 0, tax, 0)  # a line sold without tax has none to give back: all of it is price
        return result
    weights = [abs(parts[coding].tax) if coding in taxed else abs(parts[coding].net) for coding in bearers]
    for coding, part in zip(bearers, allocate(tax, weights), strict=True):
        add(result, coding, 0, 0 if coding in taxed else part, part if coding in taxed else 0)
    return result


def snap(figures: Composition, rest: Composition, tolerance: int) -> Composition:
    """The last refund of a line takes what is left of it when the two differ by roundings only."""
    for coding in {**figures, **rest}:
        have, left = figures.get(coding, NOTHING), rest.get(coding, NOTHING)
        if abs(have.net - left.net) > tolerance or abs(have.tax - left.tax) > tolerance:
            return figures
    return {coding: Amounts(figures.get(coding, NOTHING).quantity, a.net, a.tax) for coding, a in rest.items()}


def adjustment_parts(
    refund_id: str, amount: int, tax: int, sold: Composition, credited: Composition, regime: Regime
) -> Composition | None:
    """An amount given back that is no line's, split over the VAT rates by what is left of each (largest remainder).

    With a tax of its own the two are split apart, without one the amount holds the tax of the sale: a lower price has less
    VAT in it. A negative amount first takes back what the lines of the refund credited too much. None: more than is left."""
    totals: dict[tuple[str | None, str | None, str | None], list[int]] = {}
    for coding, (_, net, part) in sold.items():
        if coding.source != ROUNDING and coding.kind != "channel_tax":
            known = totals.setdefault((coding.vat_code, coding.tax_account, coding.rate), [0, 0, 0, 0])
            known[0] += net
            known[1] += part
    for coding, (_, net, part) in credited.items():
        key = (coding.vat_code, coding.tax_account, coding.rate)
        if key in totals:
            totals[key][2] += net
            totals[key][3] += part
    keys = list(totals)
    left = [sum(totals[key][:2]) - sum(totals[key][2:]) for key in keys]
    whole_amount = amount + tax
    if whole_amount >= 0:
        weights = [max(0, value) for value in left]
        if whole_amount > sum(weights):
            return None
    else:
        weights = [max(0, -value) for value in left]
        if sum(weights) < -whole_amount:
            weights = [max(0, totals[key][2] + totals[key][3]) for key in keys]
    if not any(weights):
        return {} if not whole_amount else None
    result: Composition = {}
    for key, part, rest in zip(keys, allocate(whole_amount, weights), left, strict=True):
        if not part:
            continue
        net, vat, _, vat_gone = totals[key]
        part_tax = vat - vat_gone if part == rest else share(part, vat, net + vat) if net + vat else 0
        if tax and len(keys) == 1:
            part_tax = tax
        account = regime.code("product", key[2])[0] if key[0] else None
        if account is None:
            account = next(c.account for c in sold if (c.vat_code, c.tax_account, c.rate) == key)
        add(result, Coding(f"~refund:{refund_id}", "adjustment", account, *key), 0, part - part_tax, part_tax)
    return result


def booked(lines: Sequence[Row], signs: dict[int, int]) -> Composition:
    """What documents have said so far: invoices less credit notes (`signs`: document id to 1 or -1)."""
    result: Composition = {}
    for row in lines:
        sign = signs.get(row["document_id"])
        if sign is not None:
            coding = Coding(
                row["source"], row["kind"], row["account"], row["vat_code"], row["tax_account"], row["rate"]
            )
            add(result, coding, sign * row["quantity"], sign * row["net"], sign * row["tax"])
    return result


def returned_units(contents: Iterable[RefundContent]) -> dict[str, int]:
    """Units refunded so far, by line."""
    units: dict[str, int] = {}
    for content in contents:
        for line_id, quantity, *_ in (*content.lines, *content.shipping):
            units[line_id] = units.get(line_id, 0) + quantity
    return units
