"""One hub in one process: its parts, opened and closed together. The embedded default runs all of them in threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from hub.connect.limits import Limits
from hub.connect.links import Links
from hub.connect.registry import Registry
from hub.connect.rootkeys import KeyRing
from hub.connect.vault import Vault
from hub.core.ledger.book import BookLocks
from hub.db import turns
from hub.db.engine import Database
from hub.db.tables import Merchant
from hub.db.types import now_us
from hub.flows import activation
from hub.flows.active import Active
from hub.flows.batch import Batch
from hub.flows.triggers import AFTER_SENDING
from hub.inbox import claim, lanes
from hub.inbox.receive import Intake
from hub.mapping import Problem
from hub.outbox.announce import Listeners
from hub.outbox.worker import Outbox
from hub.workers.alerts.watch import AlertWatch
from hub.workers.books import BooksWorker
from hub.workers.fetch import THREADS, FetchWorker
from hub.workers.loop import Loop
from hub.workers.parts import ALL, Part
from hub.workers.polling import Poller
from hub.workers.renewing import RenewalWorker
from hub.workers.replays import Replays
from hub.workers.scheduler import Scheduler
from hub.workers.settings import Settings

if TYPE_CHECKING:
    from hub.workers.wakeups import WakeUps

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_SWEEP = turns.Place(0, "sweep")
#: seconds between looks at what a lost wake-up or a crash left behind
SWEEP_S = 15.0


class _Runs(Protocol):
    """What every part can do."""

    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Hub:
    """The parts of a hub. `start` runs those of this process in threads; without it, `run_until_idle` works what is there."""

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
        parts: Collection[Part] = ALL,
        lease_s: int = 30,
        redis_url: str = "",
        limits: Limits | None = None,
    ) -> None:
        #: what this process runs when it is started
        self.parts = frozenset(parts)
        #: the flows that run, by file name; None: all
        self.only = only
        self.database = database
        self.vault = vault
        self.registry = registry
        self.homes = list(homes)
        self.clock = clock
        self._lease_us = lease_s * 1_000_000
        #: names this process in leases; the pid alone may come again after a restart
        self.owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        if limits is None:  # a clock that is set by hand is waited for by nobody
            limits = Limits(redis_url) if clock is now_us else Limits(clock=clock, sleep=None)
        self.links = Links(registry, vault, database, transport, clock=clock, limits=limits)
        self._problems: dict[int, list[Problem]] = {}
        self._actives: dict[int, Active] = {}
        #: held while flows are loaded; what runs meanwhile goes on with those before
        self._loading = threading.Lock()
        self._started = False
        self.intake = Intake(database, lambda: self.wake(Part.BOOKS))
        self.outbox = Outbox(
            database,
            self.links,
            vault,
            owner=self.owner,
            threads=outbox_threads,
            lease_us=self._lease_us,
            clock=clock,
            import_pending=lambda connection_id: self.poller.soon(connection_id),
            listeners=self._listeners,
            announced=lambda: self.wake(Part.BOOKS),
            recovered=lambda: self.wake(Part.OUTBOX, Part.FETCH),
        )
        #: who writes in a book now: batches, and the changes that people make
        self.locks = BookLocks()
        self.batch = Batch(database, self.locks, clock)
        self.books = BooksWorker(
            database, self.batch, self.active, self.notice, self.owner, clock, self._news, self._lease_us
        )
        self.fetch = FetchWorker(
            database,
            self.links,
            self.owner,
            clock,
            lambda: self.wake(Part.BOOKS),
            self._lease_us,
            threads=THREADS if outbox_threads else 0,
        )
        self.scheduler = Scheduler(database, self.merchants, self.active, clock, lambda: self.wake(Part.BOOKS))
        self.poller = Poller(
            database,
            self.links,
            registry,
            self.active,
            clock,
            poll_seconds,
            lambda: self.wake(Part.FETCH),
            self.owner,
            self._lease_us,
        )
        self.alerts = AlertWatch(self)
        self.tokens = RenewalWorker(database, self.links, clock, lambda: self.wake(Part.OUTBOX))
        self.replays = Replays(self)
        self._runs: Mapping[Part, _Runs] = {
            Part.OUTBOX: self.outbox,
            Part.BOOKS: self.books,
            Part.FETCH: self.fetch,
            Part.TOKENS: self.tokens,
            Part.POLL: self.poller,
            Part.SCHEDULE: self.scheduler,
            Part.REPLAY: self.replays,
            Part.SWEEP: Loop("sweep", self._sweep, idle_s=SWEEP_S / 3),
            Part.ALERTS: self.alerts,
        }
        self._wakes = {Part.OUTBOX: self.outbox.wake, Part.BOOKS: self.books.wake, Part.FETCH: self.fetch.wake}
        self._wakeups = self._between_processes(redis_url)

    @classmethod
    def open(cls, settings: Settings, *, parts: Collection[Part] = ALL) -> Hub:
        """Opens the hub of a home. Raises: VaultError when there is no key."""
        database = Database(settings.url, patience_s=settings.lease_seconds * 2 / 3)
        vault = Vault(KeyRing.of(settings.home), database.ids)
        return cls(
            database,
            vault,
            Registry.discover(settings.home),
            homes=[settings.home],
            poll_seconds=settings.poll_seconds,
            outbox_threads=settings.threads,
            lease_s=settings.lease_seconds,
            parts=parts,
            redis_url="" if database.sqlite else settings.redis_url,
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
        """Starts the parts of this process."""
        self._started = True
        if self.database.sqlite:
            self._release_all()
        for part in self._own:
            self._runs[part].start()
        if self._wakeups is not None:
            self._wakeups.listen()

    def stop(self) -> None:
        """Stops in order: no new work is taken, what is being sent is waited for."""
        if self._wakeups is not None:
            self._wakeups.mute()
        if self._started:
            for part in reversed(self._own):
                self._runs[part].stop()
        self.intake.close()
        if self._wakeups is not None:
            self._wakeups.stop()
        self.links.close()
        self.database.dispose()

    @property
    def dead(self) -> list[Part]:
        """Parts whose thread ended though nobody stopped it."""
        return [part for part in self._own if not self._runs[part].alive]

    @property
    def _own(self) -> list[Part]:
        """The parts that run here, in the order in which they start."""
        return [part for part in Part if part in self.parts and part in self._runs]

    def wake(self, *parts: Part) -> None:
        """Says that there is work for some parts: here at once, and in other processes. Never waits, never fails."""
        for part in parts:
            self._wakes[part]()
        if self._wakeups is not None:
            self._wakeups.ring(parts)

    def run_until_idle(self) -> None:
        """Works everything that can be worked now, in this thread; for a hub that was not started."""
        while self.work_once():
            pass

    def work_once(self) -> bool:
        """Works some of what can be worked now. Returns whether there was something."""
        return (
            self.scheduler.tick()
            or self.books.work_once()
            or self.fetch.fetch_once()
            or bool(self.outbox.run_until_idle())
            or self.poller.poll_asked()
            or self.replays.step()
        )

    def _between_processes(self, redis_url: str) -> WakeUps | None:
        if not redis_url:
            return None
        from hub.workers.wakeups import WOKEN, WakeUps  # loaded only where there is a Redis

        drains = {**self._wakes, Part.BOOKS: self.books.drain}
        return WakeUps(redis_url, {part: drains[part] for part in WOKEN if part in self._own})

    def _release_all(self) -> None:
        """Takes back what an earlier process held: this one owns the database."""
        with self.database.write() as connection:
            lanes.release_all(connection)
            claim.release_reads(connection)
            turns.release_all(connection)

    def _sweep(self) -> bool:
        """What a lost wake-up or a crash of another process left behind. One process at a time, every so often."""
        every = int(SWEEP_S * 1_000_000)
        with self.database.write() as connection:
            mine = turns.take(connection, _SWEEP, owner=self.owner, now=self.clock(), every=every, lease=self._lease_us)
        if mine:
            self.outbox.sweep()
            with self.database.write() as connection:
                turns.give(connection, _SWEEP, owner=self.owner)
        return False

    def _news(self) -> None:
        """A batch was committed: there may be something to send or to read."""
        self.wake(Part.OUTBOX, Part.FETCH)
