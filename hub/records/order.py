"""The canonical order: a snapshot in sections, each with the instant it was true and whether it is complete.

Only complete sections are compared with what is booked; an absent section is not an empty one. Money in these records is
in the shop's currency, the one the books are kept in; `presentment_total` keeps what the buyer saw.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from hub.records.money import Money


class Address(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A postal address. `country` is ISO 3166-1 alpha-2."""

    name: str | None = None
    company: str | None = None
    line1: str | None = None
    line2: str | None = None
    postcode: str | None = None
    city: str | None = None
    province: str | None = None
    country: str | None = None
    phone: str | None = None


class Party(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A customer as one order names it. `external_id` is null for a guest; `vat_number` makes it a business."""

    external_id: str | None = None
    name: str | None = None
    company: str | None = None
    email: str | None = None
    phone: str | None = None
    vat_number: str | None = None
    language: str | None = None


class TaxLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One tax on a line as the shop computed it. `rate` is a fraction (0.2). `channel_liable`: a marketplace remits it."""

    title: str
    rate: Decimal
    amount: Money
    channel_liable: bool = False


class DiscountAllocation(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The part of a discount that falls on one line, positive."""

    amount: Money
    title: str | None = None


class Line(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One line of an order: goods, shipping, a tip, a gift card sold, or a fee.

    `gross` is unit price times `quantity` before discounts, with tax when the order's prices include it. `quantity` is
    what was ordered; `current_quantity` what is left after edits and refunds.
    """

    external_id: str
    kind: Literal["product", "shipping", "tip", "gift_card", "fee"] = "product"
    sku: str | None = None
    variant_id: str | None = None
    title: str
    quantity: int
    current_quantity: int
    unit_price: Money
    gross: Money
    discounts: list[DiscountAllocation] = []
    taxes: list[TaxLine] = []
    requires_shipping: bool = False


class Payment(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Money that moved: a captured payment or a refund paid out, both positive. Authorisations are no money."""

    external_id: str
    kind: Literal["payment", "refund"]
    gateway: str
    amount: Money
    paid_at: str
    fee: Money | None = None


class RefundLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One line given back. `subtotal` is without tax; `restock` brings units back to sale."""

    line_id: str
    quantity: int
    subtotal: Money
    tax: Money
    restock: Literal["no_restock", "cancel", "return"] = "no_restock"


class Adjustment(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A difference between the lines of a refund and the money given back, by its reason. May be negative.
    `balance`: it settles what an edit had made due, and makes nothing cheaper."""

    reason: str
    amount: Money
    tax: Money


class Refund(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One refund of the shop: lines, shipping and adjustments. `total` is the money given back."""

    external_id: str
    refunded_at: str
    lines: list[RefundLine] = []
    shipping: list[RefundLine] = []
    adjustments: list[Adjustment] = []
    total: Money
    note: str | None = None


class FulfilmentLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    line_id: str
    quantity: int


class Fulfilment(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Goods that left, as the shop knows it."""

    external_id: str
    status: str
    lines: list[FulfilmentLine] = []
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipped_at: str | None = None


class Header(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the order says as a whole. `total` is the total of the sale, `current_total` after edits and refunds."""

    as_of: str
    complete: bool = True
    name: str
    placed_at: str
    currency: str
    prices_include_tax: bool
    financial_status: str
    cancelled_at: str | None = None
    cancel_reason: str | None = None
    test: bool = False
    total: Money
    total_tax: Money
    current_total: Money
    current_tax: Money | None = None
    outstanding: Money
    rounding: Money | None = None
    presentment_total: Money | None = None
    tax_exempt: bool = False
    party: Party
    billing_address: Address | None = None
    shipping_address: Address | None = None
    note: str | None = None


class Lines(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    as_of: str
    complete: bool = True
    items: list[Line] = []


class Payments(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    as_of: str
    complete: bool = True
    items: list[Payment] = []


class Refunds(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    as_of: str
    complete: bool = True
    items: list[Refund] = []


class Fulfilments(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    as_of: str
    complete: bool = True
    items: list[Fulfilment] = []


class Order(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A shop's order. A section that is null was not read."""

    external_id: str
    header: Header | None = None
    lines: Lines | None = None
    payments: Payments | None = None
    refunds: Refunds | None = None
    fulfilments: Fulfilments | None = None


class Shipment(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Goods that left a warehouse, as the warehouse says. `order_ref` is the reference we gave it."""

    external_id: str
    order_ref: str
    status: Literal["shipped", "cancelled"] = "shipped"
    shipped_at: str
    carrier: str | None = None
    service: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    lines: list[ShipmentLine] = []


class ShipmentLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    sku: str
    quantity: int
