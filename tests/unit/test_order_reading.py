"""Amounts, dates, sums and taxes of an exported order: read in the one way that fits, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hub.workers import order_taxes
from hub.workers.order_cells import decimal_text
from hub.workers.order_sums import Amounts, NotAdding, Reading, reading
from hub.workers.order_taxes import NotTold, OrderTax, Taxed, spread


@pytest.mark.parametrize(
    ("text", "mark", "found"),
    [
        ("44.60", "auto", "44.60"),
        ("44,60", "auto", "44.60"),
        ("1,234.50", "auto", "1234.50"),
        ("1.234,50", "auto", "1234.50"),
        ("1\u202f234,50", "auto", "1234.50"),
        ("-5", "auto", "-5"),
        ("1,234", ",", "1.234"),
        ("1.234", ".", "1.234"),
    ],
)
def test_amounts_are_read_as_they_are_written(text: str, mark: str, found: str) -> None:
    assert decimal_text(text, mark) == found


@pytest.mark.parametrize(
    ("text", "mark"),
    [("1,234", "auto"), ("1.234", "auto"), ("44,60", "."), ("12 EUR", "auto"), ("1.2.3", "auto"), ("1e3", ".")],
)
def test_an_amount_that_may_be_two_is_refused(text: str, mark: str) -> None:
    with pytest.raises(ValueError, match=r"decimal|amount"):
        decimal_text(text, mark)


def amounts(**changes: object) -> Amounts:
    plain = {
        "lines": (2000, 1000),
        "line_discounts": (0, 0),
        "shipping": 500,
        "tax": 583,
        "discount": 0,
        "duties": 0,
        "total": 3500,
        "subtotal": 3000,
    }
    return Amounts(**{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, Reading(True, (0, 0))),
        ({"tax": 700, "total": 4200}, Reading(False, (0, 0))),
        # of the whole order: in proportion
        ({"discount": 300, "total": 3200, "subtotal": 2700}, Reading(True, (200, 100))),
        # the lines' own, told again for the order
        ({"discount": 300, "line_discounts": (300, 0), "total": 3200, "subtotal": 2700}, Reading(True, (300, 0))),
        # the lines' own, and one of the order beside them
        ({"discount": 300, "line_discounts": (500, 0), "total": 2700, "subtotal": 2200}, Reading(True, (680, 120))),
        ({"discount": 500, "total": 3000}, Reading(True, (0, 0), 500)),
    ],
)
def test_sums_tell_what_prices_and_discounts_are(changes: dict[str, object], found: Reading) -> None:
    assert reading(amounts(**changes), "auto") == found


def test_sums_that_fit_in_no_way_or_in_two_are_not_read() -> None:
    with pytest.raises(NotAdding, match="do not add up") as error:
        reading(amounts(total=3400), "auto")
    assert error.value.found == 3500
    with pytest.raises(NotAdding, match="more than one way"):
        reading(amounts(discount=500, total=3000, subtotal=None), "auto")
    with pytest.raises(NotAdding, match="do not add up"):
        reading(amounts(), False)


FULL, LOW = OrderTax("20%", Decimal("0.2"), 333), OrderTax("5.5%", Decimal("0.055"), 52)


def test_taxes_go_to_the_only_lines_that_come_to_them() -> None:
    lines = [Taxed(2000, True), Taxed(1000, True), Taxed(0)]
    assert spread(lines, [FULL, LOW], included=True) == [[(0, 333)], [(1, 52)], []]
    assert spread([Taxed(1000, True), Taxed(2000, True)], [FULL, LOW], included=True) == [[(1, 52)], [(0, 333)]]


def test_two_taxes_may_be_on_the_same_line() -> None:
    state, county = OrderTax("6.25%", Decimal("0.0625"), 625), OrderTax("1%", Decimal("0.01"), 100)
    assert spread([Taxed(10000, True), Taxed(700)], [state, county], included=False) == [[(0, 625), (1, 100)], []]


def test_a_tax_rounded_for_the_whole_order_keeps_its_sum() -> None:
    lines = [Taxed(1001, True), Taxed(1001, True), Taxed(1001, True)]  # 166.83 each: 167 by the line, 500 in all
    found = spread(lines, [OrderTax("20%", Decimal("0.2"), 500)], included=True)
    assert sorted(amount for [(_, amount)] in found) == [166, 167, 167]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([Taxed(2000, True), Taxed(2000, True)], "no way"),
        ([Taxed(2000, False), Taxed(1000, True)], "no way"),
        ([Taxed(2000), Taxed(2000), Taxed(1000)], "more than one way"),
        ([Taxed(2000, True), Taxed(-1000, True)], "more than the line"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(lines: list[Taxed], reason: str) -> None:
    with pytest.raises(NotTold, match=reason):
        spread(lines, [FULL, LOW], included=True)


def test_an_order_with_too_many_ways_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_taxes, "MAX_WAYS", 100)
    with pytest.raises(NotTold, match="there are 243 ways to give its 2 taxes to its 5 lines"):
        spread([Taxed(1000, True)] * 5, [FULL, LOW], included=True)
