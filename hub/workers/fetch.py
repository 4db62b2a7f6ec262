"""Remote reads: events that wait for the current state of a record get it before the books are touched."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from hub.connect import errors, payload, reads
from hub.connect.links import Links
from hub.core.plan import Plan
from hub.db.engine import Database
from hub.inbox import claim
from hub.inbox.claim import Event
from hub.inbox.questions import QUESTION
from hub.inbox.reconnect import CONNECTION, ask_to_reconnect
from hub.workers.loop import Loop

_log = structlog.get_logger("hub.fetch")
BACKOFF_S = (1, 2, 5, 15, 60, 300, 900)
_THREADS = 4
_SHOWN = 300


class FetchWorker:
    """One dispatcher and a few threads that read."""

    def __init__(
        self, database: Database, links: Links, owner: str, clock: Callable[[], int], fetched: Callable[[], None]
    ) -> None:
        self._database = database
        self._links = links
        self._owner = f"{owner}-fetch"
        self._clock = clock
        self._fetched = fetched
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
        self._loop = Loop("fetch", self.fetch_once)

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._loop.wake()

    def stop(self) -> None:
        self._loop.stop()
        self._pool.shutdown(wait=True)

    def fetch_once(self) -> bool:
        """Reads what is due and stores it with its events. Returns whether there was something."""
        now = self._clock()
        with self._database.read() as connection:
            merchants = claim.due_merchants(connection, now, state="fetch")
        done = False
        for merchant_id in merchants:
            with self._database.write() as connection:
                events = claim.claim_reads(connection, merchant_id, now=now, limit=4 * _THREADS)
            if events:
                self._store(merchant_id, events, list(self._pool.map(self._read, events)))
                done = True
        if done:
            self._fetched()
        return done

    def _store(self, merchant_id: int, events: list[Event], results: list[bytes | Exception]) -> None:
        self._database.ids.ensure(100)
        now = self._clock()
        with self._database.write() as connection:
            plan = Plan(merchant_id, connection, self._database.ids, now)
            for event, result in zip(events, results, strict=True):
                if isinstance(result, bytes):
                    claim.was_read(connection, event, result)
                elif isinstance(result, errors.ReconnectNeeded):
                    claim.read_later(connection, event, now, str(result)[:_SHOWN])
                    ask_to_reconnect(plan, event.connection_id or 0, str(result)[:_SHOWN])
                else:
                    wait = _wait_s(result, event.attempts)
                    claim.read_later(connection, event, now + int(wait * 1_000_000), _said(result))
            plan.write(connection, (QUESTION, CONNECTION))

    def _read(self, event: Event) -> bytes | Exception:
        try:
            link = self._links.open(event.connection_id or 0)
            return payload.encode(reads.read(link, event.record, event.record_id))
        except errors.ConnectError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a fault of a connector's code; tried again, and seen in the inbox
            _log.exception("read failed", record=event.record, seq=event.seq)
            return error


def _wait_s(error: Exception, attempts: int) -> float:
    """What the system asked for, else longer each time."""
    if isinstance(error, errors.Throttled) and error.after_s is not None:
        return error.after_s
    return BACKOFF_S[min(attempts, len(BACKOFF_S) - 1)]


def _said(error: Exception) -> str:
    text = str(error) if isinstance(error, errors.ConnectError) else f"{type(error).__name__}: {error}"
    return text[:_SHOWN]
