"""Short forms for tests of ledger and stock: an order's sale, a unit of stock, a batch that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

from books import NOW, BookOfTest

from hub.core.ledger import tables as ledger
from hub.core.ledger.book import BookLocks, lock_book
from hub.core.ledger.posting import EntryDraft, Posted, Posting, post
from hub.core.plan import Plan, Row
from hub.core.stock import tables as stock
from hub.core.stock.items import upsert_item
from hub.core.stock.moves import move

ORDER = (*ledger.WRITE_ORDER, *stock.WRITE_ORDER)
DAY = date(2026, 11, 24)


@contextmanager
def batch(book: BookOfTest, now: int = NOW) -> Iterator[Plan]:
    """One batch: the book is taken, the block plans, and what it planned is written and committed."""
    book.database.ids.ensure(500)
    with book.database.write() as connection:
        lock_book(connection, book.merchant_id)
        plan = book.plan(connection, now)
        yield plan
        plan.write(connection, ORDER)


def run_batch(
    book: BookOfTest, locks: BookLocks, work: Callable[[Plan], Any], before_commit: Callable[[], None]
) -> None:
    """One batch as workers run it. On SQLite the process holds the book, plans outside the write lock and then writes; on
    PostgreSQL the transaction holds the book."""
    book.database.ids.ensure(500)
    if not book.database.sqlite:
        with book.database.write() as connection:
            lock_book(connection, book.merchant_id)
            plan = book.plan(connection)
            work(plan)
            plan.write(connection, ORDER)
            before_commit()
        return
    with locks.hold(book.merchant_id):
        with book.database.read() as connection:
            plan = book.plan(connection)
            work(plan)
        with book.database.write() as connection:
            plan.write(connection, ORDER)
            before_commit()


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Runs work(0) .. work(count - 1), each in a thread of its own, all at once; their answers in order."""
    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(work, number) for number in range(count)]]


def sale(number: int, *, gross: int = 1200, day: date = DAY, ref: str | None = None) -> EntryDraft:
    """A sale at 20 %: customer, goods, VAT."""
    vat = gross // 6
    return EntryDraft(
        ref=ref or f"sale:{number}:1",
        journal="VE",
        kind="sale",
        label=f"Vente {number}",
        effective_date=day,
        document_ref=f"F2026-{number:06d}",
        party_id=7000 + number,
        postings=[
            Posting("411900", gross, "EUR", 7000 + number),
            Posting("707100", vat - gross, "EUR", vat_code="FR-20"),
            Posting("445711", -vat, "EUR", vat_code="FR-20"),
        ],
    )


def book_sales(book: BookOfTest, count: int) -> list[Posted]:
    """Sales 1 .. count in one batch."""
    with batch(book) as plan:
        return [post(plan, sale(number)) for number in range(1, count + 1)]


def receive(book: BookOfTest, sku: str, quantity: int, ref: str | None = None) -> Row:
    """An item with units in the warehouse."""
    with batch(book) as plan:
        item = upsert_item(plan, sku, sku.title())
        move(plan, item["id"], "supplier", "main", quantity, "receipt", ref or f"receipt:{sku}", DAY)
        return dict(item)
