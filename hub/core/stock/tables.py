"""Tables of the stock. Moves are only ever added and a reservation ends once; the database refuses the rest."""

from datetime import date

from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint, text
from sqlmodel import SQLModel

from hub.db.types import bigint, id_column


class Item(SQLModel, table=True):
    """Something kept in stock and counted in whole units. `tracked` false: sold without looking at the stock."""

    __tablename__ = "item"
    __table_args__ = (UniqueConstraint("merchant_id", "sku", name="item_sku"),)
    id: int = id_column()
    merchant_id: int = bigint()
    sku: str
    title: str
    unit: str = "unit"
    tracked: bool = True


class Location(SQLModel, table=True):
    """A place that goods are moved from and to. Only a warehouse holds goods of ours that can be sold."""

    __tablename__ = "location"
    __table_args__ = (
        UniqueConstraint("merchant_id", "code", name="location_code"),
        CheckConstraint(
            "kind IN ('supplier', 'warehouse', 'customer', 'loss', 'opening', 'quarantine', 'transit')",
            name="location_kind",
        ),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    code: str
    kind: str


class StockLevel(SQLModel, table=True):
    """What is at a location: on hand, held for orders, waited for by orders. A `guarded` level (a warehouse's) is never
    negative and never holds more than it has; supplier, customer, opening and loss only mirror the moves."""

    __tablename__ = "stock_level"
    __table_args__ = (
        UniqueConstraint("merchant_id", "item_id", "location_id", name="stock_level_place"),
        CheckConstraint("NOT guarded OR on_hand >= 0", name="stock_level_on_hand"),
        CheckConstraint("held >= 0", name="stock_level_held"),
        CheckConstraint("NOT guarded OR held <= on_hand", name="stock_level_held_is_there"),
        CheckConstraint("waiting >= 0", name="stock_level_waiting"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    item_id: int = bigint(references="item.id")
    location_id: int = bigint(references="location.id")
    guarded: bool
    on_hand: int = bigint(default=0)
    held: int = bigint(default=0)
    waiting: int = bigint(default=0)


class Reservation(SQLModel, table=True):
    """Units of an item promised to an order line. It ends once: `posted` when all is shipped, or `voided`.

    `waiting`: not there yet; `held`: set aside. `shipped` of `quantity` have left so far.
    """

    __tablename__ = "reservation"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'held', 'posted', 'voided')", name="reservation_state"),
        CheckConstraint("quantity > 0", name="reservation_quantity"),
        CheckConstraint("shipped >= 0 AND shipped <= quantity", name="reservation_shipped"),
        CheckConstraint("(ended_at IS NULL) = (state IN ('waiting', 'held'))", name="reservation_ended"),
        CheckConstraint("state <> 'posted' OR shipped = quantity", name="reservation_posted"),
        CheckConstraint("state <> 'waiting' OR shipped = 0", name="reservation_waits_whole"),
        Index("reservation_order", "merchant_id", "order_id"),
        Index(
            "reservation_waiting",
            "merchant_id",
            "item_id",
            "location_id",
            "created_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    item_id: int = bigint(references="item.id")
    location_id: int = bigint(references="location.id")
    order_id: int = bigint()
    order_line_id: int = bigint()
    quantity: int = bigint()
    shipped: int = bigint(default=0)
    state: str
    #: its place in the queue; kept when a waiting line is made smaller
    created_at: int = bigint()
    ended_at: int | None = bigint(nullable=True)
    expires_at: int | None = bigint(nullable=True)


class Move(SQLModel, table=True):
    """Units that went from one location to another, booked once under `ref`."""

    __tablename__ = "move"
    __table_args__ = (
        UniqueConstraint("merchant_id", "ref", name="move_ref"),
        CheckConstraint("quantity > 0", name="move_quantity"),
        CheckConstraint("source_id <> destination_id", name="move_places"),
        Index("move_item", "merchant_id", "item_id", "effective_date"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    item_id: int = bigint(references="item.id")
    lot: str | None = None
    quantity: int = bigint()
    source_id: int = bigint(references="location.id")
    destination_id: int = bigint(references="location.id")
    kind: str
    ref: str
    reservation_id: int | None = bigint(nullable=True, references="reservation.id")
    effective_date: date
    recorded_at: int = bigint()


class ChannelLevel(SQLModel, table=True):
    """What a sales channel believes of one item: `expected` by our reckoning, `acknowledged` as it last answered."""

    __tablename__ = "channel_level"
    __table_args__ = (
        UniqueConstraint("merchant_id", "item_id", "connection_id", name="channel_level_item"),
        Index("channel_level_ref", "merchant_id", "item_ref"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    item_id: int = bigint(references="item.id")
    #: null until the channel's own number was adopted
    expected: int | None = bigint(nullable=True)
    acknowledged: int | None = bigint(nullable=True)
    adopted_at: int | None = bigint(nullable=True)
    #: the vendor's id of the stock record (an inventory item) and of the place
    item_ref: str | None = None
    location_ref: str | None = None


ITEM: Table = Item.__table__  # type: ignore[attr-defined]
LOCATION: Table = Location.__table__  # type: ignore[attr-defined]
STOCK_LEVEL: Table = StockLevel.__table__  # type: ignore[attr-defined]
RESERVATION: Table = Reservation.__table__  # type: ignore[attr-defined]
MOVE: Table = Move.__table__  # type: ignore[attr-defined]
CHANNEL_LEVEL: Table = ChannelLevel.__table__  # type: ignore[attr-defined]

#: parents first
WRITE_ORDER: tuple[Table, ...] = (ITEM, LOCATION, STOCK_LEVEL, RESERVATION, MOVE, CHANNEL_LEVEL)
