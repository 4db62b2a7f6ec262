"""`hub test`: runs the tests that stand beside flows. Each test has a hub of its own in a scratch database and fresh
sandboxes over loopback; its clock moves only to the next planned retry, so that nothing sleeps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.connect import links, payload, reads
from hub.connect.errors import ConnectError
from hub.connect.registry import Registry, shipped
from hub.connect.tables import PollCursor
from hub.db.types import instant_text
from hub.flows.active import flow_files
from hub.inbox.receive import Received
from hub.inbox.tables import Inbox
from hub.outbox.plan import DELIVERY
from hub.workers.admin.connections import adopt_stock
from hub.workers.admin.errors import AdminError
from hub.workers.expectation import Difference, compare
from hub.workers.outcome import Outcome, look
from hub.workers.payloads import read_files
from hub.workers.sandboxed import FakeClock, Sandboxes, SandboxRefused
from hub.workers.scratch import MERCHANT_ID, Scratch, Stocked
from hub.workers.testfile import BrokenTest, Case, TestFile, read_test

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_CURSOR = PollCursor.__table__  # type: ignore[attr-defined]
#: how often the clock is moved to the next retry; a delivery that still fails then is as it is
_RETRIES = 10


@dataclass
class CaseResult:
    """How one test went. `failures`: each `{place, what, expected, found}`."""

    name: str
    place: str
    failures: list[dict[str, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass
class FileResult:
    """How the tests of one file went; `problems` when they could not be run."""

    file: str
    cases: list[CaseResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_tests(paths: Sequence[Path]) -> list[Path]:
    """The test files of paths: files, folders with `flows/` in them, or `flows` folders. None: the shipped ones. Raises:
    FileNotFoundError."""
    found: list[Path] = []
    for path in paths or [shipped("flows")]:
        if path.is_dir():
            files = sorted({*path.glob("*.test.yaml"), *path.glob("flows/*.test.yaml")})
            if not files:
                raise FileNotFoundError(f"{path} holds no *.test.yaml")
            found += files
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no {path}")
    return list(dict.fromkeys(found))


def run_tests(files: Sequence[Path]) -> Iterator[FileResult]:
    """Runs test files one after the other."""
    for file in files:
        yield run_file(file)


def run_file(file: Path) -> FileResult:
    """Runs the tests of one file."""
    shown = f"{file.parent.name}/{file.name}" if file.is_absolute() else str(file)
    result = FileResult(shown)
    try:
        tests = read_test(file, shown)
    except (BrokenTest, OSError) as error:
        result.problems = str(error).splitlines()
        return result
    clock = FakeClock(tests.clock)
    registry = Registry.discover(tests.home)
    result.problems = _unknown(tests, registry)
    if result.problems:
        return result
    sandboxes = Sandboxes(registry, {name: role.connector for name, role in tests.roles.items()}, clock.moment)
    try:
        with tempfile.TemporaryDirectory(prefix="hub-test-") as folder:
            bench = _Bench(Path(folder), tests, registry, sandboxes, clock)
            try:
                result.problems = bench.problems
                if not result.problems:
                    result.cases = [bench.run(case) for case in tests.cases]
            finally:
                bench.scratch.close()
    finally:
        sandboxes.close()
    return result


def _unknown(tests: TestFile, registry: Registry) -> list[str]:
    files = {each.name for each in flow_files([tests.home / "flows"])}
    problems = [
        f"{tests.place(('flows', place))}: there is no flow {name!r}"
        for place, name in enumerate(tests.flows)
        if name not in files
    ]
    for name, role in tests.roles.items():
        if role.connector not in registry.names():
            problems.append(f"{tests.place(('roles', name))}: there is no connector {role.connector!r}")
        elif not (registry.get(role.connector).folder / "sandbox.py").is_file():
            problems.append(f"{tests.place(('roles', name))}: {role.connector} has no sandbox")
    return problems


class _Bench:
    """The hub and the sandboxes of a file, as new for each of its tests."""

    def __init__(
        self, folder: Path, tests: TestFile, registry: Registry, sandboxes: Sandboxes, clock: FakeClock
    ) -> None:
        self.tests = tests
        self.sandboxes = sandboxes
        self.clock = clock
        self.products = [
            {"sku": sku, "title": sku, "price": "10.00", "vat": "0.2", "quantity": units, **_texts(more)}
            for sku, (units, more) in tests.stock.items()
        ]
        self.scratch = Scratch(folder, registry, clock, homes=[tests.home], flows=frozenset(tests.flows))
        settings = sandboxes.reset(self.products)
        self.connections = {
            name: self.scratch.connect(name, role.connector, {**settings[name], **role.settings}, mode=role.mode)
            for name, role in tests.roles.items()
        }
        self.scratch.stock(
            Stocked(sku, str(more.get("title", sku)), True, {"main": units})
            for sku, (units, more) in tests.stock.items()
        )
        hub = self.scratch.hub
        self.active = hub.active(MERCHANT_ID)
        named = {f"flows/{name}.yaml" for name in tests.flows}
        self.problems = [str(each) for each in hub.problems if each.file in named or not each.file.startswith("flows/")]
        #: records as a test gives them, by connection, kind and id
        self._given: dict[tuple[int, str, str], Any] = {}
        self._received: list[Received | None] = []
        self.scratch.save()

    def run(self, case: Case) -> CaseResult:
        """Gives what is given, one after the other, and compares."""
        made = CaseResult(case.name, self.tests.place(case.path))
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
            made.failures = [
                {"place": self.tests.place(place), "what": "given", "expected": "it can be done", "found": str(error)}
            ]
            return made
        made.failures = [self._failure(each) for each in self._differences(case)]
        return made

    def _renew(self) -> None:
        """Everything as it was before the first test."""
        self.clock.now = self.tests.clock
        self._given.clear()
        self._received.clear()
        self.scratch.restore()
        settings = self.sandboxes.reset(self.products)
        self.scratch.database.ids.ensure(10)
        with self.scratch.database.write() as connection:
            for name, role in self.tests.roles.items():
                values = {**settings[name], **role.settings}
                links.update_settings(
                    connection, self.scratch.registry, self.scratch.vault, self.connections[name], values
                )
        for connection_id in self.connections.values():
            self.scratch.hub.links.forget(connection_id)
        self._adopt()

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
            return (self.tests.file.parent / str(given["file"])).read_bytes()
        return payload.encode(given.get("body", {}))

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
        if files:
            found = read_files(files, self.scratch.registry, None, [])
            if len(found) != 1 or found[0].read is None:
                reason = found[0].fault[1] if found and found[0].fault else "they are not the answers about one record"
                raise SandboxRefused(f"{', '.join(map(str, named if isinstance(named, list) else [named]))}: {reason}")
            record = found[0].read
        if isinstance(record, dict):
            record_id = record.get("legacyResourceId") or record.get("id")
        if record_id is None:
            raise SandboxRefused(f"a {kind} that is read has a `file` or a `body` with its id")
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

    def _settle(self) -> None:
        """Works, sends and reads what can be; the clock goes to each planned retry."""
        hub = self.scratch.hub
        for _ in range(_RETRIES):
            while hub.books.work_once() or hub.outbox.run_until_idle() or hub.poller.poll_asked() or self._read_due():
                pass
            at = self._next_retry()
            if at is None:
                return
            self.clock.now = max(self.clock.now, at)

    def _read_due(self) -> bool:
        """Reads what the hub asks for: from what the test gives, else from the sandbox. What neither has is left, so that
        it holds nothing and is no question."""
        with self.scratch.database.read() as connection:
            waiting = connection.execute(
                sa.select(_INBOX).where(_INBOX.c.state == "fetch", _INBOX.c.next_attempt_at <= self.clock())
            ).all()
        for event in waiting:
            values = self._read_one(event)
            with self.scratch.database.write() as connection:
                connection.execute(_INBOX.update().where(_INBOX.c.seq == event.seq).values(claims=0, **values))
        return bool(waiting)

    def _read_one(self, event: Any) -> dict[str, Any]:
        """What becomes of an event whose record is due to be read."""
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

    def _next_retry(self) -> int | None:
        planned = sa.union_all(
            sa.select(DELIVERY.c.next_attempt_at).where(DELIVERY.c.state == "retry"),
            sa.select(_INBOX.c.next_attempt_at).where(_INBOX.c.state.in_(("retry", "fetch"))),
        ).subquery()
        with self.scratch.database.read() as connection:
            at = connection.execute(sa.select(sa.func.min(planned.c.next_attempt_at))).scalar()
        return None if at is None else int(at)

    def _differences(self, case: Case) -> Iterator[Difference]:
        with self.scratch.database.read() as connection:
            found = comparable(look(connection, MERCHANT_ID))
        for kind, expected in case.expect.items():
            yield from compare(kind, expected, found[kind], (*case.path, "expect", kind))

    def _failure(self, difference: Difference) -> dict[str, str]:
        return {
            "place": self.tests.place(difference.path),
            "what": difference.what,
            "expected": difference.expected,
            "found": difference.found,
        }


def comparable(found: Outcome) -> Outcome:
    """What tests compare: open questions, and no find-or-create deliveries, which follow from those that need them."""
    return {
        **found,
        "questions": [each for each in found["questions"] if each["state"] == "open"],
        "deliveries": [each for each in found["deliveries"] if not each["ensure"]],
        "moves": [each for each in found["moves"] if not each["ref"].startswith("opening:main:")],
    }


def _texts(more: Mapping[str, Any]) -> dict[str, str]:
    """Decimals as text, which the sandbox reads exactly."""
    return {name: str(value) for name, value in more.items()}
