"""`hub simulate`: files go through the flows in a scratch hub without a network, and what would be booked and sent is
answered. It is the way of every order: received in an inbox, claimed, worked in a batch. Nothing is sent."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.core.sales.context import PAID
from hub.db.types import instant_text, instant_us
from hub.inbox.tables import Inbox
from hub.records.money import Money, total
from hub.workers.catalogue import read_catalogue
from hub.workers.effects import FIRST_ID, Effect, effects
from hub.workers.kept_reads import Asked, asked
from hub.workers.offline import offline
from hub.workers.order_columns import ColumnsError
from hub.workers.order_export import read_export
from hub.workers.order_report import report
from hub.workers.outcome import Item, Outcome, look
from hub.workers.payloads import Given, read_files
from hub.workers.recorded import Connected, Stocked, Window, World, events, read_world
from hub.workers.rerun import Again, FlowsRefused, Version, connect_all
from hub.workers.scratch import MERCHANT_ID, Scratch

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
#: which connector plays a role, and settings that let its mappings work; none of them reaches anything
ROLES: dict[str, tuple[str, dict[str, Any]]] = {
    "shop": ("shopify", {"shop": "simulated.myshopify.com", "client_id": "none", "access_token": "none"}),
    "books": ("quickbooks", {"realm_id": "0", "client_id": "none", "access_token": "none"}),
    "warehouse": ("shipbob", {"token": "none", "channel_id": "0"}),
    "mail": ("smtp", {"host": "mail.invalid", "sender": "Shop <shop@example.org>"}),
}
#: kinds of questions that explain no difference of money
_NO_MONEY = ("sku.", "stock.", "shipment.", "delivery.", "order.edited_after_release")
#: the instant of files that tell none
_NO_INSTANT = "2026-01-01T00:00:00Z"


class NoFlows(Exception):
    """The folder given holds no flows."""


@dataclass
class Simulation:
    """What would happen. `orders` are checked: each has a `check` with its `result`."""

    clock: str
    flows: list[str]
    events: list[Item] = field(default_factory=list)
    outcome: Outcome = field(default_factory=dict)
    #: records that the hub would read from a system first, and operations by which flows would, with their bodies
    reads: list[Item] = field(default_factory=list)
    #: of CSV files: what a merchant reads before he commits
    export: Item | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as one document. Amounts are text in major units."""
        found = {
            "clock": self.clock,
            "flows": self.flows,
            "events": self.events,
            **{name: self.outcome[name] for name in sorted(self.outcome)},
            "reads": self.reads,
            **({"export": self.export} if self.export is not None else {}),
        }
        plain = _plain(found)
        assert isinstance(plain, dict)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Money):
        return str(value.decimal())
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def home_of(folder: Path) -> Path:
    """The home of a folder given as `--flows`: one with `flows/`, `mappings/` or `connectors/`, or the `flows` folder
    itself. Raises: NoFlows."""
    if any((folder / kind).is_dir() for kind in ("flows", "mappings", "connectors")):
        return folder
    if folder.is_dir() and any(folder.glob("*.yaml")) and folder.resolve().name == "flows":
        return folder.resolve().parent
    raise NoFlows(f"{folder} holds no folder flows/, mappings/ or connectors/")


def version_of(folder: Path | None, home: Path | None = None) -> Version:
    """The version of the files in a folder; else of a hub's home that has some; else the shipped one. Raises: NoFlows."""
    if folder is not None:
        return Version(str(folder), home_of(folder))
    if home is not None and any((home / kind).is_dir() for kind in ("flows", "mappings", "connectors")):
        return Version(str(home), home)
    return Version("the shipped flows", None)


@dataclass(frozen=True)
class Files:
    """Files to simulate, and what they are: `record` null for recognised ones, `clock` null for the newest of them."""

    paths: Sequence[Path]
    record: str | None = None
    clock: str | None = None
    #: the columns file of CSV files; null: the shipped one
    columns: Path | None = None


def stand_ins(known: World | None, catalogue: Sequence[Stocked] = ()) -> World:
    """A world in which every shipped role is played, with the settings, catalogue and stock of a hub that is known."""
    settings: dict[str, dict[str, Any]] = {}
    for each in known.connections if known else ():
        settings.setdefault(each.connector, dict(each.settings))
    connections = tuple(
        Connected(number, role, connector, {**made, **settings.get(connector, {})}, (role,), go_live_at=0)
        for number, (role, (connector, made)) in enumerate(ROLES.items(), 1)
    )
    shop = next(each.id for each in connections if each.name == "shop")
    if known is None:
        return World(connections=connections, items=tuple(catalogue))
    aliases = tuple((shop, key, sku) for _, key, sku in known.aliases)
    return World(known.currency, known.zone, connections, (*known.items, *catalogue), aliases)


def simulate(
    paths: Sequence[Path],
    *,
    flows: Path | None = None,
    record: str | None = None,
    clock: str | None = None,
    catalogue: Path | None = None,
    home: tuple[Path, str] | None = None,
    columns: Path | None = None,
) -> Simulation:
    """Runs files through flows. `home`: folder and database URL of a hub whose items, stock and flows are taken.

    Raises: OSError, NoFlows, FlowsRefused, UnknownRecord, ColumnsError, CatalogueError, HomeError."""
    version = version_of(flows, home[0] if home else None)
    world = world_of(home[1] if home else None, catalogue)
    return simulation_of(Files(paths, record, clock, columns), version, world)


def world_of(url: str | None, catalogue: Path | None) -> World:
    """The world that files come into: of a hub, of a table of items, or one without stock. Raises: OSError,
    CatalogueError, HomeError."""
    items = read_catalogue(catalogue) if catalogue is not None else []
    return stand_ins(read_world(url) if url is not None else None, items)


def simulation_of(files: Files, version: Version, world: World) -> Simulation:
    """Runs files through the flows of a version. Raises: OSError, FlowsRefused, UnknownRecord."""
    with offline(), tempfile.TemporaryDirectory(prefix="hub-simulate-") as folder:
        worked = _Worked(Path(folder), files, version, world)
        try:
            return worked.simulation()
        finally:
            worked.scratch.close()


def simulated(version: Version, world: World, url: str, chosen: Window) -> Simulation:
    """Works the recorded events of a hub again, by the flows of one version. Raises: FlowsRefused, HomeError."""
    with offline(), tempfile.TemporaryDirectory(prefix="hub-simulate-") as folder:
        again = Again(Path(folder), version, world, url)
        try:
            for some in events(url, chosen):
                again.work(some)
            made = Simulation(instant_text(again.now), again.flows)
            _collect(again.scratch, made, [], [], sorted(again.asked))
            return made
        finally:
            again.scratch.close()


def effects_of(files: Files, version: Version, world: World) -> tuple[list[Effect], int]:
    """The effects of files by the flows of a version, for comparing, and how many things came in. Raises: OSError, FlowsRefused, UnknownRecord."""
    with offline(), tempfile.TemporaryDirectory(prefix="hub-simulate-") as folder:
        worked = _Worked(Path(folder), files, version, world, FIRST_ID)
        try:
            return worked.effects(), len(worked.given)
        finally:
            worked.scratch.close()


class _Worked:
    """A scratch hub in which files came in and were worked."""

    def __init__(self, folder: Path, files: Files, version: Version, world: World, first_id: int | None = None) -> None:
        registry = version.registry()
        tables = [path for path in files.paths if files.record is None and path.suffix.lower() in (".csv", ".tsv")]
        others = [path for path in files.paths if path not in tables]
        if tables and others:
            raise ColumnsError("CSV exports of orders and other files are simulated apart: their sums would be mixed")
        if files.columns is not None and not tables:
            raise ColumnsError("a columns file is for CSV exports of orders")
        self.exports = [read_export(path, registry, files.columns) for path in tables]
        self.given = read_files(others, registry, files.record, _manual_names(version.homes))
        self.given += [order.given for export in self.exports for order in export.orders]
        instants = (instant_us(at) for each in self.given for at in each.instants)
        now = instant_us(files.clock) if files.clock else max(instants, default=0)
        self.now = now or instant_us(_NO_INSTANT)
        self.scratch = Scratch(
            folder,
            registry,
            lambda: self.now,
            homes=version.homes,
            currency=world.currency,
            zone=world.zone,
            first_id=first_id,
        )
        try:
            ids = connect_all(self.scratch, world.connections)
            self.names = {ids[each.id]: each.name for each in world.connections if each.id in ids}
            self.scratch.stock(world.items)
            for owner, connection_id in ids.items():
                self.scratch.alias(connection_id, {key: sku for of, key, sku in world.aliases if of == owner})
            self.active = self.scratch.hub.active(MERCHANT_ID)
            if self.scratch.hub.problems:
                raise FlowsRefused(self.scratch.hub.problems)
            self.seqs = [_receive(self.scratch, each) for each in self.given]
            self.scratch.work()
            #: what would be read before anything else
            self.asked = self.scratch.unread()
            self.asked += [asked(fetch) for event in self.scratch.asking() for fetch in event.reads]
        except BaseException:
            self.scratch.close()
            raise

    def simulation(self) -> Simulation:
        """All that came of it."""
        made = Simulation(instant_text(self.now), sorted(flow.name for flow in self.active.flows))
        _collect(self.scratch, made, self.given, self.seqs, self.asked)
        if self.exports:
            made.export = report(self.exports, made.outcome)
        return made

    def effects(self) -> list[Effect]:
        """What came of it, by natural names."""
        with self.scratch.database.read() as connection:
            return effects(connection, self.names, set(self.asked))


def _manual_names(homes: Sequence[Path]) -> list[str]:
    from hub.flows.active import flow_files
    from hub.mapping import SourceError, load_document

    names = []
    for file in flow_files([home / "flows" for home in homes]):
        try:
            on = load_document(file.text, file.file).value["on"]
            names += [str(on["manual"])] if "manual" in on else []
        except (SourceError, KeyError, TypeError):
            continue  # what is wrong with it is said when the flows are loaded
    return names


def _receive(scratch: Scratch, given: Given) -> int | None:
    if given.manual is not None:
        return scratch.receive(scratch.manual(given.topic, given.manual))
    role = next(role for role, (connector, _) in ROLES.items() if connector == given.connector)
    info = scratch.info(role)
    assert info is not None
    if given.fault is not None:
        path, reason = given.fault
        event = scratch.webhook(info, "orders/updated", given.raw)
        details = {"path": path, "files": ", ".join(given.files), **given.details}
        return scratch.park(event, given.kind, f"{', '.join(given.files)}: {reason}", details)
    if given.read is not None:
        record_id = str(given.read.get("legacyResourceId") or given.read["id"].rpartition("/")[2])
        return scratch.receive(scratch.read(info, given.record, record_id, given.read.get("updatedAt")), given.read)
    return scratch.receive(scratch.webhook(info, given.topic, given.raw))


def _collect(
    scratch: Scratch,
    made: Simulation,
    given: Sequence[Given],
    seqs: Sequence[int | None],
    reads: Sequence[Asked],
) -> None:
    with scratch.database.read() as connection:
        made.outcome = look(connection, MERCHANT_ID)
        rows = {
            row.seq: row
            for row in connection.execute(
                sa.select(
                    _INBOX.c.seq, _INBOX.c.topic, _INBOX.c.record, _INBOX.c.record_id, _INBOX.c.state, _INBOX.c.outcome
                )
            )
        }
    runs = made.outcome["runs"]
    names = {order["id"]: order["name"] for order in made.outcome["orders"]}
    files: dict[int, str] = {}
    for each, seq in zip(given, seqs, strict=True):
        name = ", ".join(each.files)
        if seq is None:
            made.events.append({"file": name, "topic": each.topic, "state": "repeat", "outcome": "was here already"})
            continue
        files[seq] = name
        row = rows[seq]
        stopped = next((run["reason"] for run in runs if run["event"] == seq and run["state"] == "stopped"), None)
        made.events.append(
            {
                "file": name,
                "topic": row.topic,
                "record": row.record,
                "record_id": row.record_id,
                "state": row.state,
                "outcome": stopped or _named(row.outcome, names),
            }
        )
    made.reads = [{"record": what, "record_id": which} for _, what, which in dict.fromkeys(reads)]
    for question in made.outcome["questions"]:
        question["file"] = files.get(question["event"])
    made.outcome["deliveries"] = _deliveries(made.outcome["deliveries"])
    made.outcome["orders"] += _not_booked(made)
    wanted = {each["record_id"] for each in made.reads}
    for order in made.outcome["orders"]:
        if "id" in order:
            order["check"] = check(order, made.outcome, order["external_id"] in wanted)


def _named(outcome: str | None, names: Mapping[int, str]) -> str | None:
    """What changed, with orders by their own names."""
    return outcome and re.sub(r"\border (\d+)", lambda found: f"order {names.get(int(found[1]), found[1])}", outcome)


def _not_booked(made: Simulation) -> list[Item]:
    """Orders that are read and never booked: those of a test, and those of which no more than a part is known."""
    known = {order["external_id"] for order in made.outcome["orders"]}
    found: dict[str, Item] = {}
    for event in made.events:
        name = event.get("record_id")
        if event.get("record") == "order" and event["state"] == "done" and name not in known:
            reason = event["outcome"] or "a part of it is not in the files"
            found.setdefault(
                str(name), {"external_id": name, "name": None, "check": {"result": "not booked", "reason": reason}}
            )
    return list(found.values())


def _deliveries(found: list[Item]) -> list[Item]:
    """A level (stock) that would be sent again and again is one: its last."""
    last = {(each["connection"], each["operation"], each["key"]): each for each in found}
    return [each for each in found if last[(each["connection"], each["operation"], each["key"])] is each]


def check(order: Item, outcome: Outcome, waits: bool) -> Item:
    """Invoices less credit notes against what the shop says the order is worth now. `result`:

    - `equal`; `question`: they differ, and an open question says why
    - `not due`: it is not paid, so the rest is not invoiced yet; `incomplete`: parts of it are not in the files
    - `difference`: they differ and nothing says why"""
    currency = order["currency"]
    own = {name: [d for d in outcome[name] if d["order_id"] == order["id"]] for name in ("invoices", "credit_notes")}
    sums = {name: total((d["total"] for d in documents), currency) for name, documents in own.items()}
    net = sums["invoices"] - sums["credit_notes"]
    open_kinds = [
        each["kind"]
        for each in outcome["questions"]
        if each["state"] == "open" and each["subject"].partition(":")[2].split(":")[0] == str(order["id"])
    ]
    paid = order["financial_status"] in PAID and order["outstanding"].amount <= 0
    if net == order["current_total"]:
        result = "equal"
    elif any(not kind.startswith(_NO_MONEY) for kind in open_kinds):
        result = "question"
    elif not paid and net < order["current_total"]:
        result = "not due"
    else:
        result = "incomplete" if waits else "difference"
    return {
        "invoiced": sums["invoices"],
        "credited": sums["credit_notes"],
        "net": net,
        "shop": order["current_total"],
        "result": result,
        "questions": open_kinds,
    }
