"""Arithmetic against an oracle, and random expressions that must never raise anything of Python's own."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.mapping import Position, SourceError, compile_expression
from hub.mapping.functions import FUNCTIONS
from hub.mapping.source import Scalar
from hub.records.money import Money

HERE = Position("file.yaml", 1, 1)
whole = st.integers(-(10**12), 10**12)
decimals = st.decimals(-(10**9), 10**9, places=6, allow_nan=False)
numbers = whole | decimals
QUIET = settings(max_examples=150, deadline=None, database=None, derandomize=True)


def formula(depth):
    leaf = st.sampled_from(["a", "b", "c", "2", "0.5", "1.10"])
    if depth == 0:
        return leaf
    inner = formula(depth - 1)
    binary = st.builds(lambda x, op, y: f"({x} {op} {y})", inner, st.sampled_from("+-*"), inner)
    return leaf | binary | inner.map(lambda x: f"(-{x})")


def outcome(text, scope):
    """The value of an expression, or its error; anything else is raised."""
    try:
        return compile_expression(text, HERE).evaluate(scope), None
    except SourceError as error:
        return None, error


@QUIET
@given(formula(3), numbers, numbers, numbers)
def test_sums_differences_and_products_are_those_of_exact_arithmetic(text, a, b, c):
    oracle_text = text.replace("0.5", "Fraction('0.5')").replace("1.10", "Fraction('1.10')")
    oracle = eval(oracle_text, {"a": Fraction(a), "b": Fraction(b), "c": Fraction(c), "Fraction": Fraction})

    result, error = outcome(text, {"a": a, "b": b, "c": c})
    if error is not None:
        assert error.rule == "limit"
        return

    # Only products reach more than 30 decimal places, where they are rounded.
    assert abs(Fraction(result) - oracle) <= abs(oracle) / 10**20 + Fraction(1, 10**15)
    if "*" not in text:
        assert Fraction(result) == oracle


@QUIET
@given(numbers, numbers)
def test_quotient_and_rest_make_the_number_again(a, b):
    if b == 0:
        return
    scope = {"a": a, "b": b}

    assert compile_expression("(a // b) * b + a % b == a", HERE).evaluate(scope) is True
    assert compile_expression("a // b", HERE).evaluate(scope) == Fraction(a) // Fraction(b)
    assert abs(Fraction(compile_expression("a / b", HERE).evaluate(scope)) - Fraction(a) / Fraction(b)) <= Fraction(
        1, 10**29
    )


@QUIET
@given(decimals, st.integers(0, 6))
def test_rounding_is_half_away_from_zero(number, places):
    scaled = abs(Fraction(number)) * 10**places
    oracle = (scaled + Fraction(1, 2)).__floor__() * (1 if number >= 0 else -1)

    result = compile_expression("round(x, n)", HERE).evaluate({"x": number, "n": places})

    assert Fraction(result) == Fraction(oracle, 10**places)


@QUIET
@given(decimals)
def test_text_and_number_are_inverse(number):
    assert str(compile_expression("number(text(x))", HERE).evaluate({"x": number})) == f"{number:f}".replace("E", "")


names = st.sampled_from(["x", "y", "lines", "money", "none", "null", "true", "text"])
literals = st.sampled_from(["1", "0", "-3", "2.50", "1e40", "1e-40", "'a'", "'2026-11-24'", "'EUR'", "''", "[]", "{}"])
calls = st.sampled_from(sorted(FUNCTIONS))
operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "==", "!=", "<", ">=", "in", "not in", "and", "or"])


def extend(inner):
    return st.one_of(
        st.builds(lambda a, op, b: f"({a} {op} {b})", inner, operators, inner),
        st.builds(lambda name, args: f"{name}({', '.join(args)})", calls, st.lists(inner, max_size=3)),
        st.builds(lambda a, b, c: f"({a} if {b} else {c})", inner, inner, inner),
        st.builds(lambda a, b: f"[{a} for x in {b}]", inner, inner),
        st.builds(lambda a, b, c: f"[{a} for x in {b} for y in {b} if {c}]", inner, inner, inner),
        st.builds(lambda a, b, c: f"{{{a}: {b} for x in {c}}}", inner, inner, inner),
        st.builds(lambda a, b: f"{{{a}: {b}}}", inner, inner),
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.builds(lambda a, b: f"{a}[{b}]", inner, inner),
        inner.map(lambda a: f"{a}.amount"),
        inner.map(lambda a: f"(not {a})"),
        inner.map(lambda a: f"(-{a})"),
    )


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20)
    | st.sampled_from(["2026-11-24T08:12:31Z", "37.10", "gid://shopify/Order/1"])
    | st.builds(Money, st.integers(-(10**6), 10**6), st.sampled_from(["EUR", "JPY", "USD"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def only_our_errors(text, scope):
    _, error = outcome(text, scope)

    if error is not None:
        assert error.line >= 1
        assert error.column >= 1
        assert error.rule
        assert error.message


@QUIET
@given(
    st.recursive(names | literals, extend, max_leaves=12),
    st.fixed_dictionaries(
        {
            "x": values,
            "y": values,
            "lines": st.lists(values, max_size=5),
            "money": values,
            "none": st.none(),
            "text": st.text(max_size=30),
        }
    ),
)
def test_random_expressions_raise_only_errors_with_a_place(text, scope):
    only_our_errors(text, scope)


@QUIET
@given(st.text(max_size=60))
def test_random_text_raises_only_errors_with_a_place(text):
    only_our_errors(text, {})


@QUIET
@given(
    st.lists(
        st.sampled_from(
            [
                "x",
                ".",
                "(",
                ")",
                "[",
                "]",
                "{",
                "}",
                "'",
                '"',
                "\\",
                "\n",
                "#",
                "if ",
                "for ",
                " in ",
                "not ",
                "1",
                ".5",
                "e9",
                "+",
                "*",
                "**",
                ",",
                ":",
                ":=",
                "=",
                "é",
                "\u2028",
                "\ud800",
                "f",
                "_",
                "__",
            ]
        ),
        max_size=25,
    ).map("".join)
)
def test_random_pieces_raise_only_errors_with_a_place(text):
    only_our_errors(text, {"x": {"x": [1]}})


@QUIET
@given(values)
def test_every_function_takes_any_value_or_says_why_not(value):
    for name in FUNCTIONS:
        for arguments in ("x", "x, x", "'a', x", "x, 'EUR'", "x, 2", "[x, x]", "'a,b', ',', x"):
            only_our_errors(f"{name}({arguments})", {"x": value})


@QUIET
@given(st.text(max_size=40).filter(lambda text: "\ud800" not in text), st.integers(0, 40), st.sampled_from(["'", '"']))
def test_any_offset_of_a_scalar_has_a_place(text, offset, style):
    scalar = Scalar(style + text + style, style, text)

    place = Position("f", 1, 1, scalar).inside(offset, text)

    assert place.line >= 1
    assert place.column >= 1
