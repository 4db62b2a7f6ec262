"""Flow definitions: read a YAML file, check it, compile its steps. Every problem has file, line, column and a hint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.flows.context import MappingFolder, Roles
from hub.flows.run import Run, Step, leaves
from hub.flows.source import FlowFile, written_steps
from hub.flows.triggers import AFTER_SENDING, CORE_EVENTS, On, near, read_trigger
from hub.mapping import Document, Expression, Position, Problem, SourceError, compile_expression, coverage

__all__ = ["CORE_EVENTS", "LANGUAGE_VERSION", "Flow", "FlowErrors", "On", "StepConfig", "StepContext", "StepKind"]

#: raised when the meaning of flows or mappings changes; part of every version's hash
LANGUAGE_VERSION = 1
#: the keys of a flow's file and what each says; a sub-flow's
KEYS = {
    "flow": "Its name: letters, digits and hyphens.",
    "description": "What it is for, in a line.",
    "on": "What starts it.",
    "when": "An expression; where it does not hold, nothing runs and nothing is kept.",
    "order": "`latest`: a parked event lets later ones of its key pass; `strict`: it holds them.",
    "steps": "What is done, one step after the other.",
    "allow": "Findings of `hub lint` that are right here: each rule with its reason.",
}
KEYS_OF_CALLED = {
    **{key: KEYS[key] for key in ("flow", "description", "on", "steps", "allow")},
    "returns": "An expression: what the flow that calls it gets.",
}
NEEDED = ("flow", "on", "steps")
ORDERS = ("latest", "strict")
Path = tuple[str | int, ...]
#: settings whose truth decides how a flow goes on
_DECIDING = {("when",), ("if",), ("that",)}


class StepConfig(BaseModel):
    """Base of the settings of a step, as written in the flow."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True)
class StepKind:
    """One kind of step: its name, its settings, and how it is compiled. `short` turns a text into settings; `parts` are
    the settings that hold steps, a list or an object of lists."""

    name: str
    config: type[StepConfig]
    compile: Callable[[Any, StepContext], Step]
    short: str | None = None
    parts: tuple[str, ...] = ()


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


@dataclass
class StepContext:
    """What a step is compiled with: its place in the file, the roles and mappings, and where problems go."""

    flow: str
    on: On
    document: Document
    roles: Roles
    mappings: MappingFolder
    kinds: Mapping[str, StepKind]
    problems: list[Problem]
    path: Path = ()
    #: names that earlier steps brought into the scope
    names: set[str] = field(default_factory=set)
    #: those of them that may be null because not every way binds them
    maybe: set[str] = field(default_factory=set)
    #: settings of the next `deliver`: a mapping before it is one of its role's connectors
    deliver: Mapping[str, Any] = field(default_factory=dict)
    mappings_used: set[str] = field(default_factory=set)
    #: flows that may be called, by name; those that are, and the way of calls to this place
    callable: Mapping[str, FlowFile] = field(default_factory=dict)
    calls_used: dict[str, FlowFile] = field(default_factory=dict)
    calling: tuple[str, ...] = ()
    #: inside a loop over the connections of a role: the role, and the expression of the connection's id
    loop: tuple[str, str] | None = None
    #: the sound expressions, by the path of their step in the document and by their own below it
    expressions: dict[Path, dict[Path, str]] = field(default_factory=dict)
    #: the sound steps by their path, those inside others too
    compiled: dict[Path, Step] = field(default_factory=dict)

    def at(self, *path: str | int) -> Position:
        return self.document.position((*self.path, *path))

    def problem(self, rule: str, message: str, hint: str = "", *path: str | int) -> None:
        place = self.at(*path)
        self.problems.append(Problem(place.file, place.line, place.column, rule, message, hint))

    def problem_at_key(self, rule: str, message: str, hint: str, *path: str | int) -> None:
        place = self.document.key_position((*self.path, *path))
        self.problems.append(Problem(place.file, place.line, place.column, rule, message, hint))

    def expression(self, text: str, *path: str | int) -> Expression | None:
        """Compiles an expression of the step; what is wrong with it becomes a problem."""
        try:
            made = compile_expression(text, self.at(*path), decides=path[-1:] in _DECIDING)
        except SourceError as error:
            self.problems.append(error.problem)
            return None
        self.expressions.setdefault(self.path, {})[path] = text
        return made

    def steps(self, value: Any, *path: str | int, **changes: Any) -> tuple[Step, ...]:
        """Compiles a list of steps inside a step. What they bind is in scope after them."""
        return _compile_steps(value, replace(self, path=(*self.path, *path), **changes))

    def branches(
        self, values: Sequence[tuple[Any, Path]], *, complete: bool
    ) -> tuple[list[tuple[Step, ...]], frozenset[str]]:
        """Compiles lists of steps of which one is run, or none unless `complete`. Returns them and the names they bind;
        those that not every one binds may be null afterwards."""
        compiled, bound = [], []
        for value, path in values:
            names = set(self.names)
            compiled.append(self.steps(value, *path, names=names))
            bound.append(names - self.names)
        every = set.intersection(*bound) if bound and complete else set()
        either = frozenset().union(*bound)
        self.names |= either
        self.maybe |= either - every
        return compiled, either

    def called(self, name: str, *path: str | int) -> Called | None:
        """Compiles a sub-flow for this place."""
        file = self.callable.get(name)
        if file is None:
            self.problem(
                "call-unknown", f"no flow with on: {{call: [...]}} is called {name!r}", near(name, self.callable), *path
            )
            return None
        if name in self.calling:
            way = " -> ".join((*self.calling[self.calling.index(name) :], name))
            self.problem("call-cycle", f"flows call each other for ever: {way}", "", *path)
            return None
        self.calls_used[name] = file
        return _compile_called(name, file, self)


@dataclass(frozen=True)
class Called:
    """A sub-flow, compiled for the place where it is called."""

    takes: tuple[str, ...]
    steps: tuple[Step, ...]
    returns: Expression | None


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
        _check_fetches(_compile_takes(context).steps, context)
        flow = None
    else:
        flow = _compile_flow(file, context, events)
    found = (context.problems, context.expressions, context.compiled)
    return ReadFlow(context.document, context.on, None if context.problems else flow, *found)


def _compile_flow(file: FlowFile, context: StepContext, events: Collection[str]) -> Flow | None:
    document, problem, value = context.document, context.problem, context.document.value
    _check_keys(context, KEYS)
    on = context.on = read_trigger(value.get("on"), events, problem) if "on" in value else On()
    order = value.get("order", "latest")
    if order not in ORDERS:
        hint = "`latest` (a parked event lets later ones pass) or `strict`"
        problem("order", f"{order!r} is not an order", hint, "order")
    when = _text_expression(context, "when")
    steps = context.steps(value.get("steps", []), "steps")
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


def _check_keys(context: StepContext, known: Collection[str]) -> None:
    value = context.document.value
    for key in value:
        if key not in known:
            context.problem_at_key("unknown-key", f"{key!r} is not known", near(key, known), key)
    for key in NEEDED:
        if key not in value:
            context.problem("missing-key", f"`{key}` is missing")
    name = value.get("flow")
    if name is not None and (not isinstance(name, str) or not name.replace("-", "").isalnum()):
        context.problem("flow-name", "the name of a flow is letters, digits and hyphens", "", "flow")
    if not isinstance(value.get("description", ""), str):
        context.problem("description", "`description` is a text", "", "description")


def _text_expression(context: StepContext, key: str) -> Expression | None:
    value = context.document.value
    if key not in value:
        return None
    if not isinstance(value[key], str):
        context.problem("expression", f"`{key}` is an expression, a text", "", key)
        return None
    return context.expression(value[key], key)


def _compile_called(name: str, file: FlowFile, caller: StepContext) -> Called | None:
    """A sub-flow for the place of a caller. What is wrong with it is said in its own file."""
    try:
        document = file.document
    except SourceError as error:
        caller.problems.append(error.problem)
        return None
    context = replace(
        caller,
        document=document,
        path=(),
        calling=(*caller.calling, name),
        maybe=set(),
        loop=None,
        expressions={},
        compiled={},
    )
    return _compile_takes(context)


def _compile_takes(context: StepContext) -> Called:
    """The sub-flow of a document, for what it takes."""
    value = context.document.value
    _check_keys(context, KEYS_OF_CALLED)
    takes = read_trigger(value.get("on"), (), context.problem).call or ()
    context.names = set(takes)
    steps = context.steps(value.get("steps", []), "steps")
    return Called(takes, steps, _text_expression(context, "returns"))


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


def _compile_steps(value: Any, context: StepContext) -> tuple[Step, ...]:
    if not isinstance(value, list) or not value:
        context.problem("steps", "`steps` is a list with at least one step")
        return ()
    compiled: list[Step] = []
    base, after = context.path, context.deliver
    for index, step in enumerate(value):
        context.path = (*base, index)
        context.deliver = _next_deliver(value[index:], context.kinds, after)
        made = _compile_step(step, context)
        if made is not None:
            _probe(made, context.document.key_position(context.path))
            compiled.append(made)
    context.path = base
    return tuple(compiled)


def _next_deliver(steps: Any, kinds: Mapping[str, StepKind], after: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the first `deliver` of a list, else of what comes after it."""
    return next((settings for name, settings in written_steps(steps, kinds) if name == "deliver"), after)


def _compile_step(step: Any, context: StepContext) -> Step | None:
    if not isinstance(step, dict) or len(step) != 1:
        context.problem("step", "a step has one name with its settings", "for example - map: order")
        return None
    [(name, settings)] = step.items()
    kind = context.kinds.get(name)
    if kind is None:
        context.problem_at_key("unknown-step", f"there is no step {name!r}", near(name, context.kinds), name)
        return None
    context.path = (*context.path, name)
    if kind.short is not None and not isinstance(settings, dict):
        settings = {kind.short: settings}
        shorthand = True
    else:
        shorthand = False
    try:
        config = kind.config.model_validate(settings if settings is not None else {})
    except ValidationError as error:
        names = [field.alias or name for name, field in kind.config.model_fields.items()]
        for each in error.errors():
            _settings_problem(context, each, shorthand, names)
        return None
    if shorthand:
        context.document = _Shorthand(context.document, context.path, kind.short or "")
    before = len(context.problems)
    made = kind.compile(config, context)
    if shorthand:
        context.document = context.document.document  # type: ignore[attr-defined]
    if made is None or len(context.problems) > before:
        return None
    context.compiled[context.path] = made
    return made


def _probe(made: Step, place: Position) -> None:
    """While coverage is on, notes that a step ran; one that only delivers is asked what is `wanted` instead."""
    if coverage.active is None:
        return
    note = coverage.active.probe(place, coverage.Kind.RUNS, "step")
    for method in ("run", "wanted"):
        if hasattr(made, method):
            setattr(made, method, _noted(getattr(made, method), note))


def _noted(work: Callable[[Run], Any], note: Callable[[Any], Any]) -> Callable[[Run], Any]:
    return lambda run: work(note(run))


class _Shorthand(Document):
    """Positions of a step written in short: its one setting stands where the step's value stands."""

    def __init__(self, document: Document, path: Path, name: str) -> None:
        self.document = document
        self._path = (*path, name)

    def position(self, path: Path) -> Position:
        return self.document.position(self._path[:-1] if path[: len(self._path)] == self._path else path)

    def key_position(self, path: Path) -> Position:
        return self.document.key_position(path)


def _settings_problem(context: StepContext, error: Any, shorthand: bool, known: Collection[str]) -> None:
    location: Path = () if shorthand else tuple(part for part in error["loc"] if isinstance(part, (str, int)))
    message = error["msg"].removeprefix("Value error, ")
    hint = ""
    if error["type"] == "missing":
        message, location = f"`{error['loc'][-1]}` is missing", location[:-1]
    if error["type"] == "extra_forbidden" and not shorthand:
        unknown = str(error["loc"][-1])
        context.problem_at_key("step-settings", f"`{unknown}` is not known here", near(unknown, known), *location)
        return
    context.problem("step-settings", message, hint, *location)
