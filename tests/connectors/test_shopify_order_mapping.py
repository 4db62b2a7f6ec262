"""`mappings/shopify/order.yaml`: orders of the sandbox as canonical orders whose sums fit, whatever brought them."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from hub.connect.registry import Registry, shipped
from hub.mapping import Mapping, load_mapping
from hub.records.order import Line, Order

PRODUCTS = [
    {"sku": "MUG-01", "title": "Mug", "price": "12.00", "vat": "0.2", "quantity": 50},
    {"sku": "BOOK-01", "title": "Livre", "price": "10.55", "vat": "0.055", "quantity": 50},
]
ORDER = {
    "lines": [{"sku": "MUG-01", "quantity": 3}, {"sku": "BOOK-01", "quantity": 1}],
    "shipping": {"title": "Colissimo", "price": "5.00", "vat": "0.2"},
    "discount": {"type": "percentage", "value": "10", "code": "ETE10"},
    "tip": "2.00",
}
REFUNDS: dict[str, dict[str, Any]] = {
    "a line": {"lines": [{"sku": "MUG-01", "quantity": 1}]},
    "a line and the shipping": {"lines": [{"sku": "MUG-01", "quantity": 1}], "shipping": "full"},
    "less than the line": {"lines": [{"sku": "MUG-01", "quantity": 1}], "amount": "5.00"},
    "more than the line": {"lines": [{"sku": "MUG-01", "quantity": 1}], "amount": "15.00"},
    "an amount alone": {"amount": "3.00"},
    "every line": {"lines": [{"sku": "MUG-01", "quantity": 3}, {"sku": "BOOK-01", "quantity": 1}]},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    text = (shipped("mappings") / "shopify/order.yaml").read_text("utf-8")
    return load_mapping(text, "mappings/shopify/order.yaml", extra_names=("settings", "connection", "event"))


def canonical(mapping: Mapping, record: dict[str, Any]) -> Order:
    names = {"settings": {}, "connection": None, "event": None}
    return msgspec.convert(mapping.apply(record, names), Order)


def webhook_record(registry: Registry, sandbox: Any, order_id: Any) -> dict[str, Any]:
    """What an `orders/*` webhook of the order brings."""
    connector = registry.get("shopify")
    body = connector.module("sandbox_bodies").order(sandbox.shop, sandbox.shop.order(order_id))
    sent = msgspec.json.decode(msgspec.json.encode(body))
    record: dict[str, Any] = connector.code("records:order_from_webhook")(sent)
    return record


def cost(line: Line, included: bool) -> int:
    """What a line adds to the total of its order."""
    tax = 0 if included else sum(tax.amount.amount for tax in line.taxes)
    return line.gross.amount - sum(part.amount.amount for part in line.discounts) + tax


@pytest.mark.parametrize("included", [True, False], ids=["taxes included", "taxes on top"])
def test_the_lines_add_up_to_the_total(registry: Registry, mapping: Mapping, included: bool) -> None:
    sandbox = registry.get("shopify").module("sandbox").Sandbox(products=PRODUCTS, taxes_included=included)
    placed = sandbox.place(ORDER)

    order = canonical(mapping, webhook_record(registry, sandbox, placed["id"]))

    assert order.header is not None
    assert order.lines is not None
    assert order.payments is None  # such a body has none
    assert sum(cost(line, included) for line in order.lines.items) == order.header.total.amount
    assert [line.kind for line in order.lines.items] == ["product", "product", "shipping", "tip"]
    assert order.header.financial_status == "PAID"
    assert not order.header.outstanding


@pytest.mark.parametrize("refund", REFUNDS.values(), ids=REFUNDS.keys())
@pytest.mark.parametrize(
    ("included", "with_tax", "favour"),
    list(itertools.product([True, False], repeat=3)),
    ids=lambda value: str(value)[0],
)
def test_the_parts_of_a_refund_add_up_to_the_money_given_back(
    registry: Registry, mapping: Mapping, refund: dict[str, Any], included: bool, with_tax: bool, favour: bool
) -> None:
    """The vendor says neither whether a refund's subtotal holds the tax nor the sign of a discrepancy: all four work."""
    sandbox = (
        registry.get("shopify")
        .module("sandbox")
        .Sandbox(
            products=PRODUCTS,
            taxes_included=included,
            refund_subtotal_includes_tax=with_tax,
            adjustments_favour_merchant=favour,
        )
    )
    placed = sandbox.place(ORDER)
    sandbox.act(placed["id"], "refund", refund)

    order = canonical(mapping, webhook_record(registry, sandbox, placed["id"]))

    assert order.refunds is not None
    (found,) = order.refunds.items
    lines = sum(part.subtotal.amount + part.tax.amount for part in [*found.lines, *found.shipping])
    apart = sum(part.amount.amount + part.tax.amount for part in found.adjustments)
    assert lines + apart == found.total.amount > 0
    for part in found.lines:
        assert part.subtotal.amount > part.tax.amount * 4  # rates are 20 % at most: a subtotal is without tax


def test_names_fall_back_and_a_guest_has_no_number(registry: Registry, mapping: Mapping) -> None:
    sandbox = registry.get("shopify").module("sandbox").Sandbox(products=PRODUCTS)
    address = {"first_name": "Zoé", "last_name": "Martin", "city": "Paris", "country_code": "FR"}
    record = webhook_record(
        registry, sandbox, sandbox.place({**ORDER, "customer": None, "email": "z@example.org"})["id"]
    )
    record["billingAddress"] = None
    record["shippingAddress"] = {"firstName": address["first_name"], "lastName": address["last_name"]}

    order = canonical(mapping, record)

    assert order.header is not None
    assert (order.header.party.external_id, order.header.party.name) == (None, "Zoé Martin")
    record["shippingAddress"] = None
    nameless = canonical(mapping, record).header
    assert nameless is not None
    assert (nameless.party.name, nameless.shipping_address) == (None, None)
