"""What the core announces fits the canonical records that flows and mappings are written against."""

from __future__ import annotations

import msgspec
from sales_house import House
from sales_shop import Shop

from hub.core.sales.shipments import record_shipment
from hub.flows.triggers import CORE_EVENTS
from hub.records.document import Document, StockLevel
from hub.records.events import EVENTS
from hub.records.order import Shipment, ShipmentLine
from hub.records.schema import fits
from hub.records.structs import canonical


def test_invoices_and_credit_notes_fit_their_record(house: House) -> None:
    house.stock(MUG_01=10)
    shop = Shop()
    line = shop.add("MUG-01", 2, 1000)
    shop.ship_cost(500)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({line.id: 1})
    house.sync(shop.snapshot())

    documents = [*house.told("invoice.issued"), *house.told("credit_note.issued")]

    assert [msgspec.convert(each, Document).kind for each in documents] == ["invoice", "credit_note"]


def test_stock_changes_fit_their_record(house: House) -> None:
    house.stock(MUG_01=10)

    told = [msgspec.convert(each, StockLevel) for each in house.told("stock.changed")]

    assert [(each.sku, each.location, each.available) for each in told] == [("MUG-01", "main", 10)]


def test_every_event_of_an_order_fits_what_flows_are_written_against(house: House) -> None:
    house.stock(MUG_01=10)
    shop = Shop()
    line = shop.add("MUG-01", 2, 1000)
    shop.ship_cost(500)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({line.id: 1})
    house.sync(shop.snapshot())
    shipment = Shipment(
        external_id="77",
        order_ref=house.told("order.ready")[-1]["ref"],
        shipped_at="2026-11-24T12:00:00Z",
        lines=[ShipmentLine(sku="MUG-01", quantity=1)],
    )
    house.work(lambda plan: record_shipment(plan, shipment, 8))
    other = Shop("gid://shop/Order/2")
    other.add("MUG-01", 1, 1000)
    house.sync(other.snapshot())
    other.cancel()
    house.sync(other.snapshot())

    told = {event.name for event in house.events if event.name in EVENTS}
    for event in house.events:
        if event.name in EVENTS:
            msgspec.convert(event.record, EVENTS[event.name])
            type_ = canonical(event.name)
            assert type_ is not None
            assert fits(event.record, type_) == []

    # the outbox tells of deliveries, the watch of alerts
    assert told == set(EVENTS) - {"delivery.confirmed", "alert.raised"}


def test_every_event_that_flows_may_answer_is_described() -> None:
    assert set(EVENTS) == CORE_EVENTS
