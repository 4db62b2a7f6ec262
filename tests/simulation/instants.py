"""The instants of a hub process: places between two of its statements where it may crash, or be stopped and go on later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.engine import Database


class Crash(BaseException):
    """The process is gone, as with SIGKILL."""


@dataclass
class Instants:
    """Counts what a process does in one step, and interrupts it once where the schedule says so."""

    #: `crash` or `stop` (SIGSTOP, SIGCONT later), and at which instant of the step; null: nothing happens to it
    planned: tuple[str, int] | None = None
    #: what the world does while the process is stopped
    meanwhile: Callable[[], None] = lambda: None
    count: int = 0
    #: inside a write transaction, or holding the book: who is stopped there holds up all others, so nothing is to be seen
    busy: int = 0
    #: what happened, for the trace
    happened: list[str] = field(default_factory=list)

    def begin(self, planned: tuple[str, int] | None, meanwhile: Callable[[], None]) -> None:
        """The next step of the process begins."""
        self.planned, self.meanwhile, self.count, self.busy = planned, meanwhile, 0, 0
        self.happened.clear()

    def reach(self, what: str) -> None:
        """The process is between two statements. Raises: Crash."""
        self.count += 1
        if self.planned is None or self.count < self.planned[1]:
            return
        if self.planned[0] == "crash":
            self._note(what)
            raise Crash
        if not self.busy:
            self._note(what)
            self.meanwhile()

    def _note(self, what: str) -> None:
        assert self.planned is not None
        self.happened.append(f"{self.planned[0]} {what} ({self.count})")
        self.planned = None


class WatchedDatabase(Database):
    """A database connection of one process, with its instants."""

    def __init__(self, url: str, instants: Instants) -> None:
        super().__init__(url)
        self._instants = instants
        if self.sqlite:
            sa.event.listen(self.engine, "connect", _without_waiting)
        sa.event.listen(self.engine, "before_cursor_execute", self._statement)

    def _statement(self, *_given: Any) -> None:
        self._instants.reach("before a statement")

    @contextmanager
    def write(self, *, first: bool = False) -> Iterator[Connection]:
        instants = self._instants
        instants.reach("before a transaction")
        with super().write(first=first) as connection:
            instants.busy += 1
            try:
                yield connection
                instants.reach("before a commit")
            finally:
                instants.busy -= 1
        instants.reach("after a commit")


def _without_waiting(dbapi: Any, _record: Any) -> None:
    """What is thrown away need not be on the disk."""
    dbapi.execute("PRAGMA synchronous=OFF")


class WatchedTransport:
    """A transport to the sandboxes, with an instant before and after each request."""

    def __init__(self, inner: Any, instants: Instants) -> None:
        self._inner = inner
        self._instants = instants

    def __enter__(self) -> WatchedTransport:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing: the others go on using it."""

    def handle_request(self, request: Any) -> Any:
        self._instants.reach("before a request")
        answer = self._inner.handle_request(request)
        self._instants.reach("after a request")
        return answer

    def close(self) -> None:
        """Nothing: the others go on using it."""
