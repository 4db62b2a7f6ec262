"""Tables of the hub as a whole: the id counter, merchants, settings, turns."""

from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from hub.db.types import bigint, id_column


class IdCounter(SQLModel, table=True):
    """One row: the next id that no process has taken. Ids of all tables come from it, in blocks."""

    __tablename__ = "id_counter"
    __table_args__ = (CheckConstraint("id = 1", name="id_counter_one"),)
    id: int = id_column()
    next: int = bigint()


class Merchant(SQLModel, table=True):
    """Whose books these are. `zone` is an IANA name; `lanes` is how many lanes the merchant's events are spread over."""

    __tablename__ = "merchant"
    __table_args__ = (
        CheckConstraint("length(currency) = 3", name="merchant_currency"),
        CheckConstraint("lanes > 0", name="merchant_lanes"),
    )
    id: int = id_column()
    name: str
    zone: str
    currency: str
    lanes: int
    created_at: int = bigint()


class Setting(SQLModel, table=True):
    """A setting of the hub, as text."""

    __tablename__ = "setting"
    key: str = Field(primary_key=True)
    value: str = Field(sa_column=Column(Text, nullable=False))


class Turn(SQLModel, table=True):
    """Something that comes round and is done by one process at a time (`poll:CONNECTION:RECORD`, and `sweep` of merchant 0):
    when it is due next, who does it now, and until when that is believed."""

    __tablename__ = "turn"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "name"),)
    merchant_id: int = bigint()
    name: str = Field(sa_column=Column(Text, nullable=False))
    next_at: int = bigint()
    owner: str | None = None
    until: int = bigint(default=0)
