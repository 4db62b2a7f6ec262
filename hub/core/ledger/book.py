"""The book of a merchant: who may write in it now, and its rows as a plan sees them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.ledger.tables import ACCOUNT, BALANCE, BOOK
from hub.core.plan import Plan, Row, Source
from hub.observe import metrics

_LOCK = sa.select(BOOK.c.id).where(BOOK.c.merchant_id == sa.bindparam("merchant_id")).with_for_update()
_BOOK_WAIT = metrics.WRITE_WAIT_SECONDS.labels("book")
_BOOKS = sa.select(BOOK).where(BOOK.c.merchant_id == sa.bindparam("merchant_id"))
_ACCOUNTS = (
    sa.select(
        ACCOUNT.c.id, ACCOUNT.c.book_id, ACCOUNT.c.code, ACCOUNT.c.currency, BALANCE.c.amount, BALANCE.c.min_balance
    )
    .join(BALANCE, BALANCE.c.id == ACCOUNT.c.id)
    .where(ACCOUNT.c.merchant_id == sa.bindparam("merchant_id"))
)


class BookLocks:
    """One lock a merchant, for the process that owns a SQLite database: one writer per book, planning included."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}

    @contextmanager
    def hold(self, merchant_id: int) -> Iterator[None]:
        """Holds the book of a merchant. Taken before the transaction that reads the state of the plan."""
        with self._mutex:
            lock = self._locks.setdefault(merchant_id, threading.Lock())
        began = time.perf_counter()
        with lock:
            _BOOK_WAIT.observe(time.perf_counter() - began)
            yield


def lock_book(connection: Connection, merchant_id: int) -> None:
    """Takes the book for this transaction, as its first statement. On PostgreSQL it waits for the other writer; on SQLite
    it does nothing, because the caller holds the process's `BookLocks`."""
    if connection.dialect.name == "postgresql":
        began = time.perf_counter()
        connection.execute(_LOCK, {"merchant_id": merchant_id})
        _BOOK_WAIT.observe(time.perf_counter() - began)


def _load_book(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    found = connection.execute(_BOOKS, {"merchant_id": merchant_id}).mappings().one_or_none()
    return {} if found is None else {merchant_id: dict(found)}


def _load_accounts(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    result = connection.execute(_ACCOUNTS, {"merchant_id": merchant_id})
    return {
        (code, currency): {
            "id": account_id,
            "book_id": book_id,
            "code": code,
            "currency": currency,
            "amount": amount,
            "min_balance": floor,
        }
        for account_id, book_id, code, currency, amount, floor in result
    }


#: the book, keyed by merchant id
BOOK_OF = Source("ledger.book", _load_book)
#: an account with its balance, keyed by (code, currency); its `id` is also the balance's
ACCOUNTS = Source("ledger.account", _load_accounts)


def book_of(plan: Plan) -> Row:
    """The book of the plan's merchant."""
    book = plan.get(BOOK_OF, plan.merchant_id)
    if book is None:
        raise CoreError(
            f"merchant {plan.merchant_id} has no book: open one before anything is booked",
            kind="book.missing",
            subject=f"merchant:{plan.merchant_id}",
        )
    return book


def preload_accounts(plan: Plan, accounts: Iterable[tuple[str, str]]) -> None:
    """Reads the book and the accounts (code, currency) that a batch is going to use, one query each."""
    plan.preload(BOOK_OF, [plan.merchant_id])
    plan.preload(ACCOUNTS, accounts)
