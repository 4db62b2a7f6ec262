"""How types of records are written, read off structs, joined, and what fits them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from hub.mapping.schema_file import SchemaErrors, load_schema
from hub.records.joins import join, join_all
from hub.records.money import Money
from hub.records.notation import NAMED, read_type
from hub.records.schema import (
    ANY,
    BOOL,
    MONEY,
    NULL,
    NUMBER,
    TEXT,
    WHOLE,
    Kind,
    Type,
    choices,
    fits,
    list_of,
    object_of,
)
from hub.records.structs import RECORDS, canonical, event_names


def written(value: Any) -> Type:
    problems: list[Any] = []
    type_ = read_type(value, (), NAMED, lambda *problem: problems.append(problem))
    assert problems == []
    return type_


@pytest.mark.parametrize(
    ("notation", "good", "bad"),
    [
        ("text", ["", "a"], [None, 1, True]),
        ("text?", ["a", None], [1]),
        ("whole", [0, -3], [1.0, Decimal("1.0"), True, "1", None]),
        ("number", [1, Decimal("1.5")], [True, "1", None]),
        ("bool", [True, False], [0, 1, None, "true"]),
        ("money", [Money(1, "EUR")], [1, "1.00", {"amount": 1}]),
        ("any", [None, 1, "a", {}, []], []),
        ("instant", ["2026-11-24T10:05:12+01:00", "2026-11-24T10:05:12.123456Z"], ["2026-11-24", "now", 1]),
        ("date", ["2026-11-24"], ["2026-11-24T10:00:00Z", "24/11/2026"]),
        ("amount", ["12", "12.50", "-0.5"], ["12,50", "1e3", "", 12]),
        ("list", [[], [1, None, "a"]], [None, {}, "a"]),
        ("object", [{}, {"a": 1}], [None, [], "a"]),
        (["whole"], [[], [1, 2]], [[1, "2"], [None], None]),
        ({"choices": ["PAID", "VOIDED"]}, ["PAID"], ["PAYED", "", None]),
        ({"sku": "text?", "quantity": "whole"}, [{"quantity": 1}, {"sku": "A", "quantity": 1}], [{}, {"quantity": 1, "x": 1}]),
        ({"sku?": {"choices": ["A"]}}, [{}, {"sku": None}, {"sku": "A"}], [{"sku": "B"}]),
        ({"id": "text", "*": "any"}, [{"id": "1"}, {"id": "1", "x": 1}], [{"x": 1}]),
        ({"*": "number"}, [{}, {"FR": Decimal("0.2")}], [{"FR": "0.2"}]),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_fits_what_the_notation_says(notation: Any, good: list[Any], bad: list[Any]) -> None:
    type_ = written(notation)

    assert [value for value in good if fits(value, type_)] == []
    assert [value for value in bad if not fits(value, type_)] == []


def test_a_field_that_is_left_out_is_read_as_null() -> None:
    type_ = object_of({"a": TEXT, "b": TEXT}, optional=frozenset({"b"}))

    assert type_.get("a") == TEXT
    assert type_.get("b") == TEXT.or_null()
    assert type_.get("c") is None
    assert replace(type_, rest=WHOLE).get("c") == WHOLE.or_null()
    assert type_.required() == ["a"]


def test_a_reference_stands_for_an_id_where_references_are_allowed() -> None:
    type_ = written({"id": "whole"})
    value = {"id": {"$ref": "order", "key": "7", "ensure": None, "data": None}}

    assert fits(value, type_, references=True) == []
    assert len(fits(value, type_)) == 1


def test_the_problems_of_a_schema_file_have_their_places() -> None:
    text = "schema: a.b\nhlp: x\ntypes:\n  text: whole\nrecord:\n  a: {choices: [1]}\n  b: 7\n  c?: text\n  c: whole\n"

    with pytest.raises(SchemaErrors) as error:
        load_schema(text, "b.yaml")

    assert [str(each) for each in error.value.problems] == [
        "b.yaml:2:1: unknown-key: hlp: is not known here (did you mean help?)",
        "b.yaml:4:3: name: text is a type of the language (give yours another name)",
        "b.yaml:6:16: type: choices are texts, at least one (quote a number, true or null)",
        "b.yaml:7:6: type: 7 is no type (one of text, instant, date, amount, whole, number, bool, money, any, object, list, "
        "a [list] or an {object})",
        "b.yaml:9:3: duplicate-key: c is described twice (keep one of the two)",
    ]


def test_a_schema_file_without_a_record_is_refused() -> None:
    with pytest.raises(SchemaErrors, match="missing-key: record: holds the fields"):
        load_schema("schema: a.b\n", "b.yaml")


@pytest.mark.parametrize("name", RECORDS)
def test_every_canonical_record_is_described_down_to_its_leaves(name: str) -> None:
    def leaves(type_: Type) -> list[Kind]:
        if type_.kind is Kind.LIST:
            return leaves(type_.item or ANY)
        return [kind for inner in type_.fields.values() for kind in leaves(inner)] or [type_.kind]

    type_ = canonical(name)

    assert type_ is not None
    assert Kind.ANY not in leaves(type_)
    assert Kind.OBJECT not in leaves(type_)


def test_names_and_literals_of_structs_become_forms_and_choices() -> None:
    order, payment = canonical("order"), canonical("payment.received")
    assert order is not None
    assert payment is not None
    header = (order.get("header") or ANY).not_null()

    assert (header.get("placed_at") or ANY).form == "instant"
    assert (header.get("complete") or ANY) == BOOL.or_null()
    assert "complete" not in header.required()
    assert (payment.fields["payment"].get("kind") or ANY).choices == ("payment", "refund")
    assert (payment.fields["payment"].get("effective_date") or ANY).form == "date"
    assert header.fields["presentment_total"].currency != header.fields["total"].currency


def test_a_flow_sees_the_records_of_its_event() -> None:
    assert set(event_names("shipment.recorded")) == {"order", "shipment", "lines"}
    assert set(event_names("stock.changed")) == {"stock"}
    assert event_names("mine.happened") == {}


def test_two_values_of_one_description_keep_what_only_one_of_them_lacks() -> None:
    whole = object_of({"a": TEXT})
    part, sided = replace(whole, optional=frozenset({"a"})), replace(whole, currency="shopMoney")

    for made in (join(whole, part), join(part, whole)):
        assert made.optional == {"a"}
        assert fits({}, made) == []
    assert join(sided, replace(whole, currency="presentmentMoney")).currency == ""
    assert join(sided, sided).currency == "shopMoney"


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (TEXT, TEXT, TEXT),
        (TEXT, NULL, TEXT.or_null()),
        (WHOLE, NUMBER, NUMBER),
        (WHOLE, TEXT, ANY),
        (choices("a"), choices("b"), choices("a", "b")),
        (choices("a"), TEXT, TEXT),
        (list_of(WHOLE), list_of(NUMBER), list_of(NUMBER)),
        (list_of(WHOLE), Type(Kind.LIST), list_of(WHOLE)),
        (object_of({"a": WHOLE}), object_of({"a": WHOLE, "b": TEXT}), object_of({"a": WHOLE, "b": TEXT.or_null()})),
        (MONEY, ANY, ANY),
    ],
    ids=str,
)
def test_what_may_be_of_two_types_is_of_both(one: Type, other: Type, both: Type) -> None:
    for made in (join(one, other), join(other, one), join_all([one, other, one])):
        assert replace(made, choices=tuple(sorted(made.choices))) == both
