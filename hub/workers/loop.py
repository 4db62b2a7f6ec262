"""A thread that works while there is work and sleeps until it is woken or a time has passed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from hub.observe import metrics

_log = structlog.get_logger("hub.workers")


class Loop:
    """Calls `work` again and again; it says whether it did something. A fault is logged and the loop goes on.

    `gather_s`: rounds begin at least so far apart, so that what comes drop by drop is worked in larger pieces.
    """

    def __init__(self, name: str, work: Callable[[], bool], *, idle_s: float = 0.5, gather_s: float = 0.0) -> None:
        self._name = name
        self._work = work
        self._idle_s = idle_s
        self._gather_s = gather_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        #: rounds that began, and the last one of them that found nothing to do
        self._rounds = 0
        self._idle_round = 0
        self._idle = threading.Condition()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it runs, or was never started."""
        return self._thread is None or self._thread.is_alive()

    def wake(self) -> None:
        self._wake.set()

    def drain(self, seconds: float) -> None:
        """Wakes the loop and waits until it finds nothing more to do, no longer than so many seconds."""
        with self._idle:
            after = self._rounds
            self._wake.set()
            self._idle.wait_for(lambda: self._idle_round > after or self._stopping.is_set(), seconds)

    def stop(self, timeout: float = 30) -> None:
        """Ends the loop after the work at hand."""
        self._stopping.set()
        self._wake.set()
        with self._idle:
            self._idle.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            began = time.monotonic()
            with self._idle:
                self._rounds += 1
            try:
                busy = self._work()
            except Exception as error:  # noqa: BLE001 - what failed is still in its table; the loop goes on
                metrics.failed(self._name, error)
                _log.exception("worker failed", worker=self._name)
                busy = False
                self._stopping.wait(0.5)
            if not busy:
                with self._idle:
                    self._idle_round = self._rounds
                    self._idle.notify_all()
                self._wake.wait(self._idle_s)
            rest = self._gather_s - (time.monotonic() - began)
            if rest > 0:
                self._stopping.wait(rest)
