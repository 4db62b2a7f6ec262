"""What `hub lint` says of expressions before they run: one rule after the other, with its place; and nothing else."""

from __future__ import annotations

import pytest

from hub.mapping import Position
from hub.mapping.check import Scope, check_expression
from hub.mapping.schema_file import load_schema
from hub.records.schema import ANY, OBJECT, Kind

HERE = Position("f", 1, 1)
SCHEMA = """
schema: shop.order
types:
  sum: {amount: amount, currencyCode: text}
  price: {shopMoney: sum, "presentmentMoney?": sum}
record:
  id: text
  name: text?
  number: whole
  rate: number
  paid: bool
  currency: text
  payCurrency: text?
  placedAt: instant
  day: date
  status: {choices: [OPEN, PAID, VOIDED]}
  total: price
  gross: money
  tip: money?
  customer?: {email: text?, city: text}
  lines: [{sku: text?, quantity: whole, price: price}]
  refunds?: [{id: text}]
  tags: [text]
  extra: any
"""
SCOPE = Scope({"record": load_schema(SCHEMA, "s.yaml").type, "settings": OBJECT}, "record")


def said(text: str, *, condition: bool = False) -> list[str]:
    found = check_expression(text, HERE, SCOPE, condition=condition).problems
    return [f"{each.column}: {each.rule}: {each.message}" + (f" ({each.hint})" if each.hint else "") for each in found]


WRONG = [
    # a field that is not there
    ("nam", "1: unknown-field: the record has no field nam (did you mean name?)"),
    ("customer.mail", "10: unknown-field: customer has no field mail (did you mean email?)"),
    ("lines[0].skuu", "10: unknown-field: lines[0] has no field skuu (did you mean sku?)"),
    ("[x.qty for x in lines]", "4: unknown-field: x has no field qty (it has sku, quantity, price)"),
    ('customer["mail"]', "10: unknown-field: customer has no field mail (did you mean email?)"),
    ("gross.cents", "7: unknown-field: money has no field cents (it has .amount (minor units) and .currency)"),
    # an operation that cannot be done, or a comparison that never holds
    ("name + number", "1: type-mismatch: + joins text with text, and the other side is a whole number (text(x) makes text of a number)"),
    ("number * name", "1: type-mismatch: * works on numbers, and one side is text (number(x) reads a number from text)"),
    ("number == '7'", "1: type-mismatch: number is a whole number: it is never equal to text (text(x) makes text of a number)"),
    ("number < name", "1: type-mismatch: number is a whole number: it cannot be compared with text (text(x) makes text of a number)"),
    ("number in ['7']", "1: type-mismatch: number is a whole number: it is never in a list whose items are text (text(x) makes text of a number)"),
    ("gross * gross", "1: type-mismatch: money is multiplied by whole numbers, and the other side is money (money stays exact: tax_in(x, rate), net_of(x, rate), portion(x, rate), split_money(x, weights))"),
    ("gross / 2", "1: type-mismatch: / does not work on money (money stays exact: tax_in(x, rate), net_of(x, rate), portion(x, rate), split_money(x, weights))"),
    ("gross + number", "1: type-mismatch: + works on money and money, and one side is a whole number (money(x, currency) makes money of it)"),
    ("upper(number)", "7: type-mismatch: upper takes text, and number is a whole number (text(x) makes text of a number)"),
    ("join(tags, 1)", "12: type-mismatch: join takes text, and 1 is a whole number (text(x) makes text of a number)"),
    ("[x for x in customer]", "13: type-mismatch: a loop needs a list, and customer is an object or null (keys(x) lists the keys of an object)"),
    ("name.first", "6: type-mismatch: name is text or null, which has no field first"),
    ("lines.sku", "7: type-mismatch: lines is a list, which has no field sku (take an item with [0], or loop: [x.sku for x in ...])"),
    ("tags[id]", "6: type-mismatch: a list is indexed by a whole number, and this is text"),
    ("name[0]", "1: type-mismatch: name is text or null, which has no items"),
    ("-name", "1: type-mismatch: a sign stands before a number, and name is text or null"),
    ("{number: 1}", "2: type-mismatch: a key is text, and number is a whole number (text(x) makes text of it)"),
    ("number + null", "1: type-mismatch: one side of + is always null (default(x, 0) says what to take then)"),
    # a text that is never there
    ("status == 'PAYED'", "11: unknown-choice: status is never 'PAYED' (did you mean PAID?)"),
    ("'paid' != status", "1: unknown-choice: status is never 'paid' (it is one of OPEN, PAID, VOIDED)"),
    ("status in ['PAID', 'OPENED']", "20: unknown-choice: status is never 'OPENED' (did you mean OPEN?)"),
    ("lookup({'PAYED': 1}, status)", "9: unknown-choice: status is never 'PAYED' (did you mean PAID?)"),
    # amounts as plain numbers
    ("number(total.shopMoney.amount) * 1.2", "1: float-money: an amount is multiplied by a rate as a plain number (money stays exact: tax_in(x, rate), net_of(x, rate), portion(x, rate), split_money(x, weights))"),
    ("amount(gross) * rate", "1: float-money: an amount is multiplied by a rate as a plain number (money stays exact: tax_in(x, rate), net_of(x, rate), portion(x, rate), split_money(x, weights))"),
    ("round(amount(gross) / 3, 2)", "7: float-money: an amount is rounded by hand: amount(gross) / 3 (money(x, currency), tax_in(x, rate), portion(x, rate) round to the cent; split_money(x, weights) loses none)"),
    ("money(number(total.shopMoney.amount) - 1, currency)", "7: float-money: number(total.shopMoney.amount) - 1 was worked on as a plain number before it is money (make money of each amount and add that: money(a, currency) + money(b, currency))"),
    # money without a currency, or in another
    ("money(total.shopMoney.amount, null)", "31: missing-currency: money without a currency: null is always null (take the currency of the record, or make no money when there is none)"),
    ("money(total.shopMoney.amount, payCurrency)", "31: missing-currency: money without a currency: payCurrency may be null (take the currency of the record, or make no money when there is none)"),
    ("sum_money([gross], payCurrency)", "20: missing-currency: money without a currency: payCurrency may be null (take the currency of the record, or make no money when there is none)"),
    ("money(1, 'EUR') + money(1, 'USD')", "1: missing-currency: amounts of two currencies: 'EUR' and 'USD' (take both from the same side)"),
    ("money(total.presentmentMoney.amount, total.shopMoney.currencyCode)", "1: missing-currency: an amount of presentmentMoney in the currency of shopMoney (take both from the same side)"),
    # a condition that is always the same
    ("1 if 'x' else 2", "6: constant-condition: 'x' is always the same (test what it should depend on)"),
    ("1 if status == 'PAID' or 'OPEN' else 2", "26: constant-condition: 'OPEN' is always the same (each part of `or` is a condition of its own: x == 'a' or x == 'b', or x in ['a', 'b'])"),
    ("[x for x in lines if 1 == 1]", "22: constant-condition: 1 == 1 is always the same (test what it should depend on)"),
    ("1 if number == number else 2", "6: constant-condition: number == number is always the same (test what it should depend on)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_said_at_its_place(text: str, problem: str) -> None:
    assert said(text) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "extra.anything[0].at.all + 1",
        "settings.colour == 'red'",
        "name + extra if false == extra else extra + name",
        "customer.city if customer != null else 'Paris'",
        "default(customer.email, name, 'x') + '!'",
        "[x.price.shopMoney.amount for x in default(lines, []) if x.sku != null]",
        "money(total.shopMoney.amount, currency)",
        "money(total.shopMoney.amount, total.shopMoney.currencyCode)",
        "money(total.presentmentMoney.amount, total.presentmentMoney.currencyCode) if total.presentmentMoney != null else null",
        "money(1, payCurrency) if payCurrency != null else null",
        "money(1, payCurrency) if exists(payCurrency) else null",
        "null if payCurrency == null else money(1, payCurrency)",
        "money(1, default(payCurrency, currency))",
        "[money(1, payCurrency) for x in lines if payCurrency != null and x.quantity > 0]",
        "gross * number + default(tip, gross - gross)",
        "amount(gross) / number",
        "gross.amount % number == 0",
        "amount(gross) / amount(tip)",
        "tax_in(gross, rate) + net_of(gross, 0.2)",
        "sum([number(x.price.shopMoney.amount) for x in lines]) > 100",
        "status in ['PAID', 'OPEN'] and status != 'VOIDED'",
        "lookup({'PAID': 'p', 'OPEN': 'o'}, status, 'x')",
        "name == null or name == ''",
        "name or 'nobody'",
        "customer == null",
        "ref('order', id)['key']",
        "{'a': 1, 'b': name}.b",
        "first(refunds).id",
        "max([x.quantity for x in lines])",
        "null == null",
    ],
)
def test_what_is_right_has_no_problem(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("condition", "tells"),
    [
        ("payCurrency != null and paid", True),
        ("payCurrency != null or paid", False),
        ("not (payCurrency == null or paid)", True),
        ("not (payCurrency == null and paid)", False),
        ("payCurrency == null", False),
        ("payCurrency", True),
        ("not payCurrency", False),
        ("payCurrency == 'EUR'", True),
        ("payCurrency != 'EUR'", False),
        ("payCurrency in ['EUR', 'USD']", True),
        ("payCurrency not in ['EUR', 'USD']", False),
        ("len(payCurrency) > 0", True),
        ("len(payCurrency) > -1", False),
        ("payCurrency > 'A'", True),
        ("exists(payCurrency)", True),
        ("not exists(payCurrency)", False),
    ],
)
def test_a_condition_tells_only_what_it_must(condition: str, tells: bool) -> None:
    assert (said(f"money(1, payCurrency) if {condition} else null") == []) is tells


def test_an_always_true_condition_is_said_of_a_whole_condition() -> None:
    assert said("'shipped'", condition=True) == [
        "1: constant-condition: 'shipped' is always the same (test what it should depend on)"
    ]


def test_places_are_those_of_the_file() -> None:
    checked = check_expression("default(\n  name,\n  customer.mail)", Position("m.yaml", 7, 12), SCOPE)

    assert [(each.line, each.column) for each in checked.problems] == [(9, 12)]


def test_what_is_no_expression_is_left_to_the_compiler() -> None:
    checked = check_expression("name +", HERE, SCOPE)

    assert (checked.type, checked.problems) == (ANY, [])


@pytest.mark.parametrize(
    ("text", "kind", "nullable"),
    [
        ("name", Kind.TEXT, True),
        ("upper(name)", Kind.TEXT, True),
        ("upper(id)", Kind.TEXT, False),
        ("customer.city", Kind.TEXT, True),
        ("number + rate", Kind.NUMBER, False),
        ("number // 2", Kind.WHOLE, False),
        ("number / 2", Kind.NUMBER, False),
        ("lines[0].quantity", Kind.WHOLE, True),
        ("[x.quantity for x in lines]", Kind.LIST, False),
        ("default(name, id)", Kind.TEXT, False),
        ("tip", Kind.MONEY, True),
        ("default(tip, gross)", Kind.MONEY, False),
        ("name if paid else null", Kind.TEXT, True),
        ("name if paid else number", Kind.ANY, False),
        ("first(lines).sku", Kind.TEXT, True),
        ("{'a': number}", Kind.OBJECT, False),
    ],
)
def test_the_type_of_an_expression_is_inferred(text: str, kind: Kind, nullable: bool) -> None:
    type_ = check_expression(text, HERE, SCOPE).type

    assert (type_.kind, type_.nullable) == (kind, nullable)


def test_a_flow_scope_learns_from_its_steps_and_conditions() -> None:
    scope = Scope({"order": SCOPE.names["record"]})
    total = check_expression("order.payCurrency", HERE, scope)
    inside = scope.with_name("code", total.type).where("code != null and order.tip != null")
    after = scope.where("order.payCurrency == null", holds=False)

    assert check_expression("money(1, code) + order.tip", HERE, inside).problems == []
    assert check_expression("order.tip", HERE, inside).type.nullable is False
    assert check_expression("money(1, order.payCurrency)", HERE, after).problems == []
    assert len(check_expression("money(1, order.payCurrency)", HERE, scope).problems) == 1
    # a name that is bound anew is not what the condition spoke of
    assert check_expression("[money(1, code) for code in [order.payCurrency]]", HERE, inside).problems != []
    # names that nobody told of are not known, and nothing is said of them
    assert check_expression("whatever.it + 1", HERE, scope).problems == []
