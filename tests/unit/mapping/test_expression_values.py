"""What expressions give, and how exactly."""

import threading
from decimal import ROUND_UP, Decimal, localcontext

import pytest

from hub.mapping import EvaluationError, Position, SourceError, compile_expression
from hub.records.money import Money

HERE = Position("file.yaml", 1, 1)
ORDER = {
    "name": "#1001",
    "note": None,
    "customer": {"first": "Ada", "last": None, "from": "web", "__typename": "Customer"},
    "lines": [
        {"sku": "MUG", "quantity": 2, "price": Decimal("9.90")},
        {"sku": "TEA", "quantity": 1, "price": Decimal("4.05")},
    ],
    "id": 12345678901234567890,
    "total": Money(3710, "EUR"),
    "flags": [True, False],
}


def value(text, **scope):
    return compile_expression(text, HERE).evaluate(ORDER | scope)


def failure(text, **scope):
    with pytest.raises(EvaluationError) as caught:
        value(text, **scope)
    return caught.value


def refusal(text, **options):
    with pytest.raises(SourceError) as caught:
        compile_expression(text, HERE, **options)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2", "0.3"),
        ("sum([0.1, 0.2, 0.3])", "0.6"),
        ("round(1.005, 2)", "1.01"),
        ("round(-1.005, 2)", "-1.01"),
        ("1.10", "1.10"),
        ("id", "12345678901234567890"),
        ("id + 1", "12345678901234567891"),
        ("id * 1.0", "12345678901234567890.0"),
        ("9007199254740993", "9007199254740993"),
        ("10 / 4", "2.5"),
        ("1 / 3", "0." + "3" * 30),
        ("19.99 * 3", "59.97"),
        ("-7 // 2", "-4"),
        ("-7.5 // 2", "-4"),
        ("-7 % 3", "2"),
        ("-7.5 % 2", "0.5"),
        ("7.5 % -2", "-0.5"),
        ("2 - 0.10", "1.90"),
        ("-lines[0].price", "-9.90"),
        ("+3", "3"),
        ("1e3 + 1", "1001"),
    ],
)
def test_numbers_are_exact(text, expected):
    assert str(value(text)) == expected


def test_the_decimal_context_of_the_caller_plays_no_part():
    with localcontext() as context:
        context.prec = 3
        context.rounding = ROUND_UP

        assert str(value("1234.5678 + 0.0001")) == "1234.5679"
        assert str(value("2 / 3")) == "0." + "6" * 29 + "7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("customer.first", "Ada"),
        ("customer.missing", None),
        ("customer.missing.deeper.still", None),
        ("note.anything", None),
        ("missing_list[3].sku", None),
        ("customer['from']", "web"),
        ('customer["__typename"]', "Customer"),
        ("customer['nothing']", None),
        ("lines[0].sku", "MUG"),
        ("lines[-1].sku", "TEA"),
        ("lines[7].sku", None),
        ("lines[7]", None),
        ("lines[note]", None),
        ("total.amount", 3710),
        ("total.currency", "EUR"),
        ("null", None),
        ("None", None),
        ("true", True),
        ("True", True),
        ("false", False),
        ("'caf\\u00e9'", "café"),
        ("'it\\'s'", "it's"),
        ("'a' + \"b\"", "ab"),
        ("[1] + [2]", [1, 2]),
        ("{'a': 1, 'b': [2]}", {"a": 1, "b": [2]}),
        ("'yes' if lines else 'no'", "yes"),
        ("note or 'none'", "none"),
        ("name and 'named'", "named"),
        ("not note", True),
        ("[l.sku for l in lines]", ["MUG", "TEA"]),
        ("[l.sku for l in lines if l.quantity > 1]", ["MUG"]),
        ("[l.sku for l in note]", []),
        ("[a.sku + b.sku for a in lines for b in lines if a.sku != b.sku]", ["MUGTEA", "TEAMUG"]),
        ("{l.sku: l.quantity for l in lines}", {"MUG": 2, "TEA": 1}),
        ("sum([l.quantity * l.price for l in lines])", Decimal("23.85")),
        ("[[x for x in [name]] for name in [1, 2]]", [[1], [2]]),
        ("[name for x in [1]]", ["#1001"]),
        ("round(value=2.345, places=1)", Decimal("2.3")),
    ],
)
def test_values(text, expected):
    assert value(text, missing_list=None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 == 1.0", True),
        ("1 == '1'", False),
        ("true == 1", False),
        ("0 == false", False),
        ("flags == [1, 0]", False),
        ("flags == [true, false]", True),
        ("{'a': 1} == {'a': 1.0}", True),
        ("[1] == [1, 2]", False),
        ("note == null", True),
        ("null != name", True),
        ("note == 'x'", False),
        ("name != 'x'", True),
        ("null == null", True),
        ("1 == null", False),
        ("total == money('37.10', 'EUR')", True),
        ("total > money('37.09', 'EUR')", True),
        ("total == 3710", False),
        ("1 < 1.5", True),
        ("2 >= 2", True),
        ("1 <= 0", False),
        ("'a' < 'b'", True),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("1 in [1.0]", True),
        ("1 in flags", False),
        ("true in flags", True),
        ("'sku' in lines[0]", True),
        ("'UG' in 'MUG'", True),
        ("3 not in [1]", True),
        ("1 in null", False),
        ("1 in {'1': 2}", False),
    ],
)
def test_comparisons(text, expected):
    assert value(text) is expected


def test_money_adds_and_multiplies_in_one_currency():
    assert value("total + total") == Money(7420, "EUR")
    assert value("total - money(7, 'EUR')") == Money(3010, "EUR")
    assert value("total * 2") == value("2 * total") == Money(7420, "EUR")
    assert value("-total") == Money(-3710, "EUR")
    assert value("'paid' if total else 'free'") == "paid"


def test_currencies_are_never_mixed():
    error = failure("1 + (total + money(1, 'USD')).amount")

    assert (error.rule, error.column, error.expression) == ("money", 6, "total + money(1, 'USD')")
    assert failure("total < money(1, 'USD')").rule == "money"


@pytest.mark.parametrize("text", ["total * 1.5", "total + 1", "total / 2", "total * 'x'", "total.minor", "total < 3"])
def test_money_does_nothing_else(text):
    assert failure(text).rule == "type"


@pytest.mark.parametrize(
    "text", ["total * 9223372036854775807", "total * 10000000000000000 + total * 10000000000000000 * 10"]
)
def test_money_that_no_book_can_hold_is_refused(text):
    assert failure(text).rule == "limit"


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        ("1 + customer.last", 5, "customer.last is null", "use default(customer.last, 0)"),
        ("note * 2", 1, "note is null", "use default(note, 0)"),
        ("-note", 2, "note is null", "use default(note, 0)"),
        ("[1, note < 2]", 5, "note is null", "use default(note, 0), or test it: x != null"),
        ("lines[0].price / (1 - 1)", 19, "1 - 1 is 0", "test it first: x / y if y else 0"),
        ("1 // lines[5].price", 6, "lines[5].price is null", "use default(lines[5].price, 0)"),
    ],
)
def test_an_operand_that_does_not_fit_is_named_and_pointed_at(text, column, message, hint):
    error = failure(text)

    assert (error.column, error.message, error.hint) == (column, message, hint)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("1 + lines[0].sku * 2", 5, "* needs numbers, not text 'MUG'"),
        ("1 + 'x'", 1, "+ needs numbers, not text 'x'"),
        ("true + 1", 1, "+ needs numbers, not true"),
        ("name - 1", 1, "- needs numbers, not text '#1001'"),
        ("'%s' % 1", 1, "% needs numbers, not text '%s'"),
        ("name.length", 1, "text '#1001' has no .length"),
        ("lines.sku", 1, "a list has no .sku"),
        ("name[0]", 1, "text '#1001' cannot be indexed"),
        ("lines['a']", 1, "a list is indexed by a whole number, not text 'a'"),
        ("lines[true]", 1, "a list is indexed by a whole number, not true"),
        ("customer[1]", 1, "a field is named by text, not number 1"),
        ("[x for x in name]", 13, "a loop needs a list, not text '#1001'"),
        ("[x for x in customer]", 13, "a loop needs a list, not an object"),
        ("{l.quantity: 1 for l in lines}", 2, "a key is text, not number 2"),
        ("{1: 2}", 2, "a key is text, not number 1"),
        ("1 < 'a'", 1, "< cannot compare number 1 with text 'a'"),
        ("true < 2", 1, "< cannot compare true with number 2"),
        ("1 in 'abc'", 1, "in a text only text is looked for, not number 1"),
        ("1 in 5", 1, "in needs a list, an object or a text, not number 5"),
        ("upper(upper(5))", 7, "upper needs text, not number 5"),
        ("money(note, 'EUR')", 1, "the amount of money is null"),
        ("money('1.999', 'EUR')", 1, "1.999 EUR has more than 2 decimal places"),
        ("money(1, 'XXX')", 1, "unknown currency 'XXX': give an ISO 4217 code such as EUR"),
        ("[instant('2026-13-01T00:00:00Z')]", 2, "text '2026-13-01T00:00:00Z' is not in the calendar"),
    ],
)
def test_a_run_time_error_points_at_the_failing_sub_expression(text, column, message):
    error = failure(text)

    assert (error.line, error.column, error.message) == (1, column, message)


def test_a_name_that_is_not_given_is_an_error():
    error = failure("1 + nowhere")

    assert (error.rule, error.column, error.message) == ("unknown-name", 5, "nowhere is not given here")


def test_unknown_names_are_found_before_running_where_names_are_declared():
    error = refusal("1 + invoise.total", names=("invoice", "clock"))

    assert (error.rule, error.column, error.hint) == ("unknown-name", 5, "did you mean invoice?")
    assert refusal("upper", names=()).hint == "a function is called: upper(value)"


def test_other_names_can_be_the_fields_of_a_record():
    expression = compile_expression(
        "total + default(missing, 0) + settings.fee", HERE, names=("settings",), fields_of="record"
    )

    assert expression.evaluate({"record": {"total": 1, "settings": 5}, "settings": {"fee": 2}}) == 3
    assert compile_expression("record.total", HERE, fields_of="record").evaluate({"record": {"total": 1}}) == 1


def test_functions_have_names_of_their_own():
    assert value("sum([sum]) + len(date)", sum=1, date=[2]) == 2


@pytest.mark.parametrize(
    ("text", "rule", "column", "hint"),
    [
        ("1 + uper(name)", "unknown-function", 5, "did you mean upper?"),
        ("name.upper()", "not-allowed", 1, "write upper(x)"),
        ("round(1, 2, 3)", "arguments", 1, "it is round(value, places=0)"),
        ("round(1, digits=3)", "arguments", 1, "it is round(value, places=0)"),
        ("upper()", "arguments", 1, "it is upper(value)"),
        ("a && b", "syntax", 3, "write `and`"),
        ("a || b", "syntax", 3, "write `or`"),
        ("!a", "syntax", 1, "write `not`"),
        ("a ? b : c", "syntax", 3, "write `a if condition else b`; a dotted path passes over null by itself"),
        ("a is null", "not-allowed", 1, "write == null"),
        ("f'{a}'", "not-allowed", 1, "join texts with +, e.g. 'N' + text(number)"),
        ("a = 1", "syntax", 1, "== compares; a named argument stands only in a call"),
        ("order.from", "syntax", 7, 'a field with the name of a reserved word is read as x["from"]'),
        ("sum(x for x in y)", "not-allowed", 4, "write [... for x in list]"),
        ("a[1:2]", "not-allowed", 3, "left(x, n) and right(x, n) give parts of a text"),
        ("a, b", "not-allowed", 1, "write [a, b]"),
        ("", "syntax", 1, "an empty text is written \"''\""),
        ("a +", "syntax", 3, ""),
        ("(a", "syntax", 1, "inside { } of YAML an expression that holds a comma is quoted as a whole"),
        ("a)", "syntax", 2, ""),
        ("1) + (2", "syntax", 2, ""),
        ("'abc", "syntax", 1, ""),
    ],
)
def test_a_mistake_is_found_when_compiling_with_a_hint(text, rule, column, hint):
    error = refusal(text)

    assert (error.rule, error.column, error.hint) == (rule, column, hint)


def test_what_an_expression_reads_is_known():
    text = "[l.sku for l in lines if l.tax.rate > settings.rate] + [customer.first, lines[0].price, x['a b'].c]"

    expression = compile_expression(text, HERE)

    assert expression.names == {"lines", "settings", "customer", "x"}
    assert expression.paths == {
        "lines",
        "lines[].sku",
        "lines[].tax.rate",
        "lines[].price",
        "settings.rate",
        "customer.first",
        "x.a b.c",
    }


def test_one_expression_is_shared_by_threads():
    expression = compile_expression("sum([x * n for x in list])", HERE)
    results = {}

    def work(n):
        results[n] = [expression.evaluate({"list": list(range(50)), "n": n}) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {n: [1225 * n] * 50 for n in range(4)}
