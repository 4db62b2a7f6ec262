"""The hub and the sandboxes that tests of flows run on: made once for the flows and roles of a test file, and as new for each
of its tests. The clock moves only to the next planned retry, so that nothing sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.connect import links, payload, reads
from hub.connect.errors import ConnectError
from hub.connect.registry import Registry, shipped
from hub.connect.tables import PollCursor
from hub.core.sales.tables import SALES_ORDER
from hub.db.types import instant_text
from hub.flows.tables import FlowSchedule
from hub.inbox import fetches
from hub.inbox.receive import Received
from hub.inbox.tables import READ_KINDS, Inbox
from hub.workers.admin.connections import adopt_stock
from hub.workers.admin.errors import AdminError
from hub.workers.alerts.rules import Rule, Rules
from hub.workers.expectation import Difference, compare
from hub.workers.orderrefs import translated
from hub.workers.outcome import Outcome, look
from hub.workers.payloads import read_files
from hub.workers.reading import answer
from hub.workers.recorded import Stocked
from hub.workers.sandboxed import FakeClock, Sandboxes, SandboxRefused
from hub.workers.scratch import MERCHANT_ID, Scratch, ScratchFile, empty
from hub.workers.testfile import Case, TestFile

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_SCHEDULE = FlowSchedule.__table__  # type: ignore[attr-defined]
_CURSOR = PollCursor.__table__  # type: ignore[attr-defined]
#: asked between all steps of a test: as text it takes a third of the time
_DUE = sa.text(
    "SELECT 'event', 0 FROM inbox WHERE state IN ('ready', 'retry') AND next_attempt_at <= :now "
    "UNION SELECT 'read', 0 FROM inbox WHERE state = 'fetch' AND next_attempt_at <= :now "
    "UNION SELECT 'delivery', 0 FROM delivery WHERE state IN ('planned', 'retry') AND next_attempt_at <= :now "
    "UNION SELECT 'later', min(at) FROM (SELECT next_attempt_at AS at FROM delivery WHERE state = 'retry' "
    "UNION ALL SELECT next_attempt_at FROM inbox WHERE state IN ('retry', 'fetch')) AS planned"
)
_READ_NOW = sa.select(_INBOX).where(
    _INBOX.c.state == "fetch", _INBOX.c.next_attempt_at <= sa.bindparam("now", type_=sa.BigInteger)
)
_CHANGE = _INBOX.update().where(_INBOX.c.seq == sa.bindparam("_seq"))
#: how often the clock is moved to the next retry; a delivery that still fails then is as it is
_RETRIES = 10


@dataclass
class CaseResult:
    """How one test went. `failures`: each `{place, what, expected, found}`; `seconds` of real time."""

    name: str
    place: str
    failures: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.failures


def key_of(tests: TestFile) -> tuple[Any, ...]:
    """What has to be equal for two test files to share a bench."""
    roles = [
        (name, role.connector, role.mode, payload.canonical(dict(role.settings))) for name, role in tests.roles.items()
    ]
    return (tests.home, tuple(sorted(tests.flows)), tuple(roles))


def payload_files(tests: TestFile) -> frozenset[Path]:
    """The files that tests give."""
    named = [given.get("file", []) for case in tests.cases for given in case.given]
    names = [name for each in named for name in (each if isinstance(each, list) else [each])]
    return frozenset((tests.file.parent / str(name)).resolve() for name in names)


class Bench:
    """A scratch hub and the sandboxes of its roles. `sockets`: the sandboxes listen on loopback."""

    def __init__(self, tests: TestFile, registry: Registry, file: ScratchFile, *, sockets: bool = False) -> None:
        self.tests = tests
        self.clock = FakeClock(tests.clock)
        self.sandboxes = Sandboxes(
            registry, {name: role.connector for name, role in tests.roles.items()}, self.clock.moment, sockets=sockets
        )
        self.file = file
        file.restore(empty())
        self.scratch = Scratch(
            file,
            registry,
            self.clock,
            homes=[tests.home],
            flows=frozenset(tests.flows),
            transport=self.sandboxes.transport,
        )
        #: settings of each role's connection, as they are stored
        self._settings = {
            name: {**given, **tests.roles[name].settings} for name, given in self.sandboxes.reset([]).items()
        }
        self.connections = {
            name: self.scratch.connect(name, role.connector, self._settings[name], mode=role.mode)
            for name, role in tests.roles.items()
        }
        hub = self.scratch.hub
        self.active = hub.active(MERCHANT_ID)
        named = {f"flows/{name}.yaml" for name in tests.flows}
        #: what is wrong with the flows under test
        self.problems = [str(each) for each in hub.problems if each.file in named or not each.file.startswith("flows/")]
        #: records as a test gives them, by connection, kind and id
        self._given: dict[tuple[int, str, str], Any] = {}
        self._received: list[Received | None] = []
        self._empty = self.file.save()
        #: the settings in what was saved: of the empty hub, and of the one with its stock
        self._first = self._stored = dict(self._settings)
        self._stocked: dict[str, Any] = {}

    @cached_property
    def depends(self) -> frozenset[Path]:
        """The files of its flows and their mappings, wherever they may stand, and the folders of its connectors."""
        roots = (self.tests.home, shipped("flows").parent)
        names = {f"flows/{name}.yaml" for name in self.tests.flows}
        for flow in self.active.flows:
            names |= {f"mappings/{name}.yaml" for name in payload.decode(flow.version_text.encode())["mappings"]}
        names |= {f"connectors/{role.connector}" for role in self.tests.roles.values()}
        return frozenset((root / name).resolve() for root in roots for name in names)

    def take(self, tests: TestFile) -> None:
        """The next tests are of this file: its stock is put on the shelf."""
        self.tests = tests
        self.products = [
            {"sku": sku, "title": sku, "price": "10.00", "vat": "0.2", "quantity": units, **_texts(more)}
            for sku, (units, more) in tests.stock.items()
        ]
        key = payload.canonical(
            [instant_text(tests.clock), {sku: [n, _texts(m)] for sku, (n, m) in tests.stock.items()}]
        )
        if key not in self._stocked:
            self.clock.now = tests.clock
            self.file.restore(self._empty)
            self._settings = dict(self._first)
            self.scratch.stock(
                Stocked(sku, str(more.get("title", sku)), True, {"main": units})
                for sku, (units, more) in tests.stock.items()
            )
            self._begin()
            self._adopt()
            self._stored = dict(self._settings)
            self._stocked = {key: self.file.save()}
        self._start = self._stocked[key]

    def close(self) -> None:
        """Ends the hub and the sandboxes."""
        self.scratch.close()
        self.sandboxes.close()

    def run(self, case: Case) -> CaseResult:
        """Gives what is given, one after the other, and compares."""
        made = CaseResult(case.name, self.tests.place(case.path))
        began = time.perf_counter()
        try:
            made.failures = self._failures(case)
        finally:
            made.seconds = time.perf_counter() - began
        return made

    def _failures(self, case: Case) -> list[dict[str, str]]:
        place: tuple[str | int, ...] = case.path
        try:
            self._renew()
            for number, answer in enumerate(case.answers):
                place = (*case.path, "answers", number)
                self.sandboxes.plant(str(answer.get("role")), {k: v for k, v in answer.items() if k != "role"})
            for number, given in enumerate(case.given):
                place = (*case.path, "given", number)
                self._give(given)
                self._settle()
        except (SandboxRefused, AdminError, ConnectError, OSError, LookupError) as error:
            return [
                {"place": self.tests.place(place), "what": "given", "expected": "it can be done", "found": str(error)}
            ]
        return [self._failure(each) for each in self._differences(case)]

    def _renew(self) -> None:
        """Everything as it was before the first test."""
        self.clock.now = self.tests.clock
        self._given.clear()
        self._received.clear()
        self.file.restore(self._start)
        self.scratch.hub.scheduler.forget()
        self._settings = dict(self._stored)
        self._begin()

    def _begin(self) -> None:
        """Fresh sandboxes, and the connections to them."""
        self.scratch.database.ids.ensure(10)
        for name, given in self.sandboxes.reset(self.products).items():
            values = {**given, **self.tests.roles[name].settings}
            if values != self._settings[name]:  # other tokens
                with self.scratch.database.write() as connection:
                    links.update_settings(
                        connection, self.scratch.registry, self.scratch.vault, self.connections[name], values
                    )
                self._settings[name] = values
            self.scratch.hub.links.forget(self.connections[name])

    def _adopt(self) -> None:
        """Takes the shop's numbers as the starting point, where a flow sends or watches stock."""
        if not any(
            flow.on.event == "stock.changed" or flow.on.record == "inventory_level" for flow in self.active.flows
        ):
            return
        for name, role in self.tests.roles.items():
            if "adopt_stock" in self.scratch.registry.get(role.connector).manifest.calls:
                adopt_stock(self.scratch.hub, name)

    def _give(self, given: Mapping[str, Any]) -> None:
        received: Received | None = None
        if "webhook" in given:
            info = self._connection(given, str(given["webhook"]))
            received = self.scratch.webhook(info, str(given["webhook"]), self._body(given))
            self.scratch.receive(received)
        elif "repeat" in given:
            again = self._received[given["repeat"]]
            assert again is not None
            self.scratch.receive(again)
        elif "manual" in given:
            records = given["record"] if "record" in given else payload.decode(self._body(given))
            for record in records if isinstance(records, list) else [records]:
                self.scratch.receive(self.scratch.manual(str(given["manual"]), record))
        elif "read" in given:
            self._read(given)
        elif "sandbox" in given:
            self.sandboxes.post(str(given["sandbox"]), str(given["post"]), given.get("body"))
        elif "poll" in given:
            self._poll(str(given["poll"]))
        elif "schedule" in given:
            self._tick(str(given["schedule"]))
        elif "alert" in given:
            self._alert(given["alert"])
        else:
            self.clock.now += int(given["wait"]) * 1_000_000
        self._received.append(received)

    def _connection(self, given: Mapping[str, Any], topic: str) -> Any:
        """The connection of the role that is named, else the first whose connector sends this topic."""
        for name, role in self.tests.roles.items():
            webhooks = self.scratch.registry.get(role.connector).manifest.webhooks
            if given.get("role") == name or (
                "role" not in given and webhooks and (topic in webhooks.topics or "*" in webhooks.topics)
            ):
                return self.scratch.info(name)
        raise SandboxRefused(f"no role of this file sends {topic}: name one in `role`")

    def _body(self, given: Mapping[str, Any]) -> bytes:
        if "file" in given:
            return self._referring(given, (self.tests.file.parent / str(given["file"])).read_bytes())
        return self._referring(given, payload.encode(given.get("body", {})))

    def _referring(self, given: Mapping[str, Any], text: bytes) -> bytes:
        """A text with the references that this hub gave to the orders that `refs` names."""
        there: dict[str, str] = {}
        for ref, name in given.get("refs", {}).items():
            with self.scratch.database.read() as connection:
                refs = (
                    connection.execute(sa.select(SALES_ORDER.c.ref).where(SALES_ORDER.c.name == name)).scalars().all()
                )
            if len(refs) != 1:
                raise SandboxRefused(
                    f"`refs` names {name}, and {len(refs) or 'no'} orders of that name are there by then"
                )
            there[ref] = refs[0]
        return translated(text, there)

    def _read(self, given: Mapping[str, Any]) -> None:
        """A record as the system has it now: it comes in like one that a poll found, and answers the hub's own reads."""
        kind = str(given["read"])
        named = given.get("file", [])
        files = [self.tests.file.parent / str(name) for name in (named if isinstance(named, list) else [named])]
        role = next((name for name in self.tests.roles if given.get("role", "shop") == name), None)
        info = self.scratch.info(role) if role else None
        if info is None:
            raise SandboxRefused(f"no role {given.get('role', 'shop')!r} is there to be read")
        record, record_id = given.get("body"), None
        if len(files) == 1 and _is_record(whole := payload.decode(files[0].read_bytes())):
            record = whole
        elif files:
            found = read_files(files, self.scratch.registry, None, [])
            if len(found) != 1 or found[0].read is None:
                reason = found[0].fault[1] if found and found[0].fault else "they are not the answers about one record"
                raise SandboxRefused(f"{', '.join(map(str, named if isinstance(named, list) else [named]))}: {reason}")
            record = found[0].read
        if isinstance(record, dict):
            record_id = record.get("legacyResourceId") or record.get("id")
        if record_id is None:
            raise SandboxRefused(f"a {kind} that is read has a `file` or a `body` with its id")
        if "refs" in given:
            record = payload.decode(self._referring(given, payload.encode(record)))
        self._given[(info.id, kind, str(record_id))] = record
        self.scratch.receive(self.scratch.read(info, kind, str(record_id), None), record)

    def _poll(self, role: str) -> None:
        """Asks the role's sandbox what changed since the beginning of the test."""
        info = self.scratch.info(role)
        if info is None:
            raise SandboxRefused(f"no connection plays the role {role!r}")
        ids = self.scratch.database.ids
        ids.ensure(100)
        begin = instant_text(self.tests.clock)[:19] + "+00:00"
        for record, spec in self.scratch.registry.get(info.connector).manifest.records.items():
            if not spec.poll:
                continue
            row = {"merchant_id": MERCHANT_ID, "connection_id": info.id, "record": record, "cursor": begin}
            with self.scratch.database.write() as connection:
                connection.execute(_CURSOR.delete().where(_CURSOR.c.connection_id == info.id))
                connection.execute(_CURSOR.insert(), [{"id": ids.next(), **row, "updated_at": self.clock()}])
            self.scratch.hub.poller.poll(MERCHANT_ID, info.id, record)

    def _tick(self, flow: str) -> None:
        """The clock goes to the next tick of a flow."""
        self.scratch.hub.scheduler.tick()
        with self.scratch.database.read() as connection:
            at = connection.execute(sa.select(_SCHEDULE.c.next_run_at).where(_SCHEDULE.c.flow == flow)).scalar()
        if at is None:
            raise SandboxRefused(f"no flow {flow!r} with a schedule that has a next tick is there")
        self.clock.now = max(self.clock.now, at)
        self.scratch.hub.scheduler.tick()

    def _alert(self, given: Mapping[str, Any]) -> None:
        """What has come until now is worked; then a rule is looked at."""
        self._settle()
        rule = Rule.model_validate({"alert": "test", **given})
        self.scratch.hub.alerts.look(MERCHANT_ID, Rules([rule]))

    def _settle(self) -> None:
        """Works, sends and reads what can be; the clock goes to each planned retry."""
        hub = self.scratch.hub
        for _ in range(_RETRIES):
            due = self._due()
            while (
                ("event" in due and hub.books.work_once())
                or ("delivery" in due and hub.outbox.run_until_idle())
                or hub.poller.poll_asked()
                or ("read" in due and self._read_due())
            ):
                due = self._due()
            if due["later"] is None:
                return
            self.clock.now = max(self.clock.now, due["later"])

    def _due(self) -> dict[str, Any]:
        """The kinds of work that there may be now, and (`later`) when the next retry is planned. One question instead of one
        of each worker."""
        with self.scratch.database.read() as connection:
            return {kind: at for kind, at in connection.execute(_DUE, {"now": self.clock()})}

    def _read_due(self) -> bool:
        """Reads what the hub asks for: from what the test gives, else from the sandbox. What neither has is left, so that
        it holds nothing and is no question."""
        with self.scratch.database.read() as connection:
            waiting = connection.execute(_READ_NOW, {"now": self.clock()}).all()
        for event in waiting:
            values = self._read_one(event)
            with self.scratch.database.write() as connection:
                connection.execute(_CHANGE, {"_seq": event.seq, "claims": 0, **values})
        return bool(waiting)

    def _read_one(self, event: Any) -> dict[str, Any]:
        """What becomes of an event whose record is due to be read."""
        if event.kind not in READ_KINDS or event.reads is not None:
            return self._answer(event)
        record = self._given.get((event.connection_id, event.record, event.record_id))
        if record is None:
            try:
                link = self.scratch.hub.links.open(event.connection_id)
                record = reads.read(link, event.record, event.record_id)
            except ConnectError as error:
                later = self.clock() + (event.attempts + 1) * 1_000_000
                return {"attempts": event.attempts + 1, "next_attempt_at": later, "outcome": str(error)[:300]}
        if record is None:
            return {"state": "done", "outcome": "neither the test nor the sandbox has it", "finished_at": self.clock()}
        return {"state": "ready", "reads": payload.encode(record), "next_attempt_at": 0}

    def _answer(self, event: Any) -> dict[str, Any]:
        """What becomes of an event whose flows read something from the sandboxes."""
        found = answer(self.scratch.hub.links, event)
        values = {"fetched": fetches.answered(event.fetched, found.answers), "attempts": event.attempts + 1}
        if found.failure is not None:
            later = self.clock() + (event.attempts + 1) * 1_000_000
            return {**values, "next_attempt_at": later, "outcome": str(found.failure)[:300]}
        return {**values, "state": "ready", "next_attempt_at": 0}

    def found(self, kinds: Collection[str] = ()) -> Outcome:
        """What came of the test that ran last, as tests compare it; all kinds without `kinds`."""
        with self.scratch.database.read() as connection:
            return comparable(look(connection, MERCHANT_ID, kinds))

    def _differences(self, case: Case) -> Iterator[Difference]:
        found = self.found(case.expect)
        for kind, expected in case.expect.items():
            yield from compare(kind, expected, found[kind], (*case.path, "expect", kind))

    def _failure(self, difference: Difference) -> dict[str, str]:
        return {
            "place": self.tests.place(difference.path),
            "what": difference.what,
            "expected": difference.expected,
            "found": difference.found,
        }


#: what of each kind tests compare: open questions, and no find-or-create deliveries, which follow from those that need them
_COMPARED: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "questions": lambda each: each["state"] == "open",
    "deliveries": lambda each: not each["ensure"],
    "moves": lambda each: not each["ref"].startswith("opening:main:"),
}


def comparable(found: Outcome) -> Outcome:
    """What tests compare."""
    return {
        kind: [each for each in items if kind not in _COMPARED or _COMPARED[kind](each)]
        for kind, items in found.items()
    }


def _is_record(value: Any) -> bool:
    """Whether a file holds a record as the hub keeps what it read, and not the answers that it was joined from."""
    return isinstance(value, dict) and "data" not in value and ("legacyResourceId" in value or "id" in value)


def _texts(more: Mapping[str, Any]) -> dict[str, str]:
    """Decimals as text, which the sandbox reads exactly."""
    return {name: str(value) for name, value in more.items()}
