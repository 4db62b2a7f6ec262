"""Numbers have no gaps, whatever crashes."""

from __future__ import annotations

import random
import threading

import pytest
import sqlalchemy as sa
from booking import batch, in_threads, run_batch, sale
from books import BookOfTest

from hub.core.errors import CoreError
from hub.core.ledger.book import BookLocks
from hub.core.ledger.numbers import take_number
from hub.core.ledger.posting import post
from hub.core.ledger.verify import verify_ledger
from hub.core.plan import Plan


def test_numbers_count_within_a_year_and_a_reason(book: BookOfTest) -> None:
    with batch(book) as plan:
        taken = [
            take_number(plan, "invoice", 2026),
            take_number(plan, "invoice", 2026),
            take_number(plan, "credit_note", 2026),
            take_number(plan, "invoice", 2027),
        ]
    assert taken == ["F2026-000001", "F2026-000002", "A2026-000001", "F2027-000001"]
    with batch(book) as plan:
        assert take_number(plan, "invoice", 2026) == "F2026-000003"
        assert take_number(plan, "invoice") == "F000001"


def test_a_series_that_is_not_there_is_named(book: BookOfTest) -> None:
    with batch(book) as plan:
        for year in (None, 2026):
            with pytest.raises(CoreError, match="no number series 'receipt'"):
                take_number(plan, "receipt", year)


def test_a_dropped_part_gives_its_number_back(book: BookOfTest) -> None:
    with batch(book) as plan:
        mark = plan.mark()
        assert take_number(plan, "invoice", 2026) == "F2026-000001"
        plan.rollback(mark)
        assert take_number(plan, "invoice", 2026) == "F2026-000001"
        mark = plan.mark()
        assert take_number(plan, "invoice", 2026) == "F2026-000002"
        plan.rollback(mark)
    with batch(book) as plan:
        assert take_number(plan, "invoice", 2026) == "F2026-000002"


class _Crash(Exception):
    pass


def test_concurrent_writers_that_crash_issue_contiguous_numbers(book: BookOfTest) -> None:
    locks, mutex, issued = BookLocks(), threading.Lock(), []

    def issue(number: int) -> None:
        chance = random.Random(number)
        for document in range(12):
            while True:
                taken: list[str] = []

                def work(plan: Plan, document: int = document, taken: list[str] = taken) -> None:
                    taken.append(take_number(plan, "invoice", 2026))
                    post(plan, sale(1000 * number + document))

                def crash() -> None:
                    if chance.random() < 0.3:
                        raise _Crash

                try:
                    run_batch(book, locks, work, crash)
                except _Crash:
                    continue
                break
            with mutex:
                issued.extend(taken)

    in_threads(10, issue)
    assert sorted(issued) == [f"F2026-{number:06d}" for number in range(1, 121)]
    with book.database.read() as connection:
        assert verify_ledger(connection, 1, book.key) == []
        assert connection.execute(sa.text("SELECT count(*) FROM entry")).scalar_one() == 120
