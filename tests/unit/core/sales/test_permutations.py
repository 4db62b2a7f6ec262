"""Any order of arrival, with repeats and gaps, ends with the same books and stock, as long as the last snapshot comes."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sales_house import House
from sales_shop import Shop, discount

from hub.core.sales.sync import Policy
from hub.db.engine import Database
from hub.records.order import Order

STORIES = int(os.environ.get("HUB_TEST_STORIES", "40"))
WAYS = 5


def story(rng: random.Random) -> list[Order]:
    """Snapshots of one order's life, in order. It ends paid for, cancelled or given back."""
    shop = Shop(included=rng.random() < 0.5)
    for sku in rng.sample(["MUG-01", "BOOK-01", "TEA-01"], rng.randint(1, 3)):
        rate = "0.055" if sku == "BOOK-01" else "0.2"
        shop.add(sku, rng.randint(1, 4), rng.randint(1, 4000), rate)
    if rng.random() < 0.5:
        discount(shop, rng.randint(1, max(1, sum(line.gross for line in shop.lines) // 3)))
    if rng.random() < 0.7:
        shop.ship_cost(rng.randint(100, 900), rng.choice(["0.2", "0.055"]))
    if rng.random() < 0.2:
        shop.total_override = shop.total + rng.choice([-1, 1])
    snapshots: list[Order] = []

    def tell() -> None:
        snapshots.append(shop.snapshot(payments=rng.random() < 0.7))

    tell()
    if rng.random() < 0.15:
        shop.cancel()
        snapshots.append(shop.snapshot())
        return snapshots
    shop.pay(rng.choice(["shopify_payments", "paypal", "gift_card"]), fee=rng.choice([None, 31]))
    tell()
    for _ in range(rng.randint(0, 5)):
        goods = [line for line in shop.lines if line.kind == "product" and line.current]
        if not goods:
            break
        line = rng.choice(goods)
        what = rng.choice(["refund", "refund", "remove", "add", "send", "adjust"])
        if what == "refund":
            lines = {line.id: rng.randint(1, line.current)}
            shipping = next((s for s in shop.lines if s.kind == "shipping" and not s.back[0]), None)
            if shipping is not None and rng.random() < 0.3:
                lines[shipping.id] = 1
            sent = sum(f.quantity for x in shop.fulfilments for f in x.lines if f.line_id == line.id)
            shop.refund(lines, restock=rng.choice(["no_restock", "return" if sent >= line.quantity else "cancel"]))
        elif what == "remove":
            shop.remove(line.id, rng.randint(1, line.current))
            if shop.paid > shop.current_total and rng.random() < 0.5:
                shop.give_money_back(shop.paid - shop.current_total)
        elif what == "add":
            shop.tick()
            shop.add(rng.choice(["MUG-01", "BOOK-01"]), rng.randint(1, 2), rng.randint(1, 3000), "0.2")
            if shop.total_override is not None:
                shop.total_override += sum((shop.net(shop.lines[-1]), shop.lines[-1].tax))
            tell()
            if shop.outstanding > 0:
                shop.pay()
        elif what == "send":
            sent = {x.line_id: 0 for x in ()}
            for fulfilment in shop.fulfilments:
                for part in fulfilment.lines:
                    sent[part.line_id] = sent.get(part.line_id, 0) + part.quantity
            if not shop.refunds and line.current - sent.get(line.id, 0) > 0:
                shop.send({line.id: line.current - sent.get(line.id, 0)})
        elif shop.current_total > 50:
            amount = rng.randint(1, shop.current_total // 2)
            named = rng.random() < 0.5
            shop.refund({}, adjustments=(("goodwill", amount, 0),) if named else (), total=None if named else amount)
            tell()
            break  # what lines give back after it is a story of its own
        tell()
    shop.tick()
    if rng.random() < 0.2 and shop.current_total == sum(sum(shop.left(line)) for line in shop.lines):
        left = {line.id: line.current for line in shop.lines if line.kind == "product" and line.current}
        left |= {line.id: 1 for line in shop.lines if line.kind == "shipping" and not line.back[0]}
        if left:
            shop.refund(left, restock="cancel" if not shop.fulfilments else "no_restock")
            shop.cancelled_at = shop.now()
    snapshots.append(shop.snapshot())
    return snapshots


def seen(house: House) -> dict[str, Any]:
    return {
        "balances": house.balances(),
        "vat": house.vat(),
        "levels": house.levels(),
        "channel": house.channel(),
        "net": house.net(),
        "customer": house.rows(
            "SELECT i.sku, l.on_hand FROM stock_level l JOIN item i ON i.id = l.item_id JOIN location p ON "
            "p.id = l.location_id WHERE p.code = 'customer' AND l.on_hand <> 0 ORDER BY 1"
        ),
    }


@pytest.fixture
def make_house(sqlite_template: Path, tmp_path: Path, open_book_in: Callable[[Database], Any]) -> Any:
    prepared = tmp_path / "prepared.db"
    shutil.copy(sqlite_template, prepared)
    database = Database(f"sqlite:///{prepared}")
    book = open_book_in(database)
    House(database, book).stock(MUG_01=50, BOOK_01=50, TEA_01=50)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    made: list[Database] = []

    def make() -> House:
        path = tmp_path / f"{len(made)}.db"
        shutil.copy(prepared, path)
        opened = Database(f"sqlite:///{path}")
        made.append(opened)
        copy = type(book)(opened, book.book_id, book.locations)
        return House(opened, copy)

    yield make
    for opened in made:
        opened.dispose()


def partial(rng: random.Random, snapshot: Order) -> Order:
    """The snapshot, or sections of it only, as other topics and reads bring them."""
    if rng.random() < 0.6:
        return snapshot
    sections = ("header", "lines", "payments", "refunds", "fulfilments")
    return msgspec.structs.replace(snapshot, **{name: None for name in sections if rng.random() < 0.4})


def ways(rng: random.Random, snapshots: list[Order]) -> list[list[Order]]:
    """Ways in which the snapshots may arrive; the last one always does."""
    found = [snapshots, [snapshots[-1]]]
    while len(found) < WAYS:
        some = [snapshot for snapshot in snapshots if rng.random() < 0.7]
        some += [snapshot for snapshot in snapshots if rng.random() < 0.3]
        some = [partial(rng, snapshot) for snapshot in some]
        some.append(snapshots[-1])
        if rng.random() < 0.7:
            rng.shuffle(some)
        found.append(some)
    return found


@pytest.mark.parametrize("policy", ["on_payment", "on_order"])
@pytest.mark.parametrize("seed", range(STORIES))
def test_every_way_of_arriving_ends_in_the_same_state(make_house: Any, seed: int, policy: str) -> None:
    rng = random.Random(seed)
    snapshots = story(rng)
    first: dict[str, Any] | None = None
    for way in ways(rng, snapshots):
        house = make_house()
        house.policy = Policy(invoice=policy, reserve_at="main")  # type: ignore[arg-type]
        for snapshot in way:
            house.sync(snapshot)
        state = seen(house)
        unbalanced = house.rows("SELECT entry_id FROM posting GROUP BY entry_id HAVING sum(amount) <> 0")
        assert unbalanced == []
        last = snapshots[-1].header
        assert last is not None
        if last.financial_status != "PENDING":
            assert state["net"] == last.current_total.amount, house.questions()
        assert not house.questions() & {"order.sums", "refund.exceeds", "order.tax", "tax.unmapped"}
        if first is None:
            first = state
        assert state == first
