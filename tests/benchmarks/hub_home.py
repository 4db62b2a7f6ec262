"""A hub for measuring: a shop whose webhooks come in, and a sink that takes invoices and warehouse orders."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hub.connect.registry import Registry

SECRET = "bench-secret"
DOMAIN = "bench.myshopify.com"
SKUS = [f"SKU-{n:02}" for n in range(24)]

FLOWS = {
    # webhooks only: what is measured has no shop behind it that could be asked
    "shop-orders.yaml": """flow: shop-orders
on: {role: shop, record: order}
steps:
  - map: order
  - order.sync: {invoice: on_payment, reserve_at: main, payments: given}
""",
    "invoices-to-books.yaml": """flow: invoices-to-books
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: request, key: invoice.number}
""",
    "orders-to-warehouse.yaml": """flow: orders-to-warehouse
on: {event: order.ready}
steps:
  - map: order
  - deliver: {role: warehouse, operation: request, key: order.ref}
""",
}
MAPPINGS = {
    "http/invoice.yaml": """mapping: http/invoice
from: invoice
to: http.request
map:
  method: "'POST'"
  path: "'/invoices'"
  id_path: "'id'"
  json:
    number: number
    date: effective_date
    customer: {name: party.name, email: party.email}
    lines:
      each: lines
      as: line
      map: {sku: line.sku, title: line.title, quantity: line.quantity, net: amount(line.net), tax: amount(line.tax)}
    taxes:
      each: taxes
      as: tax
      map: {code: tax.vat_code, base: amount(tax.base), tax: amount(tax.tax)}
    total: amount(total)
""",
    "http/order.yaml": """mapping: http/order
from: order.ready
to: http.request
map:
  method: "'POST'"
  path: "'/orders'"
  id_path: "'id'"
  json:
    reference: ref
    name: order_name
    to: {name: shipping_address.name, street: shipping_address.line1, postcode: shipping_address.postcode, city: shipping_address.city}
    lines:
      each: lines
      as: line
      map: {sku: line.sku, quantity: line.quantity}
""",
}


def write_home(home: Path) -> None:
    """The flows and mappings that take the place of the shipped ones."""
    for kind, files in (("flows", FLOWS), ("mappings", MAPPINGS)):
        for name, text in files.items():
            path = home / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def connections(sink: str) -> dict[str, Any]:
    """A connections.yaml, as JSON."""
    return {
        "connections": {
            "shop": {
                "connector": "shopify",
                "mode": "live",
                "go_live_at": "2020-01-01T00:00:00Z",
                "settings": {"shop": DOMAIN, "client_id": "bench", "base_url": "http://127.0.0.1:9"},
            },
            "books": {
                "connector": "http",
                "mode": "live",
                "settings": {"url": sink, "idempotency_header": "Idempotency-Key"},
            },
            "warehouse": {
                "connector": "http",
                "mode": "live",
                "settings": {"url": sink, "idempotency_header": "Idempotency-Key"},
            },
        },
        "roles": {"shop": "shop", "books": "books", "warehouse": "warehouse"},
    }


def bodies(count: int, *, first: int = 1) -> Iterator[bytes]:
    """Order webhooks of about 7 KB with three lines, all different, each as the shop sends it."""
    registry = Registry.discover()
    shopify = registry.get("shopify")
    sandbox = shopify.module("sandbox").Sandbox(
        products=[{"sku": sku, "title": f"Item {sku}", "price": "12.00", "vat": "0.2", "quantity": 100} for sku in SKUS]
    )
    order = sandbox.place(
        {
            "lines": [
                {"sku": SKUS[0], "quantity": 1},
                {"sku": SKUS[1], "quantity": 2},
                {"sku": SKUS[2], "quantity": 1},
            ],
            "shipping": {"title": "Colissimo", "price": "4.90", "vat": "0.2"},
            "pay": True,
            "number": 9_999_999,
        }
    )
    made = sandbox.shop.order(order["name"])
    text = json.dumps(shopify.module("sandbox_bodies").order(sandbox.shop, made), separators=(",", ":"))
    numbers = {str(made.id): 0, str(made.customer["id"]): 1}
    numbers |= {str(line.id): 2 + n for n, line in enumerate(made.lines)}
    for n in range(first, first + count):
        body = text.replace("9999999", str(1_000_000 + n))
        for number, place in numbers.items():
            body = body.replace(number, str(9_200_000_000_000_000 + n * 10 + place))
        for k in range(3):
            body = body.replace(f'"{SKUS[k]}"', f'"{SKUS[(n + 8 * k) % 24]}"')
        yield body.encode()


def headers(body: bytes, number: int) -> dict[str, str]:
    """Headers of a signed webhook."""
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    return {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Shop-Domain": DOMAIN,
        "X-Shopify-Webhook-Id": f"bench-{number}",
        "X-Shopify-API-Version": "2026-10",
    }
