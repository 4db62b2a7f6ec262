"""The names that the steps of a flow may read: where each comes from, what its value depends on, and its type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, get_args

from hub.core.sales.sync import Outcome
from hub.flows.compiling import Path
from hub.flows.lint.reads import Read, Written
from hub.flows.triggers import CORE_EVENTS
from hub.mapping.check import Scope as Types
from hub.mapping.check import check_expression
from hub.records.joins import join_all
from hub.records.schema import ANY, MONEY, OBJECT, TEXT, WHOLE, Kind, Type, choices, list_of, object_of, text
from hub.records.structs import canonical, event_names

if TYPE_CHECKING:
    from hub.flows.lint.view import FlowView, StepView

#: what a value depends on: "record" (the record or subject at hand), "clock" (when it runs), or a loop by its path
Sources = frozenset[str | Path]
RECORD: Sources = frozenset({"record"})
CLOCK: Sources = frozenset({"clock"})
#: functions and names whose value is another each time that they are asked
CLOCKS = frozenset({"now", "today", "clock", "random", "uuid", "uuid4"})

_EVENT = object_of({"name": TEXT, "subject": TEXT, "at": text("instant"), "day": text("date")})
CONNECTION = object_of({"id": WHOLE, "name": TEXT, "connector": TEXT})
#: an item of a loop over connections
CONNECTED = object_of({"id": WHOLE, "name": TEXT, "connector": TEXT, "settings": OBJECT})
#: what `ledger.totals` gives
_TOTALS = list_of(
    object_of(
        {
            "account": TEXT,
            "name": TEXT,
            "vat_code": TEXT.or_null(),
            "debit": MONEY,
            "credit": MONEY,
            "balance": MONEY,
        }
    )
)
_SCHEDULE = object_of({"at": text("instant"), "day": text("date"), "since": text("instant").or_null()})


@dataclass(frozen=True)
class Name:
    """A name that may be read. One that only some ways bring is null on the others."""

    name: str
    type: Type = ANY
    sources: Sources = RECORD

    def perhaps(self) -> Name:
        """The same, as it is where only some ways bring it."""
        return replace(self, type=self.type.or_null())


@dataclass(frozen=True)
class Scope:
    """What may be read at a place of a flow."""

    names: Mapping[str, Name]
    #: what conditions on the way told of paths
    facts: Mapping[str, Type] = field(default_factory=dict)
    #: there may be more names: those of an event that a flow emits
    open: bool = False

    @cached_property
    def types(self) -> Types:
        """The same for the checks of types."""
        return Types({name: each.type for name, each in self.names.items()}, facts=self.facts)

    def binding(self, *names: Name) -> Scope:
        """The same with more names, which hide what had their name before."""
        if not names:
            return self
        hidden = {each.name for each in names}
        facts = {path: type_ for path, type_ in self.facts.items() if _root(path) not in hidden}
        return replace(self, names={**self.names, **{each.name: each for each in names}}, facts=facts)

    def where(self, condition: Written | None, *, holds: bool = True) -> Scope:
        """The same where a condition holds, or where it does not."""
        if condition is None:
            return self
        facts = self.types.where(condition.text, holds=holds).facts
        return self if facts == self.facts else replace(self, facts=facts)


def _root(path: str) -> str:
    return path.replace("[", ".").partition(".")[0]


def first_scope(view: FlowView) -> Scope:
    """What the trigger of a flow brings; see `hub.flows.run.start`."""
    names = [Name("event", _EVENT)]
    on = view.trigger
    if "role" in on:
        names += [Name("connection", CONNECTION, frozenset()), Name("settings", OBJECT, frozenset())]
    if "call" in on:
        # they are null where the caller has none
        names += [
            Name("connection", CONNECTION.or_null(), frozenset()),
            Name("settings", OBJECT.or_null(), frozenset()),
        ]
        called = on["call"]
        names += [Name(name) for name in called if isinstance(name, str)] if isinstance(called, list) else []
    else:
        names.append(Name("record", view.record))
    event = on.get("event")
    is_open = not on
    if isinstance(event, str) and event in CORE_EVENTS:
        brought = event_names(event) or {event.partition(".")[0]: ANY}
        names += [Name(name, type_) for name, type_ in brought.items()]
    elif isinstance(event, str):
        emitted, is_open = view.project.emitted_names(event)
        names += [Name(name) for name in emitted]
    return Scope({name.name: name for name in names}, open=is_open)


def record_types(view: FlowView) -> list[Type]:
    """What the record of a trigger can be: one type, or one for each connector that may bring it."""
    on = view.trigger
    if "schedule" in on:
        return [_SCHEDULE]
    if "event" in on:
        return [canonical(str(on["event"])) or ANY]
    if view.on.role is None:
        return [ANY]
    connectors = {info.connector for info in view.project.players(view.on.role)}
    return [view.project.schema(f"{name}.{view.on.record}") for name in sorted(connectors)] or [ANY]


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


def type_of(written: Written, scope: Scope) -> Type:
    """What an expression gives."""
    return check_expression(written.text, written.position, scope.types).type


def step_names(view: FlowView, step: StepView, scope: Scope) -> Iterator[Name]:
    """The names that a step brings."""
    if step.kind == "set":
        for key in step.settings:
            made = set_name(view.expression(step, key), key, scope)
            scope = scope.binding(made)
            yield made
    elif step.kind == "map":
        yield from _mapped(view, step, scope)
    elif step.kind == "order.sync":
        yield from (Name("order_id", WHOLE.or_null()), Name("outcome", choices(*get_args(Outcome))))
    elif step.text("as"):
        sources: Sources = frozenset()
        for written in view.of_step(step):
            sources |= sources_of(written, scope)
        yield Name(str(step.text("as")), _type_made(view, step), sources)


def set_name(written: Written | None, name: str, scope: Scope) -> Name:
    """A name of `set`. What is wrong with its expression is said elsewhere."""
    if written is None:
        return Name(name)
    return Name(name, type_of(written, scope), sources_of(written, scope))


def _type_made(view: FlowView, step: StepView) -> Type:
    """The type of what a step calls by its `as`."""
    if step.kind == "lookup":
        return TEXT if step.settings.get("required") is True else TEXT.or_null()
    if step.kind == "ledger.totals":
        return _TOTALS
    if step.kind == "fetch" and step.text("record") and step.text("role"):
        connectors = {info.connector for info in view.project.players(str(step.text("role")))}
        types = [view.project.schema(f"{name}.{step.text('record')}") for name in sorted(connectors)]
        found = join_all(types) if types else ANY
        return found if step.settings.get("required") is True else found.or_null()
    return ANY


def _mapped(view: FlowView, step: StepView, scope: Scope) -> Iterator[Name]:
    mappings = view.mappings_of(step)
    sources, types = RECORD, dict[str, list[Type]]()
    for mapping in mappings:
        source = scope.names.get(mapping.source.rpartition(".")[2])
        sources |= source.sources if source is not None else frozenset()
        name = step.text("as") or (mapping.target if "." not in mapping.target else "payload")
        types.setdefault(name, []).append(view.project.schema(mapping.target))
    if not types:
        types[step.text("as") or step.text("name") or ""] = [ANY]
    for name, each in types.items():
        yield Name(name, join_all(each), sources)


def item_of(type_: Type) -> Type:
    """What the items of a list are."""
    return (type_.item or ANY) if type_.kind is Kind.LIST else ANY
