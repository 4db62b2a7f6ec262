"""Rules about names: those that nothing brings, and those that nothing reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from hub.flows.compiling import Path
from hub.flows.lint.project import Project
from hub.flows.lint.reads import Read, Written
from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.scope import Name, Scope
from hub.flows.lint.view import FlowView, StepView
from hub.mapping import FUNCTIONS, Document, Problem


@RULES.in_flow(
    id="unknown-name",
    finds="A name in an expression that neither the trigger nor an earlier step brings.",
    place="the name in the expression",
    why="The run stops with a question each time, in the middle of a working day, for orders that were fine.",
    mend="Write the name as the hint says, or bring it before: with `set`, `map`, `lookup` or `fetch`.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoce.number}
""",
)
def unknown_name(rule: Rule, view: FlowView) -> Iterator[Problem]:
    for _, written, top in view.top:
        yield from _unknown(rule, written, top)
    for step in view.steps:
        scope = step.scope
        for path, written in view.written.get(step.path, {}).items():
            if scope is not None:
                yield from _unknown(rule, written, scope)
                if step.kind == "set":
                    scope = scope.binding(Name(str(path[0])))


def _unknown(rule: Rule, written: Written, scope: Scope) -> Iterator[Problem]:
    for read in written.reads:
        if read.name not in scope.names and not scope.open:
            yield rule.at(written.at(read.node), f"nothing before brings {read.name}", _hint(read, scope))


def _hint(read: Read, scope: Scope) -> str:
    close = difflib.get_close_matches(read.name, sorted(scope.names), 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    if read.name in FUNCTIONS:
        return f"a function is called: {FUNCTIONS[read.name].signature}"
    return f"a text stands in quotes; names here: {', '.join(sorted(scope.names))}"


@RULES.in_flow(
    id="unused-name",
    finds="A name of `set`, or the `as` of a `lookup`, `fetch`, `call` or `ledger.totals`, that nothing reads. In a mapping: a "
    "name of `let`.",
    place="the name: the key in `set` or `let`, the value of `as`",
    why="Often the step that should read it reads something else; a `fetch` costs a request for nothing.",
    mend="Read it where it was meant to be read, or take it out.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - set: {note: "'Invoice ' + invoice.number"}
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
)
def unused_name(rule: Rule, view: FlowView) -> Iterator[Problem]:
    read = _read_by_steps(view)
    for by_path in view.written.values():
        for written in by_path.values():
            read |= written.names
    for step in view.steps:
        for name, path in _given(step):
            if name not in read:
                place = view.document.key_position(path) if step.kind == "set" else view.document.position(path)
                yield rule.at(place, f"nothing reads {name}", "take it out, or read it")


def _given(step: StepView) -> Iterator[tuple[str, Path]]:
    if step.kind == "set":
        yield from ((name, (*step.path, name)) for name in step.settings)
    elif step.kind in ("lookup", "fetch", "call", "ledger.totals"):
        name = step.text("as")
        if name is not None:
            yield name, (*step.path, "as")


def _read_by_steps(view: FlowView) -> set[str]:
    """What steps read by themselves: the record of a mapping, the order of `order.sync`, the payload of a `deliver`."""
    found: set[str] = set()
    for step in view.steps:
        if step.kind == "map":
            found |= {mapping.source.rpartition(".")[2] for mapping in view.mappings_of(step)}
        elif step.kind == "order.sync":
            found.add("order")
        elif step.kind == "shipment.record":
            found.add("shipment")
        elif step.kind == "deliver" and "body" not in step.settings:
            found.add("payload")
    return found


def unused_let(project: Project, document: Document) -> Iterator[Problem]:
    """The names of every `let` of a mapping that no expression reads."""
    value = document.value
    if not isinstance(value, dict) or "mapping" not in value:
        return
    read: set[str] = set()
    for text in _expressions({"let": value.get("let"), "map": value.get("map")}):
        read |= Written(text, document.position(())).sound_names()
    for path in _lets(value, ()):
        if path[-1] not in read:
            yield unused_name.at(document.key_position(path), f"nothing reads {path[-1]}", "take it out, or read it")


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "as":
                yield from _expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner)


def _lets(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "let" and isinstance(inner, dict):
                yield from ((*path, key, name) for name in inner)
            elif key != "tables":
                yield from _lets(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _lets(inner, (*path, index))


RULES.of_documents.append((unused_name, unused_let))
