"""Polling finds what no webhook told, and the sweeper what a lost wake-up or a crash left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from hub.connect import errors, reads
from hub.connect.limits import turn
from hub.connect.links import Links
from hub.connect.manifest import ManifestError, Record
from hub.connect.registry import Registry, UnknownConnector
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import PollCursor
from hub.core.plan import Plan
from hub.core.reading import among, rows_in
from hub.core.sales.tables import SALES_ORDER
from hub.db import turns
from hub.db.engine import Database, Unavailable
from hub.db.inserts import insert_rows
from hub.db.turns import Place
from hub.db.types import instant_us
from hub.flows.active import Active
from hub.inbox.arrivals import from_poll
from hub.inbox.claim import LEASE_US
from hub.inbox.questions import QUESTION
from hub.inbox.receive import insert_events
from hub.inbox.reconnect import CONNECTION, ask_to_reconnect
from hub.observe import metrics
from hub.outbox import breaker
from hub.workers.loop import Loop

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_CURSOR = PollCursor.__table__  # type: ignore[attr-defined]
_CURSOR_OF = sa.select(_CURSOR.c.cursor).where(
    _CURSOR.c.merchant_id == sa.bindparam("merchant_id"),
    _CURSOR.c.connection_id == sa.bindparam("connection_id"),
    _CURSOR.c.record == sa.bindparam("record"),
)
_MOVE_CURSOR = _CURSOR.update().where(
    _CURSOR.c.merchant_id == sa.bindparam("_merchant_id"),
    _CURSOR.c.connection_id == sa.bindparam("_connection_id"),
    _CURSOR.c.record == sa.bindparam("_record"),
    _CURSOR.c.cursor == sa.bindparam("_before"),
)
_CONNECTED = (
    sa.select(*(_CONNECTION.c[name] for name in ("id", "merchant_id", "connector", "down_since")))
    .where(_CONNECTION.c.status == "connected")
    .order_by(_CONNECTION.c.id)
)
_BOOKED = sa.select(SALES_ORDER.c.external_id, SALES_ORDER.c.header_as_of, SALES_ORDER.c.payments_as_of).where(
    SALES_ORDER.c.merchant_id == sa.bindparam("merchant_id"),
    SALES_ORDER.c.connection_id == sa.bindparam("connection_id"),
    among(SALES_ORDER.c.external_id),
)
_log = structlog.get_logger("hub.poll")
#: pages of one poll, so that one connection does not keep the others waiting
_MAX_PAGES = 40
#: seconds for which somebody who asks for a poll waits for the one that is being made
_WAIT_S = 30.0


@dataclass(frozen=True)
class _Record:
    """One thing to poll, and every how many microseconds."""

    merchant_id: int
    connection_id: int
    record: str
    every: int
    #: its system is down: it is asked less often, and goes on once it answers
    is_down: bool = False

    @property
    def pause(self) -> int:
        """Microseconds between two polls."""
        return max(self.every, breaker.MOST_US) if self.is_down else self.every

    @property
    def place(self) -> Place:
        return poll_place(self.merchant_id, self.connection_id, self.record)


def poll_place(merchant_id: int, connection_id: int, record: str) -> Place:
    """The turn of a poll."""
    return Place(merchant_id, f"poll:{connection_id}:{record}")


class BeingPolled(errors.ConnectError):
    """Another process polls the connection just now."""


class Poller:
    """One thread that polls connections when they are due. However many processes there are, one polls a record of a
    connection at a time, and when it is due it is polled once."""

    def __init__(
        self,
        database: Database,
        links: Links,
        registry: Registry,
        active: Callable[[int], Active],
        clock: Callable[[], int],
        poll_seconds: int,
        found: Callable[[], None],
        owner: str = "one",
        lease_us: int = LEASE_US,
    ) -> None:
        self._owner = f"{owner}-poll"
        self._lease_us = lease_us
        self._database = database
        self._links = links
        self._registry = registry
        self._active = active
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._found = found
        #: connections whose pending records somebody waits for
        self._asked: set[int] = set()
        #: connections whose connector cannot be used, as it was said in the log
        self._unusable: set[int] = set()
        self._lock = threading.Lock()
        self._loop = Loop("poll", self._poll_due, idle_s=1.0)

    @property
    def alive(self) -> bool:
        return self._loop.alive

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def soon(self, connection_id: int) -> None:
        """Polls a connection as soon as possible."""
        with self._lock:
            self._asked.add(connection_id)
        self._loop.wake()

    def poll_asked(self) -> bool:
        """Polls the connections that are to be polled soon. Returns whether there were any. What another process polls just
        now stays asked for: it may have looked before what somebody waits for was there. So does what is down."""
        with self._lock:
            asked, self._asked = self._asked, set()
        did = False
        for known in self._records() if asked else []:
            if known.connection_id not in asked:
                continue
            if not known.is_down and self._take(known, due=False):
                did = self._poll_logged(known) or did
            else:
                with self._lock:
                    self._asked.add(known.connection_id)
        return did

    def _poll_due(self) -> bool:
        did = self.poll_asked()
        records = {known.place: known for known in self._records()}
        now = self._clock()
        with self._database.read() as connection:
            due = turns.due(connection, {place: known.pause for place, known in records.items()}, now)
        for place in due:
            if self._take(records[place]):
                did = self._poll_logged(records[place]) or did
        return did

    def _records(self) -> list[_Record]:
        """What can be polled of the connections there are."""
        return [
            _Record(
                row.merchant_id,
                row.id,
                record,
                (self._poll_seconds or spec.interval) * 1_000_000,
                row.down_since is not None,
            )
            for row in self._connections()
            for record, spec in self._specs(row.id, row.merchant_id, row.connector).items()
            if spec.poll
        ]

    def _specs(self, connection_id: int, merchant_id: int, connector: str) -> Mapping[str, Record]:
        """The records of a connection; none, said once, where its connector cannot be used: the others are polled."""
        try:
            records = self._registry.get(connector).manifest.records
        except (UnknownConnector, ManifestError) as error:
            if connection_id not in self._unusable:
                self._unusable.add(connection_id)
                of = {"merchant_id": merchant_id, "connection_id": connection_id}
                _log.error("connection not polled: see hub doctor", reason=str(error)[:300], **of)
            return {}
        self._unusable.discard(connection_id)
        return records

    def _take(self, known: _Record, *, due: bool = True) -> bool:
        with self._database.write() as connection:
            return turns.take(
                connection,
                known.place,
                owner=self._owner,
                now=self._clock(),
                every=known.pause,
                lease=self._lease_us,
                first=known.pause,  # a connection that is new is polled after one interval: its webhooks come first
                due=due,
            )

    def _poll_logged(self, known: _Record) -> bool:
        """Polls what was taken. Returns whether it was answered."""
        try:
            self._poll(known)
        except errors.ReconnectNeeded as error:
            self._ask_to_reconnect(known.merchant_id, known.connection_id, str(error)[:200])
        except errors.NoQuota as error:  # what is due stays due
            after = min(int(error.after_s * 1_000_000), known.every)
            with self._database.write() as connection:
                turns.put_off(connection, known.place, self._clock() + after)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - also a fault of a connector's code: the others are polled
            metrics.failed("poll", error)
            _log.warning(
                "poll failed",
                merchant_id=known.merchant_id,
                connection_id=known.connection_id,
                record=known.record,
                exc_info=error,
            )
        else:
            if known.is_down:
                self._recovered(known.connection_id)
            return True
        return False

    def _recovered(self, connection_id: int) -> None:
        """A system that was down has answered."""
        self._database.ids.ensure(10)
        with self._database.write() as connection:
            breaker.close(connection, self._database.ids, connection_id, self._clock())
        self._found()

    def _connections(self) -> list[Any]:
        with self._database.read() as connection:
            return list(connection.execute(_CONNECTED))

    def poll_all(self, connection_id: int) -> int:
        """Polls all records of a connection now. Returns how many records are to be read. Raises: ConnectError."""
        count = 0
        for known in self._records():
            if known.connection_id == connection_id:
                until = time.monotonic() + _WAIT_S
                while not self._take(known, due=False):
                    if time.monotonic() > until:
                        raise BeingPolled(f"{known.record} is being polled by another process: try again later")
                    time.sleep(0.05)
                count += self._poll(known)
        return count

    def _poll(self, known: _Record) -> int:
        """Polls what was taken, and gives it back."""
        try:
            return self.poll(known.merchant_id, known.connection_id, known.record)
        finally:
            with self._database.write() as connection:
                turns.give(connection, known.place, owner=self._owner)

    def poll(self, merchant_id: int, connection_id: int, record: str) -> int:
        """Asks what changed and plans the read of what we do not have; the cursor commits with the page it covers."""
        link = self._links.open(connection_id)
        lanes = self._active(merchant_id).lanes
        place = {"merchant_id": merchant_id, "connection_id": connection_id, "record": record}
        found = 0
        for _ in range(_MAX_PAGES):
            with self._database.read() as connection:
                cursor = connection.execute(_CURSOR_OF, place).scalar_one_or_none()
            with turn("poll"):
                page = reads.poll(link, record, cursor)
            self._database.ids.ensure(10)
            with self._database.write() as connection:
                unknown = self._unknown(connection, merchant_id, connection_id, record, page.items)
                new = insert_events(
                    connection,
                    [
                        from_poll(
                            record,
                            record_id,
                            stamp,
                            merchant_id=merchant_id,
                            connection_id=connection_id,
                            lanes=lanes,
                        )
                        for record_id, stamp in unknown
                    ],
                    self._clock(),
                )
                moved = self._store(connection, place, page.cursor, cursor)
                turns.keep(
                    connection,
                    poll_place(merchant_id, connection_id, record),
                    owner=self._owner,
                    until=self._clock() + self._lease_us,
                )
            found += sum(new)
            if not page.more or not moved:
                break
        if found:
            self._found()
        return found

    def _ask_to_reconnect(self, merchant_id: int, connection_id: int, reason: str) -> None:
        self._database.ids.ensure(10)
        with self._database.write() as connection:
            plan = Plan(merchant_id, connection, self._database.ids, self._clock())
            ask_to_reconnect(plan, connection_id, reason)
            plan.write(connection, (QUESTION, CONNECTION))

    @staticmethod
    def _unknown(
        connection: sa.Connection,
        merchant_id: int,
        connection_id: int,
        record: str,
        items: list[tuple[str, str | None]],
    ) -> list[tuple[str, str | None]]:
        """The records that are newer than what is booked. An order counts as booked up to its last read only: its stamp
        is of whole seconds, so a webhook with the same stamp may be of before the change, and it says nothing of payments.
        """
        if record != "order" or not items:
            return items
        ids = [record_id for record_id, _ in items]
        booked = {
            row["external_id"]: min(row["header_as_of"], row["payments_as_of"] or 0)
            for row in rows_in(connection, _BOOKED, ids, merchant_id=merchant_id, connection_id=connection_id)
        }
        return [
            (record_id, stamp)
            for record_id, stamp in items
            if record_id not in booked or stamp is None or _after(stamp, booked[record_id])
        ]

    def _store(self, connection: sa.Connection, place: Mapping[str, Any], cursor: str, before: str | None) -> bool:
        """Moves the cursor on. Returns whether it was where it was read: another process may have moved it since."""
        now = self._clock()
        if before is None:
            row = {"id": self._database.ids.next(), **place, "cursor": cursor, "updated_at": now}
            insert_rows(connection, _CURSOR, [row])
            return True
        at = {f"_{name}": value for name, value in place.items()}
        moved = connection.execute(_MOVE_CURSOR, {**at, "_before": before, "cursor": cursor, "updated_at": now})
        return moved.rowcount == 1


def _after(stamp: str, booked: int) -> bool:
    """Whether a stamp is later than what is booked; one that is no instant may be: its record is read."""
    try:
        return instant_us(stamp) > booked
    except (ValueError, OverflowError):
        return True
