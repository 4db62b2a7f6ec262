"""Column types and instants that mean the same on SQLite and PostgreSQL."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary
from sqlmodel import Field

#: 64-bit integer; on SQLite an INTEGER, so that a primary key is the row id itself.
BIGINT = BigInteger().with_variant(Integer(), "sqlite")


def id_column() -> Any:
    """Primary key: a BIGINT that we assign from one counter (gaps are normal, nothing is ordered by it)."""
    return Field(sa_column=Column(BIGINT, primary_key=True, autoincrement=False))


def bigint(*, nullable: bool = False, default: Any = None, references: str | None = None, index: bool = False) -> Any:
    """A BIGINT column: an id, an instant in UTC microseconds, or an amount in minor units."""
    constraints = [ForeignKey(references)] if references else []
    column: Column[Any] = Column(BIGINT, *constraints, nullable=nullable, index=index, default=default)
    return Field(default=None if nullable or default is None else default, sa_column=column)


def blob(*, nullable: bool = True) -> Any:
    """Raw bytes, kept exactly as they came."""
    column: Column[Any] = Column(LargeBinary, nullable=nullable)
    return Field(default=None, sa_column=column)


def now_us() -> int:
    """This instant as UTC microseconds."""
    return time.time_ns() // 1000


@lru_cache(maxsize=1024)
def instant_us(text: str) -> int:
    """An RFC 3339 instant with offset as UTC microseconds, exactly."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


@lru_cache(maxsize=1024)
def instant_text(us: int) -> str:
    """UTC microseconds as RFC 3339 text, `2026-11-24T08:12:31.000000Z`."""
    moment = datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
