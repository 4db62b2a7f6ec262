"""`hub web` and `hub worker` as real processes on PostgreSQL and Valkey: nothing lost, nothing twice, whatever ends.

One web process and two workers take signed orders of a shop, book them and send each to the books and to a warehouse. What
they do under many faults is told in `test_chaos.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_server import APP_ROLE, PostgresServer
from processes import Fleet, Process
from valkey_server import ValkeyServer

from hub.cli.demo.compare import pages
from hub.connect.rootkeys import load_root_keys
from hub.connect.vault import KEYS, seal_key
from hub.db.engine import Database
from tests.benchmarks import load
from tests.benchmarks.hub_home import SECRET, SKUS, bodies, connections, write_home

FULL = bool(os.environ.get("HUB_TEST_FULL"))
#: orders of one round
ROUND = 500 if FULL else 40
#: seconds for which a process that is gone keeps what it holds
LEASE_S = 3
_DATABASE = "hub_many"


@dataclass
class House:
    """The processes, their servers, and how many orders there are."""

    fleet: Fleet
    valkey: ValkeyServer
    database: str
    sink: str
    orders: int = 0

    @property
    def workers(self) -> list[Process]:
        return [each for name, each in self.fleet.processes.items() if name.startswith("worker")]

    def send(self, count: int, *, repeats: bool = False) -> load.Answers:
        """New orders come in; with `repeats` each comes twice."""
        made = load.requests(f"{self.fleet.hub_url}/webhooks/shop", list(bodies(count, first=self.orders + 1)), self.orders + 1)  # fmt: skip
        self.orders += count
        return load.send(self.fleet.hub_url, [each for each in made for _ in range(1 + repeats)], connections=4)

    def settled(self, seconds: float = 60) -> None:
        """Waits until nothing is left to do, and looks whether each order is there once and went out once."""
        self.fleet.wait_idle(seconds)
        states = Counter(each["state"] for each in pages(self.fleet, "/api/inbox") if each["kind"] == "webhook")
        assert states == {"done": self.orders}
        invoices = [each["number"] for each in pages(self.fleet, "/api/documents")]
        assert len(set(invoices)) == len(invoices) == self.orders
        sent = Counter(
            (each["connection"], each["state"])
            for each in pages(self.fleet, "/api/outbox")
            if each["operation"] == "request"
        )
        assert sent == {("books", "confirmed"): self.orders, ("warehouse", "confirmed"): self.orders}
        assert self.fleet.hub("GET", "/api/verify") == {"ok": True, "faults": []}

    def arrived(self) -> int:
        """POSTs that the systems outside got."""
        return int(self.fleet.client.get(f"{self.sink}/count").text)

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()


@pytest.fixture(scope="module")
def house(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub with a shop, books and a warehouse, and enough of everything to sell."""
    folder = tmp_path_factory.mktemp("many")
    postgres_server.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE hub_template")
    valkey = ValkeyServer()
    sink = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.sink"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2], text=True,
    )  # fmt: skip
    assert sink.stdin is not None
    assert sink.stdout is not None
    url = postgres_server.url
    try:
        fleet = Fleet(folder, database=url(_DATABASE, APP_ROLE), admin=url(_DATABASE), redis=valkey.url, patience=20)
        fleet.variables["HUB_LEASE_SECONDS"] = str(LEASE_S)
        sink_url = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        with fleet:
            fleet.cli("init")
            write_home(fleet.home)
            fleet.start_hub()
            text = json.dumps(connections(sink_url))
            fleet.hub("POST", "/api/connections/apply", json={"text": text, "file": "connections.yaml"})
            fleet.hub("PUT", "/api/connections/shop/secrets", json={"secrets": {"client_secret": SECRET}})
            fleet.hub("POST", "/api/flows/reload")
            records = [{"sku": sku, "title": f"Item {sku}", "quantity": 10**6} for sku in SKUS]
            fleet.hub("POST", "/api/events/items", json={"records": records})
            fleet.wait_idle()
            libpq = url(_DATABASE).replace("postgresql+psycopg://", "postgresql://")
            yield House(fleet, valkey, libpq, sink_url)
    finally:
        sink.stdin.close()
        sink.wait(10)
        valkey.stop()
        postgres_server.execute(f"DROP DATABASE {_DATABASE} WITH (FORCE)")


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_hub_on_sqlite_is_one_process(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub", command, "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "a hub on SQLite is one process: run `hub up`" in done.stderr


def test_orders_are_worked_once_by_two_workers(house: House) -> None:
    before = house.arrived()

    answers = house.send(ROUND, repeats=True)

    assert answers.refused == 0
    house.settled()
    assert house.arrived() - before == 2 * ROUND, "nobody was told anything twice"
    took = house.rows("SELECT finished_at - received_at FROM inbox WHERE kind = 'webhook' ORDER BY seq DESC LIMIT 40")
    print(f"received to booked, median of the last: {statistics.median(each for (each,) in took) / 1000:.0f} ms")


def test_an_idle_worker_is_woken_through_redis(house: House) -> None:
    """Without a wake-up a worker looks every 0.5 s by itself: half of them would take longer than 0.25 s."""
    for _ in range(9):
        house.send(1)
        house.settled()
        time.sleep(0.1)

    took = [each / 1e6 for (each,) in house.rows(
        "SELECT finished_at - received_at FROM inbox WHERE kind = 'webhook' ORDER BY seq DESC LIMIT 9"
    )]  # fmt: skip
    print(f"received to booked, one at a time: {sorted(round(each * 1000) for each in took)} ms")
    assert statistics.median(took) < 0.25


def test_without_redis_everything_goes_on(house: House) -> None:
    before = house.arrived()
    import redis

    house.send(ROUND // 4)
    redis.Redis.from_url(house.valkey.url).flushall()
    house.send(ROUND // 4)
    house.valkey.kill()

    answers = house.send(ROUND // 2)
    house.settled()
    house.valkey.start()
    house.send(1)
    house.settled()

    assert answers.refused == 0, "whoever sends is told nothing of it"
    assert house.arrived() - before == 2 * (2 * (ROUND // 4) + ROUND // 2 + 1)
    for each in house.fleet.processes.values():
        events = [line["event"] for line in each.lines(since_start=True)]
        away = [event for event in events if event.startswith("redis is away")]
        assert len(away) == len(set(away)), "each part says it once"
        assert not [line for line in each.lines(since_start=True) if line["level"] in ("error", "critical")]


def test_what_a_killed_worker_held_is_worked_by_the_other_after_its_lease(house: House) -> None:
    victim = house.workers[0]
    owner = next(victim.lines(since_start=True))["owner"]
    victim.kill()
    until = int((time.time() + 5) * 1_000_000)
    house.rows(
        f"INSERT INTO lane SELECT 1, n, 1, '{owner}-books', {until} FROM generate_series(0, 63) n"
        " ON CONFLICT (merchant_id, lane) DO UPDATE SET owner = excluded.owner, until = excluded.until RETURNING lane"
    )

    house.send(ROUND)
    time.sleep(0.7)  # more than an idle worker takes to look
    [(waiting, now)] = house.rows("SELECT count(*), extract(epoch FROM now()) FROM inbox WHERE state = 'ready'")
    house.settled()

    assert now * 1_000_000 < until, "this machine is too slow for what is tested here"
    assert waiting == ROUND, "a lease holds for as long as it was given"
    [(first,)] = house.rows(
        f"SELECT min(finished_at) FROM inbox WHERE seq > (SELECT max(seq) - {ROUND} FROM inbox WHERE kind = 'webhook')"
    )
    assert until <= first < until + 3_000_000


def test_a_command_is_one_more_process_and_a_link_signs_in_anywhere_once(house: House) -> None:
    second = house.fleet.web("web2")
    status = house.fleet.cli("status")
    link = house.fleet.cli("login")["url"].partition("/login")[2]

    answers = [
        house.fleet.client.get(f"{url}/login{link}", follow_redirects=False).status_code
        for url in (second.url, house.fleet.hub_url)
    ]

    assert status["idle"]
    assert status["inbox"]["done"] >= house.orders
    assert answers == [303, 401]


def test_all_stop_in_order(house: House) -> None:
    house.send(ROUND)

    codes = {name: each.stop() for name, each in house.fleet.processes.items() if each.running}

    assert codes == {"web1": 0, "web2": 0, "worker2": 0}
    owner = next(house.fleet.processes["worker2"].lines(since_start=True))["owner"]
    assert house.rows(f"SELECT count(*) FROM lane WHERE owner = '{owner}-books'") == [(0,)]
    assert house.rows("SELECT count(*) FROM delivery WHERE state = 'sending'") == [(0,)]
    for name in codes:
        events = [line["event"] for line in house.fleet.processes[name].lines(since_start=True)]
        assert (events[0], events[-1]) == ("hub is up", "hub is down")
    again = [house.fleet.processes[name].start(wait=False) for name in ("web1", "worker1")]
    for each in again:
        each.wait_until_up()
    house.fleet.reach(again[0])
    house.settled()


def test_the_root_key_is_changed_while_orders_come_in_and_the_command_is_killed_twice(house: House) -> None:
    """The web process and both workers go on; the command is killed twice in the middle, and the third one ends it."""
    fleet = house.fleet
    (old,) = (root.id for root in load_root_keys(fleet.home, {}))
    parties = _parties(house, 8_000)
    sending = threading.Thread(target=house.send, args=(ROUND,))
    sending.start()
    left = [_rotation_killed(fleet, house, old) for _ in range(2)]
    sending.join()

    said = fleet.cli("keys", "rotate")

    assert parties > left[0] > left[1] > 0
    new, kept = (root.id for root in load_root_keys(fleet.home, {}))
    assert kept == old
    assert (said["made"], said["id"], said["refused"], said["old"]) == (False, new, [], [old])
    house.send(5)
    house.settled()
    assert house.rows(f"SELECT count(*) FROM data_key WHERE sealed_by <> '{new}'") == [(0,)]
    assert fleet.hub("POST", "/api/prove", json={"strict": True})["ok"]
    assert fleet.cli("keys", "drop", old)["state"] == "dropped"
    fleet.reach(fleet.processes["web1"])  # with a token that the new key signs
    fleet.processes["worker1"].kill()
    fleet.processes["worker1"].start()
    house.send(5)
    house.settled()
    assert not any("VaultError" in json.dumps(line) for each in fleet.processes.values() for line in each.lines())


def _parties(house: House, count: int) -> int:
    """Keys of so many parties, so that sealing them anew takes its time."""
    (root,) = load_root_keys(house.fleet.home, {})
    database = Database(house.fleet.variables["HUB_DATABASE_URL"])
    try:
        database.ids.ensure(count)
        ids = [database.ids.next() for _ in range(count)]
        rows = [
            {
                "id": each, "merchant_id": 1, "purpose": "personal", "subject": f"party:{each}",
                "sealed": seal_key(root, os.urandom(32), each), "sealed_by": root.id, "created_at": 1,
            }
            for each in ids
        ]  # fmt: skip
        with database.write() as connection:
            connection.execute(KEYS.insert(), rows)
    finally:
        database.dispose()
    return count


def _rotation_killed(fleet: Fleet, house: House, old: str) -> int:
    """Kills a rotation when it has sealed some more rows; answers how many are left."""
    left = f"SELECT count(*) FROM data_key WHERE sealed_by = '{old}'"
    before = house.rows(left)[0][0]
    rotating = subprocess.Popen(
        [sys.executable, "-m", "hub", "keys", "rotate"], env=fleet.environment(), cwd=fleet.folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while house.rows(left)[0][0] > before - 1_000 and time.monotonic() < until:
            time.sleep(0.002)
    finally:
        rotating.kill()
        assert rotating.wait() == -9
    return int(house.rows(left)[0][0])
