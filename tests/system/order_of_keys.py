"""Events of many keys, worked by processes that are killed and stopped between any two statements while a fifth of the reads
fail: in which order they were worked."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa
import tenacity.nap
from lab_hub import ASKING, SECOND, Clock, Lab, System

from hub.connect.http import httpx
from hub.db.engine import Database
from hub.inbox.receive import Received, dedup_key, insert_events
from tests.simulation.instants import Crash
from tests.simulation.processes import Process

_LOG = {
    True: (
        "CREATE TABLE worked (id INTEGER PRIMARY KEY AUTOINCREMENT, seq INTEGER NOT NULL)",
        "CREATE TRIGGER worked_log AFTER UPDATE ON inbox WHEN NEW.state = 'done' AND OLD.state <> 'done' "
        "BEGIN INSERT INTO worked (seq) VALUES (NEW.seq); END",
    ),
    False: (
        "CREATE TABLE worked (id BIGSERIAL PRIMARY KEY, seq BIGINT NOT NULL)",
        "CREATE FUNCTION worked_log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
        "INSERT INTO worked (seq) VALUES (NEW.seq); RETURN NULL; END $$",
        "CREATE TRIGGER worked_log AFTER UPDATE ON inbox FOR EACH ROW "
        "WHEN (NEW.state = 'done' AND OLD.state <> 'done') EXECUTE FUNCTION worked_log()",
        "GRANT SELECT ON worked TO PUBLIC",
    ),
}
#: in the order of their commits: those of one book are one at a time
_WORKED = sa.text("SELECT inbox.body FROM worked JOIN inbox ON inbox.seq = worked.seq ORDER BY worked.id")
#: in the order in which they are sent
_PLANNED = sa.text("SELECT key FROM delivery ORDER BY created_at, id")
_OPEN = sa.text("SELECT count(*) FROM inbox WHERE state <> 'done'")
#: events that need a read, and how many of these reads fail at first
_ASKS, _AWAY = 0.25, 0.8
_INTERRUPTED = 0.08
_MOST_STOPS = 2


@dataclass
class Worked:
    """What came of a run: keys whose events were not worked, or not planned, in order and once each; how often a process
    was killed or stopped, and a read failed."""

    inverted: list[str]
    kills: int
    stops: int
    failed_reads: int


class _Reads:
    """The system that is read: it is away for some things now and then, and answers for the others."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock, self._chance = clock, chance
        self._away: dict[str, int] = {}
        self.failed = 0

    def handle_request(self, request: Any) -> Any:
        path = request.url.path
        if path not in self._away and self._chance.random() < _AWAY:
            self._away[path] = self._clock() + self._chance.randint(1, 30) * SECOND
            self.failed += 1
        if self._away.get(path, 0) > self._clock():
            return httpx.Response(503, request=request)
        self._away.pop(path, None)
        return httpx.Response(200, json={"id": path}, request=request)


class _NoTime:
    @staticmethod
    def sleep(_seconds: float) -> None:
        """A wait between two tries of a read is no time."""


class Keys:
    """One run: a sender that sends the next event of a key once the one before was answered, and three processes."""

    def __init__(self, database: Database, owner: Database, home: Path, *, events: int, keys: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._left, self._keys = events, keys
        with owner.write() as connection:
            for statement in _LOG[database.sqlite]:
                connection.exec_driver_sql(statement)
        lab = self._lab = Lab(database, home, System(), "http://lab", mode="paused")
        problems = [each for each in lab.write(things=ASKING) if each.file == "flows/things.yaml"]
        assert problems == [], problems
        self._reads = _Reads(lab.clock, self._chance)
        url = database.engine.url.render_as_string(hide_password=False)
        self._processes = [
            Process(name, url, lab.vault, lab.registry, lab.clock, self._reads, 16, home)  # type: ignore[arg-type]
            for name in "ABC"
        ]
        self._sent: dict[int, int] = defaultdict(int)
        self._stops = self._depth = self._kills = 0

    def run(self) -> Worked:
        with mock.patch.object(tenacity.nap, "time", _NoTime):
            return self._run()

    def _run(self) -> Worked:
        for process in self._processes:
            process.start()
        while self._left:
            self._step()
        while self._open():
            self._step()
            if self._chance.random() < 0.2:
                self._lab.clock.forward(20)
        found = Worked(self._inverted(), self._kills, self._stops, self._reads.failed)
        for process in self._processes:
            process.hub.intake.close()
            process.hub.links.close()
            process.database.dispose()
        self._lab.hub.intake.close()
        return found

    def _step(self) -> None:
        clock, chance = self._lab.clock, self._chance
        clock.now += 1_000
        if chance.random() < 0.02:
            clock.forward(chance.choice((1, 5, 40)))
        awake = [process for process in self._processes if not process.stopped]
        if not awake:
            return
        process = chance.choice(awake)
        if self._left and chance.random() < 0.3:
            self._send(process)
        elif chance.random() < 0.3:
            self._do(process, "fetch")
        else:
            self._do(process, "books")

    def _do(self, process: Process, job: str) -> None:
        interrupted = None
        if self._chance.random() < _INTERRUPTED:
            kind = "crash" if self._depth >= _MOST_STOPS or self._chance.random() < 0.5 else "stop"
            interrupted = (kind, 1 + int(self._chance.expovariate(1 / 12)))
        process.step(process.jobs()[job], interrupted, self._meanwhile)
        happened = process.instants.happened
        self._kills += any(each.startswith("crash") for each in happened)
        self._stops += any(each.startswith("stop") for each in happened)

    def _meanwhile(self) -> None:
        """What the others do while a process is stopped, for longer than its lease. Some never go on."""
        self._depth += 1
        for _ in range(self._chance.randint(2, 8)):
            self._step()
            self._lab.clock.forward(self._chance.choice((0, 15)))
        self._depth -= 1
        if self._chance.random() < 0.2:
            raise Crash

    def _send(self, process: Process) -> None:
        """The next events of some keys, sent until they are answered."""
        count = min(self._left, self._chance.randint(1, 60))
        events = [self._event(self._chance.randrange(self._keys)) for _ in range(count)]

        def store() -> None:
            with process.database.write(first=True) as connection:
                insert_events(connection, events, self._lab.clock())

        process.step(store)
        self._left -= count

    def _event(self, key: int) -> Received:
        self._sent[key] += 1
        number = self._sent[key]
        body = {"id": key, "n": number, "asks": self._chance.random() < _ASKS}
        return Received(
            merchant_id=1, connection_id=self._lab.lab, kind="webhook", topic="things/changed", record="thing",
            record_id=str(key), ordering_key=f"{self._lab.lab}:thing:{key}", lanes=16, body=json.dumps(body).encode(),
            dedup=dedup_key(f"{key}:{number}"),
        )  # fmt: skip

    def _open(self) -> int:
        with self._lab.database.read() as connection:
            return int(connection.execute(_OPEN).scalar_one())

    def _inverted(self) -> list[str]:
        worked: dict[int, list[int]] = defaultdict(list)
        planned: dict[int, list[int]] = defaultdict(list)
        with self._lab.database.read() as connection:
            for body in connection.execute(_WORKED).scalars():
                event = json.loads(body)
                worked[event["id"]].append(event["n"])
            for key in connection.execute(_PLANNED).scalars():
                thing, _, number = key.partition(":")
                planned[int(thing)].append(int(number))
        return [
            f"key {key}: {sent} sent; {what} {order[key]}"
            for what, order in (("worked", worked), ("planned", planned))
            for key, sent in self._sent.items()
            if order[key] != list(range(1, sent + 1))
        ]
