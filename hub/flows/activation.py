"""What runs for a merchant, as the tables say it: files activate their versions, a pin holds one, every process loads it.

A flow or mapping that does not lint is refused, and the version that ran before goes on, from its stored texts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.registry import Registry
from hub.connect.vault import Vault
from hub.core.ledger.book import lock_book
from hub.core.ledger.rules import load_rules
from hub.core.ledger.tables import BOOK
from hub.db.engine import Database
from hub.db.tables import Merchant
from hub.flows import versions
from hub.flows.active import Active, Loaded, build, flow_files, load_flows
from hub.flows.canary import CANARY, STAMP, Canary, Rule
from hub.flows.context import MappingFolder, Roles, load_roles
from hub.flows.definition import Flow
from hub.flows.run import Settings
from hub.flows.source import FlowFile
from hub.flows.tables import FlowActivation
from hub.flows.versions import Stored, VersionRefused
from hub.inbox.claim import Event
from hub.mapping import Problem

ACTIVATION = FlowActivation.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
#: who activates what the files say
FILES = "files"


@dataclass(frozen=True)
class FlowSource:
    """Where flows and what they need come from."""

    database: Database
    vault: Vault
    registry: Registry
    homes: Sequence[Path] = ()
    #: no other files than these, by name; null: all
    only: Collection[str] | None = None

    def files(self, roles: Roles) -> Candidates:
        """The flows of the files, compiled for these roles."""
        mappings = MappingFolder.standard([home / "mappings" for home in self.homes])
        written = flow_files([home / "flows" for home in self.homes])
        chosen = [file for file in written if self.only is None or file.name in self.only]
        return Candidates(written, load_flows(chosen, roles, mappings, beside=written))


@dataclass(frozen=True)
class Candidates:
    """Flows as the files say them: those that lint may run."""

    written: Sequence[FlowFile]
    loaded: Loaded

    def get(self, name: str) -> Flow | None:
        return next((flow for flow in self.loaded.flows if flow.name == name), None)

    def broken(self, version: Stored) -> bool:
        """Whether the file that a version came from is there and does not lint."""
        return Path(json.loads(version.text)["file"]).stem in self.loaded.broken


@dataclass
class _Known:
    """What the tables say of a merchant. The stamp is read first: what changes after it is noticed."""

    stamp: int
    merchant: Any
    roles: Roles
    settings: Settings
    chain_key: tuple[int, bytes]
    activations: Mapping[str, Any]
    canaries: Mapping[str, Any]
    versions: Mapping[str, Stored]
    problems: list[Problem] = field(default_factory=list)


def follow(source: FlowSource, merchant_id: int, *, now: int, announce: bool = False) -> tuple[Active, list[Problem]]:
    """Activates what the files say, but for flows that are pinned, and loads it. Returns what runs now and what was refused:
    for a flow that does not lint the version that ran before goes on. `announce`: other processes load anew in any case."""
    while True:
        known = _known(source, merchant_id)
        files = source.files(known.roles)
        flows = {
            flow.name: flow
            for flow in files.loaded.flows
            if flow.name not in known.activations or not known.activations[flow.name].pinned
        }
        for name, row in known.activations.items():
            version = known.versions[row.version_hash]
            if name not in flows and (row.pinned or files.broken(version)):
                flows.update(_runs(name, version, known, files))
        stamp = _store(source.database, known, flows.values(), now, announce)
        if stamp is not None:
            known.stamp = stamp
            return _active(known, flows, files)


def load(source: FlowSource, merchant_id: int) -> tuple[Active, list[Problem]]:
    """Loads what the tables say, whatever the files say by now; with no activation at all it is what the files say."""
    known = _known(source, merchant_id)
    files = source.files(known.roles)
    flows: dict[str, Flow] = {}
    for name, row in known.activations.items():
        flows.update(_runs(name, known.versions[row.version_hash], known, files))
    return _active(known, flows, files)


def kept_by(events: Iterable[Event]) -> set[str]:
    """The versions that events are to be worked with again."""
    return {version for event in events if event.versions for version in json.loads(event.versions).values()}


def load_earlier(database: Database, active: Active, wanted: Collection[str]) -> None:
    """Makes versions ready, by their hashes, for events that are worked with them again."""
    missing = set(wanted) - set(active.earlier)
    if not missing:
        return
    with database.read() as connection:
        found = versions.stored(connection, missing)
    beside = [FlowFile(flow.name, flow.file, json.loads(flow.version_text)["flow"]) for flow in active.flows]
    for each in missing:
        try:
            active.earlier[each] = versions.compiled(found[each], active.settings.roles, beside)
        except VersionRefused as refused:
            active.earlier[each] = str(refused)


def runnable(version: Stored, roles: Roles, files: Candidates) -> Flow:
    """A version, as the files say it where they are the same, else from its stored texts. Raises: VersionRefused."""
    candidate = files.get(version.name)
    if candidate is not None and candidate.version_hash == version.hash:
        return candidate
    return versions.compiled(version, roles, files.written)


def stamps(connection: Connection) -> dict[int, int]:
    """How often what runs was changed, by merchant."""
    return {row.id: row.changes for row in connection.execute(_STAMPS)}


_STAMPS = sa.select(STAMP.c.id, STAMP.c.changes)


# -- reading ----------------------------------------------------------------------------------------------------


def _known(source: FlowSource, merchant_id: int) -> _Known:
    with source.database.read() as connection:
        stamp = stamps(connection).get(merchant_id, 0)
        merchant = connection.execute(sa.select(_MERCHANT).where(_MERCHANT.c.id == merchant_id)).one()
        roles = load_roles(connection, merchant_id, source.registry)
        chart = connection.execute(sa.select(BOOK.c.chart).where(BOOK.c.merchant_id == merchant_id)).scalar_one()
        key = source.vault.data_key(connection, merchant_id, "chain")
        activations = rows_of(connection, merchant_id)
        canaries = running_canaries(connection, merchant_id)
        hashes = [row.version_hash for row in (*activations.values(), *canaries.values())]
        return _Known(
            stamp,
            merchant,
            roles,
            Settings(roles, load_rules(chart), merchant.zone),
            (key.id, key.key),
            activations,
            canaries,
            versions.stored(connection, hashes),
        )


def rows_of(connection: Connection, merchant_id: int) -> dict[str, Any]:
    """Rows of `flow_activation` by flow."""
    rows = connection.execute(
        sa.select(ACTIVATION).where(ACTIVATION.c.merchant_id == merchant_id).order_by(ACTIVATION.c.flow)
    )
    return {row.flow: row for row in rows}


def running_canaries(connection: Connection, merchant_id: int) -> dict[str, Any]:
    """Rows of `flow_canary` that run, by flow."""
    rows = connection.execute(
        sa.select(CANARY).where(CANARY.c.merchant_id == merchant_id, sa.text("flow_canary.state = 'running'"))
    )
    return {row.flow: row for row in rows}


def _runs(name: str, version: Stored, known: _Known, files: Candidates) -> dict[str, Flow]:
    """What runs as a version: the files' own when it is the same, else the stored one, else what parks its events."""
    try:
        return {name: runnable(version, known.roles, files)}
    except VersionRefused as refused:
        known.problems.append(_problem(version, str(refused), "its events are parked; activate another version"))
        found = versions.stand_in(version, str(refused), known.roles, files.written)
        return {} if found is None else {name: found}


def _active(known: _Known, flows: Mapping[str, Flow], files: Candidates) -> tuple[Active, list[Problem]]:
    canaries: dict[str, Canary] = {}
    for name, row in known.canaries.items():
        version, stable = known.versions[row.version_hash], flows.get(name)
        try:
            flow = runnable(version, known.roles, files)
            reason = "the active version is not there" if stable is None else differs(flow, stable)
        except VersionRefused as refused:
            reason = str(refused)
        if reason is None:
            canaries[name] = Canary(flow, row.share, Rule.parse(row.rule) if row.rule else None)
        else:
            known.problems.append(_problem(version, f"the canary does not run: {reason}", "the active version does"))
    merchant = known.merchant
    active = build(
        merchant.id, merchant.lanes, known.settings, known.chain_key, list(flows.values()), canaries, known.stamp
    )
    return active, [*files.loaded.problems, *known.problems]


def differs(canary: Flow, stable: Flow) -> str | None:
    """Why a version cannot be the canary of another; None when it can."""
    if canary.on != stable.on:
        return f"it starts on {canary.on.name} and the active version on {stable.on.name}: activate it for all"
    if canary.order != stable.order:
        return f"its order is {canary.order} and that of the active version {stable.order}: activate it for all"
    return None


def _problem(version: Stored, message: str, hint: str) -> Problem:
    return Problem(str(json.loads(version.text)["file"]), 1, 1, "flow-version", message, hint)


# -- writing ----------------------------------------------------------------------------------------------------


def _store(database: Database, known: _Known, flows: Iterable[Flow], now: int, announce: bool) -> int | None:
    """Stores versions and activations. Returns the stamp of what runs now; None when it was changed meanwhile."""
    merchant_id = int(known.merchant.id)
    with database.write() as connection:
        # processes that start at once activate one after the other
        lock_book(connection, merchant_id)
        stamp = stamps(connection).get(merchant_id, 0)
        if stamp != known.stamp:
            return None
        wanted = {flow.name: flow for flow in flows}
        versions.keep(connection, list(wanted.values()), now)
        gone = sorted(name for name, row in known.activations.items() if name not in wanted and not row.pinned)
        if gone:
            of_merchant = ACTIVATION.c.merchant_id == merchant_id
            connection.execute(ACTIVATION.delete().where(of_merchant, ACTIVATION.c.flow.in_(gone)))
        changed = bool(gone)
        for name, flow in wanted.items():
            row = known.activations.get(name)
            if row is None or row.version_hash != flow.version_hash:
                put(connection, merchant_id, name, flow.version_hash, by=FILES, pinned=False, now=now)
                changed = True
        return bump(connection, merchant_id) if changed or announce else stamp


def put(connection: Connection, merchant_id: int, flow: str, version: str, *, by: str, pinned: bool, now: int) -> None:
    """Makes a version the active one of a flow. The one that ran before is kept in mind."""
    row = rows_of(connection, merchant_id).get(flow)
    values: dict[str, Any] = {"version_hash": version, "activated_by": by, "pinned": pinned}
    if row is None:
        connection.execute(ACTIVATION.insert().values(merchant_id=merchant_id, flow=flow, activated_at=now, **values))
        return
    if row.version_hash != version:
        values |= {"before_hash": row.version_hash, "activated_at": now}
    connection.execute(ACTIVATION.update().where(*_of(ACTIVATION, merchant_id, flow)).values(**values))


def unpin(connection: Connection, merchant_id: int, flow: str) -> None:
    """From now on the files say what runs."""
    connection.execute(
        ACTIVATION.update().where(*_of(ACTIVATION, merchant_id, flow)).values(pinned=False, activated_by=FILES)
    )


def drop(connection: Connection, merchant_id: int, flow: str) -> None:
    """The flow runs no more."""
    connection.execute(ACTIVATION.delete().where(*_of(ACTIVATION, merchant_id, flow)))


def start_canary(connection: Connection, row: Mapping[str, Any]) -> None:
    """Gives a version a share of the ordering keys (a row of `flow_canary`), and pins the active one for the others. A
    canary that ran ends."""
    of_flow = _of(ACTIVATION, row["merchant_id"], row["flow"])
    end_canary(connection, row["merchant_id"], row["flow"], "ended", row["started_at"])
    pinned = {"pinned": True, "activated_by": row["started_by"]}
    connection.execute(ACTIVATION.update().where(*of_flow).values(**pinned))
    connection.execute(CANARY.insert().values(**row))


def end_canary(connection: Connection, merchant_id: int, flow: str, state: str, now: int) -> None:
    """Ends the canary of a flow, where one runs."""
    running = sa.text("flow_canary.state = 'running'")
    connection.execute(
        CANARY.update().where(*_of(CANARY, merchant_id, flow), running).values(state=state, ended_at=now)
    )


def _of(table: sa.Table, merchant_id: int, flow: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.merchant_id == merchant_id, table.c.flow == flow


_BUMP = sa.text(
    "INSERT INTO flow_stamp (id, changes) VALUES (:id, 1) "
    "ON CONFLICT (id) DO UPDATE SET changes = flow_stamp.changes + 1 RETURNING changes"
)


def bump(connection: Connection, merchant_id: int) -> int:
    """Has every process notice that something else runs now. Returns the stamp."""
    return int(connection.execute(_BUMP, {"id": merchant_id}).scalar_one())
