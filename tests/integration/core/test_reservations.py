"""Stock is moved once, promised once, and never more of it than is there."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from booking import DAY, ORDER, batch, in_threads, receive, run_batch
from books import NOW, BookOfTest

from hub.core.errors import CoreError
from hub.core.ledger.book import BookLocks
from hub.core.plan import Plan, PlanConflict, Row
from hub.core.stock.channels import acknowledged, adopt, channel_level, imported
from hub.core.stock.items import add_location, item_by_id, item_by_sku, level, upsert_item
from hub.core.stock.moves import MoveConflict, StockShort, move
from hub.core.stock.reservations import (
    RESERVATIONS,
    ReservationEnded,
    of_order,
    preload_orders,
    replenish,
    reserve,
    resize,
    ship,
    void,
)
from hub.core.stock.tables import RESERVATION
from hub.core.stock.verify import verify_stock

LATER = NOW + 1_000_000


def _reserve(plan: Plan, book: BookOfTest, item: Row, order: int, quantity: int) -> Row:
    return reserve(
        plan,
        item_id=item["id"],
        location_id=book.locations["main"],
        order_id=order,
        order_line_id=order * 10,
        quantity=quantity,
    )


def _level(book: BookOfTest, item: Row, place: str = "main") -> tuple[int, int, int]:
    with book.database.read() as connection:
        row = level(book.plan(connection), item["id"], book.locations[place])
        return row["on_hand"], row["held"], row["waiting"]


def _states(book: BookOfTest, *orders: int) -> list[list[tuple[str, int, int]]]:
    with book.database.read() as connection:
        plan = book.plan(connection)
        preload_orders(plan, orders)
        return [[(row["state"], row["quantity"], row["shipped"]) for row in of_order(plan, order)] for order in orders]


def _verified(book: BookOfTest) -> bool:
    with book.database.read() as connection:
        return verify_stock(connection, 1) == []


def test_goods_move_between_places(book: BookOfTest) -> None:
    item = receive(book, "MUG", 10)
    with batch(book) as plan:
        move(plan, item["id"], "main", "loss", 2, "breakage", "loss:1", DAY)
    assert _level(book, item) == (8, 0, 0)
    assert _level(book, item, "supplier") == (-10, 0, 0)
    assert _level(book, item, "loss") == (2, 0, 0)
    assert _verified(book)


def test_a_move_told_again_is_the_same_move_and_another_one_under_its_ref_a_conflict(book: BookOfTest) -> None:
    item = receive(book, "MUG", 10)
    with batch(book) as plan:
        assert move(plan, item["id"], "supplier", "main", 10, "receipt", "receipt:MUG", DAY).replayed
        with pytest.raises(MoveConflict, match="receipt:MUG is booked as another move"):
            move(plan, item["id"], "supplier", "main", 11, "receipt", "receipt:MUG", DAY)
    assert _level(book, item) == (10, 0, 0)


def test_units_that_are_not_there_or_are_held_do_not_leave(book: BookOfTest) -> None:
    item = receive(book, "MUG", 10)
    with batch(book) as plan:
        _reserve(plan, book, item, 1, 4)
        mark = plan.mark()
        with pytest.raises(StockShort, match="7 of MUG are to leave main, which has 10 and holds 4"):
            move(plan, item["id"], "main", "loss", 7, "breakage", "loss:1", DAY)
        assert plan.mark() == mark, "nothing is planned"
        move(plan, item["id"], "main", "loss", 6, "breakage", "loss:2", DAY)
    assert _level(book, item) == (4, 4, 0)


@pytest.mark.parametrize(
    ("source", "destination", "quantity", "reason"),
    [
        ("supplier", "main", 0, "give a positive number"),
        ("supplier", "main", -1, "give a positive number"),
        ("main", "main", 1, "to itself"),
        ("moon", "main", 1, "no location 'moon'"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused(
    book: BookOfTest, source: str, destination: str, quantity: int, reason: str
) -> None:
    item = receive(book, "MUG", 1)
    with batch(book) as plan, pytest.raises(CoreError, match=reason):
        move(plan, item["id"], source, destination, quantity, "x", "x", DAY)


def test_a_line_is_held_when_all_of_it_is_there_else_it_waits_as_a_whole(book: BookOfTest) -> None:
    item = receive(book, "MUG", 5)
    with batch(book) as plan:
        assert _reserve(plan, book, item, 1, 3)["state"] == "held"
        assert _reserve(plan, book, item, 2, 3)["state"] == "waiting"
        assert _reserve(plan, book, item, 3, 2)["state"] == "held"
        event = plan.events[-1]
    assert (event.name, event.subject) == ("stock.changed", f"item:{item['id']}")
    assert event.record == {
        "item_id": item["id"],
        "sku": "MUG",
        "location": "main",
        "on_hand": 5,
        "held": 5,
        "waiting": 3,
        "available": -3,
    }
    assert _level(book, item) == (5, 5, 3)
    assert _states(book, 1, 2, 3, 4) == [[("held", 3, 0)], [("waiting", 3, 0)], [("held", 2, 0)], []]
    assert _verified(book)


def test_a_shipment_posts_the_reservation_part_by_part(book: BookOfTest) -> None:
    item = receive(book, "MUG", 5)
    with batch(book) as plan:
        held = _reserve(plan, book, item, 1, 3)
        ship(plan, held, 1, "ship:1", DAY)
    assert _level(book, item) == (4, 2, 0)
    assert _states(book, 1) == [[("held", 3, 1)]]
    with batch(book) as plan:
        (held,) = of_order(plan, 1)
        assert ship(plan, held, 1, "ship:1", DAY).replayed
        with pytest.raises(CoreError, match="held with 2 units left"):
            ship(plan, held, 3, "ship:2", DAY)
        ship(plan, held, 2, "ship:3", DAY)
        assert ship(plan, held, 2, "ship:3", DAY).replayed, "also after its end"
        with pytest.raises(ReservationEnded, match="is posted"):
            ship(plan, held, 1, "ship:4", DAY)
        with pytest.raises(ReservationEnded):
            void(plan, held)
    assert _level(book, item) == (2, 0, 0)
    assert _level(book, item, "customer") == (3, 0, 0)
    assert _states(book, 1) == [[("posted", 3, 3)]]
    assert _verified(book)


def test_what_waits_cannot_be_shipped(book: BookOfTest) -> None:
    item = receive(book, "MUG", 1)
    with batch(book) as plan:
        waiting = _reserve(plan, book, item, 1, 2)
        with pytest.raises(CoreError, match="which is waiting"):
            ship(plan, waiting, 1, "ship:1", DAY)


def test_released_units_go_to_those_who_wait_first_come_first(book: BookOfTest) -> None:
    item = receive(book, "MUG", 5)
    with batch(book) as plan:
        first = _reserve(plan, book, item, 1, 5)
    for number, quantity in ((2, 2), (3, 4), (4, 1)):
        with batch(book, LATER + number) as plan:
            assert _reserve(plan, book, item, number, quantity)["state"] == "waiting"
    with batch(book, LATER + 9) as plan:
        found = plan.get(RESERVATIONS, first["id"])
        assert found is not None
        void(plan, found)
        assert [row["order_id"] for row in replenish(plan, item["id"], book.locations["main"])] == [2]
        assert replenish(plan, item["id"], book.locations["main"]) == [], "order 4 does not pass order 3"
    assert _states(book, 1, 2, 3, 4) == [[("voided", 5, 0)], [("held", 2, 0)], [("waiting", 4, 0)], [("waiting", 1, 0)]]
    assert _level(book, item) == (5, 2, 5)
    with batch(book) as plan:
        move(plan, item["id"], "supplier", "main", 10, "receipt", "receipt:2", DAY)
        assert [row["order_id"] for row in replenish(plan, item["id"], book.locations["main"])] == [3, 4]
    assert _level(book, item) == (15, 7, 0)
    assert _verified(book)


def test_one_that_waits_since_this_batch_is_served_in_it(book: BookOfTest) -> None:
    item = receive(book, "MUG", 1)
    with batch(book) as plan:
        _reserve(plan, book, item, 1, 3)
        gone = _reserve(plan, book, item, 2, 2)
        void(plan, gone)
        move(plan, item["id"], "supplier", "main", 4, "receipt", "receipt:2", DAY)
        assert [row["order_id"] for row in replenish(plan, item["id"], book.locations["main"])] == [1]
    assert _level(book, item) == (5, 3, 0)
    assert _states(book, 1, 2) == [[("held", 3, 0)], [("voided", 2, 0)]]
    assert _verified(book)


def test_what_waited_is_served_and_leaves_in_one_batch(book: BookOfTest) -> None:
    item = receive(book, "MUG", 1)
    with batch(book) as plan:
        _reserve(plan, book, item, 1, 3)
    assert _states(book, 1) == [[("waiting", 3, 0)]]

    with batch(book) as plan:
        move(plan, item["id"], "supplier", "main", 2, "receipt", "in:2", DAY)
        [held] = replenish(plan, item["id"], book.locations["main"])
        ship(plan, held, 3, "ship:1", DAY)
    assert _states(book, 1) == [[("posted", 3, 3)]]
    assert _level(book, item) == (0, 0, 0)
    assert _verified(book)


@pytest.mark.parametrize(
    ("quantity", "expected", "after"),
    [
        (3, [("held", 3, 1)], (9, 2, 0)),
        (2, [("voided", 3, 1), ("held", 1, 0)], (9, 1, 0)),
        (1, [("voided", 3, 1)], (9, 0, 0)),
        (5, [("voided", 3, 1), ("held", 4, 0)], (9, 4, 0)),
        (11, [("voided", 3, 1), ("waiting", 10, 0)], (9, 0, 10)),
    ],
)
def test_a_line_changes_its_quantity(
    book: BookOfTest, quantity: int, expected: list[Any], after: tuple[int, int, int]
) -> None:
    item = receive(book, "MUG", 10)
    with batch(book) as plan:
        held = _reserve(plan, book, item, 1, 3)
        ship(plan, held, 1, "ship:1", DAY)
    with batch(book) as plan:
        (held,) = of_order(plan, 1)
        resize(plan, held, quantity)
    assert _states(book, 1) == [expected]
    assert _level(book, item) == after
    assert _verified(book)


def test_a_waiting_line_made_smaller_keeps_its_place_and_made_larger_loses_it(book: BookOfTest) -> None:
    item = receive(book, "MUG", 1)
    for number in (1, 2, 3):
        with batch(book, NOW + number) as plan:
            _reserve(plan, book, item, number, 4)
    with batch(book, NOW + 9) as plan:
        resize(plan, of_order(plan, 1)[0], 3)
        resize(plan, of_order(plan, 2)[0], 5)
    with batch(book, NOW + 10) as plan:
        move(plan, item["id"], "supplier", "main", 20, "receipt", "receipt:2", DAY)
        order = [row["order_id"] for row in replenish(plan, item["id"], book.locations["main"])]
    assert order == [1, 3, 2]


def test_fifty_orders_at_once_for_the_last_ten_units_hold_ten(book: BookOfTest) -> None:
    item = receive(book, "MUG", 10)
    locks = BookLocks()

    def order(number: int) -> None:
        run_batch(book, locks, lambda plan: _reserve(plan, book, item, number + 1, 1), lambda: None)

    in_threads(50, order)
    states = [rows[0][0] for rows in _states(book, *range(1, 51))]
    assert (states.count("held"), states.count("waiting")) == (10, 40)
    assert _level(book, item) == (10, 10, 40)
    assert _verified(book)


def test_without_the_book_an_old_state_never_sells_a_unit_twice(book: BookOfTest) -> None:
    """The guards of the write hold even when nobody takes the book: every plan is made on the same old state."""
    item = receive(book, "MUG", 10)
    book.database.ids.ensure(1000)
    plans = []
    for number in range(1, 13):
        with book.database.read() as connection:
            plan = book.plan(connection)
            assert _reserve(plan, book, item, number, 1)["state"] == "held"
            plans.append(plan)

    def write(number: int) -> bool:
        try:
            with book.database.write() as connection:
                plans[number].write(connection, ORDER)
        except PlanConflict:
            return False
        return True

    assert sorted(in_threads(12, write)) == [False] * 2 + [True] * 10
    assert _level(book, item) == (10, 10, 0)
    assert _verified(book)


def test_shipping_and_voiding_at_once_ends_a_reservation_once(book: BookOfTest) -> None:
    item = receive(book, "MUG", 10)
    with batch(book) as plan:
        held = _reserve(plan, book, item, 1, 2)
    book.database.ids.ensure(1000)
    plans = []
    for number in range(6):
        with book.database.read() as connection:
            plan = book.plan(connection)
            found = plan.get(RESERVATIONS, held["id"])
            assert found is not None
            if number % 2:
                void(plan, found)
            else:
                ship(plan, found, 2, f"ship:{number}", DAY)
            plans.append(plan)

    def write(number: int) -> bool:
        try:
            with book.database.write() as connection:
                plans[number].write(connection, ORDER)
        except (PlanConflict, sa.exc.IntegrityError):
            return False
        return True

    assert sum(in_threads(6, write)) == 1
    assert _states(book, 1) in ([[("voided", 2, 0)]], [[("posted", 2, 2)]])
    assert _verified(book)


@pytest.mark.parametrize(
    ("start", "change"),
    [
        ("held", "state = 'waiting'"),
        ("held", "quantity = 1"),
        ("held", "item_id = item_id + 1"),
        ("held", "shipped = 9"),
        ("held", "state = 'posted', ended_at = 1"),
        ("held", "state = 'lost'"),
        ("held", "ended_at = 1"),
        ("waiting", "state = 'posted', ended_at = 1"),
        ("waiting", "shipped = 1"),
        ("voided", "state = 'held', ended_at = NULL"),
        ("voided", "state = 'posted', shipped = quantity"),
        ("voided", "expires_at = 1"),
        ("posted", "state = 'voided'"),
        ("posted", "state = 'held', ended_at = NULL"),
    ],
)
def test_the_database_refuses_a_step_back(book: BookOfTest, start: str, change: str) -> None:
    item = receive(book, "MUG", 3)
    with batch(book) as plan:
        row = _reserve(plan, book, item, 1, 9 if start == "waiting" else 2)
        if start == "voided":
            void(plan, row)
        if start == "posted":
            ship(plan, row, 2, "ship:1", DAY)
        assert row["state"] == start
    with pytest.raises(sa.exc.IntegrityError), book.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE reservation SET {change}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE move SET quantity = 1",
        "DELETE FROM move",
        "DELETE FROM reservation",
        "INSERT INTO move SELECT * FROM move",
        "UPDATE stock_level SET on_hand = -1 WHERE guarded",
        "UPDATE stock_level SET held = on_hand + 1 WHERE guarded",
        "UPDATE stock_level SET waiting = -1",
    ],
)
def test_the_database_refuses_what_the_stock_may_not_be(book: BookOfTest, statement: str) -> None:
    item = receive(book, "MUG", 3)
    with batch(book) as plan:
        _reserve(plan, book, item, 1, 2)
    with pytest.raises(sa.exc.IntegrityError), book.database.write() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", ["move", "reservation"])
def test_replace_is_refused_on_sqlite(book: BookOfTest, table: str) -> None:
    item = receive(book, "MUG", 3)
    with batch(book) as plan:
        _reserve(plan, book, item, 1, 2)
    with pytest.raises(sa.exc.IntegrityError), book.database.write() as connection:
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("table", ["move", "reservation"])
def test_truncate_is_refused_on_postgresql_to_the_owner_too(book: BookOfTest, owner_url: str, table: str) -> None:
    receive(book, "MUG", 3)
    engine = sa.create_engine(owner_url)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {table} CASCADE")
    engine.dispose()


def test_an_item_is_brought_up_to_date_under_either_key(book: BookOfTest) -> None:
    with batch(book) as plan:
        item = upsert_item(plan, "MUG", "Mug")
        assert upsert_item(plan, "MUG", "Mug bleu") is item
    with batch(book) as plan:
        again = upsert_item(plan, "MUG", "Mug rouge", tracked=False)
        assert again["id"] == item["id"]
        found = item_by_sku(plan, "MUG")
        assert found is not None
        assert (found["title"], found["tracked"]) == ("Mug rouge", False)
    with batch(book) as plan:
        found = item_by_sku(plan, "MUG")
        assert found is not None
        assert (found["title"], found["tracked"]) == ("Mug rouge", False)
        assert item_by_sku(plan, "CUP") is None


def test_an_item_is_one_row_whichever_key_found_it(book: BookOfTest) -> None:
    item = receive(book, "MUG", 1)
    with batch(book) as plan:
        seen = item_by_id(plan, item["id"])
        upsert_item(plan, "MUG", "Mug vert")
        assert seen["title"] == "Mug vert"
        assert item_by_sku(plan, "MUG") is seen


def test_a_location_is_added_once(book: BookOfTest) -> None:
    item = receive(book, "MUG", 3)
    with batch(book) as plan:
        place = add_location(plan, "quarantine", "quarantine")
        move(plan, item["id"], "main", "quarantine", 2, "inspection", "q:1", DAY)
        with pytest.raises(StockShort):
            move(plan, item["id"], "quarantine", "main", 3, "inspection", "q:2", DAY)
    with batch(book) as plan:
        assert add_location(plan, "quarantine", "quarantine")["id"] == place["id"]
    assert _verified(book)


def test_what_a_channel_believes_moves_with_its_orders_once_it_was_adopted(book: BookOfTest) -> None:
    item = receive(book, "MUG", 3)
    with batch(book) as plan:
        imported(plan, 5, item["id"], -1)
        assert channel_level(plan, 5, item["id"])["expected"] is None
        adopt(plan, 5, item["id"], 3, item_ref="gid://1", location_ref="gid://2")
        imported(plan, 5, item["id"], -1)
    with batch(book) as plan:
        imported(plan, 5, item["id"], -1)
        row = channel_level(plan, 5, item["id"])
        assert (row["expected"], row["acknowledged"], row["item_ref"]) == (1, 3, "gid://1")
        acknowledged(plan, 5, item["id"], 7)
        imported(plan, 5, item["id"], 1)
    with batch(book) as plan:
        row = channel_level(plan, 5, item["id"])
        assert (row["expected"], row["acknowledged"]) == (8, 7)


def test_a_dropped_part_leaves_the_stock_as_it_was(book: BookOfTest) -> None:
    item = receive(book, "MUG", 5)
    with batch(book) as plan:
        kept = _reserve(plan, book, item, 1, 1)
        mark, events = plan.mark(), len(plan.events)
        _reserve(plan, book, item, 2, 4)
        _reserve(plan, book, item, 3, 4)
        ship(plan, kept, 1, "ship:1", DAY)
        move(plan, item["id"], "supplier", "main", 10, "receipt", "receipt:2", DAY)
        replenish(plan, item["id"], book.locations["main"])
        plan.rollback(mark)
        assert len(plan.events) == events
        assert len(plan.planned(RESERVATION)) == 1
        assert of_order(plan, 2) == []
    assert _level(book, item) == (5, 1, 0)
    assert _states(book, 1, 2, 3) == [[("held", 1, 0)], [], []]
    assert _verified(book)
