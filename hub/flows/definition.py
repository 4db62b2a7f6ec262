"""Flow definitions: a YAML file is read, checked and compiled. Every problem has file, line, column and a hint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hub.flows.compiling import Path, StepContext, StepKind, check_keys, compile_takes, text_expression
from hub.flows.context import MappingFolder, Roles
from hub.flows.run import Step, leaves
from hub.flows.source import KEYS, ORDERS, FlowFile
from hub.flows.triggers import AFTER_SENDING, On, read_trigger
from hub.mapping import Document, Expression, Problem, SourceError

#: raised when the meaning of flows or mappings changes; part of every version's hash
LANGUAGE_VERSION = 1


@dataclass(frozen=True)
class Flow:
    """A compiled flow of one version."""

    name: str
    file: str
    on: On
    when: Expression | None
    order: str
    steps: tuple[Step, ...]
    version_hash: str
    version_text: str
    document: Document

    @cached_property
    def only_delivers(self) -> bool:
        """All that it does on the plan is to plan deliveries: it may run at the end of a batch, with all others."""
        return all(step.only_delivers for step in leaves(self.steps) if step.needs_plan)

    @cached_property
    def deferred(self) -> bool:
        """It answers an event of the core after its transaction: it reads from a system, or what it answers is told by
        none."""
        return self.on.event == AFTER_SENDING or (
            self.on.event is not None and any(step.fetches for step in leaves(self.steps))
        )

    @cached_property
    def deliver_roles(self) -> frozenset[str]:
        """The roles that its first deliveries go to. One that only delivers does not run while nobody plays any of them."""
        first = next((step for step in self.steps if step.needs_plan), None)
        return frozenset(role for step in leaves([first] if first else []) for role in step.delivers_to)


class FlowErrors(Exception):
    """Flows that do not lint: all that is wrong with them."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class ReadFlow:
    """A flow that was read: compiled, unless something is wrong with it or it is only called."""

    document: Document
    on: On
    flow: Flow | None
    problems: list[Problem]
    #: the sound expressions, by the path of their step in the document and by their own below it
    expressions: Mapping[Path, Mapping[Path, str]] = field(default_factory=dict)
    #: the sound steps by their path, those inside others too
    steps: Mapping[Path, Step] = field(default_factory=dict)


def load_flow(
    file: FlowFile,
    roles: Roles,
    mappings: MappingFolder,
    kinds: Mapping[str, StepKind],
    events: Collection[str],
    callable: Mapping[str, FlowFile],
) -> Flow:
    """Reads and compiles one flow. `events` may be answered: those of the core and those that flows emit; `callable` may
    be called.

    Raises: FlowErrors with everything that is wrong."""
    read = read_flow(file, roles, mappings, kinds, events, callable)
    if read.flow is None:
        raise FlowErrors(read.problems)
    return read.flow


def check_called(
    file: FlowFile,
    roles: Roles,
    mappings: MappingFolder,
    kinds: Mapping[str, StepKind],
    callable: Mapping[str, FlowFile],
) -> str:
    """Compiles a sub-flow as if it was called, so that what is wrong with it is said even if nobody calls it. Returns its
    name. Raises: FlowErrors."""
    read = read_flow(file, roles, mappings, kinds, (), callable)
    if read.problems:
        raise FlowErrors(read.problems)
    return str(file.called)


def read_flow(
    file: FlowFile,
    roles: Roles,
    mappings: MappingFolder,
    kinds: Mapping[str, StepKind],
    events: Collection[str],
    callable: Mapping[str, FlowFile],
) -> ReadFlow:
    """Compiles a flow, or a sub-flow as if it was called, and gathers everything that is wrong with it; see `load_flow`.

    Raises: FlowErrors when the file is no flow at all."""
    context = _opened(file, roles, mappings, kinds, callable)
    if file.called is not None:
        context.calling = (file.called,)
        _check_fetches(compile_takes(context).steps, context)
        flow = None
    else:
        flow = _compile_flow(file, context, events)
    found = (context.problems, context.expressions, context.compiled)
    return ReadFlow(context.document, context.on, None if context.problems else flow, *found)


def _compile_flow(file: FlowFile, context: StepContext, events: Collection[str]) -> Flow | None:
    document, problem, value = context.document, context.problem, context.document.value
    check_keys(context, KEYS)
    on = context.on = read_trigger(value.get("on"), events, problem) if "on" in value else On()
    order = value.get("order", "latest")
    if order not in ORDERS:
        hint = "`latest` (a parked event lets later ones pass) or `strict`"
        problem("order", f"{order!r} is not an order", hint, "order")
    when = text_expression(context, "when")
    steps = context.steps(value["steps"], "steps") if "steps" in value else ()
    _check_fetches(steps, context)
    if context.problems:
        return None
    version_text = _version_text(file, context)
    version = hashlib.sha256(f"{LANGUAGE_VERSION}\n{version_text}".encode()).hexdigest()
    return Flow(context.flow, file.file, on, when, str(order), steps, version, version_text, document)


def _opened(
    file: FlowFile,
    roles: Roles,
    mappings: MappingFolder,
    kinds: Mapping[str, StepKind],
    callable: Mapping[str, FlowFile],
) -> StepContext:
    """What the steps of a file are compiled with. Raises: FlowErrors when the file is no flow at all."""
    try:
        document = file.document
    except SourceError as error:
        raise FlowErrors([error.problem]) from None
    value = document.value
    if not isinstance(value, dict):
        message = "a flow is a mapping with `flow`, `on` and `steps`"
        raise FlowErrors([Problem(file.file, 1, 1, "flow", message, "")])
    return StepContext(str(value.get("flow")), On(), document, roles, mappings, kinds, [], callable=callable)


def _check_fetches(steps: Sequence[Step], context: StepContext) -> None:
    """A read stands before the first step that works on the books, which are held from there on."""
    held = False
    for step in steps:
        held = held or step.needs_plan
        for leaf in leaves([step]) if held else ():
            if leaf.fetches:
                place = leaf.place
                message = (
                    "a fetch stands before the first step that works on the books (also where both are in one block)"
                )
                hint = "move it to the front, before that step or the block around it"
                context.problems.append(
                    Problem(place.file, place.line, place.column, "fetch-after-core", message, hint)
                )


def _version_text(file: FlowFile, context: StepContext) -> str:
    """All that a version is made of: enough to compile it again when the files are gone."""
    content: dict[str, Any] = {
        "flow": file.text,
        "file": file.file,
        "mappings": {used: context.mappings.texts[used] for used in sorted(context.mappings_used)},
    }
    if context.calls_used:
        content["calls"] = {
            name: {"file": called.file, "text": called.text} for name, called in sorted(context.calls_used.items())
        }
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
