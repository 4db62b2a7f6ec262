"""Checks one expression."""

from __future__ import annotations

from dataclasses import dataclass

from hub.mapping.check.inference import Inference
from hub.mapping.check.scope import Scope
from hub.mapping.source import Position, Problem
from hub.mapping.syntax import Refusal, parse
from hub.records.schema import ANY, Type


@dataclass(frozen=True)
class Checked:
    """What an expression gives, and what is wrong with it."""

    type: Type
    problems: list[Problem]


def check_expression(
    text: str, position: Position, scope: Scope, *, wanted: Type | None = None, what: str = "", condition: bool = False
) -> Checked:
    """Checks the expression that stands at a position.

    With `wanted` it goes where a value of that type is wanted, which messages call `what`; with `condition` only whether it
    holds counts. A text that is no expression has no problem here: compiling it says what is wrong."""
    try:
        tree = parse(text)
    except Refusal:
        return Checked(ANY, [])
    inference = Inference(text)
    try:
        if condition:
            type_ = inference.condition(tree, scope)
        elif wanted is not None:
            type_ = inference.against(tree, scope, wanted, what or "it")
        else:
            type_ = inference.of(tree, scope)
    except RecursionError:  # too deep to compile either
        return Checked(ANY, [])
    problems = []
    for offset, rule, message, hint in inference.found:
        place = position.inside(offset, text)
        problems.append(Problem(place.file, place.line, place.column, rule, message, hint))
    return Checked(type_, problems)
