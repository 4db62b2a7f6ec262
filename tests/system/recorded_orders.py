"""A hub that recorded orders of every kind: as webhooks, as reads, with a parcel that left the warehouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from order_cases import CASES, PRODUCTS, Shops

from hub.connect.registry import Registry
from hub.db.types import instant_us
from hub.workers.effects import FIRST_ID
from hub.workers.rerun import connect_all
from hub.workers.scratch import MERCHANT_ID, Scratch
from hub.workers.simulate import stand_ins

START = instant_us("2026-11-24T09:00:00+01:00")
MINUTE = 60_000_000


class Clock:
    """A clock that is set by hand."""

    now = START

    def __call__(self) -> int:
        return self.now


def record(folder: Path) -> str:
    """Lets a hub in `folder` receive and work all order cases, a minute apart. Returns the URL of its database."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    # its ids are none that a simulation gives
    hub = Scratch(folder, Registry.discover(), clock, first_id=FIRST_ID // 10)
    try:
        connect_all(hub, stand_ins(None).connections)
        for each in PRODUCTS:
            if each["sku"] != "GONE-01":
                units = 2 if each["sku"] == "SHORT-01" else 500
                hub.receive(hub.manual("items", {"sku": each["sku"], "title": each["title"], "quantity": units}))
        hub.work()
        for made in Shops(Registry.discover()).make_all():
            clock.now += MINUTE
            info = hub.info("shop")
            assert info is not None
            for body in made.webhooks:
                hub.receive(hub.webhook(info, "orders/updated", body))
                hub.work()
            _read(hub, info, made.answers)
        _ship(hub)
    finally:
        hub.close()
    return f"sqlite:///{folder / 'scratch.sqlite'}"


def _read(hub: Scratch, info: Any, answers: list[dict[str, Any]]) -> None:
    """What the hub asked the shop for, and got."""
    hub.unread()
    records = hub.registry.get("shopify").module("records")
    [found] = records.read_file(answers)
    order = found["record"]
    hub.receive(hub.read(info, "order", str(order["legacyResourceId"]), order["updatedAt"]), order)
    hub.work()


def _ship(hub: Scratch) -> None:
    """The warehouse sends the first order that it was given."""
    import sqlalchemy as sa

    from hub.core.sales.tables import SALES_ORDER

    info = hub.info("warehouse")
    assert info is not None
    with hub.database.read() as connection:
        order_id, ref = connection.execute(
            sa.select(SALES_ORDER.c.id, SALES_ORDER.c.ref)
            .where(SALES_ORDER.c.released_at.is_not(None))
            .order_by(SALES_ORDER.c.id)
        ).first() or (0, "")
        lines = [
            {"sku": row.sku, "quantity": row.quantity}
            for row in connection.execute(
                sa.text("SELECT sku, quantity FROM order_line WHERE order_id = :id AND kind = 'product'"),
                {"id": order_id},
            )
        ]
    shipment = {
        "id": 991,
        "reference_id": ref,
        "status": "Completed",
        "last_update_at": "2026-11-24T12:00:00Z",
        "actual_fulfillment_date": "2026-11-24T12:00:00Z",
        "tracking": {
            "carrier": "Colissimo",
            "tracking_number": "6A12345678901",
            "tracking_url": "https://example.org/6A",
        },
        "products": [
            {"reference_id": line["sku"], "sku": line["sku"], "inventory_items": [{"quantity": line["quantity"]}]}
            for line in lines
        ],
    }
    hub.receive(hub.webhook(info, "order.shipped", json.dumps(shipment).encode()))
    hub.work()


__all__ = ["CASES", "MERCHANT_ID", "START", "record"]
