"""A process of its own that works the bulk replays of a lab's home until they are done, or until it is killed:
`python replayed_hub.py HOME URL`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lab_hub import Lab, System

from hub.db.engine import Database
from hub.db.types import now_us
from hub.workers.admin import replays, reports


def main(home: Path, url: str) -> None:
    lab = Lab(Database(f"sqlite:///{home / 'hub.sqlite'}"), home, System(), url)
    lab.clock.now = now_us()
    lab.hub.start()
    print("ready", flush=True)
    while not (_done(lab) and reports.status(lab.hub)["idle"]):
        time.sleep(0.02)
    lab.hub.stop()


def _done(lab: Lab) -> bool:
    return all(each["state"] == "done" for each in replays.listed(lab.hub)["items"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
