"""The events of a key are worked in the order in which they were answered, whatever happens to the workers.

1,000 events of 50 keys in a short run; with HUB_TEST_FULL=1 100,000 of 1,000 keys, on both databases."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from order_of_keys import Keys

from hub.db.engine import Database
from hub.flows.batch import Held

FULL = bool(os.environ.get("HUB_TEST_FULL"))
EVENTS, KEYS = (100_000, 1_000) if FULL else (1_000, 50)


def _keys(database: Database, owner_url: str, folder: Path, *, events: int, keys: int, seed: int = 1) -> Keys:
    owner = Database(owner_url)
    try:
        return Keys(database, owner, folder / "home", events=events, keys=keys, seed=seed)
    finally:
        owner.dispose()


def test_no_event_is_worked_before_an_earlier_one_of_its_key(
    database: Database, owner_url: str, tmp_path: Path
) -> None:
    found = _keys(database, owner_url, tmp_path, events=EVENTS, keys=KEYS).run()
    assert found.inverted == [], "seed 1"
    assert min(found.kills, found.stops) > 3, "it was attacked"
    assert found.failed_reads > EVENTS * 0.15
    print(f"{EVENTS} events of {KEYS} keys: {found}")


def test_events_that_pass_one_that_waits_are_seen(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    with mock.patch.object(Held, "by", return_value=None):
        found = _keys(database, sqlite_url, tmp_path, events=300, keys=10).run()
    database.dispose()
    assert found.inverted != []
