"""A merchant's day on a hub of real processes while its processes, its Valkey and its PostgreSQL fail again and again.

The faults are drawn from a seed and come one after the other, the next one only when the hub is ready again; orders come
all the time. Servers end with the thread that started them, so faults happen in the main thread and customers live in
another.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from postgres_server import APP_ROLE, PostgresServer
from processes import Fleet
from valkey_server import ValkeyServer

from hub.cli.demo import scenario
from hub.cli.demo.compare import Comparison, compare, pages
from hub.cli.demo.play import Play
from hub.cli.demo.stage import DemoFailed
from hub.inbox.receive import dedup_key

#: how often each fault happens: in a test of seconds, and in the whole run
SHORT = {"kill": 3, "freeze": 1, "valkey": 1, "postgres": 1, "recovery": 1}
FULL = {"kill": 200, "freeze": 10, "valkey": 20, "postgres": 10, "recovery": 10}
#: seconds for which a process holds what it works on, so that a frozen one is soon overtaken
LEASE_S = 3
#: a process is hit within so many seconds of being ready; one in five again while it starts
_WORK_S = 0.6
_START_S = 1.2
_READY_S = 60.0
#: seconds after the last fault within which nothing may be left to do
SETTLED_S = 60.0


@dataclass
class Chaos:
    """The hub, its servers, and the faults that are to come."""

    fleet: Fleet
    postgres: PostgresServer
    valkey: ValkeyServer
    seed: int
    counts: Mapping[str, int]
    done: int = 0
    #: seconds until the hub was ready again, by kind of fault
    waits: dict[str, list[float]] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._faults = [kind for kind, count in self.counts.items() for _ in range(count)]
        self._chance.shuffle(self._faults)

    @property
    def share(self) -> float:
        """The part of the faults that has happened."""
        return self.done / len(self._faults)

    def run(self) -> None:
        """All faults, in this thread. Raises: DemoFailed when the hub does not come back."""
        acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "valkey": self._valkey,
            "postgres": self._postgres,
            "recovery": self._recovery,
        }
        try:
            for kind in self._faults:
                time.sleep(self._chance.uniform(0, _WORK_S))
                acts[kind]()
                began = time.monotonic()
                self._until_ready(kind)
                self.waits.setdefault(kind, []).append(time.monotonic() - began)
                self.done += 1
        finally:
            self.ended.set()

    def _until_ready(self, kind: str) -> None:
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            for each in self.fleet.processes.values():
                if not each.running:  # a process may give up; whoever looks after it starts it again
                    each.start(wait=False)
            if self.fleet.ready():
                return
            time.sleep(0.02)
        raise DemoFailed(f"seed {self.seed}: not ready {_READY_S:.0f} s after fault {self.done} ({kind})")

    # -- the faults ---------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        victim = self._chance.choice([*self.fleet.processes.values()])
        victim.kill()
        victim.start(wait=False)
        if self._chance.random() < 0.2:
            time.sleep(self._chance.uniform(0, _START_S))
            victim.kill()
            victim.start(wait=False)

    def _freeze(self) -> None:
        victim = self._chance.choice([each for name, each in self.fleet.processes.items() if name.startswith("worker")])
        victim.freeze()
        time.sleep(LEASE_S + self._chance.uniform(0.5, 2))
        victim.thaw()

    def _valkey(self) -> None:
        self.valkey.kill()
        time.sleep(self._chance.uniform(0, 0.5))
        self.valkey.start()  # empty

    def _postgres(self) -> None:
        self.postgres.abort()
        time.sleep(self._chance.uniform(0, 0.5))
        self.postgres.start()

    def _recovery(self) -> None:
        self.postgres.abort()
        self.postgres.start(wait=False)
        time.sleep(self._chance.uniform(0, 0.08))
        self.postgres.abort()
        self.postgres.start()


class ChaosPlay(Play):
    """The demo's merchant and customers, who go on whatever happens to the hub."""

    chaos: Chaos
    #: seconds from the last fault until nothing was left to do
    settled_s: float = 0.0

    def prepare(self) -> None:
        """Up to an open shop."""
        self._sandboxes()
        self._hub()
        self._connect()
        self._import()

    def live(self) -> None:
        """Orders, edits, shipments and refunds while the faults come, and what is left when they are over."""
        stage = self.stage
        chance = random.Random(self.chaos.seed)
        stage.sandbox("shopify", "chaos", {"duplicate_every": 7, "shuffle_seed": self.chaos.seed})
        refunds: list[scenario.Placed] = []
        self.placed = scenario.orders(self.count)
        for index, placed in enumerate(self.placed):
            self._pace(index / self.count)
            stage.sandbox("shopify", "orders", placed.spec)
            for action, settings in placed.after:
                if action == "refund":
                    refunds.append(placed)
                else:
                    stage.sandbox("shopify", f"orders/{placed.number}/{action}", settings)
            if chance.random() < 0.15:
                self._ship_all()
            if refunds and chance.random() < 0.1:
                self._refund(refunds.pop(0))
        self._pace(1.0)
        ended = time.monotonic()
        self._settle()
        self.settled_s = time.monotonic() - ended
        stage.sandbox("shopify", "chaos", method="DELETE")
        self._ship_all()
        self._settle()
        for placed in refunds:
            self._refund(placed)
        self._settle()
        # what a vendor tried to tell twice while nobody could store it is found by the hub's next poll, which is made now
        for name in ("shop", "warehouse"):
            self.stage.cli("poll", name)
        self._settle()
        self._receipt()

    def _pace(self, share: float) -> None:
        while self.chaos.share < share and not self.chaos.ended.is_set():
            time.sleep(0.02)

    def _ship_all(self) -> None:
        self.stage.sandbox("shipbob", "ship", {"all": True, "carrier": "Colissimo", "service": "Domicile"})

    def _refund(self, placed: scenario.Placed) -> None:
        for action, settings in placed.after:
            if action == "refund":
                self.stage.sandbox("shopify", f"orders/{placed.number}/{action}", settings)


@dataclass
class Played:
    """What a run of faults came to."""

    chaos: Chaos
    settled_s: float
    comparison: Comparison
    verify: dict[str, Any]
    deliveries: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    mails: list[dict[str, Any]]
    warehouse: list[dict[str, Any]]
    #: webhooks that a vendor was told had arrived, and those of them that the inbox does not know
    acknowledged: int
    lost: list[str]
    #: events that are neither done nor parked
    open_events: int


def play(folder: Path, orders: int, *, seed: int, counts: Mapping[str, int]) -> Played:
    """One run. From the main thread. Raises: DemoFailed."""
    folder.mkdir()
    postgres, valkey = PostgresServer(durable=True), ValkeyServer()
    try:
        postgres.execute("CREATE DATABASE hub")
        fleet = Fleet(folder, database=postgres.url("hub", APP_ROLE), admin=postgres.url("hub"), redis=valkey.url,
                      patience=SETTLED_S)  # fmt: skip
        fleet.variables["HUB_LEASE_SECONDS"] = str(LEASE_S)
        with fleet:
            chaos = Chaos(fleet, postgres, valkey, seed, counts)
            played = ChaosPlay(fleet, orders, tell=lambda _text: None)
            played.chaos = chaos
            played.prepare()
            failed: list[BaseException] = []
            customers = threading.Thread(target=_kept, args=(played.live, failed), name="customers")
            customers.start()
            chaos.run()
            customers.join()
            if failed:
                raise failed[0]
            return _looked(chaos, played, postgres)
    finally:
        valkey.stop()
        postgres.stop()


def _kept(work: Callable[[], None], failed: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - told by the main thread
        failed.append(error)


def _looked(chaos: Chaos, played: ChaosPlay, postgres: PostgresServer) -> Played:
    fleet = chaos.fleet
    answered = [
        dedup_key("id", each["webhook_id"])
        for each in fleet.sandbox("shopify", "state")["webhooks"]
        if any(str(status).startswith("2") for status in each["statuses"])
    ]
    with psycopg.connect(dbname="hub", user="postgres", host=str(postgres.folder)) as connection:
        known = {bytes(row[0]) for row in connection.execute("SELECT key FROM inbox_seen")}
        row = connection.execute("SELECT count(*) FROM inbox WHERE state NOT IN ('done', 'parked')").fetchone()
    return Played(
        chaos=chaos,
        settled_s=played.settled_s,
        comparison=compare(fleet),
        verify=fleet.cli("verify"),
        deliveries=pages(fleet, "/api/outbox"),
        questions=fleet.hub("GET", "/api/questions", params={"state": "open", "limit": 500})["items"],
        mails=fleet.client.get(f"{fleet.sandboxes['smtp_control']}/_sandbox/state").json()["messages"],
        warehouse=fleet.sandbox("shipbob", "state")["orders"],
        acknowledged=len(answered),
        lost=[key.hex() for key in answered if key not in known],
        open_events=0 if row is None else int(row[0]),
    )
