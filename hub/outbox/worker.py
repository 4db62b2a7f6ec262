"""Sending: one dispatcher claims due deliveries, threads send them, outcomes are committed in groups."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import structlog
from sqlalchemy import Connection

from hub.connect import operations, payload
from hub.connect.client import held
from hub.connect.inprocess import Inline
from hub.connect.limits import turn
from hub.connect.links import Links
from hub.connect.vault import Vault
from hub.db.engine import Database, Unavailable
from hub.db.types import now_us
from hub.observe import metrics, traces
from hub.observe.personal import all_without_people, without_people
from hub.observe.steps import step
from hub.outbox import breaker, claim, drifts, outcomes
from hub.outbox.announce import Listeners
from hub.outbox.breaker import Breaker, Door
from hub.outbox.outcomes import Result
from hub.outbox.pace import Pace
from hub.outbox.plan import release_waiting

_log = structlog.get_logger("hub.outbox")
_GATHER_S = 0.04


@dataclass
class _Flight:
    """A delivery that this process holds, and until when."""

    connection_id: int
    #: of this attempt
    fence: int
    until: int
    #: another has taken it over
    lost: bool = False


@dataclass
class _Due:
    """What there is to do now."""

    rows: list[Any] = field(default_factory=list)
    #: deliveries that may go to connections that are down, to see whether they answer
    probes: list[tuple[Door, Any]] = field(default_factory=list)
    #: connections that are down and for which nothing waits
    idle: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.probes) + len(self.idle)


_NOTHING = _Due()


class Outbox:
    """The sender of one process."""

    def __init__(
        self,
        database: Database,
        links: Links,
        vault: Vault,
        *,
        owner: str,
        threads: int = 24,  # none: sent one after the other by whoever calls `step`
        per_connection: int = 16,
        lease_us: int = claim.LEASE_US,
        clock: Callable[[], int] = now_us,
        import_pending: Callable[[int], None] = lambda _connection_id: None,
        listeners: Callable[[int], Listeners] = lambda _merchant_id: Listeners(),
        announced: Callable[[], None] = lambda: None,
        recovered: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._links = links
        self._vault = vault
        self._owner = owner
        self._threads = threads or per_connection
        self._per_connection = per_connection
        self._clock = clock
        self._lease_us = lease_us
        #: asks for the pending orders of a connection, after a stale stock push
        self._import_pending = import_pending
        #: who is told of the confirmed deliveries of a merchant
        self._listeners = listeners
        self._announced = announced
        #: called when a system answers again that was down
        self._recovered = recovered
        self._breaker = Breaker()
        #: sent by who asks for it: then all outcomes are there when it goes on, and are committed before more is looked for
        self._at_once = not threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="outbox") if threads else Inline()
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        #: what is being sent by us, or whose outcome is not committed yet, by delivery
        self._in_flight: dict[int, _Flight] = {}
        #: what connections have quota for
        self._pace = Pace(per_connection)
        #: the operation of a connection that had the last turn
        self._turns: dict[int, str] = {}
        #: the connection that had the last turn
        self._served = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the dispatcher; deliveries that a stopped sender left in `sending` follow their ladder first."""
        self._recover(self._owner if self._database.sqlite else None)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its dispatcher runs, or was never started."""
        return self._thread is None or self._thread.is_alive()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Stops claiming, waits for what is being sent and commits its outcome."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(30)
        self._pool.shutdown(wait=True)
        try:
            self._commit(self._drain(), _NOTHING)
        except Exception:  # noqa: BLE001 - what was sent is found in `sending` at the next start
            _log.exception("the last outcomes were not stored")

    def run_until_idle(self) -> int:
        """Sends everything that is due now in this thread's time; for tests, simulation and the CLI. Returns how many
        steps deliveries made."""
        steps = 0
        while True:
            count = self.step()
            steps += count
            if not self._in_flight and not count:
                return steps
            if not count:
                self._wake.wait(0.05)
                self._wake.clear()

    def _run(self) -> None:
        idle = 0.0
        while not self._stopping.is_set():
            try:
                busy = self.step() > 0
            except Exception as error:  # noqa: BLE001 - the dispatcher lives on; what failed is still in the table
                metrics.failed("outbox", error)
                _log.exception("dispatch failed")
                busy, idle = False, 1.0
            if not busy and self._results.empty():
                self._wake.wait(idle or 0.5)
                idle = 0.0
                self._wake.clear()
            self._gather()

    def _gather(self) -> None:
        """Lets outcomes come together, so that they are committed in groups: until half the threads are done, or all that
        is being sent, or the time is over."""
        until = time.monotonic() + _GATHER_S
        while not self._stopping.is_set():
            left = until - time.monotonic()
            enough = min(len(self._in_flight), self._threads // 2)
            if left <= 0 or (enough and self._results.qsize() >= enough):
                return
            self._wake.wait(left)
            self._wake.clear()

    def step(self) -> int:
        """Commits the outcomes at hand and claims what is due, in one transaction. Returns how many deliveries moved: what
        an outcome has let go is due at the next step."""
        now, due = self._clock(), _NOTHING
        self._renew(now)
        if not self._at_once or self._results.empty():
            with self._database.read() as connection:
                due = self._due(connection, now)
        results = self._drain()  # from here on they are kept whatever fails
        if not due and not results:
            return 0
        try:
            claimed = self._commit(results, due)
        except Exception as error:
            self._put_back(results, error)
            raise
        for sending in claimed:
            self._in_flight[sending.id] = _Flight(sending.connection_id, sending.fence, now + self._lease_us)
            self._pool.submit(self._send, sending)
        return len(results) + len(due)

    def _renew(self, now: int) -> None:
        """Goes on holding what is still being sent, before others take it over."""
        ours = {delivery_id: flight for delivery_id, flight in self._in_flight.items() if not flight.lost}
        if all(flight.until - now >= self._lease_us // 2 for flight in ours.values()):
            return
        until = now + self._lease_us
        with self._database.write() as connection:
            renewed = set(claim.renew(connection, list(ours), owner=self._owner, until=until))
            self._breaker.renew(connection, renewed, until)
        for delivery_id, flight in ours.items():
            if delivery_id in renewed:
                flight.until = until
            else:
                flight.lost = True

    def _put_back(self, results: Sequence[Result], error: Exception) -> None:
        """Nothing was written. What came of the attempts is kept for the next step; what the database refuses even alone
        is left in `sending`, where its ladder decides when the lease has run out."""
        for result in results:
            if isinstance(error, Unavailable):
                self._results.put(result)
                continue
            try:
                self._commit([result], _NOTHING)
            except Unavailable:
                self._results.put(result)
            except Exception as refused:  # noqa: BLE001 - the others go on
                metrics.failed("outbox", refused)
                _log.error("outcome refused", reason=type(refused).__name__, **_ids(result.sending))
                self._landed(result.sending)

    def _landed(self, sending: claim.Sending) -> None:
        """An attempt is over. One that another has taken over meanwhile leaves that in the air."""
        flight = self._in_flight.get(sending.id)
        if flight is not None and flight.fence == sending.fence:
            del self._in_flight[sending.id]

    def _due(self, connection: Connection, now: int) -> _Due:
        """What is due, no more than there are threads for: what is marked as being sent is really being sent."""
        found, per_connection = _Due(), {}
        busy = Counter(flight.connection_id for flight in self._in_flight.values())
        for door in self._breaker.doors(connection):
            free = self._pace.width(door.id, now) - busy[door.id]
            if door.is_down:
                if free > 0 and door.lets_probe(now):
                    self._look_for_probe(connection, door, now, found)
            elif free > 0:
                after = self._turns.get(door.id, "")
                per_connection[door.id] = claim.due(connection, door.id, now, free, after=after)
        free = max(0, self._threads - len(self._in_flight))
        del found.probes[free:]
        # connections take turns, so that a long queue of one does not take all threads: the one after the last goes first
        order = sorted(per_connection, key=lambda each: (each <= self._served, each))
        turns = zip_longest(*(per_connection[each] for each in order))
        rows = [row for turn in turns for row in turn if row is not None]
        found.rows = rows[: free - len(found.probes)]
        self._turns.update((row.connection_id, row.operation) for row in found.rows)
        if found.rows:
            self._served = found.rows[-1].connection_id
        return found

    def _look_for_probe(self, connection: Connection, door: Door, now: int, found: _Due) -> None:
        row = claim.probe(connection, door.id, now) if door.live else None
        if row is not None:
            found.probes.append((door, row))
        elif breaker.holds_nothing(connection, door):
            found.idle.append(door.id)

    def _commit(self, results: Sequence[Result], due: _Due) -> list[claim.Sending]:
        if not results and not due:
            return []
        now = self._clock()
        self._database.ids.ensure(1_000)
        confirming = {r.sending.merchant_id for r in results if isinstance(r.outcome, operations.Confirmed)}
        listeners = {merchant_id: self._listeners(merchant_id) for merchant_id in confirming}
        stale: set[int] = set()
        sendings: list[claim.Sending] = []
        ids, verdict = self._database.ids, self._breaker.judge(((each.sending, each.outcome) for each in results), now)
        with self._database.write() as connection:
            if results:
                stale = outcomes.commit(connection, ids, self._vault, results, now, listeners)
                self._breaker.write(connection, ids, verdict, now)
            closed = [each for each in due.idle if breaker.close(connection, ids, each, now, "nothing waits for it")]
            if due.rows or due.probes:
                sendings = self._claim(connection, due, now)
        self._breaker.remember(verdict)
        if closed or verdict.closes:
            self._recovered()
        _measure(results, now)
        for result in results:
            self._landed(result.sending)
            if isinstance(result.outcome, operations.Deferred):
                self._pace.short(result.sending.connection_id, now, result.outcome.after_s)
            elif isinstance(result.outcome, operations.Confirmed):
                self._pace.sent(result.sending.connection_id)
            if isinstance(result.outcome, operations.NeedsReconnect):
                self._links.forget(result.sending.connection_id)
        if any(each.flows for each in listeners.values()):
            self._announced()
        for connection_id in stale:
            self._import_pending(connection_id)
        return sendings

    def _claim(self, connection: Connection, due: _Due, now: int) -> list[claim.Sending]:
        ids, until = self._database.ids, now + self._lease_us
        probes = breaker.take(connection, due.probes, until)
        rows = [*(row for _, row in probes), *due.rows]
        if not rows:  # another process probes
            return []
        claimed = claim.claim(connection, rows, owner=self._owner, now=now, lease_us=self._lease_us)
        outcomes.park_refused(connection, ids, claimed.refused, now)
        outcomes.close(connection, ids, claimed.nothing, now)
        return self._breaker.mark(connection, probes, claimed.sendings, until)

    def _drain(self) -> list[Result]:
        results = []
        while True:
            try:
                results.append(self._results.get_nowait())
            except queue.Empty:
                return results

    def _send(self, sending: claim.Sending) -> None:
        self._results.put(self._attempt(sending))
        self._wake.set()

    def _attempt(self, sending: claim.Sending) -> Result:
        try:
            link = self._links.open(sending.connection_id)
            spec = link.operation(sending.operation)
            ladder = operations.ladder_of(link, sending.operation)
        except Exception as error:  # noqa: BLE001 - nothing was sent
            metrics.failed("outbox", error)
            _log.exception("cannot send", **_ids(sending))
            reason = without_people(f"{type(error).__name__}: {error}")
            return Result(sending, operations.Retry(None, reason), None)
        try:
            age_s = (self._clock() - sending.first_sent_at) / 1_000_000
            with (
                traces.span("send", **_ids(sending)),
                held(lambda: self._holds(sending)),
                turn("delivery"),
            ):
                outcome = operations.execute(
                    link,
                    sending.operation,
                    sending.body,
                    sending.vendor_key,
                    first_attempt=not sending.maybe_sent,
                    age_s=age_s,
                )
                traces.note(outcome=type(outcome).__name__)
        except Exception as error:  # noqa: BLE001 - a fault of ours, like a crash: nothing is known of what was sent
            metrics.failed("outbox", error)
            _log.exception("send failed", **_ids(sending))
            reason = f"the hub failed while sending: {type(error).__name__}: {error}"
            once = ladder == "none" and not spec.read
            outcome = operations.Uncertain(reason) if once else operations.Retry(None, reason, sent=True)
        outcome = _without_people(outcome, sending.body)
        step(_log, "attempt ended", outcome=type(outcome).__name__, attempt=sending.attempts + 1, **_ids(sending))
        return Result(sending, outcome, spec, link.connector.name)

    def _holds(self, sending: claim.Sending) -> bool:
        """Whether nothing else can have taken a delivery over, not even another attempt of ours. A process that was stopped for
        a while asks it before each request: what it would send by then may have been sent by another."""
        flight = self._in_flight.get(sending.id)
        ours = flight is not None and flight.fence == sending.fence and not flight.lost
        return ours and flight is not None and self._clock() < flight.until - self._lease_us // 10

    def sweep(self) -> None:
        """What a lost wake-up or a crash left behind: references bound meanwhile, leases that ran out. Numbers in question that
        may be explained by now are looked at."""
        with self._database.write() as connection:
            release_waiting(connection, everything=True)
            drifts.look_again(connection)
        self._recover(None)
        self._wake.set()

    def _recover(self, owner: str | None) -> None:
        self._database.ids.ensure(1_000)
        now = self._clock()
        with self._database.write() as connection:
            unproven = claim.recover(connection, owner, now, list(self._in_flight))
            outcomes.park_unproven(connection, self._database.ids, unproven, now)


def _ids(sending: claim.Sending) -> dict[str, Any]:
    """What a line of the log names of a delivery."""
    return {
        "merchant_id": sending.merchant_id,
        "connection_id": sending.connection_id,
        "delivery_id": sending.id,
        "event_seq": sending.event_seq,
        "operation": sending.operation,
    }


def _measure(results: Sequence[Result], now: int) -> None:
    """Counts what came of attempts, once it is committed."""
    metrics.count(
        metrics.ATTEMPTS,
        [(result.connector, result.sending.operation, type(result.outcome).__name__.lower()) for result in results],
    )
    for result in results:
        if isinstance(result.outcome, operations.Confirmed):
            metrics.DELIVERY_SECONDS.labels(result.connector).observe((now - result.sending.created_at) / 1_000_000)
        elif isinstance(result.outcome, operations.Retry) and result.outcome.after_s:
            metrics.limited(result.connector, result.outcome.after_s, asked=True)


def _without_people(outcome: operations.Outcome, body: bytes) -> operations.Outcome:
    """What came of an attempt, without what the system repeats of people that were in the body."""
    if isinstance(outcome, operations.Confirmed):
        return outcome
    sent = payload.decode_or_none(body)
    if isinstance(outcome, operations.Rejected):
        outcome = replace(outcome, detail=all_without_people(outcome.detail, sent))
    return replace(outcome, reason=without_people(outcome.reason, sent))
