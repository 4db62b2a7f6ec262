"""The French chart answers with the accounts that the posting patterns name, and asks when it does not know."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hub.core.errors import CoreError
from hub.core.ledger.rules import Rules, UnmappedTax, load_rules

RULES = load_rules("fr")


@pytest.mark.parametrize(
    ("kind", "region", "rate", "account"),
    [
        ("product", "domestic", "0.2", "707100"),
        ("product", "domestic", "0.20", "707100"),
        ("product", "domestic", "0.1", "707110"),
        ("product", "domestic", "0.055", "707155"),
        ("product", "domestic", "0.021", "707121"),
        ("product", "eu_business", "0", "707200"),
        ("product", "eu_consumer", "0.19", "707300"),
        ("product", "export", "0", "707400"),
        ("shipping", "domestic", "0.2", "708510"),
        ("shipping", "eu_business", "0.0", "708520"),
        ("shipping", "eu_consumer", "0.21", "708530"),
        ("shipping", "export", "0", "708540"),
        ("fee", "domestic", "0.2", "708510"),
        ("gift_card", "domestic", "0", "419710"),
        ("tip", "export", "0", "758200"),
    ],
)
def test_account_of_a_sale(kind: str, region: str, rate: str, account: str) -> None:
    assert RULES.sale(kind, region, Decimal(rate)) == account


@pytest.mark.parametrize(
    ("region", "rate", "account", "code"),
    [
        ("domestic", "0.2", "445711", "FR-20"),
        ("domestic", "0.10", "445712", "FR-10"),
        ("domestic", "0.055", "445713", "FR-5.5"),
        ("domestic", "0.021", "445714", "FR-2.1"),
        ("eu_consumer", "0.255", "445771", "OSS-FI-25.5"),
        ("eu_business", "0", None, "EU-B2B"),
        ("export", "0", None, "EXPORT"),
    ],
)
def test_account_and_code_of_a_tax(region: str, rate: str, account: str | None, code: str) -> None:
    assert RULES.vat(region, Decimal(rate)) == account
    assert RULES.vat_code(region, Decimal(rate), "FI") == code


@pytest.mark.parametrize(
    ("region", "rate"),
    [
        ("domestic", "0.196"),
        ("domestic", "0"),
        ("eu_consumer", "0"),
        ("export", "0.2"),
        ("eu_business", "0.2"),
        ("moon", "0.2"),
    ],
)
def test_a_tax_without_an_account_is_a_question(region: str, rate: str) -> None:
    for ask in (RULES.vat, RULES.vat_code, lambda *where: RULES.sale("product", *where)):
        with pytest.raises(UnmappedTax) as refusal:
            ask(region, Decimal(rate))
        assert refusal.value.kind == "tax.unmapped"
        assert refusal.value.details == {"region": region, "rate": rate, "chart": "fr"}
        assert refusal.value.answers


@pytest.mark.parametrize(
    ("gateway", "account"),
    [
        ("shopify_payments", "517100"),
        ("stripe", "517100"),
        ("paypal", "517200"),
        ("gift_card", "419710"),
        ("Cash on delivery", "517900"),
    ],
)
def test_clearing_account_of_a_gateway(gateway: str, account: str) -> None:
    assert RULES.clearing(gateway) == account


def test_rounding_is_a_loss_when_debited() -> None:
    assert RULES.rounding(1) == "658000"
    assert RULES.rounding(-1) == "758000"


def test_rules_name_only_accounts_of_their_chart() -> None:
    broken = RULES.model_dump(by_alias=True) | {"fees": "999999"}
    with pytest.raises(ValueError, match="accounts that the chart does not have: 999999"):
        Rules.model_validate(broken)


@pytest.mark.parametrize("chart", ["de", "../fr", ""])
def test_an_unknown_chart_names_those_there_are(chart: str) -> None:
    with pytest.raises(CoreError, match="give one of fr"):
        load_rules(chart)
