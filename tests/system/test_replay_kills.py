"""A bulk replay that is killed with SIGKILL again and again works each parked event once, and nothing is there twice.

300 events and three kills; with HUB_TEST_FULL=1 5,000 events and twenty. Kills fall after a number of writes at the other
system that is drawn from the seed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from lab_hub import Lab, serving

from hub.db.engine import Database
from hub.workers.admin import replays, verify
from hub.workers.narrowed import RUN

FULL = bool(os.environ.get("HUB_TEST_FULL"))
EVENTS, KILLS = (5_000, 20) if FULL else (300, 3)
SEED = 1
HERE = Path(__file__).resolve().parent
THINGS = """
flow: things
on: {role: shop, record: thing}
steps:
  - validate: {that: "false", else: not yet}
  - deliver: {role: books, operation: invoice.create, key: text(record.n), body: "{'n': record.n}"}
"""


def test_a_replay_that_is_killed_again_and_again_works_each_event_once(sqlite_template: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(sqlite_template, home / "hub.sqlite")
    database = Database(f"sqlite:///{home / 'hub.sqlite'}")
    chance = random.Random(SEED)
    with serving() as (system, url):
        lab = Lab(database, home, system, url)
        lab.write(things=THINGS)
        for n in range(EVENTS):
            lab.receive({"id": f"T{n}", "n": n}, key=str(n % 50))
        lab.work()
        lab.write(things=THINGS.replace('"false"', '"true"'))
        begun = int(replays.begin(lab.hub, error_class="validation")["id"])
        assert replays.one(lab.hub, begun)["total"] == EVENTS

        kills = 0
        for at in sorted(chance.sample(range(1, EVENTS - 20), KILLS)):
            process = start(home, url)
            while len(system.calls) < at and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        assert start(home, url).wait(600) == 0

        made = replays.one(lab.hub, begun)
        assert (made["state"], made["taken"], made["skipped"]) == ("done", EVENTS, 0), f"seed {SEED}"
        assert made["events"] == {"done": EVENTS}
        worked = Counter(row.event_seq for row in lab.rows(RUN, state="done"))
        assert sorted(worked) == [row.seq for row in lab.events()]
        assert set(worked.values()) == {1}, f"seed {SEED}: an event was worked twice"
        assert len(system.invoices) == EVENTS, f"seed {SEED}: an effect is there twice"
        assert lab.questions() == []
        assert verify.verify(lab.hub) == {"ok": True, "faults": []}
        assert kills > KILLS // 2
        print(f"{kills} kills, {len(system.calls)} requests for {EVENTS} effects")
        lab.hub.stop()


def start(home: Path, url: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
    process = subprocess.Popen(
        [sys.executable, str(HERE / "replayed_hub.py"), str(home), url],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process
