"""Remote reads: events that wait for the current state of a record, or for what their flows ask for, get it before the
books are touched. A read that is slow takes one thread; what the others read is stored meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from hub.connect import errors
from hub.connect.inprocess import Inline
from hub.connect.links import Links
from hub.core.plan import Plan
from hub.db.engine import Database, Unavailable
from hub.inbox import claim, fetches
from hub.inbox.claim import Event
from hub.inbox.questions import QUESTION
from hub.inbox.reconnect import CONNECTION, ask_to_reconnect
from hub.observe.personal import without_people
from hub.workers.loop import Loop
from hub.workers.reading import Read, read

_log = structlog.get_logger("hub.fetch")
BACKOFF_S = (1, 2, 5, 15, 60, 300, 900)
THREADS = 8
_SHOWN = 300
#: seconds between looks at a connection that is down, for what flows ask of it
_LOOK_S = 30.0
_DOWN = sa.select(CONNECTION.c.id, CONNECTION.c.probe_at).where(CONNECTION.c.down_since.is_not(None))


class FetchWorker:
    """One dispatcher and a few threads that read."""

    def __init__(
        self,
        database: Database,
        links: Links,
        owner: str,
        clock: Callable[[], int],
        fetched: Callable[[], None],
        lease_us: int = claim.LEASE_US,
        *,
        threads: int = THREADS,  # none: read one after the other by whoever calls `fetch_once`
    ) -> None:
        self._lease_us = lease_us
        self._database = database
        self._links = links
        self._owner = f"{owner}-fetch"
        self._clock = clock
        self._fetched = fetched
        self._threads = threads or THREADS
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch") if threads else Inline()
        #: events that are being read for, or whose answers are not stored yet
        self._busy: dict[int, Event] = {}
        self._results: queue.SimpleQueue[Read] = queue.SimpleQueue()
        self._arrived = threading.Event()
        self._loop = Loop("fetch", self._step)

    @property
    def alive(self) -> bool:
        return self._loop.alive

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._loop.wake()

    def stop(self) -> None:
        self._loop.stop()
        self._pool.shutdown(wait=True)
        try:
            self._store_all()
        except Exception:  # noqa: BLE001 - it is read again by whoever is there
            _log.exception("the last answers were not stored")

    def fetch_once(self) -> bool:
        """Reads what is due and stores it with its events. Returns whether there was something."""
        did = False
        while self._step() or self._busy:
            did = True
            if self._busy:
                self._arrived.wait(1)
                self._arrived.clear()
        return did

    def _step(self) -> bool:
        """Stores what was read and begins to read what is due, as far as there are threads. Returns whether there was
        something."""
        stored = self._store_all()
        return self._begin() or stored

    def _begin(self) -> bool:
        now = self._clock()
        free = self._threads - len(self._busy)
        if free <= 0:
            return False
        with self._database.read() as connection:
            merchants = claim.due_merchants(connection, now, state="fetch")
            down = _down(connection, now) if merchants else {}
        begun = False
        for merchant_id in merchants:
            with self._database.write() as connection:
                # as many of each merchant, so that none keeps the others waiting
                limit = max(1, free // len(merchants))
                events = claim.claim_reads(
                    connection, merchant_id, now=now, limit=limit, busy=list(self._busy), lease_us=self._lease_us
                )
            for event in events:
                begun = True
                self._busy[event.seq] = event
                self._pool.submit(self._read, event, down)
        return begun

    def _read(self, event: Event, down: Mapping[int, float]) -> None:
        self._results.put(read(self._links, event, down))
        self._arrived.set()
        self._loop.wake()

    def _store_all(self) -> bool:
        by_merchant: dict[int, list[Read]] = {}
        while True:
            try:
                result = self._results.get_nowait()
            except queue.Empty:
                break
            by_merchant.setdefault(result.event.merchant_id, []).append(result)
        failures = [self._store_or_each(merchant_id, results) for merchant_id, results in by_merchant.items()]
        if by_merchant:
            self._fetched()
        for failure in failures:
            if failure is not None:
                raise failure  # the others are stored
        return bool(by_merchant)

    def _store_or_each(self, merchant_id: int, results: Sequence[Read]) -> Exception | None:
        """Stores what was read for a merchant; where that fails, one by one, so that one keeps no other from being stored.
        What was not stored is read again. Returns the failure."""
        failure: Exception | None = None
        try:
            self._store(merchant_id, results)
        except Exception as error:  # noqa: BLE001 - raised by the caller, once the others are stored
            failure = error
            if len(results) > 1 and not isinstance(error, Unavailable):
                failures = [self._store_or_each(merchant_id, [result]) for result in results]
                failure = next((each for each in failures if each is not None), None)
        for result in results:
            self._busy.pop(result.event.seq, None)
        return failure

    def _store(self, merchant_id: int, results: Sequence[Read]) -> None:
        self._database.ids.ensure(100)
        now = self._clock()
        with self._database.write() as connection:
            plan = Plan(merchant_id, connection, self._database.ids, now)
            for result in results:
                if result.answered is not None:
                    self._store_answers(connection, plan, result)
                elif result.record is not None:
                    claim.was_read(connection, result.event, result.record)
                elif isinstance(result.failure, errors.ReconnectNeeded):
                    # it is due at once, and not claimed while its connection is closed
                    claim.read_later(connection, result.event, now, _said(result.failure))
                    ask_to_reconnect(plan, result.event.connection_id or 0, _said(result.failure))
                elif result.failure is not None:
                    at = now + _wait_us(result.failure, result.event.attempts)
                    tried = not isinstance(result.failure, errors.NoQuota)
                    claim.read_later(connection, result.event, at, _said(result.failure), attempted=tried)
            plan.write(connection, (QUESTION, CONNECTION))

    @staticmethod
    def _store_answers(connection: Connection, plan: Plan, result: Read) -> None:
        event, answered = result.event, result.answered
        assert answered is not None
        later, said = None, None
        if answered.failure is not None:
            later, said = plan.now + _wait_us(answered.failure, event.attempts), _said(answered.failure)
        text = fetches.answered(event.fetched, answered.answers)
        tried = not isinstance(answered.failure, errors.NoQuota)
        kept = claim.was_fetched(connection, event, text, later=later, reason=said, attempted=tried)
        if kept and isinstance(answered.failure, errors.ReconnectNeeded):
            ask_to_reconnect(plan, answered.failed_connection, _said(answered.failure))


def _down(connection: Connection, now: int) -> dict[int, float]:
    """Connections that are down, with the seconds after which what flows ask of them is looked at again."""
    return {row.id: min(_LOOK_S, max(1.0, (row.probe_at - now) / 1_000_000)) for row in connection.execute(_DOWN)}


def _wait_us(error: Exception, attempts: int) -> int:
    """What the system asked for, else longer each time."""
    if isinstance(error, errors.Throttled) and error.after_s is not None:
        return int(error.after_s * 1_000_000)
    return BACKOFF_S[min(attempts, len(BACKOFF_S) - 1)] * 1_000_000


def _said(error: Exception) -> str:
    text = str(error) if isinstance(error, errors.ConnectError) else f"{type(error).__name__}: {error}"
    return without_people(text).replace("\0", "")[:_SHOWN]
