"""Generated expressions: they agree with a second reading of the language, are of the type that the check infers, and whatever
is written, however wrong, ends in a value or in an error with a place, and never reaches Python.

The same examples each time; `HUB_TEST_FULL=1` takes fifty times as many, drawn anew, and prints how to see a failure again.
"""

from __future__ import annotations

import os
import re
import sys
import time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import expression_oracle as oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hub.mapping import FUNCTIONS, Position, SourceError, compile_expression, load_document
from hub.mapping.budget import MAX_ITEMS, MAX_TEXT
from hub.mapping.check import Scope, check_expression
from hub.mapping.functions.dates import _known_zone
from hub.mapping.schema_file import load_schema
from hub.records.money import Money
from hub.records.schema import Kind, Type, fits

HERE = Position("fuzz.yaml", 1, 1)
FULL = os.environ.get("HUB_TEST_FULL") == "1"


def examples(count: int) -> Any:
    return settings(
        max_examples=count * (50 if FULL else 1), deadline=None, database=None, derandomize=not FULL, print_blob=True
    )


ORACLE = Scope({"record": load_schema(oracle.SCHEMA, "oracle.yaml").type}, "record")


# -- the same values as another reading --------------------------------------------------------------------------------------


@examples(400)
@given(oracle.well_typed(), oracle.records())
def test_a_well_typed_expression_has_the_value_of_another_reading(pair: oracle.Pair, record: dict[str, Any]) -> None:
    text, tree = pair
    assume(len(text) < 5_000)
    try:
        expected: Any = oracle.value_of(tree, oracle.plain(record))
    except oracle.Refused:
        expected = oracle.Refused
    except oracle.TooBig:
        return
    try:
        value = compile_expression(text, HERE).evaluate(record)
        made: Any = oracle.plain(value)
    except SourceError as error:
        if error.rule == "limit":
            return
        made = oracle.Refused

    assert made == expected, text
    checked = check_expression(text, HERE, ORACLE)
    assert checked.type.kind is not Kind.ANY
    assert {each.rule for each in checked.problems} <= {"float-money", "constant-condition"}, text
    if made is not oracle.Refused:
        assert fits(value, checked.type) == [], text


# -- of the type that was inferred -------------------------------------------------------------------------------------------

SCHEMA = load_schema(
    """
schema: shop.order
types:
  sum: {amount: amount, currencyCode: {choices: [EUR]}}
  price: {shopMoney: sum, "presentmentMoney?": sum}
record:
  id: text
  note: text?
  count: whole
  rate: number
  paid: bool
  at: instant
  day: date
  status: {choices: [OPEN, PAID]}
  gross: money
  tip: money?
  total: price
  "customer?": {name: text?, address: {city: text, zip: text?}}
  lines: [{sku: text?, quantity: whole, net: money, price: price}]
  "refunds?": [{reason: text?, lines: [whole]}]
  rates: {"*": number}
  extra: any
""",
    "schema.yaml",
).type


def values_of(type_: Type) -> st.SearchStrategy[Any]:
    """Values that fit a type; a field that may be null may be missing too."""
    made: st.SearchStrategy[Any]
    if type_.kind is Kind.OBJECT:
        always = {name: values_of(inner) for name, inner in type_.fields.items() if not inner.nullable}
        perhaps = {name: values_of(inner) for name, inner in type_.fields.items() if inner.nullable}
        made = st.fixed_dictionaries(always, optional=perhaps)
        if type_.rest is not None:
            made = st.dictionaries(st.sampled_from(["FR", "DE", "a"]), values_of(type_.rest), max_size=3)
    elif type_.kind is Kind.LIST:
        made = st.lists(values_of(type_.item or SCHEMA.fields["extra"]), max_size=3)
    elif type_.choices:
        made = st.sampled_from(type_.choices)
    else:
        made = _SINGLE[type_.form or type_.kind]
    return st.none() | made if type_.nullable else made


_SINGLE: dict[str, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.sampled_from(["", "a", "MUG-01", "12.50", "2026-11-24"]) | st.text("ab1 ", max_size=4),
    Kind.WHOLE: st.integers(-3, 5),
    Kind.NUMBER: st.integers(-3, 5) | st.decimals(-5, 5, places=2),
    Kind.BOOL: st.booleans(),
    Kind.MONEY: st.integers(-999, 999).map(lambda cents: Money(cents, "EUR")),
    Kind.ANY: st.none() | st.sampled_from([1, "a", True, [], ["a"], {"a": 1}, {}, Decimal("1.5"), Money(5, "EUR")]),
    "instant": st.just("2026-11-24T10:05:12+01:00"),
    "date": oracle.DAYS,
    "amount": st.decimals(-99, 99, places=2).map(str),
}

PATHS = (
    "id note count rate paid at day status gross tip total customer lines refunds rates extra record null true false x y "
    "customer.name customer.address.city customer.address.zip total.shopMoney.amount total.presentmentMoney.amount "
    "total.presentmentMoney total.shopMoney.currencyCode lines[0] lines[0].sku lines[-1].quantity lines[0].net rates.FR "
    "refunds[0].lines extra.a gross.amount gross.currency tip.amount x.sku x.quantity x.net x.price y.lines"
).split()
LITERALS = [
    "1",
    "0",
    "2.5",
    "-1",
    "''",
    "'a'",
    "'PAID'",
    "'EUR'",
    "[]",
    "{}",
    "'2026-11-24'",
    "['a', null]",
    "{'a': 1}",
]
SIGNS = [*"+ - * / // % == != < <= > >= in and or".split(), "not in"]


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(SIGNS), inner),
        st.builds(lambda name, given: f"{name}({', '.join(given)})", st.sampled_from(sorted(FUNCTIONS)), st.lists(inner, min_size=1, max_size=3)),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({0} if {1} != null else {2})".format, inner, st.sampled_from(PATHS[:-10]), inner),
        st.builds("[{} for x in {}]".format, inner, inner | st.just("lines")),
        st.builds("[{} for x in {} for y in {} if {}]".format, inner, inner, st.just("refunds") | inner, inner),
        st.builds("{{{}: {} for x in lines}}".format, inner, inner),
        st.builds("{{'a': {}, 'b': {}}}".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(["a", "b", "amount", "sku", "currency"])),
        st.builds("default({}, {})".format, inner, inner),
        st.builds("first({})".format, inner),
        inner.map("(not {})".format),
        inner.map("(-{})".format),
    )  # fmt: skip


EXPRESSIONS = st.recursive(st.sampled_from(PATHS) | st.sampled_from(LITERALS), grown, max_leaves=10)


# Expressions that mostly mean something, by what they give (or null): templates, in which T is a text, N a number, M money,
# B a condition, L a list, O an object, P a path that may be null, and E anything.
TEMPLATES = {
    "T": "id;note;status;day;customer.name;customer.address.city;customer.address.zip;first(lines).sku;gross.currency;tip.currency;"
    "'a';'MUG-01';lines[0].sku;refunds[0].reason;total.shopMoney.amount;total.presentmentMoney.amount;upper(T);T + T;left(T, 2);"
    "T if B else T;default(T, T);join([T, T], T);lookup({'a': T}, T);lookup({'a': T}, T, T);text(N);split(T, 'a')[0];last(L).sku;"
    "P if P != null else T;T or T;T and T;max(T, T);first([T]);[T, T][1];add_days(day, 3);end_of_month(day);date(at, 'UTC');"
    "instant(at);format_date(day, 'french');first(keys(rates));first(sort([T, T]));merge(O, {'a': T}).a;{'a': T}.a;{'a': T}.b;pad(T, 3);"
    "replace(T, 'a', T);slug(T);O.name;first([x.sku for x in L]);E if T == null else T;first(unique([T, T]));pick({'a': T}, [T]).a",
    "N": "count;rate;1;2.5;lines[0].quantity;first(lines).quantity;rates.FR;rates[T];refunds[0].lines[0];gross.amount;tip.amount;N + N;"
    "N - N;N * N;N / N;N // N;N % N;-N;abs(N);round(N);round(N, 1);len(E);len(L);sum([N, N]);sum([x.quantity for x in L]);number(T);"
    "number(total.shopMoney.amount);amount(M);default(N, N);N if B else N;min(N, N);max([x.quantity for x in L]);min([N]);"
    "days_between(day, day);weekday(day);P if exists(P) else N;first(sort([N, N]));N or N;lookup(rates, T);flatten([[N], null])[0];"
    "(count if paid else rate);sum(first(refunds).lines);M.amount",
    "M": "gross;tip;lines[0].net;first(lines).net;last(lines).net;M + M;M - M;M * count;-M;abs(M);default(M, M);M if B else M;tax_in(M, 0.2);"
    "net_of(M, rate);portion(M, 0.1);sum_money([x.net for x in lines], 'EUR');split_money(M, [1, N])[0];first(split_money(M, [1, 2]));"
    "money(total.shopMoney.amount, 'EUR');money(N, 'EUR');min(M, M);max([x.net for x in L]);tip if tip != null or B else gross;"
    "tip if not (tip == null) else gross;gross if tip == null and B else tip;tip if tip > gross else tip",
    "B": "paid;true;B and B;B or B;not B;T == T;T != null;P == null;exists(P);N < N;M > M;T in [T, T];N in [N];E == E;status == 'PAID';"
    "contains(T, T);matches(T, 'a*');starts_with(T, T);len(L) > 0;T in O;B if B else B;P != null and P != null;not (P == null or B)",
    "L": "lines;refunds;default(refunds, []);[];[E, E];[E for x in L];[x for x in lines if x.sku != null];sort([N, N]);sort(lines, 'quantity');"
    "unique([T, T]);flatten([L, L]);split(T, 'a');keys(O);L + L;L if B else L;[x.net for x in lines];default(L, L);refunds[0].lines;"
    "[x.sku for x in L];[y for x in lines for y in L if B];split_money(M, [N, 1])",
    "O": "customer;total;total.presentmentMoney;customer.address;lines[0];first(L);{'a': E};{'a': E, 'b': E};merge(O, O);pick(O, ['name', 'a']);"
    "omit(O, ['name']);O if B else O;default(O, O);group_by(lines, 'sku');rates;{T: N for x in lines};L[0];lookup({'a': O}, T);refunds[-1]",
    "P": "note;customer;customer.name;customer.address.zip;tip;refunds;refunds[0];refunds[0].reason;total.presentmentMoney;lines[0];"
    "lines[0].sku;extra;extra.a;customer.address.city;total.presentmentMoney.amount",
    "E": "T;N;M;B;L;O;P;T;N;M",
}  # fmt: skip
_HOLE = re.compile(r"\b[TNMBLOPE]\b(?!')")


@cache
def meaning(kind: str, depth: int) -> st.SearchStrategy[str]:
    """Expressions of a kind."""
    templates = TEMPLATES[kind].split(";")
    plain = [each for each in templates if not _HOLE.search(each)]
    made = [st.sampled_from(plain)] if plain else []
    if depth or not plain:
        # a template has its holes filled from left to right
        holed = st.sampled_from([each for each in templates if _HOLE.search(each)])
        made += [holed.flatmap(lambda template: filled(template, max(depth - 1, 0)))] * 3
    return st.one_of(made)


def filled(template: str, depth: int) -> st.SearchStrategy[str]:
    """A template with an expression in each hole; `P` is the same path all through it."""
    kinds = [kind for kind in _HOLE.findall(template) if kind != "P"]
    parts = st.tuples(meaning("P", 0), *(meaning(kind, depth) for kind in kinds))

    def fill(given: tuple[str, ...]) -> str:
        path, rest = given[0], iter(given[1:])
        return "(" + _HOLE.sub(lambda hole: path if hole[0] == "P" else next(rest), template) + ")"

    return parts.map(fill)


@examples(400)
@given(meaning("E", 3) | EXPRESSIONS, st.lists(values_of(SCHEMA), min_size=1, max_size=3))
def test_a_value_is_of_the_type_that_was_inferred(text: str, given_records: list[dict[str, Any]]) -> None:
    try:
        expression = compile_expression(text, HERE, names=["record"], fields_of="record")
    except SourceError:
        return  # a loop's name outside its loop is a field of the record here: only the syntax can be wrong
    type_ = check_expression(text, HERE, Scope({"record": SCHEMA}, "record")).type
    for record in given_records:
        try:
            value = expression.evaluate({"record": record})
        except SourceError:
            continue
        assert fits(value, type_) == [], f"{text} is {type_} and gave {value!r}"


# -- anything at all -----------------------------------------------------------------------------------------------------------


class Watch:
    """Sees what the interpreter is asked to do while an expression is evaluated: nothing."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.hook)  # for the life of the process: there is no way to take one away

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event not in ("gc.get_objects", "sys.unraisablehook"):
            self.seen.append(event)


@pytest.fixture(scope="module")
def watch() -> Watch:
    for zone in ("Europe/Paris", "UTC", "EUR", "a"):
        _known_zone(zone)  # the files of time zones are read once
    return Watch()


def caps_hold(value: Any) -> bool:
    """No text and no list is longer than allowed, and nothing but the language's own values is there."""
    if isinstance(value, dict | list | tuple):
        inner = list(value.values()) if isinstance(value, dict) else value
        return len(value) <= MAX_ITEMS and all(map(caps_hold, inner))
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or type(value) in (bool, int, Decimal, Money)


# What the place of an error is found with: it reads the frames of the traceback, and the text again.
_LOCATING = {"object.__getattr__", "compile"}


def ends_well(watch: Watch, text: str, scope: dict[str, Any]) -> None:
    started = time.monotonic()
    failed: SourceError | None = None
    watch.seen = []
    try:
        expression = compile_expression(text, HERE)
        watch.on = True
        value = expression.evaluate(scope)
    except SourceError as error:
        failed = error
    finally:
        watch.on = False
    if failed is None:
        assert caps_hold(value), text
        assert watch.seen == [], text
    else:
        assert set(watch.seen) <= _LOCATING, text
        assert (failed.file, failed.line >= 1, failed.column >= 1) == ("fuzz.yaml", True, True)
        assert failed.rule
        assert failed.message
    # far above what the budget allows on any machine; a hang is a failure, not a time-out of the whole run
    assert time.monotonic() - started < 10, text


VALUES = st.recursive(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 10**60, Decimal("1e-90"), Decimal("NaN"), "", "a", "x" * 300, Money(1, "EUR")]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "sku", "__class__"]), inner, max_size=2)
    ),
    max_leaves=6,
)
NAMES = "id note count rate paid at day status gross tip total customer lines refunds rates extra record x y".split()
SCOPES = st.lists(VALUES, min_size=3, max_size=8).map(
    lambda values: {name: values[at % len(values)] for at, name in enumerate(NAMES)}
)


@examples(250)
@given(EXPRESSIONS, SCOPES)
def test_an_expression_over_any_values_ends_well(watch: Watch, text: str, scope: dict[str, Any]) -> None:
    ends_well(watch, text, scope)


def leaves(value: Any) -> list[str]:
    """All texts in plain data."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for each in inner for leaf in leaves(each)]


MAPPINGS = sorted((Path(__file__).parents[3] / "mappings").glob("*/*.yaml"))
SHIPPED = sorted(
    {leaf for file in MAPPINGS for leaf in leaves(load_document(file.read_text("utf-8"), "").value) if len(leaf) > 12}
)
ATTACKS = [
    "().__class__", "x.__class__.__mro__", "''.format(x)", "'{0.__class__}'.format(x)", "__import__('os')", "eval('1')",
    "open('/etc/passwd')", "exec", "lambda: x", "(lambda: 0)()", "[y := 1]", "f'{x}'", "x.__globals__", "_get", "_field(x)",
    "_call_upper('a')", "record.items()", "globals()", "getattr(x, 'a')", "print(x)", "x if y", "*x", "**x", "x; y", "import os",
    "yield x", "await x", "v1", "_constant_0", "scope", "run", "while 1: x", "x = 1", "del x", "10 ** 10 ** 10", "'a' * 10 ** 9",
    "x\n\u2028y", "\\x41", "0x10", "1_000", "1j", "...", "None", "True", "print", "async", "match x", "b'a'", "`x`", "{x}",
]  # fmt: skip
PIECES = [
    *"()[]{}'\".,:+-*/%<>=!#\\ \n\t_é\u2028\x00",
    "__",
    " for x in ",
    " if ",
    " else ",
    " and ",
    " in ",
    "null",
    "x",
    "1e99",
    "lines",
]


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A real expression, or an attack, with pieces cut out, doubled, or put in."""
    text = draw(st.sampled_from(SHIPPED) | st.sampled_from(ATTACKS))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 8))
        put = draw(st.sampled_from(PIECES) | st.sampled_from(ATTACKS) | st.just(text[at : at + length]))
        text = text[:at] + put + text[at + draw(st.sampled_from([0, length])) :]
    return text


@examples(400)
@given(spoiled(), SCOPES)
def test_a_spoiled_expression_ends_well(watch: Watch, text: str, scope: dict[str, Any]) -> None:
    ends_well(watch, text, scope)


@examples(150)
@given(spoiled())
def test_the_check_never_fails_on_what_compiles(text: str) -> None:
    try:
        compile_expression(text, HERE)
    except SourceError:
        assert check_expression(text, HERE, Scope({})).problems is not None
        return
    for problem in check_expression(text, HERE, Scope({"record": SCHEMA}, "record")).problems:
        assert problem.line >= 1
        assert problem.column >= 1


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_refused_or_is_only_a_value(watch: Watch, text: str) -> None:
    ends_well(watch, text, {key: {"a": 1} for key in NAMES})


def test_the_watch_sees_what_reaches_the_interpreter(watch: Watch) -> None:
    watch.on, watch.seen = True, []
    try:
        compile("1", "here", "eval")
    finally:
        watch.on = False

    assert watch.seen == ["compile"]
