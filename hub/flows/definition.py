"""Flow definitions: read a YAML file, check it, compile its steps. Every problem has file, line, column and a hint."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.flows.context import MappingFolder, Roles
from hub.flows.run import Step
from hub.mapping import Document, Expression, Position, Problem, SourceError, compile_expression, load_document

#: raised when the meaning of flows or mappings changes; part of every version's hash
LANGUAGE_VERSION = 1

#: events of the core that flows may answer
CORE_EVENTS = {
    "invoice.issued",
    "credit_note.issued",
    "payment.received",
    "payment.refunded",
    "order.ready",
    "order.cancelled",
    "shipment.recorded",
    "stock.changed",
    "delivery.confirmed",
}
Path = tuple[str | int, ...]


class StepConfig(BaseModel):
    """Base of the settings of a step, as written in the flow."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True)
class StepKind:
    """One kind of step: its name, its settings, and how it is compiled. `short` turns a text into settings."""

    name: str
    config: type[StepConfig]
    compile: Callable[[Any, StepContext], Step]
    short: str | None = None


@dataclass(frozen=True)
class On:
    """The trigger of a flow: a record of a role, a core event, or a manual trigger."""

    role: str | None = None
    record: str | None = None
    event: str | None = None
    manual: str | None = None

    @property
    def name(self) -> str:
        return self.event or self.manual or f"{self.role}.{self.record}"


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
    #: the role that its first `deliver` goes to; a flow for a role that nobody plays does not run
    deliver_role: str | None = None

    @property
    def only_delivers(self) -> bool:
        """All that it does on the plan is to plan deliveries: it may run at the end of a batch, with all others."""
        return all(hasattr(step, "wanted") for step in self.steps if step.needs_plan)


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
    #: settings of the next `deliver`: a mapping before it is one of its role's connectors
    deliver: Mapping[str, Any] = field(default_factory=dict)
    mappings_used: set[str] = field(default_factory=set)

    def at(self, *path: str | int) -> Position:
        return self.document.position((*self.path, *path))

    def problem(self, rule: str, message: str, hint: str = "", *path: str | int) -> None:
        place = self.at(*path)
        self.problems.append(Problem(place.file, place.line, place.column, rule, message, hint))

    def expression(self, text: str, *path: str | int) -> Expression | None:
        """Compiles an expression of the step; what is wrong with it becomes a problem."""
        try:
            return compile_expression(text, self.at(*path))
        except SourceError as error:
            self.problems.append(error.problem)
            return None

    def steps(self, value: Any, *path: str | int) -> tuple[Step, ...]:
        """Compiles a list of steps inside a step."""
        inner = StepContext(
            self.flow,
            self.on,
            self.document,
            self.roles,
            self.mappings,
            self.kinds,
            self.problems,
            (*self.path, *path),
            self.names,
            self.deliver,
            self.mappings_used,
        )
        return _compile_steps(value, inner)


def emitted(text: str, file: str) -> set[str]:
    """The events that a flow announces with `emit`; none when it cannot be read."""
    try:
        value = load_document(text, file).value
    except SourceError:
        return set()
    found: set[str] = set()
    open_: list[Any] = [value]
    while open_:
        each = open_.pop()
        if isinstance(each, dict):
            emit = each.get("emit")
            if isinstance(emit, dict) and isinstance(emit.get("event"), str):
                found.add(emit["event"])
            open_ += each.values()
        elif isinstance(each, list):
            open_ += each
    return found


def load_flow(
    text: str,
    file: str,
    roles: Roles,
    mappings: MappingFolder,
    kinds: Mapping[str, StepKind],
    events: Collection[str],
) -> Flow:
    """Reads and compiles one flow. `events` may be answered: those of the core and those that flows emit.

    Raises: FlowErrors with everything that is wrong."""
    try:
        document = load_document(text, file)
    except SourceError as error:
        raise FlowErrors([error.problem]) from None
    problems: list[Problem] = []
    value = document.value

    def problem(rule: str, message: str, hint: str = "", *path: str | int) -> None:
        place = document.position(path)
        problems.append(Problem(place.file, place.line, place.column, rule, message, hint))

    if not isinstance(value, dict):
        raise FlowErrors([Problem(file, 1, 1, "flow", "a flow is a mapping with `flow`, `on` and `steps`", "")])
    for key in value:
        if key not in ("flow", "on", "when", "order", "steps", "description"):
            place = document.key_position((key,))
            problems.append(
                Problem(
                    place.file,
                    place.line,
                    place.column,
                    "unknown-key",
                    f"{key!r} is not known",
                    _near(key, ("flow", "on", "when", "order", "steps", "description")),
                )
            )
    for key in ("flow", "on", "steps"):
        if key not in value:
            problem("missing-key", f"`{key}` is missing")
    name = value.get("flow")
    if name is not None and (not isinstance(name, str) or not name.replace("-", "").isalnum()):
        problem("flow-name", "the name of a flow is letters, digits and hyphens", "", "flow")
    on = _on(value.get("on"), events, problem) if "on" in value else On()
    order = value.get("order", "latest")
    if order not in ("latest", "strict"):
        problem(
            "order", f"{order!r} is not an order", "`latest` (a parked event lets later ones pass) or `strict`", "order"
        )
    context = StepContext(str(name), on, document, roles, mappings, kinds, problems)
    when = None
    if "when" in value:
        if isinstance(value["when"], str):
            when = context.expression(value["when"], "when")
        else:
            problem("expression", "`when` is an expression, a text", "", "when")
    context.path = ("steps",)
    steps = _compile_steps(value.get("steps", []), context)
    if problems:
        raise FlowErrors(problems)
    texts = {used: mappings.texts[used] for used in sorted(context.mappings_used)}
    version_text = json.dumps(
        {"flow": text, "file": file, "mappings": texts}, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    first = next(_delivers(value["steps"]), {}).get("role")
    version = hashlib.sha256(f"{LANGUAGE_VERSION}\n{version_text}".encode()).hexdigest()
    return Flow(str(name), file, on, when, str(order), steps, version, version_text, document, first)


def _on(value: Any, events: Collection[str], problem: Callable[..., None]) -> On:
    keys = set(value) if isinstance(value, dict) else set()
    if keys == {"role", "record"}:
        return On(role=str(value["role"]), record=str(value["record"]))
    if keys == {"event"}:
        if value["event"] not in events:
            problem(
                "unknown-event",
                f"there is no core event {value['event']!r}, and no flow emits it",
                _near(str(value["event"]), events),
                "on",
                "event",
            )
        return On(event=str(value["event"]))
    if keys == {"manual"}:
        return On(manual=str(value["manual"]))
    problem(
        "trigger",
        "a trigger is {role, record}, {event} or {manual}",
        "for example on: {role: shop, record: order}",
        "on",
    )
    return On()


def _delivers(steps: Any) -> Iterator[Mapping[str, Any]]:
    """The settings of the `deliver` steps of a list, those inside other steps included, in order."""
    for step in steps if isinstance(steps, list) else ():
        for name, settings in step.items() if isinstance(step, dict) else ():
            if not isinstance(settings, dict):
                continue
            if name == "deliver":
                yield settings
            else:
                for inner in settings.values():
                    yield from _delivers(inner)


def _compile_steps(value: Any, context: StepContext) -> tuple[Step, ...]:
    if not isinstance(value, list) or not value:
        context.problem("steps", "`steps` is a list with at least one step")
        return ()
    compiled: list[Step] = []
    base, after = context.path, context.deliver
    for index, step in enumerate(value):
        context.path = (*base, index)
        context.deliver = next(_delivers(value[index:]), after)
        made = _compile_step(step, context)
        if made is not None:
            compiled.append(made)
    context.path = base
    return tuple(compiled)


def _compile_step(step: Any, context: StepContext) -> Step | None:
    if not isinstance(step, dict) or len(step) != 1:
        context.problem("step", "a step has one name with its settings", "for example - map: order")
        return None
    [(name, settings)] = step.items()
    kind = context.kinds.get(name)
    if kind is None:
        place = context.document.key_position((*context.path, name))
        context.problems.append(
            Problem(
                place.file,
                place.line,
                place.column,
                "unknown-step",
                f"there is no step {name!r}",
                _near(name, context.kinds),
            )
        )
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
    return made if len(context.problems) == before else None


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
        place = context.document.key_position((*context.path, *location))
        message, hint = f"`{error['loc'][-1]}` is not known here", _near(str(error["loc"][-1]), known)
        context.problems.append(Problem(place.file, place.line, place.column, "step-settings", message, hint))
        return
    context.problem("step-settings", message, hint, *location)


def _near(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(sorted(known))}"
