"""The names that the steps of a flow may read, where each comes from, and what its value depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from hub.flows.definition import CORE_EVENTS, Path
from hub.flows.lint.reads import Read, Written
from hub.records.structs import event_names

if TYPE_CHECKING:
    from hub.flows.lint.view import FlowView, StepView

#: what a value depends on: "record" (the record or subject at hand), "clock" (when it runs), or a loop by its path
Sources = frozenset[str | Path]
RECORD: Sources = frozenset({"record"})
CLOCK: Sources = frozenset({"clock"})
#: functions and names whose value is another each time that they are asked
CLOCKS = frozenset({"now", "today", "clock", "random", "uuid", "uuid4"})


@dataclass(frozen=True)
class Name:
    """A name, what its value depends on, and where it is given; None for those that the trigger brings."""

    name: str
    sources: Sources = RECORD
    path: Path | None = None
    #: null when nothing was found
    nullable: bool = False


@dataclass(frozen=True)
class Scope:
    """What may be read at a place of a flow."""

    names: Mapping[str, Name]
    #: names that are there on some ways only, and which
    maybe: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: there may be more names: those of an event that a flow emits
    open: bool = False

    def binding(self, *names: Name) -> Scope:
        """The same with more names."""
        return replace(self, names={**self.names, **{name.name: name for name in names}}) if names else self

    def with_name(self, name: str) -> Scope:
        """The same with a name that depends on the record."""
        return self.binding(Name(name))

    def perhaps(self, names: Mapping[str, str]) -> Scope:
        """The same with names that are there on some ways only."""
        return replace(self, maybe={**self.maybe, **names}) if names else self


def first_scope(view: FlowView) -> Scope:
    """What the trigger of a flow brings; see `hub.flows.run.start`."""
    names = {"record": Name("record"), "event": Name("event")}
    on = view.trigger
    if "role" in on:
        names |= {name: Name(name, frozenset()) for name in ("connection", "settings")}
    called = on.get("call")
    if isinstance(called, list):
        names |= {name: Name(name, RECORD, ("on", "call")) for name in called if isinstance(name, str)}
    event = on.get("event")
    if not isinstance(event, str):
        return Scope(names, open=not on)
    if event in CORE_EVENTS:
        brought = set(event_names(event)) or {event.partition(".")[0]}
        return Scope(names | {name: Name(name) for name in brought})
    brought, is_open = view.project.emitted_names(event)
    return Scope(names | {name: Name(name) for name in brought}, open=is_open)


def sources_of(written: Written, scope: Scope) -> Sources:
    """What the value of an expression depends on."""
    found: Sources = frozenset()
    for read in written.reads:
        found |= _sources_of_read(read, scope)
    return found | CLOCK if written.calls & CLOCKS else found


def _sources_of_read(read: Read, scope: Scope) -> Sources:
    if read.name == "event":
        return frozenset() if read.field == "name" else RECORD
    name = scope.names.get(read.name)
    if name is None:
        return CLOCK if read.name in CLOCKS else RECORD
    return name.sources


def step_names(view: FlowView, step: StepView, scope: Scope) -> Iterator[Name]:
    """The names that a step brings."""
    if step.kind == "set":
        for key in step.settings:
            written = view.expression(step, key)
            made = Name(key)  # what is wrong with its expression is said by the step
            if written is not None:
                made = Name(key, sources_of(written, scope), (*step.path, key), written.null_part is not None)
            scope = scope.binding(made)
            yield made
        return
    if step.kind == "map":
        yield from _mapped(view, step, scope)
    elif step.kind == "order.sync":
        yield from (Name("order_id"), Name("outcome"), Name("order"))
    elif step.text("as"):
        sources: Sources = frozenset()
        for written in view.of_step(step):
            sources |= sources_of(written, scope)
        optional = step.kind == "lookup" and step.settings.get("required") is not True
        yield Name(str(step.text("as")), sources, (*step.path, "as"), optional)


def _mapped(view: FlowView, step: StepView, scope: Scope) -> Iterator[Name]:
    mappings = view.mappings_of(step)
    sources = RECORD
    for mapping in mappings:
        source = scope.names.get(mapping.source.rpartition(".")[2])
        if source is not None:
            sources |= source.sources
    given = step.text("as")
    targets = {mapping.target if "." not in mapping.target else "payload" for mapping in mappings}
    for name in [given] if given else sorted(targets) or [step.text("name") or ""]:
        yield Name(name, sources)
