"""What holds of functions for any arguments: no cent is lost, order is kept, a pattern costs no more than its text."""

from __future__ import annotations

import fnmatch
import re
import time
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.mapping import EvaluationError, Position, compile_expression
from hub.records.money import Money

HERE = Position("f", 1, 1)
QUIET = settings(max_examples=100, deadline=None, database=None, derandomize=True)
CENTS = st.integers(-(10**9), 10**9)
RATES = st.decimals(0, 2, places=4)


def value_of(text: str, **scope: Any) -> Any:
    return compile_expression(text, HERE).evaluate(scope)


def nearest_cent(value: Fraction) -> int:
    size = int(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


@QUIET
@given(CENTS, st.lists(st.integers(0, 10**6) | st.decimals(0, 1000, places=6), min_size=1, max_size=12))
def test_a_split_loses_no_cent_and_is_never_a_cent_off(cents: int, weights: list[Any]) -> None:
    whole = sum(map(Fraction, weights))
    if not whole:
        return

    parts = value_of("split_money(m, w)", m=Money(cents, "EUR"), w=weights)

    assert sum(part.amount for part in parts) == cents
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.amount - Fraction(cents) * Fraction(weight) / whole) < 1


@QUIET
@given(CENTS, RATES)
def test_tax_and_net_make_the_amount_again_and_the_tax_is_rounded_once(cents: int, rate: Decimal) -> None:
    gross = Money(cents, "EUR")

    tax, net = value_of("[tax_in(m, r), net_of(m, r)]", m=gross, r=rate)

    assert tax + net == gross
    assert tax.amount == nearest_cent(Fraction(cents) * Fraction(rate) / (1 + Fraction(rate)))
    assert value_of("portion(m, r)", m=gross, r=rate).amount == nearest_cent(Fraction(cents) * Fraction(rate))


def test_a_tax_at_the_edge_of_two_cents_is_not_rounded_twice() -> None:
    # 0.115 exactly is 0.12; 0.11499999... is 0.11, however many nines there are
    assert value_of("portion(money('1.15', 'EUR'), 0.1)") == Money(12, "EUR")
    assert value_of("portion(money('1.15', 'EUR'), x)", x=Decimal("0.0" + "9" * 29)) == Money(11, "EUR")


@QUIET
@given(st.text("ab*.é", max_size=10), st.text("ab.é", max_size=20))
def test_a_pattern_matches_what_a_file_name_pattern_would(pattern: str, text: str) -> None:
    expected = re.fullmatch(fnmatch.translate(pattern), text) is not None

    assert value_of("matches(t, p)", t=text, p=pattern) is expected


def test_a_pattern_costs_no_more_than_its_text() -> None:
    text, pattern = "a" * 200_000, "*a" * 5_000 + "*b*"
    started = time.process_time()

    found: Any
    try:
        found = value_of("matches(t, p)", t=text, p=pattern)
    except EvaluationError as error:
        found = error.rule

    assert found in (False, "budget")
    assert time.process_time() - started < 2


@QUIET
@given(st.lists(st.fixed_dictionaries({"k": st.none() | st.integers(0, 5), "n": st.integers()}), max_size=20))
def test_sorting_keeps_every_item_and_the_order_of_equal_ones(items: list[dict[str, Any]]) -> None:
    up, down = value_of("[sort(x, 'k'), sort(x, 'k', descending=true)]", x=items)
    known = [item for item in items if item["k"] is not None]
    nameless = [item for item in items if item["k"] is None]

    assert up == sorted(known, key=lambda item: item["k"]) + nameless
    assert down == sorted(known, key=lambda item: -item["k"]) + nameless


@QUIET
@given(st.lists(st.fixed_dictionaries({"k": st.sampled_from("abc"), "n": st.integers()}), max_size=20))
def test_groups_hold_every_item_once(items: list[dict[str, Any]]) -> None:
    groups = value_of("group_by(x, 'k')", x=items)

    assert list(groups) == list(dict.fromkeys(item["k"] for item in items))
    assert all(group == [item for item in items if item["k"] == key] for key, group in groups.items())


@QUIET
@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)), st.integers(-800, 800))
def test_days_months_and_weekdays_agree_with_the_calendar(day: date, count: int) -> None:
    scope = {"d": day.isoformat(), "n": count}

    assert value_of("days_between(d, add_days(d, n)) == n", **scope)
    assert value_of("end_of_month(d) == add_days(start_of_month(add_days(end_of_month(d), 1)), -1)", **scope)
    assert value_of("weekday(d)", **scope) == day.isoweekday()
    assert value_of("format_date(d, 'french')", **scope) == day.strftime("%d/%m/%Y")


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("split_money(money(1, 'EUR'), [])", "value", "not all zero"),
        ("split_money(money(1, 'EUR'), [1, -1])", "value", "not negative"),
        ("split_money(money(1, 'EUR'), [money(1, 'EUR'), money(1, 'USD')])", "money", "different currencies"),
        ("split_money(money(1, 'EUR'), [money(1, 'EUR'), 1])", "type", "or all are money"),
        ("tax_in(money(1, 'EUR'), 20)", "value", "a fraction such as 0.2"),
        ("tax_in(12, 0.2)", "type", "needs money"),
        ("portion(money(1, 'EUR'), null)", "null-value", "the rate of portion"),
        ("sort([1, 'a'])", "type", "cannot compare"),
        ("sort([money(1, 'EUR'), money(1, 'USD')])", "money", "different currencies"),
        ("group_by([{'a': null}], 'a')", "null-value", "group_by 'a' needs text"),
        ("merge({'a': 1}, [1])", "type", "merge needs an object"),
        ("format_date('2026-11-24', 'american')", "value", "there is no pattern"),
        ("format_date('2026-11-24T23:30:00Z', 'iso')", "value", "depends on the zone"),
        ("weekday('2026-02-30')", "value", "not in the calendar"),
        ("[sort(x) for x in [y for y in lists]]", "budget", "too much work"),
    ],
)
def test_what_cannot_be_done_is_said(text: str, rule: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said) as error:
        value_of(text, lists=[list(range(99_999))] * 100 if "lists" in text else None)

    assert error.value.rule == rule
