"""Tables of the ledger. Entries and postings are only ever added; the database itself refuses the rest (`seals.py`)."""

from datetime import date

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from hub.db.types import bigint, id_column


class Book(SQLModel, table=True):
    """The book of a merchant: one currency, one zone in which instants become dates, one chain of entries."""

    __tablename__ = "book"
    __table_args__ = (
        UniqueConstraint("merchant_id", name="book_merchant"),
        CheckConstraint("length(currency) = 3", name="book_currency"),
    )
    id: int = id_column()
    merchant_id: int = bigint(references="merchant.id")
    currency: str
    zone: str
    #: name of the chart of accounts and posting rules, a file of `charts/`
    chart: str
    #: number that the next entry takes; the entries are 1 .. next_seq - 1
    next_seq: int = bigint(default=1)
    #: hash of the last entry, 32 bytes; 32 zero bytes before the first
    head_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    #: the key that chains new entries
    data_key_id: int = bigint()
    #: last day of the closed periods: what happened up to it is booked the day after, with its own date kept
    closed_through: date | None = None
    created_at: int = bigint()


class Account(SQLModel, table=True):
    """An account in one currency. Code and currency never change: they are part of what entries are sealed with."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("merchant_id", "book_id", "code", "currency", name="account_code"),
        UniqueConstraint("id", "currency", name="account_currency"),
        CheckConstraint("length(currency) = 3", name="account_currency_code"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    book_id: int = bigint(references="book.id")
    code: str
    name: str
    currency: str


class Balance(SQLModel, table=True):
    """The sum of an account's postings; `id` is the account's. `min_balance`: the amount may not fall below it."""

    __tablename__ = "balance"
    __table_args__ = (CheckConstraint("min_balance IS NULL OR amount >= min_balance", name="balance_floor"),)
    id: int = id_column()
    merchant_id: int = bigint()
    amount: int = bigint(default=0)
    min_balance: int | None = bigint(nullable=True)


class Series(SQLModel, table=True):
    """A series of numbers without gaps; the numbers 1 .. next_number - 1 are issued."""

    __tablename__ = "series"
    __table_args__ = (
        UniqueConstraint("merchant_id", "code", name="series_code"),
        CheckConstraint("next_number >= 1", name="series_next"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    #: `invoice`, or with a year `invoice:2026`
    code: str
    prefix: str
    next_number: int = bigint(default=1)


class EntrySeal(SQLModel, table=True):
    """The seal of an entry; `id` is the entry's. No transaction commits an entry without it, none adds a posting after
    it, and it is refused when the postings are fewer than two, do not add up to zero per currency or are of another book.
    """

    __tablename__ = "entry_seal"
    id: int = id_column()
    merchant_id: int = bigint()


class Entry(SQLModel, table=True):
    """An entry of the book: a fact, booked once under its `ref`, chained to the entry before it."""

    __tablename__ = "entry"
    __table_args__ = (
        UniqueConstraint("merchant_id", "ref", name="entry_ref"),
        UniqueConstraint("merchant_id", "book_id", "seq", name="entry_seq"),
        UniqueConstraint("merchant_id", "reverses_id", name="entry_reversed_once"),
        # checked at commit on both engines: the seal comes last
        ForeignKeyConstraint(["id"], ["entry_seal.id"], name="entry_sealed", deferrable=True, initially="DEFERRED"),
        Index("entry_effective", "merchant_id", "effective_date"),
        Index("entry_document", "merchant_id", "document_ref"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    book_id: int = bigint(references="book.id")
    seq: int = bigint()
    #: names the fact (`sale:12:1`): the same fact told twice is booked once
    ref: str
    #: SHA-256 of what the caller asked for: the same ref with another content is a conflict
    payload_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    #: code of the journal: VE, BQ, OD ...
    journal: str
    kind: str
    label: str = Field(sa_column=Column(Text, nullable=False))
    document_ref: str | None = None
    party_id: int | None = bigint(nullable=True)
    effective_date: date
    #: the day it happened, when that lies in a closed period
    origin_date: date | None = None
    recorded_at: int = bigint()
    reverses_id: int | None = bigint(nullable=True, references="entry.id")
    corrects_id: int | None = bigint(nullable=True, references="entry.id")
    encoding_version: int
    data_key_id: int = bigint()
    prev_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class Posting(SQLModel, table=True):
    """One line of an entry: debit positive, credit negative, in minor units of the account's currency."""

    __tablename__ = "posting"
    __table_args__ = (
        UniqueConstraint("merchant_id", "entry_id", "line", name="posting_line"),
        CheckConstraint("amount <> 0", name="posting_amount"),
        ForeignKeyConstraint(["account_id", "currency"], ["account.id", "account.currency"], name="posting_account"),
        Index("posting_of_account", "merchant_id", "account_id"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    entry_id: int = bigint(references="entry.id")
    line: int
    account_id: int = bigint()
    currency: str
    amount: int = bigint()
    party_id: int | None = bigint(nullable=True)
    vat_code: str | None = None


BOOK: Table = Book.__table__  # type: ignore[attr-defined]
ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
BALANCE: Table = Balance.__table__  # type: ignore[attr-defined]
SERIES: Table = Series.__table__  # type: ignore[attr-defined]
ENTRY: Table = Entry.__table__  # type: ignore[attr-defined]
POSTING: Table = Posting.__table__  # type: ignore[attr-defined]
ENTRY_SEAL: Table = EntrySeal.__table__  # type: ignore[attr-defined]

#: parents first; the seal closes what was written before it
WRITE_ORDER: tuple[Table, ...] = (BOOK, ACCOUNT, BALANCE, SERIES, ENTRY, POSTING, ENTRY_SEAL)
