"""What runs for a merchant now: its flows of one version each, with everything they were compiled with.

A flow or mapping that does not lint is refused when it is loaded, and the version that ran before goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.registry import Registry, shipped
from hub.connect.vault import Vault
from hub.core.ledger.book import lock_book
from hub.core.ledger.rules import load_rules
from hub.core.ledger.tables import BOOK
from hub.core.plan import Plan
from hub.core.sales.sources import preload as preload_sales
from hub.db.engine import Database
from hub.db.tables import Merchant
from hub.flows.context import MappingFolder, Roles, load_roles
from hub.flows.definition import LANGUAGE_VERSION, Flow, FlowErrors, check_called, load_flow
from hub.flows.run import Parked, Run, Settings
from hub.flows.source import FlowFile, emitted, sub_flows
from hub.flows.steps import KINDS
from hub.flows.steps.order_sync import canonical_order
from hub.flows.tables import FlowActivation, FlowVersion
from hub.flows.triggers import CORE_EVENTS
from hub.inbox.claim import Event
from hub.mapping import Problem

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_VERSION = FlowVersion.__table__  # type: ignore[attr-defined]
_ACTIVATION = FlowActivation.__table__  # type: ignore[attr-defined]


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

    @cached_property
    def postpones(self) -> bool:
        """Whether flows that only deliver run at the end of a batch. Not beside subscribers that do more: their deliveries
        of one subject would leave in another order than its events happened."""
        return all(flow.only_delivers for flows in self._by_event.values() for flow in flows)

    @cached_property
    def strict(self) -> frozenset[tuple[int, str]]:
        """Connections (0: none) and records of the flows with `order: strict`: a parked event holds the later ones."""
        found = set()
        for flow in self.flows:
            if flow.order == "strict" and flow.on.manual:
                found.add((0, flow.on.manual))
            elif flow.order == "strict" and flow.on.role and flow.on.record:
                found |= {(info.id, flow.on.record) for info in self.settings.roles.of(flow.on.role)}
        return frozenset(found)

    def subscribers(self, event: str) -> Sequence[Flow]:
        """Flows that answer a core event."""
        return self._by_event.get(event, ())

    def flows_for(self, event: Event) -> Sequence[Flow]:
        """Flows that an inbox event starts."""
        if event.kind == "manual":
            return self._by_manual.get(event.topic, ())
        info = self.settings.roles.connections.get(event.connection_id or 0)
        if info is None:
            return ()
        return [flow for role in info.roles for flow in self._by_record.get((role, event.record), ())]

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


def activate(
    database: Database,
    vault: Vault,
    registry: Registry,
    merchant_id: int,
    *,
    homes: Sequence[Path] = (),
    now: int,
) -> tuple[Active, list[Problem]]:
    """Loads the flows of a merchant and stores their versions. Returns what runs now and what was refused: for a flow
    that does not lint the version that ran before goes on."""
    with database.read() as connection:
        merchant = connection.execute(sa.select(_MERCHANT).where(_MERCHANT.c.id == merchant_id)).one()
        roles = load_roles(connection, merchant_id, registry)
        chart = connection.execute(sa.select(BOOK.c.chart).where(BOOK.c.merchant_id == merchant_id)).scalar_one()
        before = _running(connection, merchant_id)
        key = vault.data_key(connection, merchant_id, "chain")
        chain_key = (key.id, key.key)
    mappings = MappingFolder.standard([home / "mappings" for home in homes])
    files = flow_files([home / "flows" for home in homes])
    loaded = load_flows(files, roles, mappings)
    flows = list(loaded.flows)
    for name, text in before.items():
        kept = json.loads(text)
        if Path(kept["file"]).stem in loaded.broken and name not in {flow.name for flow in flows}:
            frozen = MappingFolder.frozen(kept["mappings"])
            before_it = FlowFile(name, kept["file"], kept["flow"])
            called = [FlowFile(name, each["file"], each["text"]) for name, each in kept.get("calls", {}).items()]
            flows += load_flows([before_it], roles, frozen, beside=files, called=called).flows
    _store(database, merchant_id, flows, now)
    settings = Settings(roles, load_rules(chart), merchant.zone)
    return build(merchant_id, merchant.lanes, settings, chain_key, flows), loaded.problems


def build(
    merchant_id: int, lanes: int, settings: Settings, chain_key: tuple[int, bytes], flows: Sequence[Flow]
) -> Active:
    """Flows by what triggers them."""
    by_event: dict[str, list[Flow]] = {}
    by_record: dict[tuple[str, str], list[Flow]] = {}
    by_manual: dict[str, list[Flow]] = {}
    for flow in flows:
        roles = flow.deliver_roles
        if flow.only_delivers and roles and not any(settings.roles.of(role) for role in roles):
            continue  # it would do nothing
        if flow.on.event:
            by_event.setdefault(flow.on.event, []).append(flow)
        elif flow.on.manual:
            by_manual.setdefault(flow.on.manual, []).append(flow)
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
    )


def _running(connection: Connection, merchant_id: int) -> dict[str, str]:
    rows = connection.execute(
        sa.select(_ACTIVATION.c.flow, _VERSION.c.text)
        .join(_VERSION, _VERSION.c.hash == _ACTIVATION.c.version_hash)
        .where(_ACTIVATION.c.merchant_id == merchant_id)
    )
    return {row.flow: row.text for row in rows}


_NEW_VERSION = sa.text(
    "INSERT INTO flow_version (hash, name, text, language_version, created_at) "
    "VALUES (:hash, :name, :text, :language_version, :created_at) ON CONFLICT DO NOTHING"
)


def _store(database: Database, merchant_id: int, flows: Sequence[Flow], now: int) -> None:
    with database.write() as connection:
        # processes that start at once activate one after the other
        lock_book(connection, merchant_id)
        known = set(connection.execute(sa.select(_VERSION.c.hash)).scalars())
        new = sorted({flow.version_hash: flow for flow in flows if flow.version_hash not in known}.items())
        if new:
            connection.execute(
                _NEW_VERSION,
                [
                    {
                        "hash": version,
                        "name": flow.name,
                        "text": flow.version_text,
                        "language_version": LANGUAGE_VERSION,
                        "created_at": now,
                    }
                    for version, flow in new
                ],
            )
        current = {
            row.flow: row.version_hash
            for row in connection.execute(
                sa.select(_ACTIVATION.c.flow, _ACTIVATION.c.version_hash).where(
                    _ACTIVATION.c.merchant_id == merchant_id
                )
            )
        }
        wanted = {flow.name: flow.version_hash for flow in flows}
        if current == wanted:
            return
        connection.execute(_ACTIVATION.delete().where(_ACTIVATION.c.merchant_id == merchant_id))
        if wanted:
            connection.execute(
                _ACTIVATION.insert(),
                [
                    {"merchant_id": merchant_id, "flow": name, "version_hash": version, "activated_at": now}
                    for name, version in wanted.items()
                ],
            )
