"""`docs/mappings.md` says what is so."""

import json
import re
from pathlib import Path

import pytest

from hub.mapping import Position, compile_expression, functions_markdown, load_mapping

PAGE = (Path(__file__).parents[3] / "docs" / "mappings.md").read_text(encoding="utf-8")
HERE = Position("docs/mappings.md", 1, 1)
VALUES = re.findall(r"^\| `(.+)` \| `(.+)` \|$", PAGE.partition("## Functions")[0], re.MULTILINE)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_mapping_makes_what_the_page_says():
    [text] = blocks("yaml")
    record, made = map(json.loads, blocks("json"))

    result = load_mapping(text, "docs/mappings.md").apply(record)

    assert json.loads(json.dumps(result, default=str)) == made


def test_the_page_has_a_table_of_values():
    assert len(VALUES) > 5


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_an_expression_has_the_value_the_page_says(text, expected):
    assert compile_expression(text, HERE).evaluate({}) == compile_expression(expected, HERE).evaluate({})


def test_the_reference_of_functions_is_in_step():
    found = re.search(r"<!-- functions:.*? -->\n(.*)<!-- /functions -->", PAGE, re.DOTALL)

    assert found
    assert found[1].strip() == functions_markdown().strip()
