"""A flow as lint sees it: its steps one after the other, each with the names that it may read and the way that leads to it.

It stands on the file as it is written, so that a flow that does not compile is looked at as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hub.flows.compiling import Path
from hub.flows.definition import ReadFlow
from hub.flows.lint.reads import Written
from hub.flows.lint.scope import (
    CONNECTED,
    Name,
    Scope,
    Sources,
    first_scope,
    item_of,
    record_types,
    sources_of,
    step_names,
    type_of,
)
from hub.flows.steps.map import Map
from hub.flows.triggers import On
from hub.mapping import Document, Position
from hub.mapping import Mapping as RecordMapping
from hub.records.joins import join_all
from hub.records.schema import ANY, Type

if TYPE_CHECKING:
    from hub.flows.lint.project import Project


@dataclass(frozen=True, eq=False)
class StepView:
    """One step. `path` is where its settings stand; a step in short has them under the name that they have in full."""

    kind: str
    path: Path
    settings: Mapping[str, Any]
    #: what may be read before it runs; None: it is never reached
    scope: Scope | None
    #: the choices that lead to it: where each `when` or `switch` stands, and which of its branches
    branches: tuple[tuple[Path, str], ...]
    #: the loops that it stands in, by their paths
    loops: tuple[Path, ...]

    def text(self, name: str) -> str | None:
        """A setting that is a text; None when it is missing or something else."""
        value = self.settings.get(name)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, eq=False)
class FlowView:
    """One flow, with what surrounds it."""

    name: str
    #: as it was read with each choice of connectors for the roles that nobody plays yet; at least one
    reads: tuple[ReadFlow, ...]
    project: Project
    #: what the record of its trigger looks like
    record: Type = ANY

    @property
    def document(self) -> Document:
        return self.reads[0].document

    @property
    def on(self) -> On:
        return self.reads[0].on

    @property
    def variants(self) -> list[FlowView]:
        """The flow once for each shape that its record can have: one for each connector that may bring it."""
        types = record_types(self)
        return [self] if len(types) == 1 else [replace(self, record=type_) for type_ in types]

    @property
    def flow_name(self) -> str:
        """The name that it says it has."""
        return str(self.document.value.get("flow", self.name))

    @cached_property
    def trigger(self) -> Mapping[str, Any]:
        """`on`, as written."""
        on = self.document.value.get("on")
        return on if isinstance(on, dict) else {}

    @cached_property
    def trigger_key(self) -> str:
        """What starts it, alike for all flows that start together; empty when it is not known."""
        on = self.trigger
        return " ".join(f"{key}={on[key]}" for key in sorted(on) if isinstance(on[key], str))

    @cached_property
    def written(self) -> Mapping[Path, Mapping[Path, Written]]:
        """Its sound expressions, by the path of their step and by their own below it."""
        return {
            step: {path: Written(text, self.document.position((*step, *path))) for path, text in texts.items()}
            for step, texts in self.reads[0].expressions.items()
        }

    def of_step(self, step: StepView) -> Iterable[Written]:
        """The expressions of a step; those of the steps inside it are theirs."""
        return self.written.get(step.path, {}).values()

    def expression(self, step: StepView, *path: str | int) -> Written | None:
        """One expression of a step, where it is there and sound."""
        return self.written.get(step.path, {}).get(path)

    @property
    def steps(self) -> tuple[StepView, ...]:
        """All steps, those inside others after them."""
        return self._walked[0]

    @cached_property
    def top(self) -> list[tuple[str, Written, Scope]]:
        """Its expressions that belong to no step, `when` and `returns`, with what each may read."""
        scopes = {"when": first_scope(self), "returns": self._walked[1]}
        found = ((str(path[0]), written) for path, written in self.written.get((), {}).items())
        return [(name, written, scope) for name, written in found if (scope := scopes.get(name)) is not None]

    @cached_property
    def _walked(self) -> tuple[tuple[StepView, ...], Scope | None]:
        """Its steps, and what may be read behind them."""
        walk = _Walk(self)
        start = first_scope(self).where(self.written.get((), {}).get(("when",)))
        end = walk.through(self.document.value.get("steps"), ("steps",), start, (), ())
        return tuple(walk.found), end

    def of_kind(self, *kinds: str) -> Iterator[StepView]:
        return (step for step in self.steps if step.kind in kinds)

    def mappings_of(self, step: StepView) -> list[RecordMapping]:
        """The mappings that a `map` may take, one for each connector at hand."""
        found: dict[str, RecordMapping] = {}
        for read in self.reads:
            made = read.steps.get(step.path)
            found |= made.mappings if isinstance(made, Map) else {}
        return list(found.values())

    def at(self, step: StepView, *path: str | int) -> Position:
        """Where a setting of a step stands."""
        return self.document.position((*step.path, *path))

    def at_name(self, step: StepView) -> Position:
        """Where the name of a step stands."""
        return self.document.key_position(step.path)

    def type_of(self, step: StepView, *path: str | int) -> Type:
        """What an expression of a step gives; `any` when it is not known."""
        written = self.expression(step, *path)
        return ANY if written is None or step.scope is None else type_of(written, step.scope)

    @cached_property
    def roles(self) -> tuple[tuple[str, Position], ...]:
        """The roles that it names, each where it does."""
        found: list[tuple[str, Path]] = [(self.on.role, ("on", "role"))] if self.on.role else []
        for step in self.steps:
            name = "connections" if step.kind == "for_each" else "role"
            role = step.text(name)
            if role is not None and step.kind != "set":
                found.append((role, (*step.path, name)))
        return tuple((role, self.document.position(path)) for role, path in found)


_SHORT = {"map": "name", "when": "if", "stop": "reason"}


@dataclass
class _Walk:
    """Goes through the steps in the order of their running."""

    view: FlowView
    found: list[StepView] = field(default_factory=list)

    def through(
        self,
        steps: Any,
        path: Path,
        scope: Scope | None,
        branches: tuple[tuple[Path, str], ...],
        loops: tuple[Path, ...],
    ) -> Scope | None:
        """Takes a list of steps in; gives what may be read after it, None when a run never gets there."""
        for index, written in enumerate(steps if isinstance(steps, list) else ()):
            if not isinstance(written, dict) or len(written) != 1:
                continue
            [(kind, settings)] = written.items()
            if not isinstance(settings, dict):
                settings = {_SHORT[kind]: settings} if kind in _SHORT else {}
            step = StepView(kind, (*path, index, kind), settings, scope, branches, loops)
            self.found.append(step)
            scope = self.step(step, scope)
        return scope

    def step(self, step: StepView, scope: Scope | None) -> Scope | None:
        if step.kind == "stop":
            return None
        if step.kind == "when":
            return self.when(step, scope)
        if step.kind == "switch":
            return self.switch(step, scope)
        if step.kind == "for_each":
            return self.for_each(step, scope)
        if scope is None:
            return None
        if step.kind == "validate":
            return None if self.holds(step, "that") is False else scope.where(self.view.expression(step, "that"))
        return scope.binding(*step_names(self.view, step, scope))

    def holds(self, step: StepView, name: str) -> bool | None:
        """Whether a condition holds always or never; None when it depends."""
        written = self.view.expression(step, name)
        constant, value = written.constant() if written is not None else (False, None)
        return bool(value) if constant else None

    def when(self, step: StepView, scope: Scope | None) -> Scope | None:
        holds, condition = self.holds(step, "if"), self.view.expression(step, "if")
        if "steps" not in step.settings:
            return None if holds is False or scope is None else scope.where(condition)
        ways = []
        for name, way in (("steps", True), ("else", False)):
            reached = scope is not None and holds in (way, None)
            ways.append(self.branch(step, (name,), scope.where(condition, holds=way) if scope and reached else None))
        return _together(ways)

    def switch(self, step: StepView, scope: Scope | None) -> Scope | None:
        written = self.view.expression(step, "on")
        constant, value = written.constant() if written is not None else (False, None)
        cases = step.settings.get("cases")
        names = list(cases) if isinstance(cases, dict) else []
        ways = []
        for name in names:
            reached = not constant or (value is not None and str(value) == name)
            ways.append(self.branch(step, ("cases", name), scope if reached else None))
        if "else" in step.settings:
            reached = not constant or str(value) not in names
            ways.append(self.branch(step, ("else",), scope if reached else None))
        return _together(ways) if ways else scope

    def branch(self, step: StepView, path: Path, scope: Scope | None) -> Scope | None:
        value: Any = step.settings
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        branches = (*step.branches, (step.path, ".".join(map(str, path))))
        return self.through(value, (*step.path, *path), scope, branches, step.loops)

    def for_each(self, step: StepView, scope: Scope | None) -> Scope | None:
        inner = scope
        if scope is not None:
            written = self.view.expression(step, "in")
            sources: Sources = frozenset({step.path})
            item = CONNECTED if "connections" in step.settings else ANY
            if written is not None:
                sources, item = sources | sources_of(written, scope), item_of(type_of(written, scope))
            inner = scope.binding(Name(step.text("as") or "", item, sources))
        after = self.through(
            step.settings.get("steps"), (*step.path, "steps"), inner, step.branches, (*step.loops, step.path)
        )
        if scope is None or after is None:
            return scope
        brought = after.names.keys() - scope.names.keys() - {step.text("as")}
        return scope.binding(*(after.names[name].perhaps() for name in sorted(brought)))


def _together(ways: list[Scope | None]) -> Scope | None:
    """What may be read after several ways; a name that only some of them bring is null on the others."""
    taken = [way for way in ways if way is not None]
    if not taken:
        return None
    names: dict[str, Name] = {}
    for name in dict.fromkeys(name for way in taken for name in way.names):
        found = [way.names[name] for way in taken if name in way.names]
        one = found[0]
        if any(each is not one for each in found):
            sources = one.sources.union(*(each.sources for each in found))
            one = Name(name, join_all(each.type for each in found), sources)
        names[name] = one if len(found) == len(taken) else one.perhaps()
    facts = {
        path: type_ for path, type_ in taken[0].facts.items() if all(way.facts.get(path) == type_ for way in taken)
    }
    return replace(taken[0], names=names, facts=facts)
