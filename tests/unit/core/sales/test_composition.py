"""The arithmetic of documents: parts that add up to the whole, whatever the numbers."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.ledger.rules import load_rules
from hub.core.sales.composition import (
    Amounts,
    Coding,
    Composition,
    Regime,
    adjustment_parts,
    gross,
    refunded_line,
    share,
)
from hub.core.sales.regions import Destination, destination, region_of, vat_country
from hub.records.order import Address, Party

REGIME = Regime(load_rules(), Destination("FR", True, False), included=True, oss=True, taxed=True)
AMOUNTS = st.integers(-10_000_000, 10_000_000)


def coding(rate: str, source: str = "L1") -> Coding:
    account, vat_code, tax_account = REGIME.code("product", rate)
    return Coding(source, "product", account, vat_code, tax_account, rate)


@given(AMOUNTS, st.integers(1, 1000), st.data())
def test_what_is_kept_and_what_is_taken_away_add_up_to_the_line(amount: int, of: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, of))
    part = share(amount, kept, of)
    assert share(amount, of, of) == amount
    assert share(amount, 0, of) == 0
    assert share(-amount, kept, of) == -part
    assert abs(Decimal(part) - Decimal(amount) * kept / of) <= Decimal("0.5")


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(1, 100_000), st.sampled_from(["0.2", "0.1", "0.055"])), min_size=1, max_size=5),
    st.data(),
)
def test_an_amount_given_back_never_takes_more_of_a_rate_than_is_left(
    lines: list[tuple[int, str]], data: st.DataObject
) -> None:
    sold: Composition = {}
    for index, (net, rate) in enumerate(lines):
        sold[coding(rate, f"L{index}")] = Amounts(1, net, int(net * Decimal(rate)))
    credited: Composition = {}
    whole = gross(sold.values())
    for number in range(3):
        left = whole - gross(credited.values())
        amount = data.draw(st.integers(0, left)) if number < 2 else left
        parts = adjustment_parts(f"R{number}", amount, 0, sold, credited, REGIME)
        assert parts is not None
        assert gross(parts.values()) == amount
        for key, part in parts.items():
            before = credited.get(key, Amounts(0, 0, 0))
            credited[key] = Amounts(0, before.net + part.net, before.tax + part.tax)
    totals: dict[str | None, list[int]] = {}
    for sign, composition in ((1, sold), (-1, credited)):
        for key, part in composition.items():
            known = totals.setdefault(key.vat_code, [0, 0])
            known[0] += sign * part.net
            known[1] += sign * part.tax
    assert all(value == [0, 0] for value in totals.values())
    assert adjustment_parts("R9", 1, 0, sold, credited, REGIME) is None


def test_a_refunded_tax_is_split_over_the_taxes_of_the_line() -> None:
    first, second = coding("0.2"), coding("0.055")
    parts: Composition = {first: Amounts(2, 1000, 200), second: Amounts(0, 0, 55)}
    assert refunded_line(parts, 1, 500, 128) == {first: Amounts(1, 500, 100), second: Amounts(0, 0, 28)}


def test_a_vat_number_is_known_by_its_form() -> None:
    assert vat_country("BE 0123.456.749") == "BE"
    assert vat_country("EL123456789") == "GR"
    assert vat_country("XI123456789") == "GB"
    assert vat_country("US123456789") is None
    assert vat_country("hello") is None
    assert vat_country(None) is None


def test_northern_ireland_is_inside_for_goods_and_the_rest_of_the_kingdom_is_not() -> None:
    belfast = destination(Address(country="GB", postcode="BT1 5GS"), None, Party())
    london = destination(Address(country="GB", postcode="SW1A 1AA"), None, Party())
    assert region_of(belfast, True, oss=True) == "eu_consumer"
    assert region_of(london, False, oss=True) == "export"
