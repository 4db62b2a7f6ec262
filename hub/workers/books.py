"""The worker of the books: claims events of one merchant after the other and works them in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from hub.db.engine import Database, Unavailable
from hub.flows.active import Active
from hub.flows.batch import Batch
from hub.inbox import claim, lanes
from hub.inbox.claim import Claim
from hub.observe import metrics
from hub.workers.loop import Loop

_log = structlog.get_logger("hub.books")
#: a batch costs some queries however small it is: a full one takes longer than this and is not slowed
_GATHER_S = 0.1
#: seconds for which one wake-up keeps this process from taking the next
_DRAIN_S = 5.0


class BooksWorker:
    """One thread that works events. Merchants take turns."""

    def __init__(
        self,
        database: Database,
        batch: Batch,
        active: Callable[[int], Active],
        notice: Callable[[], None],
        owner: str,
        clock: Callable[[], int],
        committed: Callable[[], None],
        lease_us: int = claim.LEASE_US,
    ) -> None:
        self._database = database
        self._batch = batch
        self._active = active
        self._notice = notice
        self._owner = f"{owner}-books"
        self._clock = clock
        self._committed = committed
        self._lease_us = lease_us
        self._last_merchant = 0
        #: what is worked now, and claims that could not be reported back because the database was away
        self._claimed: Claim | None = None
        self._owed: list[Claim] = []
        self._renewal = Loop("books-renewal", self._renew, idle_s=lease_us / 3_000_000)
        self._loop = Loop("books", self.work_once, gather_s=_GATHER_S)

    def start(self) -> None:
        self._loop.start()
        self._renewal.start()

    @property
    def alive(self) -> bool:
        return self._loop.alive

    def wake(self) -> None:
        self._loop.wake()

    def drain(self) -> None:
        """Works until nothing is left, or others should have their turn."""
        self._loop.drain(_DRAIN_S)

    def stop(self) -> None:
        self._loop.stop()
        self._renewal.stop()
        try:
            with self._database.write() as connection:
                lanes.release(connection, self._owner)
        except Unavailable as error:  # they run out by themselves; the rest of the hub has to stop too
            _log.warning("lanes not given back", reason=f"{type(error).__name__}: {error}"[:200])

    def work_once(self) -> bool:
        """Works one batch of the next merchant that has one, with what runs by now. Returns whether there was one."""
        self._pay_back()
        self._notice()
        with self._database.read() as connection:
            due = claim.due_merchants(connection, self._clock())
        turn = [m for m in due if m > self._last_merchant] + [m for m in due if m <= self._last_merchant]
        return self._first_worked(turn)

    def _first_worked(self, turn: Sequence[int]) -> bool:
        """Works one batch of the first merchant that has one. One whose flows do not load keeps no other waiting. Raises:
        what kept the first of those from being worked, when no other had a batch either."""
        failed: Exception | None = None
        for merchant_id in turn:
            try:
                if self._work(merchant_id):
                    return True
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - raised below, once the others had their turn
                metrics.failed("books", error)
                _log.error("merchant not worked", merchant_id=merchant_id, exc_info=error)
                failed = failed or error
        if failed is not None:
            raise failed
        return False

    def _work(self, merchant_id: int) -> bool:
        active = self._active(merchant_id)
        now = self._clock()
        with self._database.write() as connection:
            claimed = claim.claim(
                connection, merchant_id, owner=self._owner, now=now, strict=active.strict, lease_us=self._lease_us
            )
        if claimed is None:
            return False
        self._last_merchant = merchant_id
        self._claimed = claimed
        try:
            if len(claimed.events) == 1 and claimed.events[0].claims > claim.MAX_LONE_CLAIMS:
                self._batch.park_crashing(claimed, active)
            else:
                self._batch.work(claimed, active)
        except lanes.LeaseLost as lost:
            _log.warning("lease lost", reason=str(lost))
            return True
        except Unavailable:
            # the database, not the events: they are not suspected of anything
            self._owed.append(claimed)
            self._pay_back()
            raise
        finally:
            self._claimed = None
        self._committed()
        return True

    def _pay_back(self) -> None:
        """Reports back what the database would not take."""
        while self._owed:
            with self._database.write() as connection:
                claim.unworked(connection, self._owed[0])
            del self._owed[0]

    def _renew(self) -> bool:
        """Keeps the lanes of a batch that takes long."""
        claimed = self._claimed
        if claimed is not None:
            until = self._clock() + self._lease_us
            with self._database.write() as connection:
                lanes.renew(connection, claimed.merchant_id, claimed.fences, owner=claimed.owner, until=until)
        return False
