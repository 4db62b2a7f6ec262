"""What the flows of a hub read, found again when its events are worked again: the answers that were kept with the same
event, or with the event of the core of the same flow about the same order or item."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.core.sales.tables import SALES_ORDER
from hub.core.stock.tables import ITEM
from hub.inbox import fetches
from hub.inbox.fetches import Entry, Fetch
from hub.inbox.tables import Inbox
from hub.workers.recorded import opened
from hub.workers.scratch import MERCHANT_ID, Asking, Scratch

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_OURS = re.compile(r"(order|item):(\d{1,19})")
_OF_CONNECTION = re.compile(r"(\d{1,19}):(.+)", re.DOTALL)
#: what is read: the connection here, a kind of record or an operation, the id or the body
Asked = tuple[int, str, str]
#: of an event of the core: the flow that answers it, its name, its subject as the hub names it
Answering = tuple[str, str, str]
Translate = Callable[[bytes | None], bytes | None]


def asked(fetch: Fetch) -> Asked:
    """A read, whichever step asks for it."""
    if fetch.operation is not None:
        return fetch.connection, fetch.operation, payload.canonical(fetch.body)
    return fetch.connection, str(fetch.record), str(fetch.id)


@dataclass
class KeptReads:
    """The answers of a hub at `url`. `connections`: ids here by those of the hub. `translated`: texts of the hub with the
    references that orders have here."""

    url: str
    scratch: Scratch
    connections: Mapping[int, int]
    translated: Callable[[Sequence[bytes]], Translate]
    #: what the hub kept of events that came in, by their numbers here
    _of_events: dict[int, bytes] = field(default_factory=dict)
    #: the how manieth each event of the core is of those that answer alike
    _turns: dict[int, int] = field(default_factory=dict)
    _counts: dict[Answering, int] = field(default_factory=dict)

    def keep(self, seq: int, fetched: bytes | None) -> None:
        """Remembers what the hub kept of an event that has this number here."""
        if fetched is not None:
            self._of_events[seq] = fetched

    def answer(self) -> bool:
        """Answers the reads that events wait for, as far as the hub knows. Returns whether an event can go on."""
        waiting = self.scratch.asking()
        subjects = self._subjects([each for each in waiting if each.kind == "core"])
        went_on = False
        for event in waiting:
            known = self._known(event, subjects)
            answers = {fetch.key: known[asked(fetch)] for fetch in event.reads if asked(fetch) in known}
            if answers:
                self.scratch.tell(event, answers)
                went_on = True
        return went_on

    def _known(self, event: Asking, subjects: Mapping[int, str]) -> Mapping[Asked, Entry]:
        if event.kind != "core":
            return self._entries(self._of_events.get(event.seq))
        answering = (event.record, event.topic, subjects[event.seq])
        if event.seq not in self._turns:
            self._turns[event.seq] = self._counts.get(answering, 0)
            self._counts[answering] = self._turns[event.seq] + 1
        with opened(self.url) as connection:
            kept = _kept(connection, answering)
        # one that this version raises more often is answered as the last one was
        return self._entries(kept[min(self._turns[event.seq], len(kept) - 1)]) if kept else {}

    def _entries(self, text: bytes | None) -> dict[Asked, Entry]:
        """What is known, by what was asked, of the connections that are here."""
        found: dict[Asked, Entry] = {}
        text = self.translated([text])(text) if text is not None else None
        for entry in fetches.kept(text).values():
            told = {name: entry[name] for name in ("answer", "refused") if name in entry}
            here = self.connections.get(entry["connection"])
            if told and here is not None:
                asking = {name: entry[name] for name in Fetch.__dataclass_fields__}
                found.setdefault(asked(Fetch(**{**asking, "connection": here})), told)
        return found

    def _subjects(self, events: Sequence[Asking]) -> dict[int, str]:
        """The subjects of events as the hub names them; those of orders and items that it does not know stay."""
        here = {event.seq: event.record_id for event in events}
        if not here:
            return {}
        there = {number: owner for owner, number in self.connections.items()}
        with self.scratch.database.read() as connection:
            named = {subject: _named(connection, subject, there) for subject in set(here.values())}
        with opened(self.url) as connection:
            found = {subject: _subject(connection, name) for subject, name in named.items()}
        return {seq: found[subject] or subject for seq, subject in here.items()}


def _named(connection: Connection, subject: str, connections: Mapping[int, int]) -> tuple[Any, ...]:
    """What a subject is by natural keys: an order by its shop's id, an item by its SKU."""
    ours, of_connection = _OURS.fullmatch(subject), _OF_CONNECTION.fullmatch(subject)
    if ours is not None and ours[1] == "order":
        columns = (SALES_ORDER.c.connection_id, SALES_ORDER.c.external_id)
        order = connection.execute(sa.select(*columns).where(SALES_ORDER.c.id == int(ours[2]))).one_or_none()
        return ("order", connections.get(order[0]), order[1]) if order is not None else (subject,)
    if ours is not None:
        sku = connection.execute(sa.select(ITEM.c.sku).where(ITEM.c.id == int(ours[2]))).scalar()
        return ("item", sku) if sku is not None else (subject,)
    if of_connection is not None and int(of_connection[1]) in connections:
        return (f"{connections[int(of_connection[1])]}:{of_connection[2]}",)
    return (subject,)


def _subject(connection: Connection, name: tuple[Any, ...]) -> str | None:
    """The subject with these natural keys in a hub; None where it has none."""
    if len(name) == 1:
        return str(name[0])
    if name[0] == "order":
        statement = sa.select(SALES_ORDER.c.id).where(
            SALES_ORDER.c.merchant_id == MERCHANT_ID,
            SALES_ORDER.c.connection_id == name[1],
            SALES_ORDER.c.external_id == name[2],
        )
    else:
        statement = sa.select(ITEM.c.id).where(ITEM.c.merchant_id == MERCHANT_ID, ITEM.c.sku == name[1])
    found = connection.execute(statement).scalar()
    return f"{name[0]}:{found}" if found is not None else None


def _kept(connection: Connection, answering: Answering) -> list[bytes]:
    """What the events of the core that a flow answered kept, in the order in which they happened."""
    flow, name, subject = answering
    statement = sa.select(_INBOX.c.fetched).where(
        _INBOX.c.merchant_id == MERCHANT_ID,
        _INBOX.c.connection_id.is_(None),
        _INBOX.c.record == flow,
        _INBOX.c.record_id == subject,
        _INBOX.c.kind == "core",
        _INBOX.c.topic == name,
        _INBOX.c.fetched.is_not(None),
    )
    return list(connection.execute(statement.order_by(_INBOX.c.seq)).scalars())
