"""One hub in one process: its parts, opened and closed together. The embedded default runs all of them in threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from hub.connect.links import Links
from hub.connect.registry import Registry
from hub.connect.vault import Vault, load_root_keys
from hub.core.ledger.book import BookLocks
from hub.db.engine import Database
from hub.db.tables import Merchant
from hub.db.types import now_us
from hub.flows import activation
from hub.flows.active import Active
from hub.flows.batch import Batch
from hub.flows.triggers import AFTER_SENDING
from hub.inbox.receive import Intake
from hub.mapping import Problem
from hub.outbox.announce import Listeners
from hub.outbox.worker import Outbox
from hub.workers.books import BooksWorker
from hub.workers.fetch import FetchWorker
from hub.workers.loop import Loop
from hub.workers.polling import Poller
from hub.workers.scheduler import Scheduler
from hub.workers.settings import Settings

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_log = structlog.get_logger("hub")
#: seconds between looks at what a lost wake-up or a crash left behind
SWEEP_S = 15.0


class Hub:
    """The parts of a hub. `start` runs them in threads; without it, `run_until_idle` works what is there."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        *,
        homes: Sequence[Path] = (),
        clock: Callable[[], int] = now_us,
        poll_seconds: int = 0,
        outbox_threads: int = 24,
        transport: Any = None,
        only: Collection[str] | None = None,
    ) -> None:
        #: the flows that run, by file name; None: all
        self.only = only
        self.database = database
        self.vault = vault
        self.registry = registry
        self.homes = list(homes)
        self.clock = clock
        #: names this process in leases; the pid alone may come again after a restart
        self.owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self.links = Links(registry, vault, database, transport)
        self._problems: dict[int, list[Problem]] = {}
        self._actives: dict[int, Active] = {}
        #: held while flows are loaded; what runs meanwhile goes on with those before
        self._loading = threading.Lock()
        self._started = False
        self.intake = Intake(database, self._wake)
        self.outbox = Outbox(
            database,
            self.links,
            vault,
            owner=self.owner,
            threads=outbox_threads,
            clock=clock,
            import_pending=lambda connection_id: self.poller.soon(connection_id),
            listeners=self._listeners,
            announced=self._wake,
        )
        #: who writes in a book now: batches, and the changes that people make
        self.locks = BookLocks()
        self.batch = Batch(database, self.locks, clock)
        self.books = BooksWorker(database, self.batch, self.active, self.notice, self.owner, clock, self._news)
        self.fetch = FetchWorker(database, self.links, self.owner, clock, self.books.wake)
        self.scheduler = Scheduler(database, self.merchants, self.active, clock, self._wake)
        self._sweeper = Loop("sweep", self._sweep, idle_s=SWEEP_S)
        self.poller = Poller(database, self.links, registry, self.active, clock, poll_seconds, self._wake)

    @classmethod
    def open(cls, settings: Settings) -> Hub:
        """Opens the hub of a home. Raises: VaultError when there is no key."""
        database = Database(settings.url)
        vault = Vault(load_root_keys(settings.home), database.ids)
        return cls(
            database,
            vault,
            Registry.discover(settings.home),
            homes=[settings.home],
            poll_seconds=settings.poll_seconds,
        )

    def merchants(self) -> list[int]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(_MERCHANT.c.id).order_by(_MERCHANT.c.id)).scalars())

    @property
    def flow_source(self) -> activation.FlowSource:
        """Where its flows come from."""
        return activation.FlowSource(self.database, self.vault, self.registry, self.homes, self.only)

    def active(self, merchant_id: int) -> Active:
        """What runs for a merchant now. The first call activates what the files say."""
        return self._actives.get(merchant_id) or self._load(merchant_id, follow=True)

    def as_activated(self, merchant_id: int) -> Active:
        """What runs for a merchant now, with no look at what the files say where something was activated before."""
        known = self._actives.get(merchant_id)
        if known is not None:
            return known
        with self.database.read() as connection:
            activated = bool(activation.rows_of(connection, merchant_id))
        return self._load(merchant_id, follow=not activated)

    def notice(self) -> None:
        """Loads what this process or another one activated since."""
        with self.database.read() as connection:
            stamps = activation.stamps(connection)
        for merchant_id, known in list(self._actives.items()):
            stamp = stamps.get(merchant_id, 0)
            if stamp != known.stamp:
                self._load(merchant_id, follow=False, again=True, stamp=stamp)

    def _load(self, merchant_id: int, *, follow: bool, again: bool = False, stamp: int | None = None) -> Active:
        """Loads what runs: with a look at the files or without, unless it is there (`again`: unless it has this stamp)."""
        with self._loading:
            known = self._actives.get(merchant_id)
            if known is not None and (not again or known.stamp == stamp):
                return known  # another thread loaded it
            self.database.ids.ensure(100)
            if follow:
                made = activation.follow(self.flow_source, merchant_id, now=self.clock(), announce=again)
            else:
                made = activation.load(self.flow_source, merchant_id)
            self._actives[merchant_id], self._problems[merchant_id] = made
            return made[0]

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the flows and mappings of all merchants, each problem once."""
        return list(dict.fromkeys(problem for some in self._problems.values() for problem in some))

    def _listeners(self, merchant_id: int) -> Listeners:
        active = self.active(merchant_id)
        return Listeners([flow.name for flow in active.subscribers(AFTER_SENDING)], active.lanes)

    def reload(self) -> list[Problem]:
        """Reads flows, mappings, connections and roles again, and activates what the files say. A flow that does not lint is
        refused and the version that ran goes on; what is wrong is returned. Other processes notice it."""
        for merchant_id in self.merchants():
            self._load(merchant_id, follow=True, again=True)
        return self.problems

    def start(self) -> None:
        """Starts the workers."""
        self._started = True
        if self.database.sqlite:
            self.books.release_all()
        self.outbox.start()
        self.books.start()
        self.fetch.start()
        self.poller.start()
        self.scheduler.start()
        self._sweeper.start()

    def stop(self) -> None:
        """Stops the workers in order: no new work is taken, what is being sent is waited for."""
        if self._started:
            self._sweeper.stop()
            self.scheduler.stop()
            self.poller.stop()
            self.fetch.stop()
            self.books.stop()
            self.outbox.stop()
        self.intake.close()
        self.links.close()
        self.database.dispose()

    def run_until_idle(self) -> None:
        """Works everything that can be worked now, in this thread; for a hub that was not started."""
        while (
            self.scheduler.tick()
            or self.books.work_once()
            or self.fetch.fetch_once()
            or self.outbox.run_until_idle()
            or self.poller.poll_asked()
        ):
            pass

    def _wake(self) -> None:
        self.books.wake()

    def _sweep(self) -> bool:
        """What a lost wake-up or a crash of another process left behind."""
        self.outbox.sweep()
        return False

    def _news(self) -> None:
        """A batch was committed: there may be something to send or to read."""
        self.outbox.wake()
        self.fetch.wake()
