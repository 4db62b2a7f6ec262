"""Remote reads: events that wait for the current state of a record get it before the books are touched."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from hub.connect import errors, payload, reads
from hub.connect.links import Links
from hub.db.engine import Database
from hub.inbox import claim
from hub.inbox.claim import Event
from hub.inbox.tables import Inbox
from hub.workers.loop import Loop

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_log = structlog.get_logger("hub.fetch")
_BACKOFF_S = (1, 2, 5, 15, 60, 300, 900)
_THREADS = 4


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
            if not events:
                continue
            results = list(self._pool.map(self._read, events))
            with self._database.write() as connection:
                for event, (body, error) in zip(events, results, strict=True):
                    if error is not None:
                        wait = _BACKOFF_S[min(event.attempts, len(_BACKOFF_S) - 1)]
                        claim.retry_later(connection, event, self._clock() + wait * 1_000_000, error, state="fetch")
                    else:
                        connection.execute(
                            _INBOX.update()
                            .where(_INBOX.c.seq == event.seq)
                            .values(reads=body, state="ready", claims=0, next_attempt_at=0)
                        )
            done = True
        if done:
            self._fetched()
        return done

    def _read(self, event: Event) -> tuple[bytes | None, str | None]:
        try:
            link = self._links.open(event.connection_id or 0)
            return payload.encode(reads.read(link, event.record, event.record_id)), None
        except errors.ConnectError as error:
            return None, str(error)[:300]
        except Exception as error:  # noqa: BLE001 - a fault of a connector's code; tried again, and seen in the inbox
            _log.exception("read failed", record=event.record, event=event.seq)
            return None, f"{type(error).__name__}: {error}"[:300]
