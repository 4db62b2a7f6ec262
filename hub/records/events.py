"""What the core's events carry, where it is more than one document: payments, orders for the warehouse, shipments,
confirmed deliveries.

What the core announces fits these structs; `tests/unit/core/sales/test_records.py` holds it to that, and
`tests/integration/flows/test_fetches.py` what the outbox does.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import msgspec

from hub.records.document import Document, StockLevel
from hub.records.money import Money
from hub.records.order import Address


class DocumentSummary(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An invoice as other events name it."""

    id: int
    number: str


class PaymentMade(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A payment or a refund paid out; both positive. `fee` is what the payment provider keeps."""

    id: int
    external_id: str
    kind: Literal["payment", "refund"]
    gateway: str
    amount: Money
    fee: Money | None
    paid_at: str
    effective_date: str


class Allocation(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How much of a payment pays which invoice."""

    invoice: DocumentSummary
    amount: Money


class Payer(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who pays. `id` is ours; `external_id` is the shop's, null for a guest."""

    id: int | None
    external_id: str | None
    name: str | None
    email: str | None


class PaymentEvent(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `payment.received` and `payment.refunded` carry. `invoice` is the first that it pays, or corrects."""

    payment: PaymentMade
    invoice: DocumentSummary
    allocations: list[Allocation]
    order_id: int
    order_name: str
    connection_id: int
    party: Payer


class Recipient(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who an order is sent to."""

    id: int | None
    name: str | None
    company: str | None
    email: str | None
    phone: str | None
    language: str | None


class ReadyLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Units of an item to send. `sku` is ours."""

    sku: str
    item_id: int
    title: str
    quantity: int
    order_line_id: int


class ReadyOrder(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `order.ready` carries: goods that the warehouse is to send. `ref` is the reference that it gives back to us."""

    order_id: int
    order_name: str
    ref: str
    connection_id: int
    party: Recipient
    shipping_address: Address | None
    shipping_method: str | None
    location: str | None
    lines: list[ReadyLine]
    placed_at: str


class CancelledOrder(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `order.cancelled` carries. `released`: the warehouse had been told to send it."""

    order_id: int
    order_name: str
    ref: str
    connection_id: int
    external_id: str
    released: bool
    reason: str | None
    cancelled_at: str | None


class ShippedOrder(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which order a shipment is of. `external_id` is the shop's."""

    id: int
    connection_id: int
    external_id: str
    name: str


class ShipmentMade(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A shipment, by the warehouse that sent it."""

    connection_id: int
    external_id: str
    shipped_at: str
    carrier: str | None
    service: str | None
    tracking_number: str | None
    tracking_url: str | None


class ShippedLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Units that left. `order_line` is the shop's id of the line."""

    order_line: str
    sku: str | None
    quantity: int


class ShipmentEvent(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `shipment.recorded` carries."""

    order: ShippedOrder
    shipment: ShipmentMade
    lines: list[ShippedLine]


class ConfirmedDelivery(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `delivery.confirmed` carries. `external_id` is what the system calls what was written, where it says so;
    `ordering_key` is that of the deliveries it went out with."""

    id: str
    operation: str
    key: str
    external_id: str | None
    connection_id: int
    ordering_key: str


class AlertItem(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One thing that an alert tells of, in a line."""

    subject: str
    text: str


class Alert(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `alert.raised` carries: one alert of a rule of `alerts.yaml`. `items` are the first of `count` things, `more` how
    many others there are; `to` mail addresses; `webhook`: whether it goes to the connections of the role `alerts`."""

    id: str
    rule: str
    kind: Literal["questions", "failing", "queue", "stock"]
    title: str
    count: int
    items: list[AlertItem]
    more: int
    to: list[str]
    webhook: bool
    at: str


#: what each core event carries, by its name
EVENTS: MappingProxyType[str, type[msgspec.Struct]] = MappingProxyType(
    {
        "invoice.issued": Document,
        "credit_note.issued": Document,
        "payment.received": PaymentEvent,
        "payment.refunded": PaymentEvent,
        "order.ready": ReadyOrder,
        "order.cancelled": CancelledOrder,
        "shipment.recorded": ShipmentEvent,
        "stock.changed": StockLevel,
        "delivery.confirmed": ConfirmedDelivery,
        "alert.raised": Alert,
    }
)
