"""`map`: turns the record at hand into another with a mapping."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from hub.flows.context import ConnectionInfo
from hub.flows.definition import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run
from hub.mapping import Mapping


class Config(StepConfig):
    """`name` is a mapping of the connector at hand: the one that the record comes from, or the one that the flow's
    `deliver` goes to. The result is called like the mapping's target (`order`), or `payload` for a vendor's record."""

    name: str
    #: take another connector than the one at hand
    connector: str | None = None
    as_: str | None = Field(default=None, alias="as")


@dataclass
class Map:
    config: Config
    #: mapping by connector
    mappings: dict[str, Mapping]
    role: str | None
    needs_plan: bool = field(default=False, init=False)

    def run(self, run: Run) -> None:
        connection = self._connection(run)
        connector = self.config.connector or (connection.connector if connection else "")
        mapping = self.mappings.get(connector)
        if mapping is None:
            raise Parked(
                "mapping.missing",
                f"there is no mapping mappings/{connector}/{self.config.name}.yaml: write it, then replay",
                details={"mapping": f"{connector}/{self.config.name}"},
            )
        scope = dict(run.scope)
        if connection is not None:
            scope["settings"], scope["connection"] = dict(connection.settings), connection.scope()
        scope.setdefault("settings", {})
        scope.setdefault("connection", None)
        source = mapping.source.rpartition(".")[2]
        record = run.trigger.record if mapping.source == run.trigger.name else run.scope.get(source, run.trigger.record)
        if not isinstance(record, dict):
            raise Parked("record.shape", f"{mapping.source} is not an object: {type(record).__name__}")
        names = {name: scope.get(name) for name in ("settings", "connection", "event")}
        name = self.config.as_ or (mapping.target if "." not in mapping.target else "payload")
        run.scope[name] = mapping.apply(record, names)

    def _connection(self, run: Run) -> ConnectionInfo | None:
        if run.trigger.connection is not None and not run.trigger.core:
            return run.trigger.connection
        if self.role is None:
            return None
        bound = run.settings.roles.of(self.role)
        return bound[0] if bound else None


def compile_step(config: Config, context: StepContext) -> Map:
    role = context.on.role or context.deliver_role
    if config.connector is not None:
        connectors = [config.connector]
    else:
        connectors = sorted({info.connector for info in context.roles.of(role)}) if role else []
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
            target = config.as_ or (mapping.target if "." not in mapping.target else "payload")
            context.names.add(target)
        elif len(context.mappings.problems) > before:
            context.problems.extend(context.mappings.problems[before:])
        elif name not in context.mappings.texts:
            context.problem("mapping-missing", f"there is no mapping {name}", f"write mappings/{name}.yaml", "name")
    return Map(config, mappings, role)


KIND = StepKind("map", Config, compile_step, short="name")
