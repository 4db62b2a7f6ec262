"""Entries are booked once, whole or not at all."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from booking import DAY, ORDER, batch, book_sales, in_threads, run_batch, sale
from books import BookOfTest

from hub.core.errors import CoreError
from hub.core.ledger.book import ACCOUNTS, BookLocks, book_of, lock_book
from hub.core.ledger.posting import (
    AlreadyReversed,
    BalanceTooLow,
    EntryDraft,
    Posting,
    RefConflict,
    Unbalanced,
    UnknownAccount,
    post,
    reverse,
)
from hub.core.ledger.setup import add_account, close_through
from hub.core.ledger.tables import BALANCE, ENTRY, POSTING
from hub.core.ledger.verify import verify_ledger
from hub.core.plan import PlanConflict
from hub.db.engine import Database


def _balances(book: BookOfTest) -> dict[str, int]:
    with book.database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT code, amount FROM account JOIN balance ON balance.id = account.id WHERE amount <> 0")
        )
        return {code: amount for code, amount in rows}


def _count(book: BookOfTest, table: str) -> int:
    with book.database.read() as connection:
        found: int = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
        return found


def _draft(*postings: Posting, ref: str = "x", **values: Any) -> EntryDraft:
    return EntryDraft(ref=ref, journal="OD", kind="other", label="", effective_date=DAY, postings=postings, **values)


def test_an_entry_is_booked_with_its_postings_and_balances(book: BookOfTest) -> None:
    posted = book_sales(book, 2)
    assert [(found.seq, found.replayed) for found in posted] == [(1, False), (2, False)]
    assert _balances(book) == {"411900": 2400, "707100": -2000, "445711": -400}
    with book.database.read() as connection:
        entry = connection.execute(sa.select(ENTRY).where(ENTRY.c.seq == 2)).mappings().one()
        assert entry["ref"] == "sale:2:1"
        assert entry["effective_date"] == DAY
        assert entry["prev_hash"] == connection.execute(sa.select(ENTRY.c.hash).where(ENTRY.c.seq == 1)).scalar_one()
        lines = connection.execute(
            sa.select(POSTING.c.line, POSTING.c.amount, POSTING.c.party_id, POSTING.c.vat_code)
            .where(POSTING.c.entry_id == entry["id"])
            .order_by(POSTING.c.line)
        ).all()
        assert lines == [(1, 1200, 7002, None), (2, -1000, None, "FR-20"), (3, -200, None, "FR-20")]
        assert verify_ledger(connection, 1, book.key) == []


def test_the_same_fact_is_booked_once_in_one_batch_and_in_the_next(book: BookOfTest) -> None:
    with batch(book) as plan:
        first = post(plan, sale(1))
        again = post(plan, sale(1))
    assert (again.entry_id, again.seq, again.replayed) == (first.entry_id, first.seq, True)
    with batch(book) as plan:
        later = post(plan, sale(1))
    assert (later.entry_id, later.seq, later.replayed) == (first.entry_id, 1, True)
    assert _count(book, "entry") == 1
    assert _balances(book)["411900"] == 1200


def test_the_same_ref_with_another_content_is_a_conflict(book: BookOfTest) -> None:
    book_sales(book, 1)
    with batch(book) as plan, pytest.raises(RefConflict, match="sale:1:1 is booked as entry 1 with another content"):
        post(plan, sale(1, gross=1800))
    assert _count(book, "entry") == 1


@pytest.mark.parametrize(
    "postings",
    [
        (),
        (Posting("411900", 100, "EUR"),),
        (Posting("411900", 100, "EUR"), Posting("707100", -99, "EUR")),
        (Posting("411900", 100, "EUR"), Posting("707100", -100, "EUR"), Posting("445711", 0, "EUR")),
        (Posting("411900", 100, "EUR"), Posting("707100", -100, "USD")),
    ],
)
def test_postings_that_are_no_entry_are_refused(book: BookOfTest, postings: tuple[Posting, ...]) -> None:
    with batch(book) as plan:
        mark = plan.mark()
        with pytest.raises(Unbalanced):
            post(plan, _draft(*postings))
        assert plan.mark() == mark, "nothing is planned"


def test_an_account_that_the_book_has_not_is_named(book: BookOfTest) -> None:
    with batch(book) as plan:
        with pytest.raises(UnknownAccount, match="no account 999999 in EUR"):
            post(plan, _draft(Posting("999999", 1, "EUR"), Posting("707100", -1, "EUR")))
        with pytest.raises(UnknownAccount, match="no account 411900 in USD"):
            post(plan, _draft(Posting("411900", 1, "USD"), Posting("707100", -1, "USD")))
        assert plan.planned(ENTRY) == []


def test_an_account_can_be_opened_and_used_in_the_same_batch(book: BookOfTest) -> None:
    with batch(book) as plan:
        for code in ("411900", "707100"):
            add_account(plan, code, "Clients (USD)", currency="USD")
        post(plan, _draft(Posting("411900", 5, "USD"), Posting("707100", -5, "USD"), ref="usd:1"))
        assert add_account(plan, "411900", "Clients (USD)", currency="USD")["amount"] == 5
    with batch(book) as plan:
        account = plan.get(ACCOUNTS, ("411900", "USD"))
        assert account is not None
        assert account["amount"] == 5
        post(plan, _draft(Posting("411900", 2, "USD"), Posting("707100", -2, "USD"), ref="usd:2"))
    with book.database.read() as connection:
        assert verify_ledger(connection, 1, book.key) == []


def test_an_entry_is_reversed_once(book: BookOfTest) -> None:
    first = book_sales(book, 1)[0]
    with batch(book) as plan:
        done = reverse(plan, first.entry_id, ref="undo:1", label="Annulation", effective_date=DAY)
        again = reverse(plan, first.entry_id, ref="undo:1", label="Annulation", effective_date=DAY)
        assert (again.entry_id, again.replayed) == (done.entry_id, True)
        with pytest.raises(AlreadyReversed, match="reversed by undo:1"):
            reverse(plan, first.entry_id, ref="undo:2", label="Annulation", effective_date=DAY)
    with batch(book) as plan, pytest.raises(AlreadyReversed):
        reverse(plan, first.entry_id, ref="undo:3", label="Annulation", effective_date=DAY)
    assert _balances(book) == {}


def test_a_fact_of_a_closed_period_is_booked_on_the_first_open_day_with_its_date(book: BookOfTest) -> None:
    with batch(book) as plan:
        close_through(plan, date(2026, 10, 31))
    late = sale(1, day=date(2026, 10, 15))
    with batch(book) as plan:
        first = post(plan, late)
        post(plan, sale(2, day=date(2026, 11, 2)))
    with batch(book) as plan:
        assert post(plan, late).entry_id == first.entry_id
        close_through(plan, date(2026, 11, 30))
        assert post(plan, late).replayed, "closing another period does not make it another fact"
        with pytest.raises(CoreError, match="closed through 2026-11-30"):
            close_through(plan, date(2026, 10, 31))
    with book.database.read() as connection:
        dates = connection.execute(sa.select(ENTRY.c.effective_date, ENTRY.c.origin_date).order_by(ENTRY.c.seq)).all()
        assert dates == [(date(2026, 11, 1), date(2026, 10, 15)), (date(2026, 11, 2), None)]
        assert verify_ledger(connection, 1, book.key) == []


def test_a_day_of_origin_given_by_the_caller_is_kept(book: BookOfTest) -> None:
    draft = _draft(Posting("411900", 5, "EUR"), Posting("707100", -5, "EUR"), ref="late", origin_date=date(2026, 10, 3))
    with batch(book) as plan:
        post(plan, draft)
    with batch(book) as plan:
        assert post(plan, draft).replayed
    with book.database.read() as connection:
        dates = connection.execute(sa.select(ENTRY.c.effective_date, ENTRY.c.origin_date)).one()
        assert dates == (DAY, date(2026, 10, 3))
        assert verify_ledger(connection, 1, book.key) == []


def test_a_floor_is_held_by_the_plan(book: BookOfTest) -> None:
    with batch(book) as plan:
        add_account(plan, "419800", "Avoirs plafonnés", min_balance=-100)
        post(plan, _draft(Posting("411900", 60, "EUR"), Posting("419800", -60, "EUR"), ref="a"))
        with pytest.raises(BalanceTooLow, match="419800 has -60 and would fall below -100"):
            post(plan, _draft(Posting("411900", 60, "EUR"), Posting("419800", -60, "EUR"), ref="b"))
        post(plan, _draft(Posting("411900", 40, "EUR"), Posting("419800", -40, "EUR"), ref="c"))
    assert _balances(book)["419800"] == -100


def test_a_floor_is_held_by_the_write_when_the_state_read_was_old(book: BookOfTest) -> None:
    with batch(book) as plan:
        add_account(plan, "419800", "Avoirs plafonnés", min_balance=-100)
    draft = _draft(Posting("411900", 60, "EUR"), Posting("419800", -60, "EUR"), ref="a")
    with book.database.read() as connection:
        old = book.plan(connection)
        post(old, draft)
    with batch(book) as plan:
        account = plan.get(ACCOUNTS, ("419800", "EUR"))
        assert account is not None
        plan.increment(BALANCE, account, amount=-60)
    with (
        pytest.raises(PlanConflict, match="balance: 1 rows were to change, the database changed 0"),
        book.database.write() as connection,
    ):
        old.write(connection, ORDER)
    assert _count(book, "entry") == 0


def test_two_plans_on_the_same_state_cannot_both_be_written(book: BookOfTest) -> None:
    book.database.ids.ensure(100)
    plans = []
    for number in (1, 2):
        with book.database.read() as connection:
            plan = book.plan(connection)
            post(plan, sale(number))
            plans.append(plan)
    with book.database.write() as connection:
        plans[0].write(connection, ORDER)
    with pytest.raises(sa.exc.IntegrityError), book.database.write() as connection:
        plans[1].write(connection, ORDER)
    assert _count(book, "entry") == 1


def test_a_dropped_part_leaves_no_gap_in_the_chain(book: BookOfTest) -> None:
    with batch(book) as plan:
        post(plan, sale(1))
        mark = plan.mark()
        post(plan, sale(2))
        plan.rollback(mark)
        assert post(plan, sale(3)).seq == 2
        assert book_of(plan)["next_seq"] == 3
    with book.database.read() as connection:
        assert verify_ledger(connection, 1, book.key) == []
    assert _balances(book)["411900"] == 2400


def test_twenty_deliveries_of_each_fact_at_once_make_one_entry(book: BookOfTest) -> None:
    locks, facts = BookLocks(), 10

    def deliver(number: int) -> list[int]:
        entries: list[int] = []
        for fact in range(facts):
            run_batch(
                book,
                locks,
                lambda plan, fact=fact: entries.append(post(plan, sale(1 + (fact + number) % facts)).entry_id),  # type: ignore[misc]
                lambda: None,
            )
        return sorted(entries)

    answers = in_threads(20, deliver)
    assert _count(book, "entry") == facts
    assert all(answer == answers[0] for answer in answers)
    with book.database.read() as connection:
        assert verify_ledger(connection, 1, book.key) == []


def test_a_process_killed_at_any_statement_leaves_all_of_a_batch_or_nothing(book: BookOfTest) -> None:
    before = _balances(book)
    url = book.database.engine.url.render_as_string(hide_password=False)
    killed = 0
    for deadline in range(1, 60):
        child = os.fork()
        if child == 0:
            _book_until(book, url, deadline)
        _, status = os.waitpid(child, 0)
        with book.database.read() as connection:
            assert verify_ledger(connection, 1, book.key) == []
        if os.WIFEXITED(status):
            break
        killed += 1
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert _balances(book) == before
        assert _count(book, "entry") == 0
    assert killed >= 10
    assert _count(book, "entry") == 2


def _book_until(book: BookOfTest, url: str, deadline: int) -> None:
    """In a child: books two sales and dies at the given statement, by SIGKILL; COMMIT counts as one."""
    database = Database(url)
    statements = 0

    def die(*_: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == deadline:
            os.kill(os.getpid(), signal.SIGKILL)

    database.ids.ensure(500)
    sa.event.listen(database.engine, "before_cursor_execute", die)
    sa.event.listen(database.engine, "commit", die)
    with database.write() as connection:
        lock_book(connection, 1)
        plan = replace(book, database=database).plan(connection)
        post(plan, sale(1))
        post(plan, sale(2))
        plan.write(connection, ORDER)
    os._exit(0)
