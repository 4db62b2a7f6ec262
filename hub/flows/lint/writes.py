"""Rules about `deliver`: keys that do not name one write for ever, writes that cannot be made safe, retries without an end."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from hub.connect.manifest import Operation
from hub.flows.context import ConnectionInfo
from hub.flows.lint.reads import Written
from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.scope import CLOCK, CLOCKS, Scope, sources_of
from hub.flows.lint.view import FlowView, StepView
from hub.flows.steps.deliver import Retry
from hub.mapping import Problem
from hub.records.schema import Kind

#: retries beyond these are no limit: nobody waits for the answer any more
MOST_ATTEMPTS = 100
MOST_DAYS = 30
_DAY_US = 86_400_000_000


@RULES.in_flow(
    id="write-without-key",
    finds="A key of `deliver` that does not name one write for ever: it is the same for every record (a constant, or only the "
    "connection's), the same for every item of the `for_each` around it, another at each run (a clock, a random part), or "
    "may be null (`lookup` and `first` find nothing, a branch of `a if c else b`, a nullable field alone).",
    place="the expression of `key`; for a clock or a random part and for null, the part of the expression that is",
    why="With the same key only the first record is ever sent; with another key at each run a retry sends the invoice twice.",
    mend="Make the key of what identifies the thing outside the hub too: `invoice.number`, `'payment:' + payment.external_id`.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: "'invoice'"}
""",
)
def write_without_key(rule: Rule, view: FlowView) -> Iterator[Problem]:
    for step in view.of_kind("deliver"):
        key = view.expression(step, "key")
        if key is not None and step.scope is not None:
            yield from _key(rule, view, step, key, step.scope)


def _key(rule: Rule, view: FlowView, step: StepView, key: Written, scope: Scope) -> Iterator[Problem]:
    sources = sources_of(key, scope)
    null = _null(view, step, key)
    if sources >= CLOCK:
        yield rule.at(_clock(key, scope), "the key is another each time that it is computed", "name the record")
    elif not sources:
        yield rule.at(key.start, "the key is the same for every record", "name the record: its id or number")
    elif null is not None:
        yield rule.at(
            key.at(null), "the key may be null", "validate it before, or give a default that names the record"
        )
    else:
        outside = [loop for loop in step.loops if loop not in sources]
        if outside and not _by_connection(view, step, outside):
            yield rule.at(key.start, "the key is the same for every item of the `for_each`", "name the item too")


def _null(view: FlowView, step: StepView, key: Written) -> ast.expr | None:
    """The part of a key that may be null."""
    type_ = view.type_of(step, "key")
    if type_.nullable:
        return key.null_part or key.tree
    return key.null_part if type_.kind is Kind.ANY else None


def _clock(key: Written, scope: Scope) -> Any:
    for read in key.reads:
        name = scope.names.get(read.name)
        if (name is None and read.name in CLOCKS) or (name is not None and name.sources >= CLOCK):
            return key.at(read.node)
    call = key.call_of(CLOCKS)
    return key.at(call) if call is not None else key.start


def _by_connection(view: FlowView, step: StepView, loops: list[Any]) -> bool:
    """Whether all these loops are over connections, one of which the delivery goes to: each has keys of its own."""
    named = view.expression(step, "connection")
    steps = {each.path: each for each in view.of_kind("for_each")}
    return named is not None and all("connections" in steps[loop].settings for loop in loops if loop in steps)


@RULES.in_flow(
    id="ladder-none",
    finds="A write that the connector cannot make safe: its operation has the ladder `none`, or one that ends as `none` because a "
    "setting is empty. For a role that nobody plays yet: with every connector that can play it.",
    place="the value of `operation`",
    why="When the answer is lost nobody knows whether it was done. The hub does not send it again: each such case waits for a "
    "person.",
    mend="Fill the setting that the hint names, take an operation that is safe, or say in `allow` why it is right here.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: mail, operation: message.send, key: invoice.number}
""",
)
def ladder_none(rule: Rule, view: FlowView) -> Iterator[Problem]:
    for step in view.of_kind("deliver"):
        role, name = step.text("role"), step.text("operation")
        if role is None or name is None:
            continue
        found = [
            (info, operation, view.project.roles.ladder(info, operation))
            for info, operation in _operations(view, role, name)
            if not operation.read
        ]
        unsafe = [(info, operation) for info, operation, ladder in found if ladder == "none"]
        if unsafe and (role in view.project.bound_roles or len(unsafe) == len(found)):
            info, operation = unsafe[0]
            yield rule.at(
                view.at(step, "operation"), f"{info.connector} cannot make {name} safe", _setting(info, operation)
            )


def _setting(info: ConnectionInfo, operation: Operation) -> str:
    if operation.ladder != "none" and operation.key is not None:
        return f"fill the setting in {operation.key.name} of {info.name}, if the other side can tell repeats"
    return "say in `allow` why at most once is right here"


def _operations(view: FlowView, role: str, name: str) -> Iterator[tuple[ConnectionInfo, Operation]]:
    for info in view.project.players(role):
        manifest = view.project.manifest(info)
        if manifest is not None and name in manifest.operations:
            yield info, manifest.operations[name]


@RULES.in_flow(
    id="unbounded-retry",
    finds=f"A `retry` of `deliver` that allows more than {MOST_ATTEMPTS} attempts or more than {MOST_DAYS} days, and nothing else that "
    "ends it sooner.",
    place="the name `retry`",
    why="A system that is gone for good is asked for ever, and the write that it holds is never brought to a person.",
    mend='Say when to give up: `retry: {attempts: 20, within: "2d"}`. Then it becomes a question.',
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number, retry: {within: "400d"}}
""",
)
def unbounded_retry(rule: Rule, view: FlowView) -> Iterator[Problem]:
    for step in view.of_kind("deliver"):
        retry = step.settings.get("retry")
        if isinstance(retry, dict) and not _bounded(retry):
            place = view.document.key_position((*step.path, "retry"))
            yield rule.at(place, "it goes on for ever, or nearly so", 'give `attempts`, or `within` in days: "2d"')


def _bounded(retry: Mapping[str, Any]) -> bool:
    try:
        patience = Retry.model_validate(retry).patience
    except ValidationError:  # said by the step itself
        return True
    enough = patience.attempts is not None and patience.attempts <= MOST_ATTEMPTS
    return enough or (patience.within_us is not None and patience.within_us <= MOST_DAYS * _DAY_US)


@RULES.in_project(
    id="duplicate-write",
    finds="Two `deliver` steps with the same role, operation, connection and key, in one flow or in flows of the same trigger, that "
    "can both run: not in two branches of one choice, nor in flows that each have a `when` of their own.",
    place="the expression of `key` of the later one, by the file's name and the place in it; a file that was not given comes first",
    why="The second is left out if it is equal, and else becomes a question for every record: one of the two never arrives.",
    mend="Keep one of them, or give each write a key of its own: `'reminder:' + invoice.number`.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
)
def duplicate_write(rule: Rule, project: Any) -> Iterator[Problem]:
    seen: dict[tuple[str, ...], list[tuple[FlowView, StepView]]] = {}
    for view in sorted(project.views, key=lambda each: (project.speaks_of(each.document.file), each.document.file)):
        for step in view.of_kind("deliver"):
            key = view.expression(step, "key")
            if key is None or step.scope is None or not view.trigger_key:
                continue
            role, operation = step.text("role"), step.text("operation")
            place = (view.trigger_key, str(role), str(operation), _plain(step.text("connection")), _plain(key.text))
            first = next((each for each in seen.get(place, ()) if _both(*each, view, step)), None)
            seen.setdefault(place, []).append((view, step))
            if first is not None:
                other = "this flow" if first[0] is view else first[0].document.file
                line = first[0].at(first[1], "key").line
                yield rule.at(
                    key.start, f"{other} writes {operation} with this key too, in line {line}", "keep one of them"
                )


def _plain(text: str | None) -> str:
    return "" if text is None else " ".join(text.split())


def _both(one: FlowView, step: StepView, other: FlowView, later: StepView) -> bool:
    """Whether both can run for one event."""
    if one is other:
        ways = dict(later.branches)
        return all(ways.get(path, branch) == branch for path, branch in step.branches)
    conditions = [view.written.get((), {}).get(("when",)) for view in (one, other)]
    texts = {_plain(written.text) for written in conditions if written is not None}
    return not (all(conditions) and len(texts) == 2)
