"""Errors of expressions point into the YAML file, however the expression is written there."""

import pytest

from hub.mapping import EvaluationError, SourceError, compile_expression, load_document


def compile_in(yaml, *path):
    document = load_document(yaml, "file.yaml")
    value = document.value
    for part in path:
        value = value[part]
    return compile_expression(value, document.position(path))


def place(yaml, *path, **scope):
    with pytest.raises(SourceError) as caught:
        compile_in(yaml, *path).evaluate(scope)
    return caught.value.line, caught.value.column


WRITTEN = {
    "plain": ("a:\n  b: 1 + x.y * 2\n", (2, 10)),
    "single quoted": ("a:\n  b: '1 + x.y * 2'\n", (2, 11)),
    "double quoted": ('a:\n  b: "1 + x.y * 2"\n', (2, 11)),
    "single quotes inside": ("a:\n  b: 'len(''it'') + x.y * 2'\n", (2, 21)),
    "escapes inside": ('a:\n  b: "len(\\"\\u00e9\\") + x.y * 2"\n', (2, 25)),
    "flow": ("a: {b: 1 + x.y * 2}\n", (1, 12)),
    "literal block": ("a:\n  b: |\n    1 +\n      x.y * 2\n", (4, 7)),
    "literal block with a comment": ("a:\n  b: | # why\n    # two parts: 'a'\n    1 +  # one\n    x.y * 2\n", (5, 5)),
    "folded block": ("a:\n  b: >-\n    1\n    + 2\n\n    + x.y * 2\n", (6, 7)),
    "plain over several lines": ("a:\n  b: 1\n    + 2\n    + x.y * 2\n", (4, 7)),
    "quoted over several lines": ("a:\n  b: '1\n    + 2\n    + x.y * 2'\n", (4, 7)),
    "double quoted with a joined line": ('a:\n  b: "1 \\\n    + x.y * 2"\n', (3, 7)),
    "windows line ends": ("a:\r\n  b: |\r\n    1 +\r\n    x.y * 2\r\n", (4, 5)),
    "wide characters before": ("a:\n  b: len('日本é') + x.y * 2\n", (2, 19)),
}


@pytest.mark.parametrize("style", WRITTEN)
def test_a_run_time_error_is_found_in_the_file(style):
    yaml, expected = WRITTEN[style]

    assert place(yaml, "a", "b", x={"y": None}) == expected


@pytest.mark.parametrize("style", WRITTEN)
def test_a_mistake_is_found_in_the_file(style):
    yaml, expected = WRITTEN[style]

    assert place(yaml.replace("x.y", "q()"), "a", "b") == expected
    assert place(yaml.replace("x.y *", "x.y $"), "a", "b") == (expected[0], expected[1] + 4)


def test_the_error_of_a_loop_points_into_the_loop():
    yaml = "b: |\n  sum([\n    line.price * line.quantity\n    for line in lines\n    if line.ok\n  ])\n"

    error = place(yaml, "b", lines=[{"ok": True, "price": 2, "quantity": "3"}])

    assert error == (3, 5)


def test_an_error_names_the_sub_expression():
    with pytest.raises(EvaluationError) as caught:
        compile_in("b: 1 + len(x) * (y - z)\n", "b").evaluate({"x": "", "y": 1, "z": "2"})

    assert caught.value.expression == "y - z"
    assert str(caught.value) == (
        "file.yaml:1:18: type: - needs numbers, not text '2' (number(x) reads a number from text)"
    )


def test_values_in_messages_are_cut_short():
    with pytest.raises(EvaluationError) as caught:
        compile_in("b: x * 2\n", "b").evaluate({"x": "secret" * 1000})

    assert len(str(caught.value)) < 200
