"""`docs/mappings.md` says what is so."""

import json
import re
from pathlib import Path

import pytest

from hub.mapping import Position, check, compile_expression, functions_markdown, load_mapping
from hub.mapping.check import Scope, check_expression
from hub.mapping.schema_file import load_schema
from hub.records.notation import NAMED

PAGE = (Path(__file__).parents[3] / "docs" / "mappings.md").read_text(encoding="utf-8")
HERE = Position("docs/mappings.md", 1, 1)
VALUES = re.findall(r"^\| `(.+)` \| `(.+)` \|$", PAGE.partition("## Functions")[0], re.MULTILINE)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_mapping_makes_what_the_page_says():
    text = blocks("yaml")[0]
    record, made = map(json.loads, blocks("json"))

    result = load_mapping(text, "docs/mappings.md").apply(record)

    assert json.loads(json.dumps(result, default=str)) == made


def test_the_table_of_codes_is_looked_up():
    text = blocks("yaml")[1]

    assert load_mapping(text, "docs/mappings.md").apply({"transporteur": "La Poste"}) == {"carrier": "colissimo"}


def test_the_schema_on_the_page_is_one_and_finds_what_the_page_says():
    schema = load_schema(blocks("yaml")[2], "docs/mappings.md").type
    scope = Scope({"record": schema}, "record")

    [wrong] = check_expression('status == "payed"', HERE, scope).problems

    assert (wrong.rule, wrong.message, wrong.hint) == (
        "unknown-choice",
        "status is never 'payed'",
        "did you mean paid?",
    )
    assert (
        check_expression('status == "paid" or "open"', HERE, scope, condition=True).problems[0].rule
        == "constant-condition"
    )


def test_the_page_lists_every_type_and_every_rule():
    types = PAGE.partition("## Types")[2].partition("## Functions")[0]
    rules = re.findall(r"^\| `([a-z-]+)` \|", types, re.MULTILINE)

    assert {name for name in NAMED if f"`{name}`" not in types} == set()
    assert {rule for rule in rules if f"`{rule}`" not in (check.__doc__ or "")} == set()
    assert len(rules) == 7


def test_a_mapping_may_allow_what_the_page_shows():
    text = blocks("yaml")[1] + blocks("yaml")[3]

    assert load_mapping(text, "docs/mappings.md").name == "mine/shipment"


def test_the_page_has_a_table_of_values():
    assert len(VALUES) > 5


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_an_expression_has_the_value_the_page_says(text, expected):
    assert compile_expression(text, HERE).evaluate({}) == compile_expression(expected, HERE).evaluate({})


def test_the_reference_of_functions_is_in_step():
    found = re.search(r"<!-- functions:.*? -->\n(.*)<!-- /functions -->", PAGE, re.DOTALL)

    assert found
    assert found[1].strip() == functions_markdown().strip()
