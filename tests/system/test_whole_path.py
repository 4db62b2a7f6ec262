"""One order through the whole house, on both engines and real sockets: shop, books, warehouse, mail, and back to the shop;
with answers that get lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from world import World, world

from hub.connect.http import httpx
from hub.outbox.plan import DELIVERY
from hub.workers.admin import connections, events, questions, verify

MUG = {"sku": "MUG-01", "title": "Mug", "price": "12.00", "vat": "0.2", "quantity": 5}


def _control(w: World, name: str, path: str, body: Any = None) -> Any:
    answer = httpx.post(f"{w.running[name].url}/_sandbox/{path}", json=body if body is not None else {}, timeout=20)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def _deliveries(w: World) -> list[Any]:
    with w.database.read() as connection:
        return list(connection.execute(sa.select(DELIVERY).order_by(DELIVERY.c.id)).all())


def _work(w: World, rounds: int = 12) -> None:
    """Works until nothing is left; what is in back-off is let go at once."""
    for _ in range(rounds):
        w.hub.run_until_idle()
        with w.database.write() as connection:
            waiting = connection.execute(DELIVERY.update().where(DELIVERY.c.state == "retry").values(next_attempt_at=0))
        if not waiting.rowcount:
            return


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Any:
    with world(tmp_path, [MUG], url=database_url) as made:
        events.trigger(made.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 5}])
        made.hub.run_until_idle()
        connections.adopt_stock(made.hub, "shop")
        yield made


def test_an_order_goes_through_the_whole_house_though_every_system_loses_an_answer(house: World) -> None:
    _control(
        house, "quickbooks", "faults", {"match": "POST *invoice*", "kind": "status_after", "status": 503, "times": 1}
    )
    _control(house, "shipbob", "faults", {"match": "POST *order", "kind": "drop_after", "times": 1})
    _control(
        house, "shopify", "orders",
        {"lines": [{"sku": "MUG-01", "quantity": 2, "price": "12.00"}], "pay": True, "email": "ada@example.org"},
    )  # fmt: skip
    assert events.poll(house.hub, "shop")["found"] == 1
    _work(house)

    states = {(row.operation, row.state) for row in _deliveries(house) if row.state != "superseded"}
    assert {state for _, state in states} == {"confirmed"}, states
    again = {row.operation for row in _deliveries(house) if row.attempts > 1}
    assert {"invoice.create", "order.create"} <= again, "both answers were lost"
    assert questions.listed(house.hub)["items"] == []
    assert verify.verify(house.hub) == {"ok": True, "faults": []}
    stores = httpx.get(f"{house.running['shipbob'].url}/_sandbox/state", timeout=20).json()
    assert len(stores["orders"]) == 1, "the warehouse has the order once"
    sent = [row for row in _deliveries(house) if row.operation == "invoice.create"]
    assert len(sent) == 1

    before = len(_deliveries(house))
    events.poll(house.hub, "shop")
    _work(house)
    assert len(_deliveries(house)) == before, "the same order again changes nothing"


def test_a_mail_whose_answer_is_lost_is_asked_about_and_never_sent_again(house: World) -> None:
    mail = house.running["smtp"].state
    mail.plant("DATA", "drop_after")
    _control(
        house, "shopify", "orders",
        {"lines": [{"sku": "MUG-01", "quantity": 1, "price": "12.00"}], "pay": True, "email": "ada@example.org"},
    )  # fmt: skip
    events.poll(house.hub, "shop")
    _work(house)
    [row] = [row for row in _deliveries(house) if row.operation == "message.send"]
    assert row.state == "uncertain"
    assert [item["kind"] for item in questions.listed(house.hub)["items"]] == ["delivery.uncertain"]
    assert len(mail.messages) == 1
    _work(house)
    assert len(mail.messages) == 1
