"""A hub with a small system of its own behind real sockets, a clock that is set by hand, and flows that a test writes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from hub.connect import links
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.tables import RoleBinding
from hub.connect.vault import Vault
from hub.core.ledger.setup import IDS_NEEDED, open_book
from hub.core.plan import Plan
from hub.core.stock.setup import open_stock
from hub.db.engine import Database
from hub.flows.batch import WRITE_ORDER
from hub.inbox.receive import Received, dedup_key
from hub.inbox.tables import Inbox, Question
from hub.outbox import plan as outbox_plan
from hub.outbox.plan import DELIVERY, Target, plan_delivery
from hub.workers.hub import Hub

INBOX = Inbox.__table__  # type: ignore[attr-defined]
QUESTION = Question.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
NOW = 1_795_507_200_000_000
SECOND = 1_000_000


#: a flow that reads a thing anew where its record asks for it, and sends each record under its id and number
ASKING = """
flow: things
on: {role: shop, record: thing}
steps:
  - when:
      if: record.asks
      steps:
        - fetch: {role: shop, record: thing, id: text(record.id), as: now}
  - deliver:
      role: books
      operation: invoice.create
      key: "text(record.id) + ':' + text(record.n)"
      body: "{'n': record.n}"
"""


@dataclass
class Clock:
    """The time, set by hand."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@dataclass
class Called:
    """A request that arrived."""

    method: str
    path: str
    key: str | None
    body: bytes


@dataclass
class System:
    """What the lab keeps, what arrived there, and the faults it is told to show."""

    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    customers: list[dict[str, Any]] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    stock: dict[str, int] = field(default_factory=dict)
    records: dict[str, Any] = field(default_factory=dict)
    #: pages that a poll answers, by cursor
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    #: paths that are answered once their gate is open
    gates: dict[str, threading.Event] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, path: str, kind: str = "status", status: int = 503, times: int = 1) -> None:
        """`status`: answered without the work; `status_after`: after it; `drop_after`: cut after the work; `echo`: refused
        with what was sent."""
        self.faults.append({"path": path, "kind": kind, "status": status, "times": times})

    def paths(self) -> list[str]:
        """The writes that arrived, in order."""
        return [call.path for call in self.calls if call.method == "POST"]

    def work(self, method: str, path: str, query: dict[str, str], key: str | None, body: bytes) -> tuple[int, Any]:
        if path == "/invoices":
            made = self.invoices.setdefault(key or f"none{len(self.invoices)}", {"id": f"i{len(self.invoices) + 1}"})
            return 200, made
        if path == "/customers" and method == "GET":
            return 200, {"items": [each for each in self.customers if each["ref"] == query["ref"]]}
        if path == "/customers":
            data = json.loads(body)
            if data.get("bad"):
                return 422, {"message": "no"}
            made = {"id": data.get("id") or f"c{len(self.customers) + 1}", "ref": data["ref"]}
            self.customers.append(made)
            return 200, made
        if path == "/messages":
            self.messages.append(json.loads(body))
            return 200, {"id": f"m{len(self.messages)}"}
        if path == "/stock" and method == "GET":
            return 200, {"quantity": self.stock[query["item_ref"]]}
        if path == "/stock":
            data = json.loads(body)
            assert data["from"] is not None
            if self.stock[data["item_ref"]] != data["from"]:
                return 409, {"found": self.stock[data["item_ref"]]}
            self.stock[data["item_ref"]] = data["quantity"]
            return 200, {}
        if path == "/changes":
            return 200, self.pages.get(query["since"], {"items": [], "cursor": query["since"], "more": False})
        record = self.records.get(path)
        return (404, {}) if record is None else (200, record)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    system: System

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        system = self.system
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        key = self.headers.get("idempotency-key")
        if parts.path in system.gates:
            system.gates[parts.path].wait(30)
        with system.lock:
            system.calls.append(Called(method, parts.path, key, body))
            fault = next(
                (f for f in system.faults if f["path"] in (parts.path, f"{method} {parts.path}") and f["times"]), None
            )
            if fault is not None:
                fault["times"] -= 1
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, data = 503, {}
            if fault is None or fault["kind"] not in ("status", "echo"):
                status, data = system.work(method, parts.path, query, key, body)
            if fault is not None and fault["kind"].startswith("status"):
                status, data = fault["status"], {"message": "fault"}
            elif fault is not None and fault["kind"] == "echo":
                status, data = fault["status"], {"message": f"refused: {body.decode()} {query}", "sent": body.decode()}
        if fault is not None and fault["kind"] == "drop_after":
            self.close_connection = True
            self.connection.close()
            return
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[tuple[System, str]]:
    """The lab on a free port."""
    system = System()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"system": system}))
    server.daemon_threads = True
    server.socket.listen(128)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield system, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Lab:
    """A hub of one merchant, its home, and the connection `lab`, which plays the roles `shop` and `books`."""

    def __init__(self, database: Database, home: Path, system: System, url: str, *, mode: str = "live") -> None:
        self.database, self.home, self.system, self.url = database, home, system, url
        self.clock = Clock()
        (home / "connectors").mkdir(parents=True, exist_ok=True)
        if not (home / "connectors" / "lab").exists():
            (home / "connectors" / "lab").symlink_to(Path(__file__).parent / "lab")
        self.registry = Registry.discover(home)
        self.vault = Vault([root_key(bytes(range(32)))], database.ids)
        self.shipped = True
        with database.read() as connection:
            known = connection.execute(sa.text("SELECT count(*) FROM merchant")).scalar_one()
        if not known:
            self.open_merchant(1)
            self.lab = self.connect("lab", ("shop", "books"), mode=mode)
        self.hub = self.another_hub()

    def another_hub(self) -> Hub:
        """A hub process on the same database; its flows are those of the home, nothing shipped."""
        return Hub(self.database, self.vault, self.registry, homes=[self.home], clock=self.clock)

    def open_merchant(self, merchant_id: int) -> None:
        self.database.ids.ensure(IDS_NEEDED + 100)
        with self.database.write() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO merchant (id, name, zone, currency, lanes, created_at) "
                    "VALUES (:id, 'Atelier', 'Europe/Paris', 'EUR', 16, 0)"
                ),
                {"id": merchant_id},
            )
            key = self.vault.data_key(connection, merchant_id, "chain")
            open_book(
                connection,
                merchant_id,
                self.database.ids,
                currency="EUR",
                zone="Europe/Paris",
                data_key_id=key.id,
                now=NOW,
            )
            open_stock(connection, merchant_id, self.database.ids)

    def connect(
        self,
        name: str,
        roles: tuple[str, ...],
        *,
        mode: str = "live",
        merchant_id: int = 1,
        connector: str = "lab",
        url: str = "",
    ) -> int:
        ids = self.database.ids
        ids.ensure(20)
        connection_id = ids.next()
        with self.database.write() as connection:
            links.create(
                connection,
                self.registry,
                self.vault,
                connection_id=connection_id,
                merchant_id=merchant_id,
                name=name,
                connector=connector,
                settings={"base_url": url or self.url, "token": "secret"},
                mode=mode,
                go_live_at=0,
            )
            connection.execute(
                _ROLE.insert(),
                [
                    {"id": ids.next(), "merchant_id": merchant_id, "role": role, "connection_id": connection_id}
                    for role in roles
                ],
            )
        return connection_id

    # -- what a test does ------------------------------------------------------------------------------------------

    def write(self, **files: str) -> list[Any]:
        """Writes flows (`name=text`) and mappings (`lab__name=text`), and loads them. Returns what is wrong."""
        for name, text in files.items():
            folder, _, file = name.rpartition("__")
            path = (
                self.home
                / ("mappings/" + folder if folder else "flows")
                / f"{file.replace('_', '-') if not folder else file}.yaml"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return self.hub.reload()

    def plan(
        self,
        operation: str,
        key: str,
        body: Any = None,
        *,
        ordering: str | None = None,
        mode: str = "live",
        state: bool = False,
        before_write: Callable[[], None] | None = None,
        connection_id: int | None = None,
        connector: str = "lab",
    ) -> int | None:
        """Plans a delivery as a batch does: read, then written in its own transaction."""
        spec = self.registry.get(connector).manifest.operations[operation]
        self.database.ids.ensure(1_000)
        with self.database.read() as reading:
            plan = Plan(1, reading, self.database.ids, self.clock())
            found = plan_delivery(
                plan,
                Target(connection_id or self.lab, mode, operation, spec.ladder, state),
                key=key,
                body=body,
                ordering_key=ordering or key,
                event_seq=1,
                run_id=None,
            )
        if before_write is not None:
            before_write()
        with self.database.write() as connection:
            plan.write(connection, WRITE_ORDER)
            outbox_plan.settle(connection, plan)
        return found

    def receive(
        self, record: dict[str, Any] | bytes, *, topic: str = "things/changed", kind: str = "thing", key: str | None = None,
        connection_id: int | None = None, merchant_id: int = 1, dedup: str | None = None,
    ) -> None:  # fmt: skip
        """A webhook comes in."""
        body = record if isinstance(record, bytes) else json.dumps(record).encode()
        identity = "" if isinstance(record, bytes) else str(record.get("id", ""))
        where = connection_id or self.lab
        self.hub.intake.receive(
            [
                Received(
                    merchant_id=merchant_id,
                    connection_id=where,
                    kind="webhook",
                    topic=topic,
                    record=kind,
                    record_id=identity,
                    ordering_key=f"{where}:{kind}:{key or identity}",
                    lanes=16,
                    body=body,
                    dedup=dedup_key(dedup) if dedup else None,
                )
            ]
        )

    def trigger(self, name: str, record: dict[str, Any], key: str = "1", merchant_id: int = 1) -> None:
        """A manual trigger."""
        self.hub.intake.receive(
            [
                Received(
                    merchant_id=merchant_id,
                    connection_id=None,
                    kind="manual",
                    topic=name,
                    record=name,
                    record_id=key,
                    ordering_key=f"manual:{name}:{key}",
                    lanes=16,
                    body=json.dumps(record).encode(),
                )
            ]
        )

    def work(self) -> None:
        self.hub.run_until_idle()

    def send(self) -> int:
        return self.hub.outbox.run_until_idle()

    # -- what a test looks at --------------------------------------------------------------------------------------

    def rows(self, table: Any, **where: Any) -> list[Any]:
        with self.database.read() as connection:
            conditions = [table.c[name] == value for name, value in where.items()]
            order = table.c.seq if "seq" in table.c else table.c.id
            return list(connection.execute(sa.select(table).where(*conditions).order_by(order)).all())

    def rows_of(self, table: Any) -> list[Any]:
        """All rows of a table."""
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table)).all())

    def deliveries(self, **where: Any) -> list[Any]:
        return self.rows(DELIVERY, **where)

    def states(self) -> dict[str, str]:
        """The state of the last version of each delivery, by key."""
        return {row.key: row.state for row in self.deliveries()}

    def questions(self, state: str = "open") -> list[Any]:
        return self.rows(QUESTION, state=state)

    def events(self, **where: Any) -> list[Any]:
        return self.rows(INBOX, **where)

    def set(self, table: Any, row_id: int, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(table.update().where(table.c.id == row_id).values(**values))


class Crash(BaseException):
    """The process is gone."""


@contextmanager
def crashing(lab: Lab, at: int, *, after_commit: bool) -> Iterator[None]:
    """The process dies at its `at`-th write transaction, before or after the commit."""
    real, count = lab.database.write, iter(range(1, 1_000))

    @contextmanager
    def write(**options: Any) -> Iterator[Any]:
        dies = next(count) == at
        with real(**options) as connection:
            yield connection
            if dies and not after_commit:
                raise Crash
        if dies:
            raise Crash

    lab.database.write = write  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        lab.database.write = real  # type: ignore[method-assign]


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Iterator[Lab]:
    """A lab on each engine."""
    with serving() as (system, url):
        made = Lab(database, tmp_path / "home", system, url)
        yield made
        made.hub.intake.close()
        made.hub.links.close()
