"""Mappings: what they make of a record, and all that is wrong in one at once."""

from decimal import Decimal

import msgspec
import pytest

from hub.mapping import EvaluationError, MappingErrors, load_mapping
from hub.records.money import Money

ORDER = """
mapping: shopify/order
from: shopify.order
to: order
let:
  cur: currencyCode
map:
  external_id: legacyResourceId
  name: name
  kind: "'sale'"
  rank: 1
  rate: 1.10
  test: false
  nothing: null
  tags: [name, "'web'", 3]
  header:
    as_of: instant(updatedAt)
    total: money(totalPriceSet.shopMoney.amount, cur)
  lines:
    complete: "true"
    items:
      each: lineItems
      as: line
      when: line.quantity > 0
      let: {gross: "money(line.total, cur)"}
      map: {sku: line.sku, quantity: line.quantity, gross: gross}
"""
RECORD = {
    "legacyResourceId": 12345678901234567890,
    "name": "#1001",
    "currencyCode": "EUR",
    "updatedAt": "2026-11-24T09:05:12+01:00",
    "totalPriceSet": {"shopMoney": {"amount": "37.10"}},
    "lineItems": [
        {"sku": "MUG-01", "quantity": 2, "total": "20.0"},
        {"sku": "TEA-02", "quantity": 0, "total": "0.0"},
        {"sku": "TEA-03", "quantity": 1, "total": Decimal("17.10")},
    ],
}


def mapping(body, **options):
    return load_mapping(f"mapping: a\nfrom: b\nto: c\n{body}", "m.yaml", **options)


def mapped(body, record=None, scope=None, **options):
    return mapping(body, **options).apply(record or {}, scope)


def problems(text, **options):
    with pytest.raises(MappingErrors) as caught:
        load_mapping(text, "m.yaml", **options)
    return caught.value.problems


def test_an_order_becomes_a_canonical_record():
    order = load_mapping(ORDER, "order.yaml")

    assert (order.name, order.source, order.target) == ("shopify/order", "shopify.order", "order")
    assert order.apply(RECORD) == {
        "external_id": 12345678901234567890,
        "name": "#1001",
        "kind": "sale",
        "rank": 1,
        "rate": Decimal("1.10"),
        "test": False,
        "nothing": None,
        "tags": ["#1001", "web", 3],
        "header": {"as_of": "2026-11-24T08:05:12.000000Z", "total": Money(3710, "EUR")},
        "lines": {
            "complete": True,
            "items": [
                {"sku": "MUG-01", "quantity": 2, "gross": Money(2000, "EUR")},
                {"sku": "TEA-03", "quantity": 1, "gross": Money(1710, "EUR")},
            ],
        },
    }


def test_a_decoded_payload_keeps_its_numbers():
    payload = msgspec.json.Decoder(float_hook=Decimal).decode(b'{"id": 9007199254740993, "price": 19.990}')

    assert str(mapped("map: {id: id, price: price}", payload)) == str(
        {"id": 9007199254740993, "price": Decimal("19.990")}
    )


def test_a_missing_field_is_null_and_a_missing_list_empty():
    assert mapped("map: {x: a.b.c, y: {each: a.list, map: item}, z: {concat: [a.list]}}") == {
        "x": None,
        "y": [],
        "z": [],
    }


def test_the_whole_record_has_a_name():
    assert mapped("map:\n  x: record.name\n  y: record['first name']\n", {"name": 1, "first name": 2}) == {
        "x": 1,
        "y": 2,
    }


def test_a_let_sees_those_before_it_and_hides_a_field():
    assert mapped("let: {a: a + 1, b: a * 10}\nmap: {a: a, b: b, record_a: record.a}", {"a": 1}) == {
        "a": 2,
        "b": 20,
        "record_a": 1,
    }


def test_a_name_of_a_loop_ends_with_the_loop():
    body = """
let: {x: "'outer'"}
map:
  in: {each: list, as: item, let: {x: item.n, item: x + 1}, map: [x, item]}
  nested: {each: list, as: x, map: {each: list, as: y, map: x.n * y.n}}
  comprehended: "[x for x in [1, 2]]"
  out: x
  field: item
"""
    record = {"list": [{"n": 1}, {"n": 2}], "item": "field"}

    assert mapped(body, record) == {
        "in": [[1, 2], [2, 3]],
        "nested": [[1, 2], [2, 4]],
        "comprehended": [1, 2],
        "out": "outer",
        "field": "field",
    }


def test_a_block_whose_condition_fails_is_null():
    body = """
map:
  address:
    when: shipping != null
    let: {s: shipping}
    map: {city: s.city, lines: {each: s.lines, map: upper(item)}}
  note: {when: note, map: trim(note)}
  always: {let: {n: 2}, map: n * n}
"""
    assert mapped(body, {"note": ""}) == {"address": None, "note": None, "always": 4}
    assert mapped(body, {"shipping": {"city": "Paris", "lines": ["a"]}, "note": " x "}) == {
        "address": {"city": "Paris", "lines": ["A"]},
        "note": "x",
        "always": 4,
    }


def test_several_lists_become_one():
    body = """
map:
  lines:
    concat:
      - {each: products, as: p, map: {kind: "'product'", sku: p.sku}}
      - {each: shipping, as: s, when: s.price > 0, map: {kind: "'shipping'", sku: s.code}}
      - when: tip > 0
        map: [{kind: "'tip'", sku: null}]
      - extra
      - [{kind: "'end'"}]
"""
    record = {
        "products": [{"sku": "A"}],
        "shipping": [{"code": "free", "price": 0}, {"code": "std", "price": 5}],
        "tip": 1,
        "extra": [{"kind": "extra"}],
    }

    assert [line["kind"] for line in mapped(body, record)["lines"]] == ["product", "shipping", "tip", "extra", "end"]
    assert [line["kind"] for line in mapped(body, {"tip": 0})["lines"]] == ["end"]


def test_a_part_that_is_no_list_is_an_error_with_its_place():
    with pytest.raises(EvaluationError) as caught:
        mapped("map:\n  x:\n    concat:\n      - name\n", {"name": "text"})

    assert (caught.value.line, caught.value.column, caught.value.rule) == (7, 9, "type")


def test_the_caller_gives_declared_names():
    body = "map: {zone: settings.zone, fees: '[x * settings.fee for x in fees]'}"
    order = mapping(body, extra_names=("settings",))

    assert order.apply({"fees": [1, 2]}, {"settings": {"zone": "UTC", "fee": 3}}) == {"zone": "UTC", "fees": [3, 6]}
    assert order.paths == {"fees", "fees[]"}
    with pytest.raises(EvaluationError) as caught:
        order.apply({"fees": []})
    assert (caught.value.rule, caught.value.message) == ("unknown-name", "settings is not given here")


def test_the_fields_that_a_mapping_reads_are_known():
    assert load_mapping(ORDER, "order.yaml").paths == {
        "currencyCode",
        "legacyResourceId",
        "name",
        "updatedAt",
        "totalPriceSet.shopMoney.amount",
        "lineItems",
        "lineItems[].sku",
        "lineItems[].quantity",
        "lineItems[].total",
    }


def test_a_field_that_the_record_does_not_have_is_found_where_the_fields_are_known():
    found = problems(ORDER.replace("legacyResourceId", "legacyResourceID"), fields=RECORD)

    assert [str(problem) for problem in found] == [
        "m.yaml:8:16: unknown-name: legacyResourceID is not known here (did you mean legacyResourceId?)"
    ]


def test_the_record_is_not_changed_and_nothing_is_kept_between_two():
    body = "let: {list: 'list + [1]'}\nmap: {list: {concat: [list, list]}, same: record.list}"
    order, record = mapping(body), {"list": [0]}

    first, second = order.apply(record), order.apply(record)

    assert first == second == {"list": [0, 1, 0, 1], "same": [0]}
    assert record == {"list": [0]}


def test_an_error_while_mapping_names_place_field_and_expression():
    broken = {**RECORD, "lineItems": [{"sku": "MUG-01", "quantity": None}]}

    with pytest.raises(EvaluationError) as caught:
        load_mapping(ORDER, "order.yaml").apply(broken)

    error = caught.value
    assert str(error) == (
        "order.yaml:24:13: null-value: line.quantity is null (use default(line.quantity, 0), or test it: x != null)"
    )
    assert (error.field, error.expression) == ("lines.items.when", "line.quantity")


def test_a_loop_over_something_else_points_at_what_it_goes_over():
    with pytest.raises(EvaluationError) as caught:
        load_mapping(ORDER, "order.yaml").apply({**RECORD, "lineItems": {"nodes": []}})

    assert (caught.value.line, caught.value.column) == (22, 13)
    assert caught.value.message == "a loop needs a list, not an object"


def test_all_problems_of_a_file_are_told_at_once_in_order():
    text = """mapping: shopify/order
form: shopify.order
to: order
let:
  ok: 1 + 1
  2x: 3
  obj: {a: 1}
map:
  a: uper(name)
  b: "1 +"
  c: {each: lines, is: line, map: {q: line.q ** 2}}
  d: {each: lines}
  e: {when: x, mpa: y}
  f: {concat: lines}
  g: {concat: [{a: 1}, 5]}
  h: ""
  i: {each: [a], as: null, map: item}
  j: {each: lines, as: a-b, map: item}
"""
    assert [(p.line, p.column, p.rule) for p in problems(text)] == [
        (1, 1, "missing-key"),
        (2, 1, "unknown-key"),
        (6, 3, "name"),
        (7, 8, "shape"),
        (9, 6, "unknown-function"),
        (10, 9, "syntax"),
        (11, 20, "unknown-key"),
        (11, 39, "not-allowed"),
        (12, 6, "missing-key"),
        (13, 7, "reserved-key"),
        (14, 15, "shape"),
        (15, 16, "shape"),
        (15, 24, "shape"),
        (16, 7, "syntax"),
        (17, 13, "shape"),
        (17, 22, "name"),
        (18, 24, "name"),
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "shape"),
        ("- a", "shape"),
        ("mapping: a\nfrom: b\nto: c\n", "shape"),
        ("mapping: a\nfrom: b\nto: c\nmap: name\n", "shape"),
        ("mapping: a\nfrom: b\nto: c\nmap: {each: x, map: y}\n", "shape"),
        ("mapping: a\nfrom: b\nto: c\nlet: [a]\nmap: {a: a}\n", "shape"),
        ("mapping: a\nfrom: b\nto: 5\nmap: {a: a}\n", "missing-key"),
        ("mapping: a\nfrom: b\nto: c\nmap: {a: a}\nmap: {b: b}\n", "duplicate-key"),
        ("mapping: a\nfrom: b\nto: c\nlett: {a: 1}\nmap: {a: a}\n", "unknown-key"),
        ("mapping: &a a\n", "alias"),
        ("mapping: [\n", "yaml-syntax"),
    ],
)
def test_a_file_of_another_shape_is_refused(text, rule):
    assert [problem.rule for problem in problems(text)] == [rule]


def test_a_reserved_word_as_target_field_is_written_in_an_expression():
    [problem] = problems("mapping: a\nfrom: b\nto: c\nmap: {x: {when: y}}\n")

    assert problem.hint == "a target field of this name is written in an expression: \"{'when': x}\""
    assert mapped("map: {x: \"{'when': y}\"}", {"y": 1}) == {"x": {"when": 1}}


def test_norway_stays_norway():
    assert mapped("map: {country: \"'NO'\", on: NO}", {"NO": 1}) == {"country": "NO", "on": 1}
