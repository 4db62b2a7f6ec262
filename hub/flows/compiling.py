"""Steps are compiled here: with their place in the file, the roles and mappings, and a list that problems go to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.flows.context import MappingFolder, Roles
from hub.flows.run import Run, Step
from hub.flows.source import KEYS_OF_CALLED, NEEDED, FlowFile, written_steps
from hub.flows.triggers import On, near, read_trigger
from hub.mapping import Document, Expression, Position, Problem, SourceError, compile_expression, coverage

Path = tuple[str | int, ...]
#: settings whose truth decides how a flow goes on
_DECIDING = {("when",), ("if",), ("that",)}


Probe = Callable[[Any], Any]


def unseen(value: Any) -> Any:
    """The probe of what coverage does not count."""
    return value


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

    def probe(self, kind: coverage.Kind, text: str, *path: str | int) -> Probe:
        """While coverage is on, notes how the value goes that is passed through it; else it does nothing."""
        if coverage.active is None:
            return unseen
        return coverage.active.probe(self.document.key_position((*self.path, *path)), kind, text)

    def steps(self, value: Any, *path: str | int, **changes: Any) -> tuple[Step, ...]:
        """Compiles a list of steps inside a step. What they bind is in scope after them."""
        return compile_steps(value, replace(self, path=(*self.path, *path), **changes))

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


def check_keys(context: StepContext, known: Collection[str]) -> None:
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


def text_expression(context: StepContext, key: str) -> Expression | None:
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
    return compile_takes(context)


def compile_takes(context: StepContext) -> Called:
    """The sub-flow of a document, for what it takes."""
    value = context.document.value
    check_keys(context, KEYS_OF_CALLED)
    takes = read_trigger(value.get("on"), (), context.problem).call or ()
    context.names = set(takes)
    steps = context.steps(value["steps"], "steps") if "steps" in value else ()
    return Called(takes, steps, text_expression(context, "returns"))


def compile_steps(value: Any, context: StepContext) -> tuple[Step, ...]:
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
