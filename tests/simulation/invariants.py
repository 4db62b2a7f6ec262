"""What holds after every step, whatever was interrupted: asked of the database file itself, as one question."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from hub.inbox.claim import LEASE_US

#: each answers (what is wrong, where) rows; none is how it should be
_ALWAYS = {
    "an entry does not balance": "SELECT entry_id FROM posting GROUP BY entry_id, currency HAVING sum(amount) <> 0",
    "stock is negative or oversold": (
        "SELECT level.item_id FROM stock_level AS level JOIN location ON location.id = level.location_id "
        "WHERE location.kind = 'warehouse' AND (on_hand < 0 OR held < 0 OR waiting < 0 OR held > on_hand)"
    ),
    "a number was taken and no document has it, or two do": (
        "SELECT 'series' WHERE (SELECT coalesce(sum(next_number - 1), 0) FROM series "
        "WHERE code LIKE 'invoice%' OR code LIKE 'credit_note%') <> (SELECT count(DISTINCT number) FROM document)"
    ),
    "the effect log is not what is confirmed": (
        "SELECT delivery.id FROM delivery LEFT JOIN effect_log ON effect_log.delivery_id = delivery.id "
        "WHERE delivery.state = 'confirmed' GROUP BY delivery.id HAVING count(effect_log.seq) <> 1 "
        "UNION ALL SELECT delivery_id FROM effect_log JOIN delivery ON delivery.id = delivery_id "
        "WHERE delivery.state <> 'confirmed'"
    ),
    "the effect log has a gap": (
        "SELECT 'head' WHERE (SELECT count(*) FROM effect_log) <> (SELECT coalesce(max(seq), 0) FROM effect_head)"
    ),
    "a later event of a key was worked before an earlier one": (
        "SELECT later.seq FROM inbox AS earlier JOIN inbox AS later ON later.ordering_key = earlier.ordering_key "
        "AND later.seq > earlier.seq WHERE earlier.state IN ('fetch', 'ready', 'retry') AND later.state = 'done'"
    ),
    "an event was worked twice": (
        'SELECT event_seq FROM run WHERE "trigger" IS NULL GROUP BY event_seq, flow HAVING count(*) > 1'
    ),
    # one that was claimed and put off may wait again beside what was planned meanwhile
    "two state deliveries of a key wait": (
        "SELECT key FROM delivery WHERE is_state AND state IN ('planned', 'retry') AND frozen_body IS NULL "
        "AND fence = 0 GROUP BY connection_id, operation, key HAVING count(*) > 1"
    ),
    "a fact is there twice": (
        "SELECT key FROM delivery WHERE NOT is_state GROUP BY connection_id, operation, key HAVING count(*) > 1"
    ),
    "what is sent is not frozen, or was sent and has no key": (
        "SELECT id FROM delivery WHERE state = 'sending' AND (frozen_body IS NULL OR frozen_key IS NULL)"
    ),
}
_QUESTION = " UNION ALL ".join(f"SELECT '{what}', * FROM ({query})" for what, query in _ALWAYS.items())
#: lanes that a worker has just worked in, with less than half a lease left
_SHORT = (
    "SELECT DISTINCT lane.lane FROM lane JOIN inbox ON inbox.lane = lane.lane "
    "WHERE lane.owner = ? AND inbox.finished_at = ? AND lane.until < ?"
)
_SEEN = "SELECT 1 FROM inbox_seen WHERE merchant_id = 1 AND connection_id = ? AND key = ?"


class Broken(AssertionError):
    """An invariant does not hold: says which, and where."""


class Invariants:
    """Looks at a database file beside the hub's own connections."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        #: connection and key of each event that was answered with 200
        self.acknowledged: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises: Broken."""
        found = self._connection.execute(_QUESTION).fetchall()
        if found:
            raise Broken("; ".join(f"{what}: {where}" for what, where in found[:5]))
        self._kept(self.acknowledged[-1:])

    def leased(self, owner: str, now: int) -> None:
        """Who works in a lane has it for half a lease at least. Raises: Broken."""
        found = self._connection.execute(_SHORT, (owner, now, now + LEASE_US // 2)).fetchall()
        if found:
            raise Broken(f"a lane is worked at the end of its lease: {found}")

    def check_all(self) -> None:
        """Also that each event that was ever answered is there. Raises: Broken."""
        self.check()
        self._kept(self.acknowledged)
        keys = len(set(self.acknowledged))
        [kept] = self._connection.execute("SELECT count(*) FROM inbox WHERE kind = 'webhook'").fetchone()
        if kept < keys:
            raise Broken(f"{keys} webhooks were answered, {kept} are in the inbox")

    def _kept(self, acknowledged: Sequence[tuple[int, bytes]]) -> None:
        for each in acknowledged:
            if self._connection.execute(_SEEN, each).fetchone() is None:
                raise Broken(f"an event of connection {each[0]} was answered and is not in the inbox")

    def close(self) -> None:
        self._connection.close()
