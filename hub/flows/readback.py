"""Read-backs: the current state of a record is read once, however many events asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.inbox.claim import Event
from hub.inbox.lanes import lane_of
from hub.inbox.receive import PRIORITY
from hub.inbox.tables import READ_KINDS, Inbox

INBOX = Inbox.__table__  # type: ignore[attr-defined]


_WAITING = sa.select(INBOX.c.connection_id, INBOX.c.record, INBOX.c.record_id).where(
    INBOX.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    # the condition of the partial index, word for word
    sa.text("inbox.state = 'fetch'"),
    INBOX.c.claims == 0,
    INBOX.c.kind.in_(READ_KINDS),
    INBOX.c.reads.is_(None),
    among(INBOX.c.record_id),
)


def _load(connection: Connection, merchant_id: int, keys: Sequence[tuple[int, str, str]]) -> Mapping[Any, Row]:
    wanted = list(dict.fromkeys(key[2] for key in keys))
    rows = rows_in(connection, _WAITING, wanted, merchant_id=merchant_id)
    return {(row["connection_id"], row["record"], row["record_id"]): row for row in rows}


#: reads that wait and were not begun, by (connection id, record, record id)
WAITING_READS = Source("waiting_read", _load)


def schedule(plan: Plan, event: Event, record: str, record_id: str, lanes: int) -> bool:
    """Plans the read of a record unless one waits already. Returns whether it was planned."""
    if event.connection_id is None:
        return False
    key = (event.connection_id, record, record_id)
    if plan.get(WAITING_READS, key) is not None:
        return False
    ordering_key = f"{event.connection_id}:{record}:{record_id}"
    row = plan.insert(
        INBOX,
        {
            "connection_id": event.connection_id,
            "kind": "read",
            "topic": f"read/{record}",
            "record": record,
            "record_id": record_id,
            "ordering_key": ordering_key,
            "lane": lane_of(ordering_key, lanes),
            "priority": PRIORITY["read"],
            "state": "fetch",
            "claims": 0,
            "attempts": 0,
            "next_attempt_at": 0,
            "received_at": plan.now,
            "parent_seq": event.seq,
        },
    )
    plan.put(WAITING_READS, key, row)
    return True
