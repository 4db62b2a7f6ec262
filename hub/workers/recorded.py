"""What a hub keeps of the past: the events of its inbox, and the world that they came into. Read, and never written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import RoleBinding
from hub.core.sales.tables import ITEM_ALIAS, SALES_ORDER
from hub.core.stock.tables import ITEM, LOCATION, MOVE, RESERVATION, STOCK_LEVEL
from hub.db.engine import parsed
from hub.db.tables import Merchant
from hub.db.types import instant_text
from hub.inbox.tables import READ_KINDS, Inbox

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
#: events of the core are raised again by what is replayed
_CORE = "core"
_COLUMNS = "seq connection_id kind topic record record_id ordering_key stamp content_type received_at".split()


class HomeError(Exception):
    """A hub that cannot be read, or whose events cannot be replayed: says why."""


@dataclass(frozen=True)
class Stocked:
    """An item of the catalogue and its units by location."""

    sku: str
    title: str
    tracked: bool = True
    units: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Connected:
    """A connection without its secrets, and the roles that it plays."""

    id: int
    name: str
    connector: str
    settings: Mapping[str, Any]
    roles: tuple[str, ...]
    go_live_at: int | None = None


@dataclass(frozen=True)
class World:
    """What events come into: the merchant's settings, connections, catalogue and stock."""

    currency: str = "EUR"
    zone: str = "Europe/Paris"
    connections: tuple[Connected, ...] = ()
    items: tuple[Stocked, ...] = ()
    #: what people answered to unknown SKUs: (connection id, `variant:ID` or `sku:SKU`, an item's SKU or null)
    aliases: tuple[tuple[int, str, str | None], ...] = ()


@dataclass(frozen=True)
class Recorded:
    """One event of an inbox. `content` is what the read of its record answered, `fetched` what its flows read."""

    seq: int
    connection_id: int | None
    kind: str
    topic: str
    record: str
    record_id: str
    ordering_key: str
    stamp: str | None
    content_type: str | None
    received_at: int
    body: bytes | None
    content: bytes | None
    fetched: bytes | None = None


@dataclass(frozen=True)
class Window:
    """Which events are replayed: those after `first` up to `last` by number, which came in between two instants."""

    since: int
    until: int
    last: int
    #: events that can be replayed, and those that cannot: (number, when it came in, when it was done)
    events: int
    erased: tuple[tuple[int, int, int | None], ...] = ()
    #: reads that were not answered yet
    unread: int = 0


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """One read transaction on a hub's database. Raises: HomeError."""
    made = parsed(url)
    sqlite = made.get_backend_name() == "sqlite"
    if sqlite:
        if not Path(str(made.database)).is_file():
            raise HomeError(f"there is no hub at {made.database}")
        engine = sa.create_engine(f"sqlite:///file:{made.database}?mode=ro&uri=true")
    else:
        engine = sa.create_engine(made.set(drivername="postgresql+psycopg"), isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN" if sqlite else "SET TRANSACTION READ ONLY")
            yield connection
    except sa.exc.DBAPIError as error:
        raise HomeError(f"the hub cannot be read: {error.orig}") from None
    finally:
        engine.dispose()


def read_world(url: str, *, merchant_id: int = 1, since: int | None = None) -> World:
    """The world of a merchant now; its stock as it was at an instant, where one is given. Raises: HomeError."""
    with opened(url) as connection:
        merchant = connection.execute(sa.select(_MERCHANT).where(_MERCHANT.c.id == merchant_id)).one_or_none()
        if merchant is None:
            raise HomeError(f"there is no merchant {merchant_id}")
        units = _units(connection, merchant_id) if since is None else _units_at(connection, merchant_id, since)
        items = tuple(
            Stocked(row.sku, row.title, row.tracked, units.get(row.id, {}))
            for row in connection.execute(sa.select(ITEM).where(ITEM.c.merchant_id == merchant_id).order_by(ITEM.c.sku))
        )
        aliases = tuple(
            (row.connection_id, row.key, row.sku)
            for row in connection.execute(
                sa.select(ITEM_ALIAS.c.connection_id, ITEM_ALIAS.c.key, ITEM.c.sku)
                .join(ITEM, ITEM.c.id == ITEM_ALIAS.c.item_id, isouter=True)
                .where(ITEM_ALIAS.c.merchant_id == merchant_id)
                .order_by(ITEM_ALIAS.c.id)
            )
        )
        return World(merchant.currency, merchant.zone, _connections(connection, merchant_id), items, aliases)


def _connections(connection: Connection, merchant_id: int) -> tuple[Connected, ...]:
    roles: dict[int, list[str]] = {}
    for role in connection.execute(sa.select(_ROLE).where(_ROLE.c.merchant_id == merchant_id).order_by(_ROLE.c.role)):
        roles.setdefault(role.connection_id, []).append(role.role)
    rows = connection.execute(
        sa.select(_CONNECTION).where(_CONNECTION.c.merchant_id == merchant_id).order_by(_CONNECTION.c.id)
    )
    return tuple(
        Connected(
            row.id,
            row.name,
            row.connector,
            payload.decode(row.settings),
            tuple(roles.get(row.id, ())),
            row.go_live_at,
        )
        for row in rows
    )


def _units(connection: Connection, merchant_id: int) -> dict[int, dict[str, int]]:
    """What is free to sell now, by item and warehouse."""
    free = STOCK_LEVEL.c.on_hand - STOCK_LEVEL.c.held - STOCK_LEVEL.c.waiting
    found: dict[int, dict[str, int]] = {}
    for row in connection.execute(
        sa.select(STOCK_LEVEL.c.item_id, LOCATION.c.code, free.label("free"))
        .join(LOCATION, LOCATION.c.id == STOCK_LEVEL.c.location_id)
        .where(STOCK_LEVEL.c.merchant_id == merchant_id, LOCATION.c.kind == "warehouse")
        .order_by(STOCK_LEVEL.c.item_id, LOCATION.c.code)
    ):
        found.setdefault(row.item_id, {})[row.code] = max(0, row.free)
    return found


def _units_at(connection: Connection, merchant_id: int, at: int) -> dict[int, dict[str, int]]:
    """What was free to sell at an instant: all moves up to it, less what was held for orders then."""
    codes = {
        row.id: row.code
        for row in connection.execute(
            sa.select(LOCATION).where(LOCATION.c.merchant_id == merchant_id, LOCATION.c.kind == "warehouse")
        )
    }
    found: dict[tuple[int, int], int] = {}
    for column, sign in ((MOVE.c.destination_id, 1), (MOVE.c.source_id, -1)):
        for item_id, location_id, units in connection.execute(
            sa.select(MOVE.c.item_id, column, sa.func.sum(MOVE.c.quantity))
            .where(MOVE.c.merchant_id == merchant_id, MOVE.c.recorded_at < at)
            .group_by(MOVE.c.item_id, column)
        ):
            found[(item_id, location_id)] = found.get((item_id, location_id), 0) + sign * int(units)
    held = sa.select(
        RESERVATION.c.item_id, RESERVATION.c.location_id, sa.func.sum(RESERVATION.c.quantity).label("units")
    ).where(
        RESERVATION.c.merchant_id == merchant_id,
        RESERVATION.c.created_at < at,
        sa.or_(RESERVATION.c.ended_at.is_(None), RESERVATION.c.ended_at >= at),
    )
    for row in connection.execute(held.group_by(RESERVATION.c.item_id, RESERVATION.c.location_id)):
        found[(row.item_id, row.location_id)] = found.get((row.item_id, row.location_id), 0) - int(row.units)
    units_of: dict[int, dict[str, int]] = {}
    for (item_id, location_id), units in sorted(found.items()):
        if location_id in codes:
            units_of.setdefault(item_id, {})[codes[location_id]] = max(0, units)
    return units_of


def window(url: str, *, since: int | None, until: int | None, merchant_id: int = 1) -> Window:
    """The events of a span of time. Raises: HomeError."""
    begin, end = since or 0, until if until is not None else (1 << 62)
    span = (_INBOX.c.merchant_id == merchant_id, _INBOX.c.received_at >= begin, _INBOX.c.received_at < end)
    with opened(url) as connection:
        last = connection.execute(sa.select(sa.func.max(_INBOX.c.seq)).where(*span)).scalar() or 0
        counted = connection.execute(
            sa.select(sa.func.count()).select_from(_INBOX).where(*span, _INBOX.c.kind != _CORE, _whole())
        ).scalar_one()
        asker = _INBOX.alias("asker")
        gone = connection.execute(
            sa.select(_INBOX.c.seq, _INBOX.c.received_at, _INBOX.c.finished_at, _unread(asker).label("unread"))
            .join(asker, asker.c.seq == _INBOX.c.parent_seq, isouter=True)
            .where(*span, _INBOX.c.kind != _CORE, sa.not_(_whole()))
            .order_by(_INBOX.c.seq)
        ).all()
    erased = tuple((row.seq, row.received_at, row.finished_at) for row in gone if not row.unread)
    return Window(begin, end, last, counted, erased, sum(bool(row.unread) for row in gone))


def _unread(asker: sa.Alias) -> sa.ColumnElement[bool]:
    """It is due to be read, or was given up: what asked for it is still there, so that nothing was erased."""
    due = _INBOX.c.state.in_(("fetch", "retry"))
    asked = sa.or_(asker.c.body.is_not(None), asker.c.reads.is_not(None))
    return sa.or_(
        due, sa.and_(_INBOX.c.kind.in_(READ_KINDS), _INBOX.c.body.is_(None), sa.func.coalesce(asked, sa.false()))
    )


def _whole() -> sa.ColumnElement[bool]:
    """What was received is still there."""
    read = _INBOX.c.kind.in_(READ_KINDS)
    return sa.or_(sa.and_(read, _INBOX.c.reads.is_not(None)), sa.and_(sa.not_(read), _INBOX.c.body.is_not(None)))


def events(url: str, chosen: Window, *, merchant_id: int = 1, batch: int = 50) -> Iterator[list[Recorded]]:
    """The events of a window in the order in which they came, some at a time. Raises: HomeError."""
    columns = [_INBOX.c[name] for name in _COLUMNS]
    statement = (
        sa.select(*columns, _INBOX.c.body, _INBOX.c.reads.label("content"), _INBOX.c.fetched)
        .where(
            _INBOX.c.merchant_id == merchant_id,
            _INBOX.c.received_at >= chosen.since,
            _INBOX.c.received_at < chosen.until,
            _INBOX.c.kind != _CORE,
            _INBOX.c.seq > sa.bindparam("after", type_=sa.BigInteger),
            _INBOX.c.seq <= chosen.last,
            _whole(),
        )
        .order_by(_INBOX.c.seq)
        .limit(batch)
    )
    after = 0
    with opened(url) as connection:
        while rows := connection.execute(statement, {"after": after}).all():
            yield [Recorded(**row._mapping) for row in rows]
            after = rows[-1].seq


def orders_named(url: str, refs: Sequence[str], *, merchant_id: int = 1) -> dict[str, tuple[int, str]]:
    """The connection and the shop's id of the orders that warehouses know by these references. Raises: HomeError."""
    columns = (SALES_ORDER.c.ref, SALES_ORDER.c.connection_id, SALES_ORDER.c.external_id)
    with opened(url) as connection:
        rows = connection.execute(
            sa.select(*columns).where(SALES_ORDER.c.merchant_id == merchant_id, SALES_ORDER.c.ref.in_(sorted(refs)))
        ).all()
    return {row.ref: (row.connection_id, row.external_id) for row in rows}


def refusal(chosen: Window) -> str:
    """Why erased events are not replayed: how many, and when they came in and were done."""
    lines = [
        f"event {seq} came in on {instant_text(received)[:10]}"
        + (f" and was done on {instant_text(done)[:10]}" if done else "")
        for seq, received, done in chosen.erased[:5]
    ]
    more = f" and {len(chosen.erased) - 5} more" if len(chosen.erased) > 5 else ""
    return (
        f"{len(chosen.erased)} events of this time have been erased and cannot be replayed: {'; '.join(lines)}{more}. "
        "Choose a later --since, or --skip-erased to go on without them"
    )
