"""A hub with a shop and books that are nothing but HTTP, on each engine; flows and mappings of its own home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from hub.connect import payload
from hub.inbox.receive import Received
from hub.workers.admin import connections, setup
from hub.workers.hub import Hub
from hub.workers.settings import Settings

SHOP_ORDERS = """
flow: shop-orders
on: {role: shop, record: order}
steps:
  - map: {name: order, connector: http}
  - order.sync: {invoice: on_payment, reserve_at: main}
"""
INVOICES = """
flow: invoices-to-books
on: {event: invoice.issued}
steps:
  - deliver:
      role: books
      operation: request
      key: invoice.number
      body: "{'path': '/invoices', 'json': {'number': invoice.number, 'total': number(amount(invoice.total))}}"
"""
TO_WAREHOUSE = """
flow: orders-to-warehouse
on: {event: order.ready}
steps:
  - stop: there is no warehouse
"""
ORDER = """
mapping: http/order
from: http.order
to: order
map:
  external_id: text(id)
  header:
    map:
      as_of: changed_at
      name: "'#' + text(id)"
      placed_at: changed_at
      currency: "'EUR'"
      prices_include_tax: "true"
      financial_status: "'PAID'"
      total: money('12.00', 'EUR')
      total_tax: money('2.00', 'EUR')
      current_total: money('12.00', 'EUR')
      outstanding: money('0', 'EUR')
      party: {map: {external_id: "'7'", name: "'Ada'"}}
      shipping_address: {map: {line1: "'1 rue'", city: "'Paris'", postcode: "'75001'", country: "'FR'"}}
  lines:
    map:
      as_of: changed_at
      items: "[line]"
  payments:
    map:
      as_of: changed_at
      items: "[{'external_id': 'p' + text(id), 'kind': 'payment', 'gateway': 'stripe', 'amount': money('12.00', 'EUR'), 'paid_at': changed_at}]"
  refunds: {map: {as_of: changed_at, items: "[]"}}
  fulfilments: {map: {as_of: changed_at, items: "[]"}}
let:
  line: >-
    {'external_id': '1', 'sku': sku, 'variant_id': variant, 'title': 'Mug', 'quantity': 1, 'current_quantity': 1,
    'unit_price': money('12.00', 'EUR'), 'gross': money('12.00', 'EUR'), 'requires_shipping': true,
    'taxes': [{'title': 'TVA', 'rate': number('0.2'), 'amount': money('2.00', 'EUR')}]}
"""


@dataclass
class Desk:
    """The hub and what the tests do with it."""

    hub: Hub
    home: Path
    ids: dict[str, int]

    def receive(self, record: dict[str, Any], *, topic: str = "event") -> None:
        """An event of the shop, worked at once."""
        self.hub.intake.receive(
            [
                Received(
                    merchant_id=1,
                    connection_id=self.ids["shop"],
                    kind="webhook",
                    topic=topic,
                    record="order",
                    record_id=str(record.get("id", "")),
                    ordering_key=f"{self.ids['shop']}:order:{record.get('id', '')}",
                    lanes=64,
                    body=payload.encode(record),
                )
            ]
        )
        self.work()

    def order(self, number: int = 1001, sku: str | None = "MUG-01", **more: Any) -> None:
        """A paid order of one unit."""
        stamp = "2026-11-24T09:00:00+01:00"
        self.receive({"id": number, "sku": sku, "variant": "v1", "changed_at": stamp, **more})

    def work(self) -> None:
        self.hub.run_until_idle()

    def write(self, file: str, text: str) -> None:
        """Writes a file of the home and loads flows again."""
        path = self.home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        self.hub.reload()


@pytest.fixture
def desk(database_url: str, tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A hub whose connections `shop` and `books` are live."""
    for name in ("HOME", "SECRET_KEY", "DATABASE_URL", "DATABASE_ADMIN_URL", "PUBLIC_URL"):
        monkeypatch.delenv(f"HUB_{name}", raising=False)
    home = tmp_path / "home"
    settings = Settings(home=home, database_url=database_url)
    setup.init(settings)
    for file, text in (
        ("flows/shop-orders.yaml", SHOP_ORDERS),
        ("flows/invoices-to-books.yaml", INVOICES),
        ("flows/orders-to-warehouse.yaml", TO_WAREHOUSE),
        ("mappings/http/order.yaml", ORDER),
    ):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text(text, "utf-8")
    hub = Hub.open(settings)
    url = httpserver.url_for("").rstrip("/")
    connections.apply(
        hub,
        f"""
connections:
  shop: {{connector: http, mode: live, go_live_at: 2026-01-01, settings: {{record: order, stamp_path: changed_at}}}}
  books: {{connector: http, mode: live, settings: {{url: "{url}"}}}}
roles: {{shop: shop, books: books}}
""",
    )
    ids = {item["name"]: int(item["id"]) for item in connections.listed(hub)["items"]}
    yield Desk(hub, home, ids)
    hub.stop()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's hub."""
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(params=["sqlite", "postgres"])
def new_hub(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A hub that was just made, on each engine, with PostgreSQL's own tools on the path."""
    made = Settings(home=tmp_path / "home")
    if request.param == "postgres":
        request.getfixturevalue("postgres_tools")
        made = Settings(
            home=tmp_path / "home",
            database_url=request.getfixturevalue("postgres_url"),
            database_admin_url=request.getfixturevalue("postgres_admin_url"),
        )
    setup.init(made)
    return made
