"""Tokens are asked for ahead of their end, so that nobody waits for them; what a holder that is gone left behind is taken
over; and a person is told of each connection that needs one, whoever found out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
import structlog

from hub.connect.leases import LEASE
from hub.connect.links import Links
from hub.core.plan import Plan
from hub.db.engine import Database
from hub.inbox.questions import QUESTION, resolve_question
from hub.inbox.reconnect import CONNECTION, KIND, ask_to_reconnect, subject_of
from hub.workers.loop import Loop

_log = structlog.get_logger("hub.tokens")
#: seconds between looks. A lost lease, a look, and one more request: a person is told within 60 s
ROUND_S = 2.0
_THREADS = 8
_DUE = (
    sa.select(CONNECTION.c.id)
    .join(LEASE, LEASE.c.connection_id == CONNECTION.c.id)
    .where(LEASE.c.due_at <= sa.bindparam("now", type_=sa.BigInteger), CONNECTION.c.status == "connected")
    .order_by(LEASE.c.due_at)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_SUBJECT = sa.literal(subject_of(""), sa.Text) + sa.cast(CONNECTION.c.id, sa.Text)
_ASKED = (
    sa.select(QUESTION.c.id)
    .where(
        QUESTION.c.merchant_id == CONNECTION.c.merchant_id,
        # the condition of the partial index, word for word
        sa.text("question.state = 'open'"),
        QUESTION.c.subject == _SUBJECT,
        QUESTION.c.kind == KIND,
    )
    .exists()
)
_ROWS = sa.select(CONNECTION.c.id, CONNECTION.c.merchant_id, LEASE.c.reason).outerjoin(
    LEASE, LEASE.c.connection_id == CONNECTION.c.id
)
_UNTOLD = _ROWS.where(CONNECTION.c.status == "reconnect_needed", ~_ASKED)
_SETTLED = _ROWS.where(CONNECTION.c.status == "connected", _ASKED)


class RenewalWorker:
    """One thread that looks, and a few that ask: a vendor that is slow keeps no other waiting."""

    def __init__(
        self, database: Database, links: Links, clock: Callable[[], int], connected: Callable[[], None]
    ) -> None:
        self._database = database
        self._links = links
        self._clock = clock
        #: called when a connection works again
        self._connected = connected
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tokens")
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._loop = Loop("tokens", self._round, idle_s=ROUND_S)

    def start(self) -> None:
        self._loop.start()

    @property
    def alive(self) -> bool:
        """Whether it still works, once started."""
        return self._loop.alive

    def stop(self) -> None:
        """Waits for the answers that are under way: a pair that is given is stored."""
        self._loop.stop()
        self._pool.shutdown(wait=True)

    def _round(self) -> bool:
        self._links.renewals.store_again()
        with self._lock:
            free = _THREADS - len(self._busy)
        for connection_id in self._due(free + len(self._busy)) if free else []:
            with self._lock:
                if connection_id in self._busy or len(self._busy) >= _THREADS:
                    continue
                self._busy.add(connection_id)
            self._pool.submit(self._renew, connection_id)
        self.tell()
        return False

    def renew_due(self) -> None:
        """Asks for all that is due, one after the other, in this thread."""
        for connection_id in self._due(10_000):
            self._renew(connection_id)

    def _due(self, limit: int) -> list[int]:
        with self._database.read() as connection:
            return list(connection.execute(_DUE, {"now": self._clock(), "limit": limit}).scalars())

    def _renew(self, connection_id: int) -> None:
        try:
            self._links.renewals.renew_due(self._links.open(connection_id))
        except Exception as error:  # noqa: BLE001 - its row says what is to be done; the others go on
            _log.warning(
                "tokens not renewed", connection=connection_id, reason=f"{type(error).__name__}: {error}"[:200]
            )
        finally:
            with self._lock:
                self._busy.discard(connection_id)
            self._loop.wake()

    def tell(self) -> None:
        """Asks a person to connect what needs it, and closes the question of what works again. The rows say which, so
        nothing is forgotten whoever marked them."""
        with self._database.read() as connection:
            untold = connection.execute(_UNTOLD).all()
            settled = connection.execute(_SETTLED).all()
        if not untold and not settled:
            return
        self._database.ids.ensure(10 + len(untold))
        for merchant_id in {row.merchant_id for row in (*untold, *settled)}:
            with self._database.write() as connection:
                plan = Plan(merchant_id, connection, self._database.ids, self._clock())
                for row in connection.execute(_UNTOLD).all():
                    if row.merchant_id == merchant_id:
                        ask_to_reconnect(plan, row.id, row.reason or "the system refuses its credentials")
                for row in connection.execute(_SETTLED).all():
                    if row.merchant_id == merchant_id:
                        resolve_question(plan, kind=KIND, subject=subject_of(row.id))
                plan.write(connection, (QUESTION, CONNECTION))
        if settled:
            self._connected()
