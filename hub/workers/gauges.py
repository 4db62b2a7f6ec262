"""How much waits, read from the tables when somebody asks: whichever process is asked says the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from hub import __version__
from hub.connect.registry import Registry
from hub.connect.tables import Connection as ConnectionTable
from hub.db.engine import Database
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.observe.metrics import gauge
from hub.outbox.plan import DELIVERY

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
#: seconds for which what was read stands; longer where reading took long
_FRESH_S, _RESTS = 5.0, 50
#: the conditions of the partial indexes, word for word
_OPEN_EVENT = sa.text("inbox.state IN ('fetch', 'ready', 'retry')")
_OPEN_DELIVERY = sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")
_OPEN_QUESTION = sa.text("question.state = 'open'")
_count = sa.func.count().label("number")
EVENTS = (
    sa.select(_INBOX.c.state, _count, sa.func.min(_INBOX.c.received_at).label("oldest"))
    .where(_OPEN_EVENT)
    .group_by(_INBOX.c.state)
)
DELIVERIES = (
    sa.select(
        DELIVERY.c.connection_id,
        DELIVERY.c.operation,
        DELIVERY.c.state,
        _count,
        sa.func.min(DELIVERY.c.created_at).label("oldest"),
    )
    .where(_OPEN_DELIVERY)
    .group_by(DELIVERY.c.connection_id, DELIVERY.c.operation, DELIVERY.c.state)
)
QUESTIONS = sa.select(QUESTION.c.kind, _count).where(_OPEN_QUESTION).group_by(QUESTION.c.kind)
CONNECTIONS = sa.select(
    *(
        _CONNECTION.c[name]
        for name in ("id", "merchant_id", "name", "connector", "mode", "status", "expires_at", "down_since")
    )
)
_STATUS = ("new", "connected", "reconnect_needed")
_EVENT_STATES = ("fetch", "ready", "retry")


class Gauges(Collector):
    """One cheap query a subject, and none while what was read is fresh."""

    def __init__(self, database: Database, registry: Registry, clock: Callable[[], int]) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._read: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                try:
                    with self._database.read() as connection:
                        self._read = [*self._gauges(connection), gauge("hub_database_up", _UP, (), [((), 1)])]
                except sa.exc.DBAPIError:
                    # the measures of the process are told all the same
                    self._read = [gauge("hub_database_up", _UP, (), [((), 0)])]
                done = time.monotonic()
                self._until = done + max(_FRESH_S, _RESTS * (done - began))
            return [*self._read, gauge("hub_build", "The release that runs", ("version",), [((__version__,), 1)])]

    def _gauges(self, connection: Connection) -> Iterable[Metric]:
        now = self._clock()
        events = {row.state: row for row in connection.execute(EVENTS)}
        yield gauge(
            "hub_events_open",
            "Events that are not worked yet, by state",
            ("state",),
            [((state,), events[state].number if state in events else 0) for state in _EVENT_STATES],
        )
        oldest = min((row.oldest for row in events.values()), default=now)
        yield gauge("hub_event_oldest_seconds", "Age of the oldest of them", (), [((), _age(oldest, now))])
        connections = {row.id: row for row in connection.execute(CONNECTIONS)}
        yield from _of_deliveries(connection.execute(DELIVERIES).all(), connections, now)
        yield gauge(
            "hub_questions_open",
            "Questions that wait for a person, by kind",
            ("kind",),
            [((row.kind,), row.number) for row in connection.execute(QUESTIONS)],
        )
        yield from _of_connections(list(connections.values()))


_UP = "Whether the database could be read"


def _of_deliveries(rows: Iterable[Any], connections: dict[int, Any], now: int) -> Iterable[Metric]:
    counts: dict[tuple[str, ...], int] = {}
    oldest: dict[tuple[str, ...], int] = {}
    for row in rows:
        of = connections.get(row.connection_id)
        connector = of.connector if of is not None else ""
        # what goes to a connection that is not live waits for a person, and is not late
        key = (connector, row.operation, row.state if of is None or of.mode == "live" else "held")
        counts[key] = counts.get(key, 0) + row.number
        if key[2] != "held":
            oldest[(connector,)] = min(oldest.get((connector,), now), row.oldest)
    labels = ("connector", "operation", "state")
    yield gauge("hub_deliveries_open", "Deliveries that are not final yet, by state", labels, counts.items())
    yield gauge(
        "hub_delivery_oldest_seconds",
        "Age of the oldest of them, by connector",
        ("connector",),
        [(key, _age(created, now)) for key, created in oldest.items()],
    )


def _of_connections(rows: list[Any]) -> Iterable[Metric]:
    labels = ("merchant", "connection", "connector")
    named = [((str(row.merchant_id), row.name, row.connector), row) for row in rows]
    yield gauge(
        "hub_connection",
        "1 for the status that a connection has",
        (*labels, "status"),
        [((*key, status), float(row.status == status)) for key, row in named for status in _STATUS],
    )
    yield gauge(
        "hub_connection_down",
        "1 while its system is down and its deliveries and reads wait",
        labels,
        [(key, float(row.down_since is not None)) for key, row in named],
    )
    yield gauge(
        "hub_token_end_timestamp_seconds",
        "When the access token of a connection ends",
        labels,
        [(key, row.expires_at / 1_000_000) for key, row in named if row.expires_at is not None],
    )


def _age(instant: int, now: int) -> float:
    return max(0, now - instant) / 1_000_000
