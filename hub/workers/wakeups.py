"""Wake-ups between the processes of a hub: Dramatiq messages on Redis that say "drain" and carry nothing else.

The tables are the truth. A wake-up that is lost (Redis was away, killed or flushed, or the process that took it ended)
costs the seconds until somebody looks by itself; one that comes twice costs a look.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from hub.db.redis import Refused, connect
from hub.workers.parts import Part

_log = structlog.get_logger("hub.wakeups")
#: parts that can be woken; the others go by the clock
WOKEN = (Part.OUTBOX, Part.BOOKS, Part.FETCH)
#: milliseconds for which a part is not rung again while nobody took the last message: its process may have ended with it
_RUNG_MS = 2_000
#: seconds between attempts while Redis is away
_AWAY_S = 1.0
#: milliseconds between looks of an idle process for messages, at most: half of it is what a wake-up takes (measured: 12
#: ms at the median, for 0.7 % of a CPU)
_LOOK_MS = 40
#: milliseconds; Dramatiq's own 60 s, looked at once in 400 s, left the messages of a killed worker for over 8 minutes
_HEARTBEAT_MS = 15_000
_MAINTENANCE_PER_MILLION = 100_000
_STOP_MS = 3_000
#: Redis away, or there and refusing: out of memory, read only, another password
_FAILED = (Refused, dramatiq.errors.BrokerConnectionError)


class WakeUps:
    """Rings the parts of other processes, and answers for those of this one.

    `drains`: what a message to a part does here; while it runs, this process takes no other message to that part, so that
    they go to processes that are free. Empty: this process only rings."""

    def __init__(self, url: str, drains: Mapping[Part, Callable[[], None]]) -> None:
        self._drains = drains
        self._client = connect(url)
        self._broker = RedisBroker(  # type: ignore[no-untyped-call]
            client=self._client,
            namespace="hub",
            middleware=[Retries(max_retries=0)],
            heartbeat_timeout=_HEARTBEAT_MS,
            maintenance_chance=_MAINTENANCE_PER_MILLION,
        )
        self._actors = {part: self._actor(part) for part in WOKEN}
        self._worker: dramatiq.Worker | None = None
        self._rung: set[Part] = set()
        self._lock = threading.Lock()
        self._ring = threading.Event()
        self._stopping = threading.Event()
        #: rings, from the first time that there is something to ring: whoever has news never waits for Redis
        self._thread: threading.Thread | None = None
        self._away = False

    def listen(self) -> None:
        """Begins to answer, where there is something to drain. Redis may be away."""
        if not self._drains:
            return
        _hear_dramatiq(self._noticed)
        worker = dramatiq.Worker(self._broker, worker_threads=len(self._drains), worker_timeout=_LOOK_MS)
        # one message a part in a process: what is fetched beforehand would wait here while others are free
        worker.queue_prefetch = 1
        worker.start()
        self._worker = worker

    def ring(self, parts: Iterable[Part]) -> None:
        """Tells other processes that there is work for some parts. Returns at once and never fails."""
        with self._lock:
            self._rung.update(parts)
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="wakeups", daemon=True)
                self._thread.start()
        self._ring.set()

    def mute(self) -> None:
        """Takes no message any more: they are for others."""
        if self._worker is not None:
            self._worker.stop(timeout=_STOP_MS)
            self._worker = None

    def stop(self) -> None:
        """Rings what is left to be rung, and ends."""
        self.mute()
        self._stopping.set()
        self._ring.set()
        if self._thread is not None:
            self._thread.join(_STOP_MS / 1000)
        with contextlib.suppress(*_FAILED):  # its connections are gone already
            self._broker.close()

    def _actor(self, part: Part) -> dramatiq.Actor[[], None]:
        def drain() -> None:
            # before the look at the tables: what is committed from now on rings again
            try:
                self._client.delete(_key(part))
            except Refused as error:
                self._noticed(error)
            self._drains[part]()

        made = dramatiq.actor(actor_name=f"drain-{part}", queue_name=f"hub-{part}", broker=self._broker, max_retries=0)
        return made(drain)

    def _run(self) -> None:
        while True:
            self._ring.wait()
            self._ring.clear()
            with self._lock:
                rung, self._rung = self._rung, set()
            try:
                for part in rung:
                    self._send(part)
            except _FAILED as error:
                self._noticed(error)
                self._stopping.wait(_AWAY_S)
            else:
                if rung:
                    self._noticed(None)
            if self._stopping.is_set() and not self._rung:
                return

    def _send(self, part: Part) -> None:
        if self._client.set(_key(part), 1, nx=True, px=_RUNG_MS):
            self._actors[part].send()

    def _noticed(self, error: BaseException | None) -> None:
        """Says once that Redis went away or refuses, and once that it is back."""
        away = error is not None
        if away == self._away:
            return
        self._away = away
        if away:
            _log.warning(
                "redis is away or refuses: work is found by looking, up to some seconds later", reason=str(error)[:200]
            )
        else:
            _log.info("redis is back")


def _key(part: Part) -> str:
    return f"hub:rung:{part}"


class _Heard(logging.Handler):
    """What Dramatiq logs. That Redis is away or refuses, which it says with every attempt, is noticed; the rest is handed on."""

    def __init__(self, away: Callable[[BaseException], None]) -> None:
        super().__init__(logging.WARNING)
        self._noticed = away

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        error = error or next((each for each in _arguments(record) if isinstance(each, BaseException)), None)
        if isinstance(error, _FAILED):
            self._noticed(error)
        else:
            logging.getLogger().handle(record)


def _arguments(record: logging.LogRecord) -> Iterable[object]:
    return record.args if isinstance(record.args, tuple) else ()


def _hear_dramatiq(away: Callable[[BaseException], None]) -> None:
    logger = logging.getLogger("dramatiq")
    logger.handlers[:] = [_Heard(away)]
    logger.propagate = False
