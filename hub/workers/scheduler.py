"""The clock of scheduled flows: each tick enters the inbox once, however many processes look at it."""

from __future__ import annotations

from collections.abc import Callable

from hub.core.ledger.book import lock_book
from hub.db.engine import Database
from hub.flows import schedules
from hub.flows.active import Active
from hub.inbox.receive import insert_events
from hub.workers.loop import Loop

_LOOK_S = 1.0


class Scheduler:
    """One thread that looks which schedules are due."""

    def __init__(
        self,
        database: Database,
        merchants: Callable[[], list[int]],
        active: Callable[[int], Active],
        clock: Callable[[], int],
        came: Callable[[], None],
    ) -> None:
        self._database = database
        self._merchants = merchants
        self._active = active
        self._clock = clock
        self._came = came
        self._seen: dict[int, Active] = {}
        self._loop = Loop("schedule", self.tick, idle_s=_LOOK_S)

    @property
    def alive(self) -> bool:
        return self._loop.alive

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def forget(self) -> None:
        """The next tick makes the table follow the flows again: the database was put back to an earlier state."""
        self._seen.clear()

    def tick(self) -> bool:
        """Puts the ticks that have come into the inbox. Returns whether there were any."""
        # flows that were changed or taken away while the hub was down are seen before the table is believed
        lanes = {merchant_id: self._follow(merchant_id).lanes for merchant_id in self._merchants()}
        now = self._clock()
        with self._database.read() as connection:
            found = schedules.due(connection, now)
        came = False
        for each in found:
            with self._database.write() as connection:
                event = schedules.claim(connection, each, now, lanes[each.merchant_id])
                if event is not None:
                    insert_events(connection, [event], now)
                    came = True
        if came:
            self._came()
        return came

    def _follow(self, merchant_id: int) -> Active:
        """What runs for a merchant; where that is another than at the last look, the table follows."""
        active = self._active(merchant_id)
        if self._seen.get(merchant_id) is not active:
            with self._database.write() as connection:
                lock_book(connection, merchant_id)  # processes that start at once come one after the other
                schedules.keep(connection, merchant_id, active.flows, active.settings.zone, self._clock())
            self._seen[merchant_id] = active
        return active
