"""Numbers that a shop is to show: merged while they wait, computed when they go, never sent where they are right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab_hub import Lab

from hub.core.plan import Plan
from hub.core.stock.items import upsert_item
from hub.core.stock.moves import move
from hub.core.stock.tables import CHANNEL_LEVEL
from hub.core.time import local_date
from hub.flows.batch import WRITE_ORDER
from hub.outbox.outcomes import TELL_AFTER
from hub.outbox.plan import DELIVERY
from hub.outbox.stock_levels import MAX_STALE
from hub.workers.admin import questions


class Shelf:
    """One item at the lab's shop: ten on hand, adopted at ten."""

    def __init__(self, lab: Lab, adopted: int | None = 10) -> None:
        self.lab, self.refs = lab, 0
        lab.system.stock["ref-1"] = 10
        self.item_id = 0
        self._write(lambda plan: setattr(self, "item_id", upsert_item(plan, "MUG", "Mug")["id"]))
        self.receive(10)
        self.key = f"item:{self.item_id}"
        with lab.database.write() as connection:
            connection.execute(
                CHANNEL_LEVEL.insert(),
                [
                    {
                        "id": lab.database.ids.next(),
                        "merchant_id": 1,
                        "connection_id": lab.lab,
                        "item_id": self.item_id,
                        "expected": adopted,
                        "acknowledged": adopted or 0,
                        "adopted_at": lab.clock() if adopted is not None else None,
                        "item_ref": "ref-1",
                        "location_ref": "loc-1",
                    }
                ],
            )

    def _write(self, change: Any) -> None:
        self.lab.database.ids.ensure(100)
        with self.lab.database.write() as connection:
            plan = Plan(1, connection, self.lab.database.ids, self.lab.clock())
            change(plan)
            plan.write(connection, WRITE_ORDER)

    def receive(self, quantity: int) -> None:
        """Goods come in (or go, below 0)."""
        self.refs += 1
        source, destination = ("supplier", "main") if quantity > 0 else ("main", "loss")
        day = local_date(self.lab.clock(), "Europe/Paris")
        self._write(
            lambda plan: move(plan, self.item_id, source, destination, abs(quantity), "receipt", f"r{self.refs}", day)
        )

    def plan(self, **more: Any) -> int | None:
        return self.lab.plan("stock.set", self.key, state=True, **more)

    def sent(self) -> list[tuple[int, int]]:
        """From and to of what was sent."""
        bodies = [json.loads(call.body) for call in self.lab.system.calls if call.method == "POST"]
        return [(body["from"], body["quantity"]) for body in bodies]

    def level(self) -> Any:
        [row] = self.lab.rows(CHANNEL_LEVEL)
        return row


@pytest.fixture
def shelf(lab: Lab) -> Shelf:
    return Shelf(lab)


def test_several_changes_wait_as_one_and_the_number_is_that_of_the_moment(lab: Lab, shelf: Shelf) -> None:
    shelf.receive(5)
    first = shelf.plan()
    shelf.receive(2)
    assert shelf.plan() == first
    lab.send()
    assert shelf.sent() == [(10, 17)]
    assert (shelf.level().expected, shelf.level().acknowledged) == (17, 17)
    shelf.receive(1)
    assert shelf.plan() != first
    lab.send()
    assert shelf.sent() == [(10, 17), (17, 18)]
    assert [row.version for row in lab.deliveries()] == [0, 1]
    assert lab.system.stock["ref-1"] == 18


def test_nothing_is_sent_where_the_number_is_right(lab: Lab, shelf: Shelf) -> None:
    shelf.plan()
    lab.send()
    assert shelf.sent() == []
    assert lab.states() == {shelf.key: "superseded"}


def test_nothing_is_sent_before_the_shops_own_number_was_adopted(lab: Lab) -> None:
    shelf = Shelf(lab, adopted=None)
    shelf.receive(5)
    shelf.plan()
    lab.send()
    assert lab.system.calls == []
    assert lab.states() == {shelf.key: "superseded"}


def test_a_change_during_an_attempt_is_sent_after_it(lab: Lab, shelf: Shelf) -> None:
    """The number of a failed attempt is frozen: a later change needs a delivery of its own."""
    shelf.receive(5)
    shelf.plan()
    lab.system.fault("POST /stock")
    lab.send()
    shelf.receive(1)
    shelf.plan()
    lab.clock.forward(2)
    lab.send()
    assert lab.system.stock["ref-1"] == 16
    assert shelf.sent() == [(10, 15), (10, 15), (15, 16)]


def test_a_change_that_commits_while_the_number_is_on_its_way_is_not_lost(lab: Lab, shelf: Shelf) -> None:
    """The plan saw a delivery that waits; it is sent before the plan is written."""
    shelf.receive(5)
    shelf.plan()

    def sent_and_changed() -> None:
        lab.send()
        shelf.receive(3)

    shelf.plan(before_write=sent_and_changed)
    assert lab.states() == {shelf.key: "planned"}
    lab.send()
    assert shelf.sent() == [(10, 15), (15, 18)]


def test_what_the_shop_sold_meanwhile_stays_counted(lab: Lab, shelf: Shelf) -> None:
    shelf.receive(5)
    shelf.plan()
    lab.system.fault("POST /stock", "drop_after")
    lab.send()
    with lab.database.write() as connection:  # an order of two is imported while nobody knows
        connection.execute(CHANNEL_LEVEL.update().values(expected=CHANNEL_LEVEL.c.expected - 2))
    lab.system.stock["ref-1"] = 15
    lab.clock.forward(2)
    lab.send()
    assert shelf.level().expected == 13
    assert shelf.level().acknowledged == 15


def test_a_stale_number_is_computed_again_once_the_shops_orders_are_in(lab: Lab, shelf: Shelf) -> None:
    asked: list[int] = []
    lab.hub.outbox._import_pending = asked.append
    shelf.receive(5)
    shelf.plan()
    lab.system.stock["ref-1"] = 8  # the shop sold two
    lab.send()
    assert asked == [lab.lab]
    with lab.database.write() as connection:
        connection.execute(CHANNEL_LEVEL.update().values(expected=8))
    lab.clock.forward(2)
    lab.send()
    assert shelf.sent() == [(10, 15), (8, 15)]
    assert lab.states() == {shelf.key: "confirmed"}
    assert lab.questions() == []


def test_a_number_computed_again_did_not_arrive_though_the_shop_shows_it_by_chance(lab: Lab, shelf: Shelf) -> None:
    """An earlier number may have arrived; the one that takes its place was never sent."""
    shelf.receive(5)
    shelf.plan()
    [planned] = lab.deliveries()
    lab.set(DELIVERY, planned.id, maybe_sent=True, state="retry")
    lab.system.stock["ref-1"] = 8  # the shop sold two
    lab.send()
    with lab.database.write() as connection:
        connection.execute(CHANNEL_LEVEL.update().values(expected=8))
    lab.system.stock["ref-1"] = 15  # as many as we want to push, and not by us
    lab.clock.forward(2)
    lab.send()
    assert lab.states() == {shelf.key: "retry"}
    assert shelf.level().expected == 8


def test_nobody_is_asked_while_the_shops_orders_may_be_on_their_way(lab: Lab, shelf: Shelf) -> None:
    """The poll that a stale answer asked for is lost when the hub is killed; what it found may not be worked yet."""
    lab.system.pages["0"] = {"items": [], "cursor": "1", "more": False}
    lab.hub.poller.poll(1, lab.lab, "order")
    lab.clock.forward(60)
    lab.hub.outbox._import_pending = lambda _connection_id: None
    shelf.receive(5)
    shelf.plan()
    lab.system.stock["ref-1"] = 8  # the shop sold two
    for _ in range(3 * MAX_STALE):
        lab.send()
        lab.clock.forward(2)
    assert lab.questions() == []
    assert lab.states() == {shelf.key: "retry"}
    lab.system.pages["1"] = {"items": [], "cursor": "2", "more": False}
    for _ in range(MAX_STALE):
        lab.hub.poller.poll(1, lab.lab, "order")
        lab.clock.forward(2)
        lab.send()
        lab.system.pages["2"] = lab.system.pages["1"]
    assert [question.kind for question in lab.questions()] == ["stock.drift"]


def test_nobody_is_asked_when_the_orders_came_in_while_the_number_was_on_its_way(lab: Lab, shelf: Shelf) -> None:
    shelf.receive(5)
    shelf.plan()
    lab.system.stock["ref-1"] = 8  # the shop sold two
    for _ in range(MAX_STALE - 1):
        lab.send()
        lab.clock.forward(2)
    outbox = lab.hub.outbox
    outbox.step()
    outbox._pool.shutdown(wait=True)  # it was answered
    with lab.database.write() as connection:  # the order of two is imported before the answer is written down
        connection.execute(CHANNEL_LEVEL.update().values(expected=8))
    outbox.step()
    assert lab.questions() == []
    assert lab.states() == {shelf.key: "retry"}


def test_a_check_that_failed_often_and_then_finds_the_right_number_asks_nobody_any_more(lab: Lab, shelf: Shelf) -> None:
    lab.plan("stock.check", shelf.key, state=True)
    lab.system.fault("GET /stock", times=3 * TELL_AFTER)
    while not lab.questions():
        lab.send()
        lab.clock.forward(4_000)
    lab.system.faults.clear()
    lab.send()
    assert lab.states() == {shelf.key: "superseded"}
    assert lab.questions() == []


def _drift(lab: Lab, shelf: Shelf) -> Any:
    shelf.receive(5)
    shelf.plan()
    lab.system.stock["ref-1"] = 7
    for _ in range(MAX_STALE):
        lab.send()
        lab.clock.forward(2)
    lab.send()
    [question] = lab.questions()
    assert question.kind == "stock.drift"
    assert json.loads(question.details)["expected"] == 10
    assert json.loads(question.details)["found"] == 7
    assert lab.states() == {shelf.key: "waiting"}
    shelf.receive(1)
    shelf.plan()  # later changes wait for the person too
    lab.send()
    assert len(lab.deliveries()) == 1
    return question


def test_a_number_that_nothing_explains_is_asked_about_and_ours_is_pushed(lab: Lab, shelf: Shelf) -> None:
    question = _drift(lab, shelf)
    assert lab.system.stock["ref-1"] == 7, "nothing was pushed"
    questions.answer(lab.hub, question.id, "push")
    lab.send()
    assert lab.system.stock["ref-1"] == 16
    assert lab.questions() == []
    assert shelf.sent()[-1] == (7, 16)


def test_a_number_that_nothing_explains_is_adopted_as_an_inventory_move(lab: Lab, shelf: Shelf) -> None:
    question = _drift(lab, shelf)
    questions.answer(lab.hub, question.id, "adopt")
    lab.send()
    assert lab.system.stock["ref-1"] == 13, "three are gone of sixteen"
    assert shelf.sent()[-1] == (7, 13)


def _imported(lab: Lab, expected: int) -> None:
    with lab.database.write() as connection:
        connection.execute(CHANNEL_LEVEL.update().values(expected=expected))
    lab.hub.outbox.sweep()
    lab.clock.forward(2)
    lab.send()


def test_orders_that_come_in_later_and_explain_the_number_close_the_question(lab: Lab, shelf: Shelf) -> None:
    _drift(lab, shelf)
    _imported(lab, 7)
    assert lab.questions() == []
    assert shelf.sent()[-1] == (7, 16)


def test_orders_that_do_not_explain_it_bring_the_question_up_to_date_and_nothing_is_pushed(
    lab: Lab, shelf: Shelf
) -> None:
    question = _drift(lab, shelf)
    _imported(lab, 9)
    [still] = lab.questions()
    assert (still.id, json.loads(still.details)["expected"]) == (question.id, 9)
    looked = len(lab.system.calls)
    for _ in range(3):
        _imported(lab, 9)
    assert len(lab.system.calls) == looked, "nothing new, nothing to look at"
    assert lab.states() == {shelf.key: "waiting"}
    assert lab.system.stock["ref-1"] == 7


def test_a_check_that_was_in_question_is_over_when_the_orders_explain_it(lab: Lab, shelf: Shelf) -> None:
    lab.system.stock["ref-1"] = 7
    lab.plan("stock.check", shelf.key, state=True)
    for _ in range(MAX_STALE):
        lab.send()
        lab.clock.forward(2)
    assert [question.kind for question in lab.questions()] == ["stock.drift"]
    _imported(lab, 7)
    assert lab.questions() == []
    assert lab.states() == {shelf.key: "superseded"}


def test_a_number_that_is_right_by_our_reckoning_is_in_question_until_the_shop_shows_it(lab: Lab, shelf: Shelf) -> None:
    _drift(lab, shelf)
    _imported(lab, 16)
    assert [json.loads(question.details)["expected"] for question in lab.questions()] == [16]
    lab.system.stock["ref-1"] = 15
    _imported(lab, 15)
    assert lab.questions() == []
    assert lab.system.stock["ref-1"] == 16


@pytest.mark.parametrize("answer", ["push", "", "adopt"])
def test_a_check_and_a_push_of_one_number_in_question_both_go_on(lab: Lab, shelf: Shelf, answer: str) -> None:
    lab.system.stock["ref-1"] = 7
    lab.plan("stock.check", shelf.key, state=True)
    for _ in range(MAX_STALE):
        lab.send()
        lab.clock.forward(2)
    shelf.receive(1)
    shelf.plan()
    for _ in range(MAX_STALE):
        lab.send()
        lab.clock.forward(2)
    assert [row.state for row in lab.deliveries()] == ["waiting", "waiting"]
    [question] = lab.questions()
    if answer:
        questions.answer(lab.hub, question.id, answer)
        lab.clock.forward(2)
        lab.work()
    else:
        _imported(lab, 7)
    assert lab.questions() == []
    assert lab.system.stock["ref-1"] == {"push": 11, "adopt": 8, "": 11}[answer]


@pytest.mark.parametrize("answer", ["push", "adopt"])
def test_a_check_that_finds_another_number_ends_in_the_right_one_too(lab: Lab, shelf: Shelf, answer: str) -> None:
    lab.hub.reload()
    lab.plan("stock.check", shelf.key, state=True)
    lab.send()
    assert lab.states() == {shelf.key: "superseded"}, "as expected"
    lab.system.stock["ref-1"] = 7
    lab.plan("stock.check", shelf.key, state=True)
    for _ in range(MAX_STALE):
        lab.send()
        lab.clock.forward(2)
    [question] = lab.questions()
    questions.answer(lab.hub, question.id, answer)
    lab.clock.forward(2)
    lab.work()
    assert lab.system.stock["ref-1"] == (10 if answer == "push" else 7)
    assert lab.questions() == []


def test_a_key_that_is_no_item_parks_its_delivery_and_holds_up_no_other(lab: Lab, shelf: Shelf) -> None:
    lab.plan("stock.set", "price-list", state=True)
    lab.plan("message.send", "M1", {"n": 1})
    lab.send()
    assert lab.states() == {"price-list": "rejected", "M1": "confirmed"}
    assert [question.kind for question in lab.questions()] == ["delivery.rejected"]


def test_nobody_is_told_of_the_failures_of_a_check_any_more_once_it_was_made(lab: Lab, shelf: Shelf) -> None:
    lab.system.fault("/stock", times=1_000)
    lab.plan("stock.check", shelf.key, state=True)
    for _ in range(TELL_AFTER):
        lab.send()
        lab.clock.forward(3_600)
    assert [question.kind for question in lab.questions()] == ["delivery.failing"]
    lab.system.faults.clear()
    lab.send()
    assert set(lab.states().values()) == {"superseded"}
    assert lab.questions() == []
