"""A hub in a folder of its own that is thrown away: a migrated database, a merchant with an open book and a warehouse,
connections, a catalogue. What comes in goes the way it goes in any hub."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.connect import links, payload
from hub.connect.limits import Limits
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.tables import RoleBinding
from hub.connect.vault import Vault
from hub.core.ledger.setup import IDS_NEEDED, open_book
from hub.core.plan import Plan
from hub.core.sales.aliases import set_alias
from hub.core.stock.items import add_location, item_by_sku, upsert_item
from hub.core.stock.moves import move
from hub.core.stock.setup import open_stock
from hub.core.time import local_date
from hub.db import migrate
from hub.db.engine import Database
from hub.db.tables import IdCounter, Merchant
from hub.flows.batch import WRITE_ORDER
from hub.flows.context import ConnectionInfo
from hub.inbox import fetches
from hub.inbox.arrivals import from_poll, from_webhook
from hub.inbox.questions import raise_question
from hub.inbox.receive import Received, insert_events
from hub.inbox.tables import READ_KINDS, Inbox
from hub.workers.hub import Hub
from hub.workers.recorded import Stocked

_COUNTER = IdCounter.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
MERCHANT_ID = 1
_LANES = 64
_NEWEST = sa.select(sa.func.max(_INBOX.c.seq))
_CHANGE = _INBOX.update().where(_INBOX.c.seq == sa.bindparam("_seq"))
#: an event whose record is to be read before anything else
_LACKS_RECORD = sa.and_(_INBOX.c.kind.in_(READ_KINDS), _INBOX.c.reads.is_(None))


class ScratchFile:
    """A database in a file that is put back to what it was as often as one likes. Scratch hubs that take turns share one,
    with its connections and what they compiled."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scratch.sqlite"
        self._file.write_bytes(_migrated())
        self.database = Database(f"sqlite:///{self._file}")
        sa.event.listen(self.database.engine, "connect", _without_waiting)

    @cached_property
    def _own(self) -> tuple[sqlite3.Connection, int]:
        """A connection for saving and restoring alone, and the number of the schema."""
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        _without_waiting(connection, None)
        return connection, int(connection.execute("PRAGMA schema_version").fetchone()[0])

    def save(self) -> Saved:
        """The database as it is now. Nothing may be at work."""
        image = _memory()
        self._own[0].backup(image)
        return Saved(image, self.database.ids.blocks())

    def restore(self, saved: Saved) -> None:
        """Puts the database back to what was saved, with nothing at work; the hubs on it, what they compiled and their
        connections stay. Raises: sqlite3.OperationalError where something is."""
        own, schema = self._own
        saved.image.backup(own)
        # A copy counts as a change of the schema. It is the same, and statements need not be prepared again.
        own.execute(f"PRAGMA schema_version = {schema}")
        self.database.ids.restore(saved.blocks)

    def close(self) -> None:
        """Closes the connections to it."""
        self.database.dispose()
        if "_own" in self.__dict__:
            self._own[0].close()


def _without_waiting(dbapi: Any, _record: Any) -> None:
    """What is thrown away need not be on the disk."""
    dbapi.execute("PRAGMA synchronous=OFF")


def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


@dataclass(frozen=True)
class Saved:
    """A database as it was, and the ids that were left then."""

    image: sqlite3.Connection = field(repr=False)
    blocks: tuple[tuple[int, int], ...]


def empty() -> Saved:
    """A database with its schema and nothing in it."""
    image = _memory()
    image.deserialize(_migrated())
    return Saved(image, ())


#: bytes of a page: most tables and indexes stay all but empty, and each takes one at least
_PAGE = 1_024


@lru_cache(maxsize=1)
def _migrated() -> bytes:
    """A database with its schema and nothing in it, made once a process."""
    with tempfile.TemporaryDirectory(prefix="hub-schema-") as folder:
        file = Path(folder) / "schema.sqlite"
        migrate.upgrade(f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # else it could not be opened in memory
            connection.execute(f"PRAGMA page_size={_PAGE}")
            connection.execute("VACUUM")
        return file.read_bytes()


@dataclass(frozen=True)
class Asking:
    """An event that waits for what its flows read. `record` and `record_id` of an event of the core are the flow that
    answers it, and its subject."""

    seq: int
    kind: str
    topic: str
    record: str
    record_id: str
    fetched: bytes

    @property
    def reads(self) -> list[fetches.Fetch]:
        """What is to be read."""
        return fetches.pending(self.fetched)


class Scratch:
    """The hub, and what is done to it."""

    def __init__(
        self,
        place: Path | ScratchFile,
        registry: Registry,
        clock: Callable[[], int],
        *,
        homes: Sequence[Path] = (),
        flows: Collection[str] | None = None,
        currency: str = "EUR",
        zone: str = "Europe/Paris",
        transport: Any = None,
        first_id: int | None = None,
    ) -> None:
        self.file = place if isinstance(place, ScratchFile) else ScratchFile(place)
        self.registry = registry
        self.clock = clock
        self.zone = zone
        self.database = self.file.database
        self.vault = Vault([root_key(os.urandom(32))], self.database.ids)
        if first_id is not None:
            with self.database.write() as connection:
                connection.execute(_COUNTER.update().values(next=first_id))
        self._open(currency)
        self.hub = Hub(
            self.database,
            self.vault,
            registry,
            homes=homes,
            clock=clock,
            outbox_threads=0,
            transport=transport,
            only=flows,
            limits=Limits(enforced=False),  # sandboxes are asked as fast as they answer
        )

    def _open(self, currency: str) -> None:
        ids = self.database.ids
        ids.ensure(IDS_NEEDED + 100)
        with self.database.write() as connection:
            row = {"id": MERCHANT_ID, "name": "Scratch", "zone": self.zone, "currency": currency, "lanes": _LANES}
            connection.execute(_MERCHANT.insert(), [{**row, "created_at": self.clock()}])
            key = self.vault.data_key(connection, MERCHANT_ID, "chain")
            open_book(
                connection,
                MERCHANT_ID,
                ids,
                currency=currency,
                zone=self.zone,
                data_key_id=key.id,
                now=self.clock(),
            )
            open_stock(connection, MERCHANT_ID, ids)

    def connect(
        self,
        name: str,
        connector: str,
        settings: Mapping[str, Any],
        *,
        mode: str,
        roles: Sequence[str] | None = None,
        go_live_at: int | None = 0,
    ) -> int:
        """Adds a connection that plays roles: the one that it is called like, where no others are given. Without another
        instant all its orders are after its go-live."""
        played = [name] if roles is None else roles
        self.database.ids.ensure(10 + len(played))
        connection_id = self.database.ids.next()
        with self.database.write() as connection:
            links.create(
                connection,
                self.registry,
                self.vault,
                connection_id=connection_id,
                merchant_id=MERCHANT_ID,
                name=name,
                connector=connector,
                settings=settings,
                mode=mode,
                go_live_at=go_live_at,
            )
            rows = [{"merchant_id": MERCHANT_ID, "role": role, "connection_id": connection_id} for role in played]
            if rows:
                connection.execute(_ROLE.insert(), [{"id": self.database.ids.next(), **row} for row in rows])
        return connection_id

    def stock(self, items: Iterable[Stocked]) -> None:
        """Makes items and puts their units on the shelf, as an opening stock. No flow is told."""
        items = list(items)
        self.database.ids.ensure(1_000 + 20 * len(items))
        with self.database.write() as connection:
            plan = Plan(MERCHANT_ID, connection, self.database.ids, self.clock())
            date = local_date(plan.now, self.zone)
            for item in items:
                row = upsert_item(plan, item.sku, item.title, tracked=item.tracked)
                for code, units in item.units.items():
                    add_location(plan, code, "warehouse")
                    if units > 0:
                        ref = f"opening:{code}:{item.sku}"
                        move(plan, row["id"], "opening", code, units, "opening", ref, date)
            plan.write(connection, WRITE_ORDER)

    def alias(self, connection_id: int, aliases: Mapping[str, str | None]) -> None:
        """Keeps answers to unknown SKUs of a shop: `variant:ID` or `sku:SKU` to the SKU of an item."""
        self.database.ids.ensure(100 + len(aliases))
        with self.database.write() as connection:
            plan = Plan(MERCHANT_ID, connection, self.database.ids, self.clock())
            for key, sku in aliases.items():
                kind, _, name = key.partition(":")
                item = item_by_sku(plan, sku) if sku is not None else None
                if sku is None or item is not None:
                    named = {"variant_id": name} if kind == "variant" else {"sku": name}
                    set_alias(plan, connection_id, item_id=item["id"] if item else None, **named)
            plan.write(connection, WRITE_ORDER)

    # -- what comes in ------------------------------------------------------------------------------------------

    def info(self, role: str) -> ConnectionInfo | None:
        """The connection that plays a role."""
        return next(iter(self.hub.active(MERCHANT_ID).settings.roles.of(role)), None)

    def webhook(self, info: ConnectionInfo, topic: str, body: bytes) -> Received:
        """The event of a webhook body. Without a delivery id an exact repeat is told by the body."""
        return from_webhook(
            self.registry.get(info.connector),
            body,
            merchant_id=MERCHANT_ID,
            connection_id=info.id,
            lanes=_LANES,
            topic=topic,
            headers={"content-type": "application/json"},
            settings=info.settings,
        )

    def read(self, info: ConnectionInfo, record: str, record_id: str, stamp: str | None) -> Received:
        """The event of a record that a poll found; its content is given to `receive`."""
        where = {"merchant_id": MERCHANT_ID, "connection_id": info.id, "lanes": _LANES}
        return replace(from_poll(record, record_id, stamp, **where), dedup=None)

    def manual(self, name: str, record: Any) -> Received:
        """The event of a manual trigger."""
        body = payload.encode(record)
        return Received(
            merchant_id=MERCHANT_ID,
            connection_id=None,
            kind="manual",
            topic=name,
            record=name,
            record_id="",
            ordering_key=f"manual:{name}",
            lanes=_LANES,
            body=body,
            content_type="application/json",
        )

    def receive(self, event: Received, content: Any = None) -> int | None:
        """Stores an event as the inbox does; `content` is what the read of its record answered. Returns its number, None
        for an exact repeat."""
        with self.database.write(first=True) as connection:
            [new] = insert_events(connection, [event], self.clock())
            if not new:
                return None
            seq = int(connection.execute(_NEWEST).scalar_one())
            if content is not None:
                values = {"reads": payload.encode(content), "state": "ready"}
                connection.execute(_CHANGE, {"_seq": seq, **values})
        return seq

    def receive_all(self, events: Sequence[tuple[Received, bytes | None]]) -> list[int]:
        """Stores events at once, none of them a repeat; each with what the read of its record answered, where it was read.
        Returns their numbers."""
        with self.database.write(first=True) as connection:
            insert_events(connection, [event for event, _ in events], self.clock())
            newest = sa.select(_INBOX.c.seq).order_by(_INBOX.c.seq.desc()).limit(len(events))
            seqs = sorted(connection.execute(newest).scalars())
            read = [
                {"_seq": seq, "reads": content, "state": "ready"}
                for seq, (_, content) in zip(seqs, events, strict=True)
                if content is not None
            ]
            if read:
                connection.execute(_CHANGE, read)
        return seqs

    def unread(self) -> list[tuple[int, str, str]]:
        """Gives up the reads of records that are due, and says which they were: (connection id, kind of record, id)."""
        due = self._waiting(_LACKS_RECORD)
        if due:
            with self.database.write() as connection:
                values = {"state": "done", "outcome": "not read", "finished_at": self.clock()}
                connection.execute(_INBOX.update().where(_INBOX.c.seq.in_([row.seq for row in due])).values(values))
        return [(row.connection_id, row.record, row.record_id) for row in due]

    def asking(self) -> list[Asking]:
        """The events that wait for what their flows read."""
        columns = Asking.__dataclass_fields__
        return [Asking(*(getattr(row, name) for name in columns)) for row in self._waiting(sa.not_(_LACKS_RECORD))]

    def _waiting(self, which: sa.ColumnElement[bool]) -> Sequence[Any]:
        of_merchant = _INBOX.c.merchant_id == MERCHANT_ID
        with self.database.read() as connection:
            statement = _INBOX.select().where(sa.text("inbox.state = 'fetch'"), of_merchant, which)
            return connection.execute(statement.order_by(_INBOX.c.seq)).all()

    def tell(self, asking: Asking, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Gives an event what was answered to its reads, by their keys, as a fetch worker does. It waits on for the rest."""
        text = fetches.answered(asking.fetched, answers)
        state = "fetch" if fetches.pending(text) else "ready"
        with self.database.write() as connection:
            values = {"fetched": text, "state": state, "claims": 0}
            connection.execute(_INBOX.update().where(_INBOX.c.seq == asking.seq).values(values))

    def park(self, event: Received, kind: str, reason: str, details: Mapping[str, Any]) -> int:
        """Keeps an event that nothing could be made of, with its question."""
        seq = self.receive(event)
        assert seq is not None
        self.database.ids.ensure(10)
        with self.database.write() as connection:
            plan = Plan(MERCHANT_ID, connection, self.database.ids, self.clock())
            subject = event.ordering_key
            raise_question(plan, kind=kind, subject=subject, reason=reason, details=details, event_seq=seq)
            plan.write(connection, WRITE_ORDER)
            values = {"state": "parked", "outcome": reason, "finished_at": self.clock()}
            connection.execute(_INBOX.update().where(_INBOX.c.seq == seq).values(values))
        return seq

    def work(self) -> None:
        """Works the events that are there, and sends and reads nothing."""
        while self.hub.books.work_once():
            pass

    def close(self) -> None:
        self.hub.stop()
