"""Lets orders that waited for goods go on when some came in or were released."""

from __future__ import annotations

from hub.core.ledger.book import book_of
from hub.core.ledger.rules import load_rules
from hub.core.plan import Plan, Row
from hub.core.sales.context import Policy, Work, open_questions, questions_text
from hub.core.sales.goods import waiting_lines
from hub.core.sales.release import announce_order
from hub.core.sales.snapshot import line_states
from hub.core.sales.sources import order_by_id
from hub.core.stock.items import location
from hub.core.stock.reservations import replenish
from hub.core.time import local_date


def replenish_orders(plan: Plan, item_id: int, place: str | int) -> list[int]:
    """Gives free units of an item at a location (code or id) to the orders that wait for them, first come first. Orders
    that have all their goods now go to the warehouse. Answers the ids of the orders that got units."""
    here = location(plan, place)
    served = dict.fromkeys(row["order_id"] for row in replenish(plan, item_id, here["id"]))
    for order_id in served:
        order = order_by_id(plan, order_id)
        if order is not None:
            _go_on(plan, order, here["code"])
    return list(served)


def _go_on(plan: Plan, order: Row, place: str) -> None:
    book = book_of(plan)
    zone = book["zone"]
    work = Work(plan, order, load_rules(book["chart"]), Policy(reserve_at=place), zone, local_date(plan.now, zone))
    work.lines = line_states(plan, order)
    questions = open_questions(order)
    if "stock.short" in questions and not waiting_lines(work):
        plan.emit("question.resolved", work.subject, {"kind": "stock.short"})
        del questions["stock.short"]
        work.set(questions=questions_text(questions))
    if order["released_at"] is None and order["state"] == "open":
        announce_order(work)
