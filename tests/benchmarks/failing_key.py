"""How much a key that fails for ever slows the others: two hubs take turns, one of them with such a key.

`python -m tests.benchmarks.failing_key --engine postgres`"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.db import migrate
from hub.db.engine import Database
from hub.db.types import now_us
from hub.inbox.receive import Received, insert_events
from hub.workers.hub import Hub
from hub.workers.parts import Part
from tests.benchmarks.engines import NAMES, Engine, engine
from tests.lab_hub import ASKING, Lab, System
from tests.postgres_server import APP_ROLE

_LEFT = sa.text("SELECT count(*) FROM inbox WHERE state <> 'done' AND record_id <> 'bad'")
_KEYS, _HELD = 200, 500


class Measured:
    """A hub that works in threads. Its reads fail: nothing listens where they go."""

    def __init__(self, folder: Path, on: Engine, *, failing: bool) -> None:
        folder.mkdir()
        variables = on.variables()
        url = variables.get("HUB_DATABASE_URL", f"sqlite:///{folder / 'hub.sqlite'}")
        owner = variables.get("HUB_DATABASE_ADMIN_URL", url)
        migrate.upgrade(owner)
        if variables:
            migrate.grant(owner, APP_ROLE)
        self._lab = Lab(Database(url), folder / "home", System(), "http://127.0.0.1:9", mode="paused")
        self._lab.clock.now = now_us()
        self._lab.write(things=ASKING)
        self._hub = Hub(
            Database(url),
            self._lab.vault,
            self._lab.registry,
            homes=[folder / "home"],
            parts={Part.BOOKS, Part.FETCH},
        )
        self._hub.start()
        self._next = 0
        if failing:
            self._store([self._event("bad", number, asks=number == 0) for number in range(_HELD)])
            time.sleep(2)

    def round(self, events: int) -> float:
        """Events of the other keys a second."""
        chosen = [self._event(f"k{number % _KEYS}", self._next + number) for number in range(events)]
        self._next += events
        began = time.perf_counter()
        self._store(chosen)
        while self._left():
            time.sleep(0.01)
        return events / (time.perf_counter() - began)

    def _store(self, events: list[Received]) -> None:
        with self._hub.database.write(first=True) as connection:
            insert_events(connection, events, now_us())
        self._hub.wake(Part.BOOKS)

    def _event(self, key: str, number: int, *, asks: bool = False) -> Received:
        body = json.dumps({"id": key, "n": number, "asks": asks}).encode()
        return Received(
            merchant_id=1, connection_id=self._lab.lab, kind="webhook", topic="things/changed", record="thing",
            record_id=key, ordering_key=f"{self._lab.lab}:thing:{key}", lanes=16, body=body,
        )  # fmt: skip

    def _left(self) -> int:
        with self._hub.database.read() as connection:
            return int(connection.execute(_LEFT).scalar_one())

    def close(self) -> None:
        self._hub.stop()
        self._lab.hub.stop()


def measure(on: Engine, folder: Path, events: int, rounds: int) -> dict[str, Any]:
    """Pairs of rounds, with the failing key and without it, in turns; the median of their ratios."""
    hubs = [Measured(folder / name, on, failing=failing) for name, failing in (("sound", False), ("failing", True))]
    try:
        for each in hubs:
            each.round(events // 4)
        pairs = []
        for number in range(rounds):
            order = hubs if number % 2 else hubs[::-1]
            speeds = {each: each.round(events) for each in order}
            pairs.append((speeds[hubs[0]], speeds[hubs[1]]))
            print(f"without {pairs[-1][0]:.0f}/s, with {pairs[-1][1]:.0f}/s", file=sys.stderr)
    finally:
        for each in hubs:
            each.close()
    return {
        "engine": on.name,
        "events": events,
        "held_back": _HELD,
        "events_per_s": round(statistics.median(without for without, _ in pairs)),
        "events_per_s_beside_the_failing_key": round(statistics.median(beside for _, beside in pairs)),
        "slower": round(1 - statistics.median(beside / without for without, beside in pairs), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=NAMES, default="sqlite")
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, engine(arguments.engine, Path(folder)) as on:
        print(json.dumps(measure(on, Path(folder), arguments.events, arguments.rounds)))


if __name__ == "__main__":
    main()
