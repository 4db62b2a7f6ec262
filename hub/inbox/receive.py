"""Receiving: an event is answered only after it is committed. One writer commits whatever is queued in one transaction."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from hub.db.engine import Database
from hub.db.tables import Setting
from hub.db.types import now_us
from hub.inbox.lanes import lane_of
from hub.inbox.tables import Inbox, InboxSeen
from hub.observe import metrics

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_SEEN = InboxSeen.__table__  # type: ignore[attr-defined]
_MAX_BATCH = 200
# built once: building them takes longer than running them
_NEW = _INBOX.insert().inline()
_NEW_SEEN = _SEEN.insert()
_SEEN_OF = sa.select(_SEEN.c.key).where(
    _SEEN.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    _SEEN.c.connection_id == sa.bindparam("connection_id", type_=sa.BigInteger),
    _SEEN.c.key.in_(sa.bindparam("keys", expanding=True)),
)

_SETTING = Setting.__table__  # type: ignore[attr-defined]
#: the row that is written where a hub proves that it can store
_PROOF_KEY = "intake.proved_at"
_PROVE = _SETTING.update().where(_SETTING.c.key == _PROOF_KEY).values(value=sa.bindparam("at"))

PRIORITY = {"webhook": 0, "manual": 0, "schedule": 0, "core": 0, "poll": 1, "read": 1, "backfill": 2}


@dataclass(frozen=True, kw_only=True)
class Received:
    """An event as it came in. `dedup` null: no exact repeat is possible (manual triggers with no key)."""

    merchant_id: int
    connection_id: int | None
    kind: str
    topic: str
    record: str
    record_id: str
    ordering_key: str
    lanes: int
    body: bytes | None
    content_type: str | None = None
    stamp: str | None = None
    dedup: bytes | None = None
    state: str = "ready"
    parent_seq: int | None = None


def dedup_key(*parts: str | bytes | None) -> bytes:
    """20 bytes that identify a delivery: a vendor's delivery id, or topic, record id, stamp and raw body."""
    digest = hashlib.sha256()
    for part in parts:
        data = b"" if part is None else part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()[:20]


def insert_events(connection: Connection, events: Sequence[Received], now: int) -> list[bool]:
    """Inserts events that were not seen before, in order. Returns for each whether it was new.

    Raises: IntegrityError when another process stored one of the keys since (PostgreSQL); do them one by one then."""
    keyed: dict[tuple[int, int], list[bytes]] = {}
    for event in events:
        if event.dedup is not None:
            keyed.setdefault((event.merchant_id, event.connection_id or 0), []).append(event.dedup)
    known: set[tuple[int, int, bytes]] = set()
    for (merchant_id, connection_id), keys in keyed.items():
        found = _seen(connection, merchant_id, connection_id, keys)
        known.update((merchant_id, connection_id, key) for key in found)
    seen_rows: list[dict[str, Any]] = []
    inbox_rows: list[dict[str, Any]] = []
    new: list[bool] = []
    for event in events:
        if event.dedup is not None:
            key = (event.merchant_id, event.connection_id or 0, event.dedup)
            if key in known:
                new.append(False)
                continue
            known.add(key)
            seen_rows.append({"merchant_id": key[0], "connection_id": key[1], "key": key[2]})
        new.append(True)
        inbox_rows.append(row_of(event, now))
    if seen_rows:
        # in one order, so that two processes with the same keys never wait for each other crosswise
        connection.execute(
            _NEW_SEEN, sorted(seen_rows, key=lambda row: (row["merchant_id"], row["connection_id"], row["key"]))
        )
    if inbox_rows:
        connection.execute(_NEW, inbox_rows)
    return new


def _seen(connection: Connection, merchant_id: int, connection_id: int, keys: Sequence[bytes]) -> list[bytes]:
    values = {"merchant_id": merchant_id, "connection_id": connection_id, "keys": keys}
    found = connection.execute(_SEEN_OF, values).scalars()
    return [bytes(key) for key in found]


def row_of(event: Received, now: int) -> dict[str, Any]:
    """The row of an event."""
    return {
        "merchant_id": event.merchant_id,
        "connection_id": event.connection_id,
        "kind": event.kind,
        "topic": event.topic,
        "record": event.record,
        "record_id": event.record_id,
        "ordering_key": event.ordering_key,
        "lane": lane_of(event.ordering_key, event.lanes),
        "priority": PRIORITY[event.kind],
        "stamp": event.stamp,
        "body": event.body,
        "content_type": event.content_type,
        "state": event.state,
        "claims": 0,
        "attempts": 0,
        "next_attempt_at": 0,
        "received_at": now,
        "parent_seq": event.parent_seq,
    }


#: an event to store, none for a proof, and who waits for it
_Waiting = tuple[Received | None, Future[bool]]


class Intake:
    """One writer thread in front of the inbox: it takes whatever is queued, commits it in one transaction (ahead of other
    writers) and only then answers."""

    def __init__(self, database: Database, wake: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._wake = wake
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        #: when something was committed last, by the clock of `time.monotonic`; null: never, or the last try failed
        self.stored_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether what is queued will be taken."""
        return self._thread.is_alive() and not self._closed

    def prove(self) -> Future[bool]:
        """As `submit`, with no event: done once a row was committed the way an event is."""
        return self.submit(None)

    def submit(self, event: Received | None) -> Future[bool]:
        """Queues an event. The future is done once it is committed: True when it was new, False for an exact repeat."""
        future: Future[bool] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(RuntimeError("the hub is stopping: nothing is received any more"))
            else:
                self._queue.put((event, future))
        return future

    def receive(self, events: Sequence[Received]) -> list[bool]:
        """Stores events and waits for the commit."""
        futures = [self.submit(event) for event in events]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Stores what is queued and stops."""
        with self._closing:
            self._closed = True
            self._queue.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        stop = False
        while not stop:
            taken = [self._queue.get()]
            while len(taken) < _MAX_BATCH and not self._queue.empty():
                taken.append(self._queue.get())
            stop = None in taken  # the last that is ever queued
            # whoever gave up waiting was not answered: the sender will send again
            batch = [each for each in taken if each is not None and each[1].set_running_or_notify_cancel()]
            if batch:
                self._commit(batch)
                self._wake()

    def _commit(self, batch: list[_Waiting]) -> None:
        events = [event for event, _ in batch if event is not None]
        try:
            with self._database.write(first=True) as connection:
                new = iter(insert_events(connection, events, now_us()))
                if len(events) < len(batch):
                    _prove(connection, now_us())
        except Exception as error:  # noqa: BLE001 - whoever waits for the commit is told
            if len(batch) > 1 and not isinstance(error, OperationalError):
                # another process stored one of these keys at the same moment, or one cannot be stored at all
                for each in batch:
                    self._commit([each])
            elif isinstance(error, IntegrityError) and self._is_seen(batch[0][0]):
                batch[0][1].set_result(False)
            else:
                self.stored_at = None
                metrics.failed("intake", error)
                for _, future in batch:
                    future.set_exception(error)
        else:
            self.stored_at = time.monotonic()
            for event, future in batch:
                future.set_result(event is None or next(new))

    def _is_seen(self, event: Received | None) -> bool:
        if event is None:
            return False
        try:
            with self._database.read() as connection:
                return bool(_seen(connection, event.merchant_id, event.connection_id or 0, [event.dedup or b""]))
        except DBAPIError:
            return False


def _prove(connection: Connection, now: int) -> None:
    if connection.execute(_PROVE, {"at": str(now)}).rowcount == 0:
        connection.execute(_SETTING.insert(), {"key": _PROOF_KEY, "value": str(now)})
