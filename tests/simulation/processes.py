"""A hub process of the simulation: the real parts of a hub, stepped one after the other, crashed, stopped and started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.connect import reads
from hub.connect.errors import ConnectError
from hub.connect.registry import Registry
from hub.connect.vault import Vault
from hub.inbox.receive import Received, insert_events
from hub.web.webhooks import received
from hub.workers.hub import Hub
from hub.workers.sandboxed import FakeClock
from hub.workers.scratch import MERCHANT_ID

from .instants import Crash, Instants, WatchedDatabase, WatchedTransport


class Process:
    """One process of the hub: what it holds in memory is lost when it crashes."""

    def __init__(
        self,
        name: str,
        url: str,
        vault: Vault,
        registry: Registry,
        clock: FakeClock,
        transport: Any,
        lanes: int,
        home: Path,
    ) -> None:
        self.name = name
        self.instants = Instants()
        self.database = WatchedDatabase(url, self.instants)
        self._transport = WatchedTransport(transport, self.instants)
        self._vault = vault
        self._registry = registry
        self._clock = clock
        self._lanes = lanes
        self._home = home
        self._hub: Hub | None = None
        #: stopped (SIGSTOP) in the midst of a step
        self.stopped = False
        #: what it said when it could not go on, by the last step
        self.failed: str | None = None

    @property
    def hub(self) -> Hub:
        assert self._hub is not None
        return self._hub

    def start(self) -> None:
        """A new process: nothing is in its memory."""
        if self._hub is not None:
            self._hub.intake.close()  # no more than the end of its thread: nothing is in its queue
            self._hub.links.close()
        self.database.ids.restore(())
        hub = Hub(
            self.database,
            self._vault,
            self._registry,
            homes=[self._home],
            clock=self._clock,
            outbox_threads=0,
            transport=self._transport,
        )
        hub.locks.hold = _watched(hub.locks.hold, self.instants)  # type: ignore[method-assign]
        self._hub = hub
        self.stopped = False

    def step(
        self,
        work: Callable[[], Any],
        interrupted: tuple[str, int] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Any:
        """One step, perhaps interrupted. A process that crashed is started again; its answer is None then."""

        def stop() -> None:
            self.stopped = True
            try:
                (meanwhile or (lambda: None))()
            finally:
                self.stopped = False

        self.failed = None
        self.instants.begin(interrupted, stop)
        try:
            return work()
        except Crash:
            self.instants.planned = None
            self.start()
            return None
        except ConnectError as error:  # a system is away: the worker logs it and goes on
            self.failed = str(error)
            return None

    # -- its work --------------------------------------------------------------------------------------------------

    def jobs(self) -> dict[str, Callable[[], Any]]:
        """What its threads do, one turn each."""
        hub = self.hub
        return {
            "books": hub.books.work_once,
            "fetch": hub.fetch.fetch_once,
            "send": hub.outbox.step,
            "tick": hub.scheduler.tick,
            "sweep": hub.outbox.sweep,
            "pending": hub.poller.poll_asked,
        }

    def receive(self, connection_id: int, headers: dict[str, str], body: bytes) -> bytes:
        """A webhook comes in; returns the key of its event once it may be answered with 200."""
        link = self.hub.links.open(connection_id)
        reads.verify(link, headers, body, now=self._clock() / 1_000_000)
        event = received(link, headers, body, self._lanes)
        self.store(event)
        assert event.dedup is not None
        return event.dedup

    def store(self, event: Received) -> None:
        """An event is committed in the inbox."""
        with self.database.write(first=True) as connection:
            insert_events(connection, [event], self._clock())

    def poll(self, connection_id: int, record: str) -> int:
        """Asks a system what changed."""
        return self.hub.poller.poll(MERCHANT_ID, connection_id, record)


def _watched(hold: Callable[[int], Any], instants: Instants) -> Callable[[int], Any]:
    """The book of a merchant, held as in one transaction: what is planned under it is written in it."""

    @contextmanager
    def watched(merchant_id: int) -> Iterator[None]:
        instants.reach("before the book is taken")
        with hold(merchant_id):
            instants.busy += 1
            try:
                yield
            finally:
                instants.busy -= 1

    return watched
