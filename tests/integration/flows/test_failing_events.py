"""An event that makes the hub itself fail becomes a question of its own, and holds up neither its batch nor other merchants."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from lab_hub import Lab
from lab_orders import ORDER, ORDERS, order
from sqlalchemy.exc import OperationalError

from hub.core.sales.tables import DOCUMENT, SALES_ORDER
from hub.core.stock.tables import ITEM
from hub.flows.steps.deliver import Deliver
from hub.flows.tables import Run
from hub.inbox import lanes

RUN = Run.__table__  # type: ignore[attr-defined]
_NONE = "[]"
SHIPMENT = """
mapping: lab/shipment
from: lab.thing
to: shipment
map: {external_id: text(id), order_ref: record.ref, shipped_at: record.at}
"""
SHIPMENTS = """
flow: shipments
on: {role: shop, record: thing}
steps:
  - map: shipment
  - shipment.record:
"""
INVOICES = """
flow: invoices
on: {event: invoice.issued}
steps:
  - deliver: {role: books, operation: invoice.create, key: invoice.number, body: "{'number': invoice.number}"}
"""


@pytest.fixture
def shop(lab: Lab) -> Lab:
    """The lab with its orders, and ten mugs."""
    lab.write(orders=ORDERS, lab__order=ORDER)
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 10})
    lab.work()
    assert lab.questions() == []
    return lab


def tell(lab: Lab, record: Any) -> None:
    lab.receive(record, topic="orders/changed", kind="order")


def test_a_section_that_is_of_no_instant_is_asked_about_with_its_field_and_text(shop: Lab) -> None:
    for number in (1, 2, 3):
        tell(shop, order(number) | ({"at": "24/11/2026 8 h"} if number == 2 else {}))
    assert shop.hub.books.work_once()
    assert [row.state for row in shop.events(kind="webhook")] == ["done", "parked", "done"]
    assert [row.external_id for row in shop.rows(SALES_ORDER)] == ["1", "3"]
    [question] = shop.questions()
    assert (question.kind, question.error_class) == ("record.unreadable", "validation")
    assert "header.placed_at '24/11/2026 8 h' is no instant" in question.reason


#: a field of the mapped order, what its text is taken from, and how the question names it
FIELDS = [
    ("placed_at: at", "placed_at: wrong", "header.placed_at"),
    ("as_of: at\n      name", "as_of: wrong\n      name", "header.as_of"),
    ('as_of: at\n      items: "[line]"', 'as_of: wrong\n      items: "[line]"', "lines.as_of"),
    ("'paid_at': at", "'paid_at': wrong", "payments[p2].paid_at"),
    (
        f'refunds: {{map: {{as_of: at, items: "{_NONE}"}}}}',
        "refunds: {map: {as_of: at, items: \"[{'external_id': 'r' + text(id), 'refunded_at': wrong, 'total': money('1.00', 'EUR')}]\"}}",
        "refunds[r2].refunded_at",
    ),
    (
        f'fulfilments: {{map: {{as_of: at, items: "{_NONE}"}}}}',
        "fulfilments: {map: {as_of: at, items: \"[{'external_id': 'f' + text(id), 'status': 'success', 'shipped_at': wrong}]\"}}",
        "fulfilments[f2].shipped_at",
    ),
    ("placed_at: at", "placed_at: at\n      cancelled_at: wrong", "header.cancelled_at"),
]


@pytest.mark.parametrize(("field", "instead", "named"), FIELDS, ids=[named for _, _, named in FIELDS])
def test_whatever_field_has_no_instant_only_its_own_order_is_parked(
    shop: Lab, field: str, instead: str, named: str
) -> None:
    assert field in ORDER
    text = "2026-13-01T00:00:00Z"
    shop.write(lab__order=ORDER.replace(field, instead.replace("wrong", "default(wrong, at)")))
    for number in (1, 2, 3):
        tell(shop, order(number) | ({"wrong": text} if number == 2 else {}))
    assert shop.hub.books.work_once()
    assert [row.external_id for row in shop.rows(SALES_ORDER)] == ["1", "3"]
    [reason] = [question.reason for question in shop.questions() if question.kind == "record.unreadable"]
    assert f"{named} {text!r}" in reason


def test_a_shipment_of_no_instant_is_asked_about(shop: Lab) -> None:
    tell(shop, order())
    shop.work()
    [booked] = shop.rows(SALES_ORDER)
    shop.write(shipments=SHIPMENTS, lab__shipment=SHIPMENT)
    shop.receive({"id": 1, "ref": booked.ref, "at": "yesterday"})
    shop.work()
    [question] = shop.questions()
    assert (question.kind, "shipped_at 'yesterday'" in question.reason) == ("record.unreadable", True)


def test_a_step_that_fails_parks_its_event_and_the_others_of_the_batch_go_on(
    shop: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hub.flows.steps import order_sync

    real = order_sync.sync

    def sync(plan: Any, found: Any, **more: Any) -> Any:
        result = real(plan, found, **more)
        if found.external_id == "2":
            raise ZeroDivisionError("a bug of ours, of ada@example.org")
        return result

    monkeypatch.setattr(order_sync, "sync", sync)
    for number in (1, 2, 3):
        tell(shop, order(number))
    assert shop.hub.books.work_once()
    assert [row.state for row in shop.events(kind="webhook")] == ["done", "parked", "done"]
    assert [row.external_id for row in shop.rows(SALES_ORDER)] == ["1", "3"], "what it had planned is dropped"
    assert len(shop.rows(DOCUMENT)) == 2
    [question] = shop.questions()
    assert (question.kind, question.error_class) == ("step.failed", "crash")
    assert "ZeroDivisionError: a bug of ours, of <email>" in question.reason
    [run] = shop.rows(RUN, state="parked")
    assert run.event_seq == question.event_seq


def test_a_subscriber_whose_step_fails_parks_its_own_run_while_the_books_commit(
    shop: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("a bug of ours")

    monkeypatch.setattr(Deliver, "run", fail)
    monkeypatch.setattr(Deliver, "rehearse", fail)
    shop.write(invoices=INVOICES)
    tell(shop, order())
    assert shop.hub.books.work_once()
    assert len(shop.rows(DOCUMENT)) == 1
    assert [row.state for row in shop.events(kind="webhook")] == ["done"]
    assert [run.trigger for run in shop.rows(RUN, flow="invoices", state="parked")] == ["invoice.issued"]


def test_a_number_that_no_column_holds_parks_its_event_and_no_other(shop: Lab) -> None:
    for number in (1, 2, 3):
        tell(shop, order(number, quantity=10**25 if number == 2 else 1))
    assert shop.hub.books.work_once()
    assert [row.state for row in shop.events(kind="webhook")] == ["done", "parked", "done"]
    [question] = shop.questions()
    assert question.error_class == "crash"


def test_a_merchant_whose_flows_cannot_be_loaded_keeps_no_other_waiting(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.open_merchant(2)
    real = lab.hub.books._active

    def active(merchant_id: int) -> Any:
        if merchant_id == 1:
            raise LookupError("its settings are torn")
        return real(merchant_id)

    monkeypatch.setattr(lab.hub.books, "_active", active)
    lab.trigger("items", {"sku": "A", "title": "A"}, merchant_id=1)
    lab.trigger("items", {"sku": "B", "title": "B"}, merchant_id=2)
    assert lab.hub.books.work_once()
    assert [row.merchant_id for row in lab.rows(ITEM)] == [2]
    with pytest.raises(LookupError):
        lab.hub.books.work_once()
    monkeypatch.setattr(lab.hub.books, "_active", real)
    lab.hub.books.work_once()
    assert sorted(row.sku for row in lab.rows(ITEM)) == ["A", "B"]
    with lab.database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM inbox WHERE claims > 0")).scalar_one() == 0


def test_a_hub_stops_as_a_whole_though_its_database_is_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("x", {}, Exception("the server is gone"))

    monkeypatch.setattr(lanes, "release", away)
    lab.hub.start()
    lab.hub.stop()
    assert not lab.hub.intake.alive, "what comes after the books was stopped too"
