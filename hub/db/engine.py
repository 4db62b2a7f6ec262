"""One database, SQLite or PostgreSQL, with the same transactions on both.

On SQLite all writers of the process share one fair lock, and the inbox writer goes ahead of the queue. With its own
`busy_timeout` the slowest answer to a webhook was 8.5 s under saturated workers, with the lock 34 ms.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import NullPool, QueuePool

from hub.observe import metrics

_WAIT_MS = 30_000
_FIRST_WAIT, _WAIT = (metrics.WRITE_WAIT_SECONDS.labels(writer) for writer in ("intake", "worker"))
#: how the next transaction of a connection begins, in what the pool knows of it
_MODE = "hub_begin"
#: what ends a PostgreSQL transaction that does not go on
_PATIENCE = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
#: the database cannot be reached, is locked or full: no fault of what was to be written
Unavailable = (sa.exc.OperationalError, sa.exc.InterfaceError)


class BadDatabaseUrl(ValueError):
    """A URL that names no database that a hub can use. Its text holds nothing of the URL."""


def parsed(url: str) -> sa.URL:
    """The URL of a SQLite or PostgreSQL database. Raises: BadDatabaseUrl."""
    try:
        made = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise BadDatabaseUrl("it is no URL of a database") from None
    if made.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadDatabaseUrl(f"{made.get_backend_name()!r} is not supported: give a sqlite or postgresql URL")
    return made


class FairLock:
    """A lock that serves waiters in order of arrival; a waiter with `first` goes ahead of all that are not."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._first: deque[threading.Event] = deque()
        self._rest: deque[threading.Event] = deque()

    def acquire(self, *, first: bool = False) -> None:
        with self._mutex:
            if not self._held and not self._first and not self._rest:
                self._held = True
                return
            turn = threading.Event()
            (self._first if first else self._rest).append(turn)
        turn.wait()

    def release(self) -> None:
        with self._mutex:
            queue = self._first or self._rest
            if queue:
                queue.popleft().set()  # the lock passes on, still held
            else:
                self._held = False


def _begin(dbapi: Any) -> None:
    """Reads run in a deferred transaction, writes in an immediate one."""
    dbapi.execute(f"BEGIN {dbapi.info.pop(_MODE, 'DEFERRED')}")


class Database:
    """The engine and the transactions of one hub database."""

    def __init__(self, url: str, *, pool_size: int = 12, patience_s: float = 20) -> None:
        #: a process that stops in the middle of a write keeps its locks from others no longer than `patience_s`, which is to be
        #: less than any lease. Of this transaction only: whoever reads may take his time, and holds nothing
        told = ", ".join(f"set_config('{name}', '{patience_s * 1000:.0f}', true)" for name in _PATIENCE)
        self._be_patient = f"SELECT {told}"
        self.url = parsed(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = self._sqlite_engine() if self.sqlite else self._postgres_engine(pool_size)
        self._lock = FairLock()
        self.ids = Ids(self)

    def _sqlite_engine(self) -> Engine:
        memory = self.url.database in (None, "", ":memory:")
        if memory:
            raise BadDatabaseUrl("an in-memory SQLite database is seen by one connection only: give a file")
        engine = sa.create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=16,
            max_overflow=16,
            connect_args={
                "check_same_thread": False,
                "timeout": _WAIT_MS / 1000,
                "isolation_level": None,
                # a list of keys makes a statement for each length: by default 128 are kept, and the others prepared anew
                "cached_statements": 1_000,
            },
        )

        @event.listens_for(engine, "connect")
        def configure(dbapi: Any, _record: Any) -> None:
            cursor = dbapi.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.execute("PRAGMA recursive_triggers=ON")
            cursor.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
            cursor.execute("PRAGMA cache_size=-32768")
            cursor.close()

        # isolation_level=None leaves BEGIN to us. No event of the engine: one listener makes every statement look for others
        engine.dialect.do_begin = _begin  # type: ignore[method-assign, assignment]
        return engine

    def _postgres_engine(self, pool_size: int) -> Engine:
        url = self.url.set(drivername="postgresql+psycopg")
        return sa.create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent read: one snapshot on SQLite, one transaction on PostgreSQL."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A long read of the database as it is at its first statement, whatever others commit meanwhile."""
        if self.sqlite:
            with self.read() as connection:
                yield connection
            return
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.engine.connect() as connection, connection.execution_options(**options).begin():
            yield connection

    @contextmanager
    def write(self, *, first: bool = False) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any error. `first`: ahead of other waiting writers."""
        if not self.sqlite:
            with self.engine.begin() as connection:
                connection.exec_driver_sql(self._be_patient)
                yield connection
            return
        began = time.perf_counter()
        self._lock.acquire(first=first)
        (_FIRST_WAIT if first else _WAIT).observe(time.perf_counter() - began)
        try:
            with self.engine.connect() as connection:
                connection.info[_MODE] = "IMMEDIATE"
                with connection.begin():
                    yield connection
        finally:
            self._lock.release()

    def dispose(self) -> None:
        self.engine.dispose()


def admin_engine(url: str) -> Engine:
    """An engine for migrations: the role that owns the tables, no pool."""
    made = parsed(url)
    if made.get_backend_name() == "postgresql":
        made = made.set(drivername="postgresql+psycopg")
    return sa.create_engine(made, poolclass=NullPool)


class Ids:
    """Ids for all tables from one counter, taken in blocks. A block is taken in its own transaction, so that a rollback
    never gives an id twice: call `ensure` before a write transaction, `next` inside it."""

    BLOCK = 20_000
    #: kept over what was asked for: several threads take from the same blocks
    RESERVE = 5_000

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        #: held while a block is taken. Never `_lock`: who writes now may need an id before its transaction can end
        self._taking = threading.Lock()
        self._blocks: deque[tuple[int, int]] = deque()

    def ensure(self, count: int) -> None:
        """Makes sure that `count` ids can be taken without touching the database."""
        while self._left() < count + self.RESERVE:
            with self._taking:
                missing = count + self.RESERVE - self._left()
                if missing > 0:
                    self._take(max(missing, self.BLOCK))

    def next(self) -> int:
        """One id. Needs an `ensure` before the transaction in which it is used."""
        return self.some(1)[0]

    def some(self, most: int) -> range:
        """At least one id and at most so many, in a row."""
        with self._lock:
            if not self._blocks:
                raise RuntimeError("no ids left: Ids.ensure was not called before the transaction")
            first, end = self._blocks[0]
            last = min(first + most, end)
            if last < end:
                self._blocks[0] = (last, end)
            else:
                self._blocks.popleft()
            return range(first, last)

    def blocks(self) -> tuple[tuple[int, int], ...]:
        """What is left, for `restore`."""
        with self._lock:
            return tuple(self._blocks)

    def restore(self, blocks: tuple[tuple[int, int], ...]) -> None:
        """Gives ids again: only where the database itself is put back to what it was then."""
        with self._lock:
            self._blocks = deque(blocks)

    def _left(self) -> int:
        with self._lock:
            return sum(end - first for first, end in self._blocks)

    def _take(self, size: int) -> None:
        with self._database.write() as connection:
            end = connection.execute(
                sa.text("UPDATE id_counter SET next = next + :size WHERE id = 1 RETURNING next"), {"size": size}
            ).scalar_one()
        with self._lock:
            self._blocks.append((end - size, end))
