"""What runs for a merchant: its flows, with everything they were compiled with. It never changes: what is worked with it
finishes on it, also when other versions run since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hub.connect.registry import shipped
from hub.core.plan import Plan
from hub.core.sales.sources import preload as preload_sales
from hub.flows.context import MappingFolder, Roles
from hub.flows.definition import Flow, FlowErrors, check_called, load_flow
from hub.flows.run import Parked, Run, Settings
from hub.flows.source import FlowFile, emitted, sub_flows
from hub.flows.steps import KINDS
from hub.flows.steps.order_sync import canonical_order
from hub.flows.triggers import CORE_EVENTS
from hub.inbox.claim import Event
from hub.mapping import Problem

if TYPE_CHECKING:
    from hub.flows.canary import Canary


@dataclass
class Loaded:
    """Flows that were read: those that lint, and what is wrong with the others."""

    flows: list[Flow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Active:
    """The flows of one merchant, ready to run."""

    merchant_id: int
    lanes: int
    settings: Settings
    chain_key: tuple[int, bytes]
    flows: tuple[Flow, ...]
    _by_event: Mapping[str, tuple[Flow, ...]]
    _by_record: Mapping[tuple[str, str], tuple[Flow, ...]]
    _by_manual: Mapping[str, tuple[Flow, ...]]
    _by_schedule: Mapping[str, tuple[Flow, ...]]
    #: versions that a share of the ordering keys runs instead, by flow
    canaries: Mapping[str, Canary] = field(default_factory=dict)
    #: how often what runs had been changed when this was read
    stamp: int = 0
    #: earlier versions by hash, for events that are worked again as they were before; else why one does not run any more
    earlier: dict[str, Flow | str] = field(default_factory=dict)

    @cached_property
    def postpones(self) -> bool:
        """Whether flows that only deliver run at the end of a batch. Not beside subscribers that do more: their deliveries
        of one subject would leave in another order than its events happened."""
        flows = [flow for flows in self._by_event.values() for flow in flows]
        flows += [self.canaries[flow.name].flow for flow in flows if flow.name in self.canaries]
        return all(flow.only_delivers or flow.deferred for flow in flows)

    @cached_property
    def strict(self) -> frozenset[tuple[int, str]]:
        """Connections (0: none) and records of the flows with `order: strict`: a parked event holds the later ones."""
        found = set()
        for flow in self.flows:
            if flow.order == "strict" and flow.on.manual:
                found.add((0, flow.on.manual))
            elif flow.order == "strict" and (flow.deferred or flow.on.schedule):
                found.add((0, flow.name))
            elif flow.order == "strict" and flow.on.role and flow.on.record:
                found |= {(info.id, flow.on.record) for info in self.settings.roles.of(flow.on.role)}
        return frozenset(found)

    def subscribers(self, event: str) -> Sequence[Flow]:
        """Flows that answer a core event. Which version of one runs says `version_for`."""
        return self._by_event.get(event, ())

    def flows_for(self, event: Event) -> Sequence[Flow]:
        """Flows that an inbox event starts, each in the version that the event runs. Raises: Parked."""
        if event.kind == "manual":
            flows: Sequence[Flow] = self._by_manual.get(event.topic, ())
        elif event.kind == "schedule":
            flows = self._by_schedule.get(event.topic, ())
        elif event.kind == "core":
            flows = [flow for flow in self._by_event.get(event.topic, ()) if flow.name == event.record]
        else:
            info = self.settings.roles.connections.get(event.connection_id or 0)
            roles = () if info is None else info.roles
            flows = [flow for role in roles for flow in self._by_record.get((role, event.record), ())]
        key = event.record_id if event.kind == "core" else event.ordering_key
        return [self.version_for(flow, key, event) for flow in flows]

    def version_for(self, flow: Flow, key: str, event: Event) -> Flow:
        """The version of a flow that the runs of an ordering key (of a core event: its subject) are of: the one that the
        event is to be worked with again, else the canary for its share of the keys. Raises: Parked."""
        if event.versions is not None and flow.name in (wanted := json.loads(event.versions)):
            found = self.earlier[wanted[flow.name]]
            if isinstance(found, str):
                raise Parked("flow.version", found)
            return found
        canary = self.canaries.get(flow.name)
        return canary.flow if canary is not None and canary.takes(key) else flow

    def preload(self, plan: Plan, runs: Iterable[Run]) -> None:
        """Reads what the orders of a batch are compared with, one query per table."""
        orders = []
        for run in runs:
            if run.trigger.connection is not None and "order" in run.scope:
                try:
                    orders.append((run.trigger.connection.id, canonical_order(run)))
                except Parked:
                    continue  # said again, with its place, when the step runs
        if orders:
            preload_sales(plan, orders)


def flow_files(homes: Iterable[Path] = ()) -> list[FlowFile]:
    """The flows there are, by file name; those of a home take the place of shipped ones. Tests are never flows."""
    found: dict[str, FlowFile] = {}
    for folder in (shipped("flows"), *homes):
        if folder.is_dir():
            for file in sorted(folder.glob("*.yaml")):
                if not file.name.endswith(".test.yaml"):
                    found[file.stem] = FlowFile(file.stem, f"flows/{file.name}", file.read_text("utf-8"))
    return list(found.values())


def load_flows(
    files: Sequence[FlowFile],
    roles: Roles,
    mappings: MappingFolder,
    *,
    beside: Iterable[FlowFile] = (),
    called: Iterable[FlowFile] | None = None,
) -> Loaded:
    """Compiles flows; all problems of all files are gathered, each once. `beside` may emit events that they answer;
    `called` are the flows that they may call (default: those among `files`)."""
    loaded = Loaded()
    names: dict[str, str] = {}
    events = CORE_EVENTS | {event for file in (*files, *beside) for event in emitted(file, KINDS)}
    callable = sub_flows(files if called is None else called)
    for file in files:
        flow = None
        try:
            if file.called is not None:
                name = check_called(file, roles, mappings, KINDS, callable)
            else:
                flow = load_flow(file, roles, mappings, KINDS, events, callable)
                name = flow.name
        except FlowErrors as error:
            loaded.problems += error.problems
            loaded.broken.add(file.name)
            continue
        if name in names:
            loaded.problems.append(
                Problem(file.file, 1, 1, "flow-name", f"{name!r} is the name of {names[name]} too", "")
            )
            loaded.broken.add(file.name)
            continue
        names[name] = file.file
        if flow is not None:
            loaded.flows.append(flow)
    loaded.problems = list(dict.fromkeys(loaded.problems))
    return loaded


def build(
    merchant_id: int,
    lanes: int,
    settings: Settings,
    chain_key: tuple[int, bytes],
    flows: Sequence[Flow],
    canaries: Mapping[str, Canary] | None = None,
    stamp: int = 0,
) -> Active:
    """Flows by what triggers them."""
    by_event: dict[str, list[Flow]] = {}
    by_record: dict[tuple[str, str], list[Flow]] = {}
    by_manual: dict[str, list[Flow]] = {}
    by_schedule: dict[str, list[Flow]] = {}
    for flow in flows:
        roles = flow.deliver_roles
        if flow.only_delivers and roles and not any(settings.roles.of(role) for role in roles):
            continue  # it would do nothing
        if flow.on.event:
            by_event.setdefault(flow.on.event, []).append(flow)
        elif flow.on.manual:
            by_manual.setdefault(flow.on.manual, []).append(flow)
        elif flow.on.schedule:
            by_schedule.setdefault(flow.name, []).append(flow)
        else:
            by_record.setdefault((str(flow.on.role), str(flow.on.record)), []).append(flow)
    return Active(
        merchant_id,
        lanes,
        settings,
        chain_key,
        tuple(flows),
        {key: tuple(value) for key, value in by_event.items()},
        {key: tuple(value) for key, value in by_record.items()},
        {key: tuple(value) for key, value in by_manual.items()},
        {key: tuple(value) for key, value in by_schedule.items()},
        canaries or {},
        stamp,
    )
