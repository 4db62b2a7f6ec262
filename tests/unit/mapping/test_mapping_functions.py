"""The functions of the language: each example holds, and the edges that vendors bring."""

from decimal import Decimal

import pytest

from hub.mapping import FUNCTIONS, EvaluationError, Position, compile_expression
from hub.records.money import Money

HERE = Position("file.yaml", 1, 1)
EXAMPLES = [(name, *example) for name, entry in FUNCTIONS.items() for example in entry.examples]


def value(text, **scope):
    return compile_expression(text, HERE).evaluate(scope)


@pytest.mark.parametrize(("name", "text", "expected"), EXAMPLES, ids=[f"{name}-{text}" for name, text, _ in EXAMPLES])
def test_the_example_of_a_function_holds(name, text, expected):
    assert f"{name}(" in text
    assert value(text) == value(expected)
    assert type(value(text)) is type(value(expected))


def test_every_function_is_described():
    for entry in FUNCTIONS.values():
        assert entry.doc.endswith(".")
        assert entry.examples
        assert entry.signature.startswith(entry.name + "(")


@pytest.mark.parametrize(
    "text",
    [
        "upper(x)",
        "lower(x)",
        "trim(x)",
        "replace(x, 'a', 'b')",
        "left(x, 2)",
        "right(x, 2)",
        "pad(x, 4)",
        "text(x)",
        "number(x)",
        "amount(x)",
        "instant(x)",
        "date(x)",
        "date(x, 'Europe/Paris')",
        "add_days(x, 2)",
        "last_segment(x)",
        "first(x)",
        "last(x)",
        "max(x)",
    ],
)
def test_null_stays_null(text):
    assert value(text, x=None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("len(x)", 0),
        ("sum(x)", 0),
        ("split(x, ',')", []),
        ("keys(x)", []),
        ("unique(x)", []),
        ("flatten(x)", []),
        ("join(x, ',')", ""),
        ("sum_money(x, 'EUR')", Money(0, "EUR")),
        ("contains(x, 'a')", False),
        ("lookup(x, 'a', 1)", 1),
        ("lookup({'a': 1}, x)", None),
    ],
)
def test_null_counts_as_empty(text, expected):
    assert value(text, x=None) == expected


@pytest.mark.parametrize(
    "text",
    [
        "round(x)",
        "abs(x)",
        "money(x, 'EUR')",
        "money(1, x)",
        "sha256(x)",
        "max(x, 1)",
        "sum([x])",
        "sum_money([x], 'EUR')",
    ],
)
def test_null_is_refused_where_it_would_hide_a_mistake(text):
    with pytest.raises(EvaluationError):
        value(text, x=None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-24T08:12:31Z", "2026-11-24T08:12:31.000000Z"),
        ("2026-11-24T09:12:31.5+01:00", "2026-11-24T08:12:31.500000Z"),
        ("2026-11-24T03:12:31-0500", "2026-11-24T08:12:31.000000Z"),
        ("2026-11-24 08:12:31+00", "2026-11-24T08:12:31.000000Z"),
        ("2026-11-24t08:12z", "2026-11-24T08:12:00.000000Z"),
        ("2026-11-24T08:12:31.123456789Z", "2026-11-24T08:12:31.123456Z"),
        ("0001-01-02T00:00:00Z", "0001-01-02T00:00:00.000000Z"),
        (1764000000, "2025-11-24T16:00:00.000000Z"),
        (Decimal("1764000000.25"), "2025-11-24T16:00:00.250000Z"),
    ],
)
def test_instants_become_one_form(written, expected):
    assert value("instant(x)", x=written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-24T08:12:31",
        "2026-11-24",
        "24/11/2026 08:12",
        "20261124T081231Z",
        "2026-W48-2T00:00:00Z",
        "",
        "now",
        -1,
        1764000000000,
        True,
    ],
)
def test_what_is_no_instant_is_refused(written):
    with pytest.raises(EvaluationError):
        value("instant(x)", x=written)


def test_a_local_time_needs_its_zone():
    with pytest.raises(EvaluationError) as caught:
        value("instant(x)", x="2026-07-01T10:00:00")

    assert caught.value.hint == 'add one, or give the zone it is meant in: instant(x, "Europe/Paris")'
    assert value("instant(x, 'Europe/Paris')", x="2026-07-01T10:00:00") == "2026-07-01T08:00:00.000000Z"
    assert value("instant(x, 'Europe/Paris')", x="2026-07-01T10:00:00Z") == "2026-07-01T10:00:00.000000Z"


def test_an_hour_that_comes_twice_is_the_first_of_the_two():
    assert value("instant('2026-10-25T02:30:00', 'Europe/Paris')") == "2026-10-25T00:30:00.000000Z"


def test_the_day_of_a_moment_depends_on_the_zone():
    assert value("date('2026-12-31T23:30:00Z', 'Europe/Paris')") == "2027-01-01"
    assert value("date('2026-12-31T23:30:00Z', 'UTC')") == "2026-12-31"
    assert value("date('2026-12-31 23:30:00', 'Europe/Paris')") == "2026-12-31"
    with pytest.raises(EvaluationError) as caught:
        value("date('2026-12-31T23:30:00Z')")
    assert caught.value.hint == 'give one: date(x, "Europe/Paris")'


@pytest.mark.parametrize("written", ["12,50", "1 000", "1e5", "0x1F", "NaN", "Infinity", "", "1_000", "٣", ".5", "1."])
def test_what_is_no_number_is_refused(written):
    with pytest.raises(EvaluationError):
        value("number(x)", x=written)


def test_text_of_numbers_keeps_every_digit_and_never_an_exponent():
    assert value("text(x)", x=Decimal("1E+3")) == "1000"
    assert value("text(x)", x=Decimal("0.000000010")) == "0.000000010"
    assert value("text(x)", x=12345678901234567890) == "12345678901234567890"
    assert value("text(money('500', 'JPY')) + text(money('1.5', 'KWD'))") == "5001.500"


def test_rounding_gives_the_places_that_were_asked_for():
    assert str(value("round(5, 2)")) == "5.00"
    assert str(value("round(2.675, 2)")) == "2.68"
    assert type(value("round(2.5)")) is int


def test_true_and_one_are_not_the_same_in_a_list():
    assert value("unique([1, true, 1.0, 'a', null, 'a', null])") == [1, True, "a", None]


def test_money_of_two_currencies_is_not_summed():
    with pytest.raises(EvaluationError) as caught:
        value("sum_money([money(1, 'EUR'), money(1, 'USD')], 'EUR')")
    assert caught.value.rule == "money"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("sum([money(1, 'EUR')])", "sum_money(list, currency) adds money"),
        ("money(money(1, 'EUR'), 'EUR')", "amount(x) is its decimal amount"),
        ("amount(1)", "money(x, currency) makes money"),
        ("number('1,5')", "replace(x, ',', '.') turns a decimal comma into a point"),
    ],
)
def test_a_wrong_kind_of_value_brings_a_hint(text, hint):
    with pytest.raises(EvaluationError) as caught:
        value(text)
    assert caught.value.hint == hint


def test_an_id_is_the_last_segment_whatever_stands_around_it():
    assert value("last_segment('gid://shopify/Order/1?x=2/3')") == "1"
    assert value("last_segment('1001')") == "1001"
    assert value("last_segment('a/')") == ""
