"""Canonical invoices and credit notes, and what payments, items and levels look like to flows.

What a core event carries fits one of these records; `tests/unit/core/sales/test_records.py` holds it to that.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from hub.records.money import Money
from hub.records.order import Address


class DocumentParty(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who a document is for. `id` is ours; `external_id` is the shop's, null for a guest."""

    id: int | None
    external_id: str | None
    name: str | None
    company: str | None
    email: str | None
    phone: str | None
    vat_number: str | None
    language: str | None


class DocumentLine(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One line. `net` is without tax and after `discount`; `rate` is a fraction (0.2), null where no tax is due."""

    kind: str
    sku: str | None
    item_id: int | None
    title: str
    quantity: int
    unit_price: Money
    discount: Money
    net: Money
    tax: Money
    rate: Decimal | None
    vat_code: str | None


class DocumentTax(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base and tax of one VAT code and rate (CGI ann. II art. 242 nonies A: both per rate)."""

    vat_code: str | None
    rate: Decimal | None
    base: Money
    tax: Money


class Document(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An issued invoice or credit note, as `invoice.issued` and `credit_note.issued` carry it. Amounts of a credit note are
    positive. Dates are days in the book's zone, `2026-11-24`; `supply_date` is given when it is another day."""

    id: int
    kind: Literal["invoice", "credit_note"]
    number: str
    order_id: int
    order_name: str
    connection_id: int
    issued_at: str
    effective_date: str
    supply_date: str | None
    currency: str
    prices_include_tax: bool
    party: DocumentParty
    billing_address: Address | None
    shipping_address: Address | None
    lines: list[DocumentLine]
    taxes: list[DocumentTax]
    total_net: Money
    total_tax: Money
    total: Money
    presentment_total: Money | None
    corrects_number: str | None
    corrects_date: str | None
    reason: str | None
    mentions: list[str]


class StockLevel(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What `stock.changed` carries: units of an item at a warehouse. `available` may be negative when more was sold."""

    item_id: int
    sku: str
    location: str
    on_hand: int
    held: int
    waiting: int
    available: int
