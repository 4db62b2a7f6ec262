"""`map`: turns the record at hand into another with a mapping."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import Field

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.context import ConnectionInfo
from hub.flows.run import Parked, Run, Step, Stop
from hub.mapping import Expression, Mapping, SourceError, compile_expression


class Config(StepConfig):
    """`name` is a mapping of the connector at hand: the one that the record comes from, or the one that the flow's
    `deliver` goes to. The result is called like the mapping's target (`order`), or `payload` for a vendor's record."""

    name: str
    #: take another connector than the one at hand
    connector: str | None = None
    as_: str | None = Field(default=None, alias="as")


@dataclass
class Map(Step):
    config: Config
    #: mapping by connector
    mappings: dict[str, Mapping]
    #: the role that it is for; none: the connection that the record comes from
    role: str | None
    #: the id of the connection that the next `deliver` goes to, where it names one
    target: Expression | None = None
    needs_plan: bool = field(default=False, init=False)

    def run(self, run: Run) -> None:
        connection = self._connection(run)
        connector = self.config.connector or (connection.connector if connection else "")
        mapping = self.mappings.get(connector)
        if mapping is None and connection is None and self.role is not None:
            raise Stop(f"no connection plays the role {self.role}")
        if mapping is None:
            raise Parked(
                "mapping.missing",
                f"there is no mapping mappings/{connector}/{self.config.name}.yaml: write it, then replay",
                details={"mapping": f"{connector}/{self.config.name}"},
            )
        source = mapping.source.rpartition(".")[2]
        record = run.trigger.record if mapping.source == run.trigger.name else run.scope.get(source, run.trigger.record)
        if not isinstance(record, dict):
            raise Parked("record.shape", f"{mapping.source} is not an object: {type(record).__name__}")
        names = {
            "settings": dict(connection.settings) if connection else {},
            "connection": connection.scope() if connection else None,
            "event": run.scope.get("event"),
        }
        name = self.config.as_ or (mapping.target if "." not in mapping.target else "payload")
        run.scope[name] = mapping.apply(record, names)

    def _connection(self, run: Run) -> ConnectionInfo | None:
        if self.role is None:
            return run.trigger.connection
        bound = run.settings.roles.of(self.role)
        if self.target is not None:
            wanted = self.target.evaluate(run.scope)
            bound = [info for info in bound if info.id == wanted]
        return bound[0] if bound else None


def compile_step(config: Config, context: StepContext) -> Map:
    role, target = _at_hand(context)
    played_by = role or context.on.role
    if config.connector is not None:
        connectors = [config.connector]
    else:
        connectors = sorted({info.connector for info in context.roles.of(played_by)}) if played_by else []
    mappings: dict[str, Mapping] = {}
    if not connectors:
        # nobody plays the role yet: what the mapping will make is what it is called after
        context.names.add(config.as_ or config.name)
    for connector in connectors:
        name = f"{connector}/{config.name}"
        before = len(context.mappings.problems)
        mapping = context.mappings.get(name)
        if mapping is not None:
            mappings[connector] = mapping
            context.mappings_used.add(name)
            context.names.add(config.as_ or (mapping.target if "." not in mapping.target else "payload"))
        elif len(context.mappings.problems) > before:
            context.problems.extend(context.mappings.problems[before:])
        elif name in context.mappings.texts:
            context.problem("mapping-broken", f"mapping {name} does not lint: see what is said of it", "", "name")
        else:
            context.problem("mapping-missing", f"there is no mapping {name}", f"write mappings/{name}.yaml", "name")
    return Map(config, mappings, role, target)


def _at_hand(context: StepContext) -> tuple[str | None, Expression | None]:
    """Role and id of the connection that a mapping is for; no role: the one that the record comes from."""
    if context.on.role is not None and context.loop is None:
        return None, None
    to, named = context.deliver.get("role"), context.deliver.get("connection")
    if not isinstance(to, str) and context.loop is not None:
        to, named = context.loop
    if not isinstance(to, str):
        return None, None
    if isinstance(named, str):
        with suppress(SourceError):  # said by the `deliver` itself
            return to, compile_expression(named, context.at())
    return to, None


KIND = StepKind("map", Config, compile_step, short="name")
