"""Posting rules of a chart: which account a sale, its tax, its payment or its rounding goes to."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.core.errors import CoreError

_CHARTS = Path(__file__).parent / "charts"
_ANY_RATE = "*"

#: rate as text (`0.2`), or `*` for any rate above zero
Rates = dict[str, str | None]


class UnmappedTax(CoreError):
    """A rate that the rules do not know in its region."""

    kind = "tax.unmapped"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Account(_Part):
    """One account of the chart. `min_balance` in minor units: the balance may not fall below it."""

    code: str
    name: str
    min_balance: int | None = None


class Region(_Part):
    """Where a sale is taxed: the VAT account of each rate (null: no tax is due), and the code that reports use."""

    vat_code: str
    vat: Rates


class Clearing(_Part):
    """Accounts of what payment providers owe us, by gateway."""

    default: str
    gateways: dict[str, str]


class Rules(_Part):
    """A chart of accounts with its posting rules. Regions: `domestic`, `eu_business`, `eu_consumer`, `export`."""

    name: str
    currency: str
    accounts: list[Account]
    regions: dict[str, Region]
    sales: dict[str, dict[str, str | Rates]]
    untaxed: dict[str, str]
    receivable: dict[str, str]
    clearing_accounts: Clearing = Field(alias="clearing")
    rounding_accounts: dict[str, str] = Field(alias="rounding")
    deposits: str
    fees: str
    suspense: str
    journals: dict[str, str]
    series: dict[str, str]

    @model_validator(mode="after")
    def _accounts_are_known(self) -> Rules:
        known = {account.code for account in self.accounts}
        unknown = sorted(self._named() - known)
        if unknown:
            raise ValueError(f"rules name accounts that the chart does not have: {', '.join(unknown)}")
        return self

    def _named(self) -> set[str]:
        named = {self.deposits, self.fees, self.suspense, self.clearing_accounts.default}
        named.update(self.untaxed.values(), self.receivable.values(), self.rounding_accounts.values())
        named.update(self.clearing_accounts.gateways.values())
        for region in self.regions.values():
            named.update(code for code in region.vat.values() if code)
        for by_region in self.sales.values():
            for accounts in by_region.values():
                named.update([accounts] if isinstance(accounts, str) else [code for code in accounts.values() if code])
        return named

    def sale(self, kind: str, region: str, rate: Decimal) -> str:
        """Account of a line of this kind (product, shipping, fee, tip, gift_card), sold at this rate (a fraction)."""
        if kind in self.untaxed:
            return self.untaxed[kind]
        self._rate(region, rate)
        accounts = self.sales[kind][region]
        if isinstance(accounts, str):
            return accounts
        code = _of_rate(accounts, rate)
        if not code:
            raise self._unmapped(region, rate)
        return code

    def vat(self, region: str, rate: Decimal) -> str | None:
        """Account of the tax; None when none is due."""
        return self._rate(region, rate)

    def vat_code(self, region: str, rate: Decimal, country: str | None = None) -> str:
        """What VAT reports group by: `FR-20`, `OSS-DE-19`, `EU-B2B`, `EXPORT`."""
        self._rate(region, rate)
        parts = [self.regions[region].vat_code]
        if region == "eu_consumer" and country:
            parts.append(country)
        if rate:
            parts.append(f"{(rate * 100).normalize():f}")
        return "-".join(parts)

    def clearing(self, gateway: str) -> str:
        """Account of what a payment provider owes us; an unknown one has the account of all others."""
        return self.clearing_accounts.gateways.get(gateway, self.clearing_accounts.default)

    def rounding(self, sign: int) -> str:
        """Account of a rounding difference: `sign` above zero when it is debited (a loss)."""
        return self.rounding_accounts["loss" if sign > 0 else "gain"]

    def _rate(self, region: str, rate: Decimal) -> str | None:
        found = self.regions.get(region)
        if found is None or not _has_rate(found.vat, rate):
            raise self._unmapped(region, rate)
        return _of_rate(found.vat, rate)

    def _unmapped(self, region: str, rate: Decimal) -> UnmappedTax:
        percent = f"{(rate * 100).normalize():f} %"
        return UnmappedTax(
            f"a tax of {percent} has no account for {region} in the chart {self.name}: correct the tax in the shop, or add "
            "the rate to the chart",
            details={"region": region, "rate": str(rate), "chart": self.name},
            answers=[{"answer": "retry", "needs": [], "text": "The shop or the chart is corrected: try again"}],
        )


def _key(rates: Rates, rate: Decimal) -> str:
    exact = f"{rate.normalize():f}"
    return _ANY_RATE if exact not in rates and rate > 0 else exact


def _has_rate(rates: Rates, rate: Decimal) -> bool:
    return _key(rates, rate) in rates


def _of_rate(rates: Rates, rate: Decimal) -> str | None:
    return rates.get(_key(rates, rate))


@cache
def load_rules(chart: str = "fr") -> Rules:
    """The rules of a chart that comes with the hub."""
    path = _CHARTS / f"{chart}.yaml"
    if not chart.isidentifier() or not path.is_file():
        known = ", ".join(sorted(found.stem for found in _CHARTS.glob("*.yaml")))
        raise CoreError(f"there is no chart of accounts {chart!r}: give one of {known}", kind="chart.unknown")
    return Rules.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
