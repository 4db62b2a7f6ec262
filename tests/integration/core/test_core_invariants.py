"""Random operations on a real database; after each batch every invariant of ledger and stock holds, and a part that was
refused or dropped has changed nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from booking import DAY, batch, sale
from books import BookOfTest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from postgres_server import APP_ROLE, PostgresServer

from hub.core.errors import CoreError
from hub.core.ledger.numbers import take_number
from hub.core.ledger.posting import post, reverse
from hub.core.ledger.setup import add_account, close_through
from hub.core.ledger.verify import verify_ledger, verify_numbers
from hub.core.plan import Plan
from hub.core.stock.items import level, upsert_item
from hub.core.stock.moves import move
from hub.core.stock.reservations import of_order, replenish, reserve, resize, ship, void
from hub.core.stock.verify import verify_stock
from hub.db.engine import Database

EXAMPLES = 150 if os.environ.get("HUB_TEST_FULL") else 12

small = st.integers(1, 6)
OPERATION = st.one_of(
    st.tuples(st.just("sale"), st.integers(1, 20), st.sampled_from([600, 1200])),
    st.tuples(st.just("reverse"), small, small),
    st.tuples(st.just("close"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("receive"), st.integers(1, 8), st.integers(1, 12)),
    st.tuples(st.just("lose"), st.integers(1, 8), small),
    st.tuples(st.just("reserve"), small, small),
    st.tuples(st.just("ship"), small, small),
    st.tuples(st.just("void"), small, st.just(0)),
    st.tuples(st.just("resize"), small, st.integers(0, 8)),
    st.tuples(st.just("replenish"), st.just(0), st.just(0)),
)
#: operations of one event, and whether the event is dropped at its end
PART = st.tuples(st.lists(OPERATION, min_size=1, max_size=4), st.booleans())
BATCHES = st.lists(st.lists(PART, min_size=1, max_size=6), min_size=1, max_size=5)


class _World:
    """One merchant's book and the operations on it."""

    def __init__(self, book: BookOfTest) -> None:
        self.book = book
        self.main = book.locations["main"]
        self.issued: list[str] = []
        self.entries: list[int] = []
        self.moves = 0
        with batch(book) as plan:
            self.item: int = upsert_item(plan, "MUG", "Mug")["id"]
            add_account(plan, "411999", "Plafond", min_balance=-2000)

    def apply(self, plan: Plan, operation: tuple[str, int, int], taken: list[str], booked: list[int]) -> None:
        what, first, second = operation
        if what == "sale":
            done = post(plan, sale(first, gross=second))
            if not done.replayed:
                booked.append(done.entry_id)
                taken.append(take_number(plan, "invoice", 2026))
        elif what == "reverse" and self.entries:
            entry = self.entries[first % len(self.entries)]
            reverse(plan, entry, ref=f"undo:{entry}:{second}", label="", effective_date=DAY)
        elif what == "close":
            close_through(plan, date(2026, 11, 22) + timedelta(days=first))
        elif what == "receive":
            move(plan, self.item, "supplier", "main", second, "receipt", f"in:{first}", DAY)
        elif what == "lose":
            move(plan, self.item, "main", "loss", second, "loss", f"out:{first}", DAY)
        elif what == "reserve":
            reserve(plan, item_id=self.item, location_id=self.main, order_id=first, order_line_id=1, quantity=second)
        elif what == "replenish":
            replenish(plan, self.item, self.main)
        else:
            rows = of_order(plan, first)
            if rows and what == "ship":
                self.moves += 1
                ship(plan, rows[-1], second, f"ship:{self.moves}", DAY)
            elif rows and what == "void":
                void(plan, rows[-1])
            elif rows and what == "resize":
                resize(plan, rows[-1], second)

    def run(self, parts: list[tuple[list[tuple[str, int, int]], bool]]) -> None:
        with batch(self.book) as plan:
            for operations, dropped in parts:
                mark = plan.mark()
                before = dict(level(plan, self.item, self.main))
                mark = plan.mark()
                taken: list[str] = []
                booked: list[int] = []
                try:
                    for operation in operations:
                        self.apply(plan, operation, taken, booked)
                except CoreError:
                    dropped = True
                if dropped:
                    plan.rollback(mark)
                    assert level(plan, self.item, self.main) == before
                else:
                    self.issued += taken
                    self.entries += booked

    def check(self) -> None:
        with self.book.database.read() as connection:
            assert verify_ledger(connection, 1, self.book.key) == []
            assert verify_stock(connection, 1) == []
            assert verify_numbers(connection, 1, self.issued) == []
            row: dict[str, Any] = dict(level(self.book.plan(connection), self.item, self.main))
            assert 0 <= row["held"] <= row["on_hand"]
            assert row["waiting"] >= 0


Open = Callable[[Database], BookOfTest]


@contextmanager
def _sqlite(template: Path) -> Iterator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="hub-invariants"))
    shutil.copy(template, folder / "hub.db")
    database = Database(f"sqlite:///{folder / 'hub.db'}")
    yield database
    database.dispose()
    shutil.rmtree(folder)


@contextmanager
def _postgres(server: PostgresServer) -> Iterator[Database]:
    server.execute("CREATE DATABASE hub_invariants TEMPLATE hub_template")
    database = Database(server.url("hub_invariants", APP_ROLE))
    yield database
    database.dispose()
    server.execute("DROP DATABASE hub_invariants WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def fresh(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Opens a database for one example."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        return lambda: _sqlite(template)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return lambda: _postgres(server)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=BATCHES)
@example(
    batches=[
        [([("reserve", 1, 1)], False)],
        [([("receive", 1, 1), ("replenish", 0, 0), ("ship", 1, 1)], False)],
    ]
).via("what waits is served and leaves in one batch")
def test_invariants_hold_after_every_batch(fresh: Callable[[], Any], open_book_in: Open, batches: list[Any]) -> None:
    with fresh() as database:
        world = _World(open_book_in(database))
        for parts in batches:
            world.run(parts)
            world.check()
