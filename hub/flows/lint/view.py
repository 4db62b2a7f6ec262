"""A flow as lint sees it: its steps one after the other, each with the names that it may read and the way that leads to it.

It stands on the file as it is written, so that a flow that does not compile is looked at as well."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hub.flows.definition import On, Path, ReadFlow
from hub.flows.lint.reads import Written
from hub.flows.lint.scope import Name, Scope, first_scope, sources_of, step_names
from hub.flows.steps.map import Map
from hub.mapping import Document, Position
from hub.mapping import Mapping as RecordMapping

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

    @property
    def document(self) -> Document:
        return self.reads[0].document

    @property
    def on(self) -> On:
        return self.reads[0].on

    @property
    def file(self) -> str:
        return self.document.file

    @property
    def flow_name(self) -> str:
        """The name that it says it has."""
        return str(self.document.value.get("flow"))

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

    @cached_property
    def steps(self) -> tuple[StepView, ...]:
        """All steps, those inside others after them."""
        walk = _Walk(self)
        walk.through(self.document.value.get("steps"), ("steps",), first_scope(self), (), ())
        return tuple(walk.found)

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

    def choices(self, step: StepView, *path: str | int) -> list[str] | None:
        """All that the value of an expression can be, as texts; None when it is not known, or anything."""
        return None

    def nullable_part(self, step: StepView, *path: str | int) -> ast.expr | None:
        """The expression, when it is a name or a field that may be null."""
        written = self.expression(step, *path)
        if written is None or step.scope is None or not isinstance(written.tree, ast.Name):
            return None
        name = step.scope.names.get(written.tree.id)
        return written.tree if name is not None and name.nullable else None

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
        if step.kind == "validate" and self.holds(step, "that") is False:
            return None
        return scope.binding(*step_names(self.view, step, scope))

    def holds(self, step: StepView, name: str) -> bool | None:
        """Whether a condition holds always or never; None when it depends."""
        written = self.view.expression(step, name)
        constant, value = written.constant() if written is not None else (False, None)
        return bool(value) if constant else None

    def when(self, step: StepView, scope: Scope | None) -> Scope | None:
        holds = self.holds(step, "if")
        if "steps" not in step.settings:
            return None if holds is False else scope
        ways = []
        for name, reached in (("steps", holds is not False), ("else", holds is not True)):
            ways.append(self.branch(step, (name,), scope if reached else None))
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
            sources = frozenset({step.path}) | (sources_of(written, scope) if written is not None else frozenset())
            name = step.text("as") or "item"
            inner = scope.binding(Name(name, sources, (*step.path, "as")))
        after = self.through(
            step.settings.get("steps"), (*step.path, "steps"), inner, step.branches, (*step.loops, step.path)
        )
        if scope is None or after is None:
            return scope
        return scope.perhaps({name: "only inside `for_each`" for name in after.names if name not in scope.names})


def _together(ways: list[Scope | None]) -> Scope | None:
    """What may be read after several ways: what all that come here bring."""
    open_ways = [way for way in ways if way is not None]
    if not open_ways:
        return None
    first = open_ways[0]
    common = {name: one for name, one in first.names.items() if all(name in way.names for way in open_ways)}
    lost = {
        name: "only on some of the ways that lead here" for way in open_ways for name in way.names if name not in common
    }
    return replace(first, names=common).perhaps(
        {**lost, **{k: v for way in open_ways for k, v in way.maybe.items() if k not in common}}
    )
