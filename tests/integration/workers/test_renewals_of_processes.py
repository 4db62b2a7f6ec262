"""Eight real processes and twenty connections whose tokens end together: one request for each, whatever is killed or sleeps.

The vendor's refresh tokens are good once. In a short run it answers within a second and a lease lasts 8; with HUB_TEST_FULL=1
within 10 s and a lease lasts as long as it does in a hub.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import sqlalchemy as sa
from valkey_server import ValkeyServer

from hub.connect import grants, leases
from hub.connect import links as connections
from hub.connect.leases import LEASE
from hub.connect.sealed import TABLE
from hub.inbox.questions import QUESTION
from hub.workers.admin import setup
from hub.workers.hub import Hub
from hub.workers.settings import Settings

FULL = bool(os.environ.get("HUB_TEST_FULL"))
PROCESSES, CONNECTIONS = 8, 20
ANSWER_S, LEASE_S, REQUEST_S = (10.0, 35.0, 30.0) if FULL else (1.0, 8.0, 7.0)
#: rounds in which nothing is done to a holder
CALM = 5 if FULL else 1
SEED = 11


@dataclass
class Vendor:
    """Gives a pair for each refresh token once, and answers after a while that the seed says."""

    good: dict[str, int] = field(default_factory=dict)
    #: requests by connection and what came of them, since the round began
    asked: Counter[tuple[int, bool]] = field(default_factory=Counter)
    #: requests that are being answered
    under_way: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._random = random.Random(SEED)

    def authorise(self, connection: int) -> str:
        made = f"refresh-{connection}-{next(self._numbers)}"
        self.good[made] = connection
        return made

    def renew(self, token: str) -> tuple[int, dict[str, Any]]:
        connection = int(token.split("-")[1])
        with self._lock:
            granted = self.good.pop(token, None) is not None
            self.asked[connection, granted] += 1
            made = self.authorise(connection) if granted else ""
            wait = self._random.uniform(0.3, 1) * ANSWER_S if granted else 0
            self.under_way.add(connection)
        time.sleep(wait)
        self.under_way.discard(connection)
        if not granted:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": f"access of {made}", "refresh_token": made, "expires_in": 3600}


@pytest.fixture
def vendor() -> Iterator[tuple[Vendor, str]]:
    made = Vendor()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            status, answer = made.renew(parse_qs(body)["refresh_token"][0])
            text = json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            except OSError:
                pass  # who asked was killed

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(
    postgres_url: str,
    postgres_admin_url: str,
    vendor: tuple[Vendor, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Hub]:
    """A hub whose connections were authorised, and which itself does nothing."""
    for name in [name for name in os.environ if name.startswith("HUB_") and name != "HUB_TEST_FULL"]:
        monkeypatch.delenv(name)
    settings = Settings(home=tmp_path / "home", database_url=postgres_url, database_admin_url=postgres_admin_url)
    setup.init(settings)
    made = Hub.open(settings)
    made.database.ids.ensure(500)
    with made.database.write() as connection:
        for number in range(1, CONNECTIONS + 1):
            connections.create(
                connection, made.registry, made.vault, connection_id=number, merchant_id=1, name=f"books-{number}",
                connector="quickbooks",
                settings={"client_id": "app", "client_secret": "s3cret", "base_url": vendor[1]},
            )  # fmt: skip
            pair = grants.Tokens("access of now", vendor[0].authorise(number), made.clock() + 3_600_000_000, None)
            leases.replace(made.links._book(connection), 1, number, pair)
    yield made
    made.stop()


@dataclass
class Play:
    """The processes, and what the tables say of their work."""

    hub: Hub
    vendor: Vendor
    valkey: ValkeyServer
    pids: list[int]

    def rows(self) -> dict[int, Any]:
        with self.hub.database.read() as connection:
            query = sa.select(LEASE, TABLE.c.status).join(TABLE, TABLE.c.id == LEASE.c.connection_id)
            return {row.connection_id: row for row in connection.execute(query)}

    def questions(self) -> set[int]:
        """Connections that a person is asked to connect again."""
        with self.hub.database.read() as connection:
            open_ones = sa.select(QUESTION.c.subject).where(
                QUESTION.c.kind == "connection.reconnect", QUESTION.c.state == "open"
            )
            return {int(subject.partition(":")[2]) for subject in connection.execute(open_ones).scalars()}

    def end_all(self) -> dict[int, int]:
        """All tokens end at once; the generations before."""
        self.vendor.asked.clear()
        before = {number: row.generation for number, row in self.rows().items()}
        with self.hub.database.write() as connection:
            connection.execute(LEASE.update().values(due_at=0))
            connection.execute(TABLE.update().values(expires_at=1, updated_at=self.hub.clock()))
        return before

    def until(self, what: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (self.rows(), self.vendor.asked)
            time.sleep(0.05)

    def held_by(self, pid: int) -> set[int]:
        """Connections for which a process asks now."""
        owned = f"{pid}-"
        return {number for number, row in self.rows().items() if row.state == "asking" and row.owner.startswith(owned)}

    def two_holders(self) -> tuple[int, int]:
        """Two processes that ask, when the vendor works on all that they ask for."""
        found: list[int] = []

        def there() -> bool:
            held = {pid: self.held_by(pid) for pid in self.pids}
            found[:] = [pid for pid, mine in held.items() if mine and mine <= self.vendor.under_way][:2]
            return len(found) == 2

        self.until(there, 15)
        return found[0], found[1]

    def unanswered(self, pid: int) -> set[int]:
        """What a process that does nothing any more holds, and has asked for."""
        return {number for number in self.held_by(pid) if self.vendor.asked[number, True]}


@pytest.fixture
def play(hub: Hub, vendor: tuple[Vendor, str], tmp_path: Path) -> Iterator[Play]:
    tests = Path(__file__).resolve().parents[2]
    valkey = ValkeyServer()
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(
            [
                sys.executable, "-m", "renewing_processes", hub.database.url.render_as_string(hide_password=False),
                valkey.url, str(tmp_path / "home"), str(PROCESSES), str(LEASE_S), str(REQUEST_S),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])},
        )  # fmt: skip
        assert started.stdout is not None
        assert started.stdin is not None
        pids = [int(started.stdout.readline()) for _ in range(PROCESSES)]
        try:
            yield Play(hub, vendor[0], valkey, pids)
        finally:
            started.stdin.close()
            started.wait(20)
            valkey.stop()


def test_tokens_that_end_together_are_asked_for_once_each_whatever_is_killed(play: Play) -> None:
    everyone = set(range(1, CONNECTIONS + 1))
    once = Counter({(number, True): 1 for number in everyone})
    for number in range(CALM + 1):
        before = play.end_all()
        if number == CALM:
            play.valkey.kill()
        play.until(lambda: all(row.generation > before[key] for key, row in play.rows().items()), 6 * LEASE_S)  # noqa: B023
        assert play.vendor.asked == once, f"round {number}, seed {SEED}"
    play.valkey.start()

    before = play.end_all()
    killed, sleeper = play.two_holders()
    os.kill(killed, signal.SIGKILL)
    os.kill(sleeper, signal.SIGSTOP)
    time.sleep(0.1)  # what is on its way to the vendor arrives
    lost, late = play.unanswered(killed), play.unanswered(sleeper)
    assert lost
    assert late

    # the old token is tried once more, and refused: a person is told, of these and of no others
    play.until(lambda: play.questions() >= lost | late, 6 * LEASE_S)
    os.kill(sleeper, signal.SIGCONT)
    # who only slept brings the pair, and nobody needs to do anything
    play.until(lambda: play.questions() == lost, 6 * LEASE_S)
    play.until(lambda: all(row.generation > before[key] for key, row in play.rows().items() if key not in lost), 6 * LEASE_S)  # fmt: skip

    rows = play.rows()
    assert {number for number in everyone if rows[number].status == "reconnect_needed"} == lost
    assert {number: rows[number].generation - before[number] for number in everyone} == {
        number: 0 if number in lost else 1 for number in everyone
    }
    refused = Counter({(number, False): 1 for number in lost | late})
    assert play.vendor.asked == once + refused, f"seed {SEED}: killed {lost}, slept {late}"
    assert "was lost" in rows[min(lost)].reason
