"""YAML files: exact values, and a position for each."""

from decimal import Decimal

import pytest

from hub.mapping import SourceError, load_document


def load(text):
    return load_document(text, "file.yaml").value


def refusal(text):
    with pytest.raises(SourceError) as caught:
        load_document(text, "file.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("42", 42),
        ("-7", -7),
        ("12345678901234567890", 12345678901234567890),
        ("1.10", Decimal("1.10")),
        ("-0.5", Decimal("-0.5")),
        ("01000", "01000"),
        ("1e5", "1e5"),
        (".inf", ".inf"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24T08:12:31Z", "2026-11-24T08:12:31Z"),
        ('"42"', "42"),
        ("'null'", "null"),
    ],
)
def test_a_scalar_is_what_it_looks_like(written, value):
    loaded = load(f"key: {written}\n")["key"]

    assert loaded == value
    assert type(loaded) is type(value)
    assert str(loaded) == str(value)


def test_keys_are_text_even_where_yaml_would_read_true():
    assert load("on: {event: order}\nNO: Norway\n1: one\n") == {"on": {"event": "order"}, "NO": "Norway", "1": "one"}


def test_an_empty_file_is_null():
    assert load("") is None
    assert load("# only a comment\n") is None


def test_every_value_and_key_has_its_position():
    document = load_document("flow: x\nsteps:\n  - map: order\n  - deliver: {role: books, key: été}\n", "f.yaml")

    assert str(document.position(("flow",))) == "f.yaml:1:7"
    assert str(document.position(("steps", 1, "deliver", "key"))) == "f.yaml:4:33"
    assert str(document.key_position(("steps", 1, "deliver", "key"))) == "f.yaml:4:28"
    assert str(document.key_position(("steps", 0))) == "f.yaml:3:5"


def test_a_path_that_is_not_there_has_the_position_of_its_parent():
    document = load_document("a:\n  b: 1\n", "f.yaml")

    assert str(document.position(("a", "missing", "key"))) == "f.yaml:2:3"
    assert str(document.position(("missing",))) == "f.yaml:1:1"


def test_a_byte_order_mark_and_windows_line_ends_do_not_move_positions():
    document = load_document("\ufeffa: 1\r\nb: 2\r\n", "f.yaml")

    assert document.value == {"a": 1, "b": 2}
    assert str(document.position(("b",))) == "f.yaml:2:4"


@pytest.mark.parametrize(
    ("text", "line", "column", "rule"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate-key"),
        ("a: {x: 1, x: 2}\n", 1, 11, "duplicate-key"),
        ("a: &x 1\n", 1, 4, "alias"),
        ("a: *x\n", 1, 4, "alias"),
        ("a: {<<: {b: 1}}\n", 1, 5, "merge-key"),
        ("a: !!python/object:os.system x\n", 1, 4, "tag"),
        ("a: !!str 1\n", 1, 4, "tag"),
        ("a: !x {b: 1}\n", 1, 4, "tag"),
        ("? [a, b]\n: 1\n", 1, 3, "key"),
        ("a: 1\n---\nb: 2\n", 2, 1, "several-documents"),
        ("a: [1, 2\nb: 3\n", 2, 2, "yaml-syntax"),
        ("a: 'x\n", 2, 1, "yaml-syntax"),
        ("a: 'x' + y\n", 1, 8, "yaml-syntax"),
        ("\tb: 1\n", 1, 1, "yaml-syntax"),
        ("a: \x01\n", 1, 1, "yaml-syntax"),
        ("a: \ud800\n", 1, 1, "yaml-syntax"),
        ("a: " + "9" * 61, 1, 4, "too-large"),
        ("[" * 60 + "]" * 60, 1, 42, "too-deep"),
        ("[" * 100_000, 1, 42, "too-deep"),
        ("- " * 100 + "x", 1, 83, "too-deep"),
        ("a" * 1_000_001, 1, 1, "too-large"),
        ("[" + "1," * 60_000 + "]", 1, 100_000, "too-large"),
    ],
)
def test_what_hides_meaning_or_harms_is_refused_with_its_place(text, line, column, rule):
    error = refusal(text)

    assert (error.file, error.line, error.column, error.rule) == ("file.yaml", line, column, rule)


def test_a_billion_laughs_is_refused_at_the_first_anchor():
    error = refusal("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")

    assert (error.line, error.rule) == (1, "alias")


def test_an_error_reads_as_place_rule_message_and_hint():
    error = refusal("a: 1\na: 2\n")

    assert str(error) == "file.yaml:2:1: duplicate-key: 'a' is already given at line 1 (keep one of the two)"
    assert str(error.problem) == str(error)
