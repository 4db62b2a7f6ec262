"""Subtotal, tax and total of a sales document, as the QuickBooks sandbox computes them from its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from .sandbox_bodies import business, missing

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


def cents(value: Decimal) -> Decimal:
    """Rounded half up to the cent."""
    return value.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Rate:
    """One tax rate: 20 means 20 %."""

    id: str
    name: str
    percent: Decimal


@dataclass(frozen=True)
class Totals:
    subtotal: Decimal  # of the lines, discounts taken off; with TaxInclusive it contains the tax
    discounts: Sequence[Decimal]  # the amount of each discount line, in order
    tax: Mapping[str, Any]  # the TxnTaxDetail served
    total: Decimal


@dataclass
class _Group:
    """The lines of one tax code."""

    rates: Sequence[Rate]
    amount: Decimal = ZERO
    lines: int = 0


def totals(
    lines: Sequence[Mapping[str, Any]],
    mode: str,
    codes: Mapping[str, Sequence[Rate]],
    *,
    discount_first: bool,
    given: Mapping[str, Any] | None,
    tolerance: Decimal,
) -> Totals:
    """Compute a document.

    `mode` is the GlobalTaxCalculation; `codes` gives the rates of each tax code. With `discount_first` the discounts lower the
    taxable amounts pro rata, otherwise the full amounts are taxed. `given` is the caller's TxnTaxDetail: see `_settle`.

    With TaxInclusive the lines' amounts are read as containing the tax, and are stored as they came.
    """
    groups: dict[str, _Group] = {}
    for line in lines:
        if line["DetailType"] == "SalesItemLineDetail":
            code = (line["SalesItemLineDetail"].get("TaxCodeRef") or {}).get("value", "")
            rates = () if mode == "NotApplicable" else codes[code]
            group = groups.setdefault(code, _Group(rates))
            group.amount += line["Amount"]
            group.lines += 1
    gross = sum((group.amount for group in groups.values()), ZERO)
    discounts = [_discount(line, gross) for line in lines if line["DetailType"] == "DiscountLineDetail"]
    subtotal = gross - sum(discounts, ZERO)
    if discount_first and discounts:
        _take_off(groups, gross - subtotal, gross)
    computed: dict[str, tuple[Rate, Decimal, Decimal, int]] = {}
    for group in groups.values():
        together = sum((rate.percent for rate in group.rates), Decimal(0))
        for rate in group.rates:
            before = computed.get(rate.id, (rate, ZERO, ZERO, 0))
            # Summed exactly and rounded once per rate, not per line.
            share = group.amount * rate.percent / (100 + together if mode == "TaxInclusive" else 100)
            computed[rate.id] = (rate, before[1] + group.amount, before[2] + share, before[3] + group.lines)
    detail, total_tax = _settle(computed, mode, given, tolerance)
    total = subtotal if mode == "TaxInclusive" else subtotal + total_tax
    if total < 0:
        raise business("Transaction amount must be 0 or greater.", "TotalAmt")
    return Totals(subtotal, discounts, detail, total)


def _discount(line: Mapping[str, Any], gross: Decimal) -> Decimal:
    detail = line["DiscountLineDetail"]
    if not detail.get("PercentBased"):
        if line.get("Amount") is None:
            raise missing("Line.Amount")
        return Decimal(line["Amount"])
    if detail.get("DiscountPercent") is None:
        raise missing("Line.DiscountLineDetail.DiscountPercent")
    return cents(gross * detail["DiscountPercent"] / 100)


def _take_off(groups: Mapping[str, _Group], discount: Decimal, gross: Decimal) -> None:
    """Share a discount over the groups in proportion; the cents left by rounding go to the largest group."""
    if not gross:
        return
    shares = {code: cents(discount * group.amount / gross) for code, group in groups.items()}
    largest = max(groups, key=lambda code: groups[code].amount)
    shares[largest] += discount - sum(shares.values(), ZERO)
    for code, share in shares.items():
        groups[code].amount -= share


def _settle(
    computed: Mapping[str, tuple[Rate, Decimal, Decimal, int]],
    mode: str,
    given: Mapping[str, Any] | None,
    tolerance: Decimal,
) -> tuple[dict[str, Any], Decimal]:
    """The tax lines served: the computed ones, or the caller's where they are near enough.

    Assumption, as the vendor does not publish the rule: a caller that must keep a shop's own figures may send the tax of each
    rate, and it is taken when it lies within `tolerance` (0.01) for each line of that rate. Anything else is refused.
    """
    sent: dict[str, Decimal] = {}
    nets: dict[str, Decimal] = {}
    for line in (given or {}).get("TaxLine") or []:
        detail = line.get("TaxLineDetail") or {}
        rate_id = (detail.get("TaxRateRef") or {}).get("value")
        if rate_id is None:
            raise missing("TxnTaxDetail.TaxLine.TaxLineDetail.TaxRateRef")
        if line.get("Amount") is None:
            raise missing("TxnTaxDetail.TaxLine.Amount")
        if rate_id not in computed:
            raise business(f"Tax rate {rate_id} is not used by any line of this transaction.", "TxnTaxDetail")
        if rate_id in sent:
            raise business(f"Tax rate {rate_id} is given twice.", "TxnTaxDetail")
        sent[rate_id] = line["Amount"]
        if detail.get("NetAmountTaxable") is not None:
            nets[rate_id] = detail["NetAmountTaxable"]
    tax_lines, total = [], ZERO
    for rate_id, (rate, amount, share, count) in computed.items():
        own = cents(share)
        tax = sent.get(rate_id, own)
        room = tolerance * count
        if abs(tax - own) > room:
            detail = f"Tax of rate {rate_id} ({rate.name}): computed {own}, given {tax}, difference above {room}."
            raise business(detail, "TxnTaxDetail")
        net = amount - tax if mode == "TaxInclusive" else amount
        if rate_id in nets and abs(nets[rate_id] - net) > room:
            detail = f"Net amount of rate {rate_id} ({rate.name}): computed {net}, given {nets[rate_id]}."
            raise business(detail, "TxnTaxDetail")
        total += tax
        tax_lines.append(
            {
                "Amount": tax,
                "DetailType": "TaxLineDetail",
                "TaxLineDetail": {
                    "TaxRateRef": {"value": rate.id, "name": rate.name},
                    "PercentBased": True,
                    "TaxPercent": rate.percent,
                    "NetAmountTaxable": net,
                },
            }
        )
    claimed = (given or {}).get("TotalTax")
    if claimed is not None and claimed != total:
        raise business(f"Total tax: computed {total}, given {claimed}.", "TxnTaxDetail")
    return ({"TotalTax": total, "TaxLine": tax_lines} if tax_lines else {"TotalTax": total}), total
