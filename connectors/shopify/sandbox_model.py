"""What the sandbox's shop keeps: products, stock levels and orders that compute their own totals."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from .sandbox_money import share

# Statuses of a fulfilment order that still has something to ship.
WAITING = ("OPEN", "ON_HOLD")


class Refused(ValueError):
    """The shop does not do what was asked; nothing was changed."""


@dataclass
class Location:
    id: int
    name: str


@dataclass
class Level:
    """Quantities of one item at one location; `on_hand` is always available + committed."""

    available: int
    updated_at: datetime
    committed: int = 0

    @property
    def on_hand(self) -> int:
        return self.available + self.committed


@dataclass
class Variant:
    id: int
    product_id: int
    item_id: int
    sku: str
    title: str
    vendor: str
    price: int
    vat: Decimal
    tracked: bool
    gift_card: bool
    barcode: str | None
    cost: int | None
    updated_at: datetime
    levels: dict[int, Level] = field(default_factory=dict)


@dataclass
class Allocation:
    application: int
    amount: int


@dataclass
class Line:
    """An order line. Amounts are of all `quantity` units; `removed` and `refunded` units leave the current totals."""

    id: int
    variant: Variant | None
    sku: str | None
    title: str
    quantity: int
    price: int
    vat: Decimal
    gift_card: bool
    location: int
    properties: list[dict[str, str]]
    added_by_edit: bool = False
    allocations: list[Allocation] = field(default_factory=list)
    line_discount: int = 0
    tax: int = 0
    removed: int = 0
    refunded: int = 0
    fulfilled: int = 0
    returned: int = 0

    @property
    def gross(self) -> int:
        return self.price * self.quantity

    @property
    def discount(self) -> int:
        return sum(item.amount for item in self.allocations)

    @property
    def net(self) -> int:
        return self.gross - self.discount

    @property
    def gone(self) -> int:
        return self.removed + self.refunded

    @property
    def current_quantity(self) -> int:
        return self.quantity - self.gone

    @property
    def unfulfilled(self) -> int:
        """Units that are still to be shipped. Returned units are gone, but were fulfilled."""
        return self.quantity - self.fulfilled - (self.gone - self.returned)

    def current(self, total: int) -> int:
        """What is left of a figure of the whole line."""
        return total - share(total, self.gone, self.quantity)

    def next_units(self, total: int, units: int) -> int:
        """The share of a figure that the next units to go take with them."""
        return share(total, self.gone + units, self.quantity) - share(total, self.gone, self.quantity)


@dataclass
class Shipping:
    id: int
    title: str
    code: str
    price: int
    vat: Decimal
    allocations: list[Allocation] = field(default_factory=list)
    tax: int = 0
    refunded: int = 0
    removed: bool = False

    @property
    def discounted(self) -> int:
        return self.price - sum(item.amount for item in self.allocations)

    @property
    def current(self) -> int:
        return 0 if self.removed else self.discounted - self.refunded

    @property
    def current_tax(self) -> int:
        return 0 if self.removed else self.tax - share(self.tax, self.refunded, self.discounted)


@dataclass
class Transaction:
    id: int
    kind: str
    status: str
    gateway: str
    amount: int
    at: datetime
    parent: int | None
    payment_id: str
    test: bool


@dataclass
class RefundLine:
    id: int
    line: Line
    quantity: int
    restock: str
    location: int | None
    net: int
    tax: int


@dataclass
class RefundShipping:
    id: int
    shipping: Shipping
    net: int
    tax: int


@dataclass
class Adjustment:
    id: int
    reason: str
    amount: int


@dataclass
class Refund:
    """`net` of its lines and shipping is as the order counts it: with the tax when prices include it."""

    id: int
    at: datetime
    note: str | None
    lines: list[RefundLine]
    shipping: list[RefundShipping]
    adjustments: list[Adjustment]
    transactions: list[Transaction]


@dataclass
class FulfillmentLine:
    id: int
    line: Line
    quantity: int


@dataclass
class Fulfillment:
    id: int
    name: str
    at: datetime
    location: int
    tracking: list[dict[str, str | None]]
    lines: list[FulfillmentLine]
    notify: bool


@dataclass
class FulfillmentOrderLine:
    id: int
    line: Line
    total: int
    remaining: int


@dataclass
class FulfillmentOrder:
    id: int
    location: int
    status: str
    lines: list[FulfillmentOrderLine]


@dataclass
class Order:
    id: int
    number: int
    name: str
    currency: str
    presentment: str
    rate: Decimal
    taxes_included: bool
    tax_exempt: bool
    channel_liable: bool
    created_at: datetime
    processed_at: datetime
    updated_at: datetime
    email: str | None
    phone: str | None
    note: str | None
    po_number: str | None
    tags: list[str]
    source: str
    test: bool
    attributes: list[dict[str, str]]
    customer: dict[str, Any] | None
    company: dict[str, Any] | None
    billing: dict[str, Any] | None
    ship_to: dict[str, Any] | None
    lines: list[Line] = field(default_factory=list)
    shipping: list[Shipping] = field(default_factory=list)
    applications: list[dict[str, Any]] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    fulfillments: list[Fulfillment] = field(default_factory=list)
    fulfillment_orders: list[FulfillmentOrder] = field(default_factory=list)
    tip: int = 0
    original_total: int = 0
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    edited: bool = False

    # --- before returns ---
    @property
    def subtotal(self) -> int:
        return sum(line.net for line in self.lines)

    @property
    def discounts(self) -> int:
        return sum(line.discount for line in self.lines) + sum(ship.price - ship.discounted for ship in self.shipping)

    @property
    def shipping_total(self) -> int:
        return sum(ship.discounted for ship in self.shipping)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines) + sum(ship.tax for ship in self.shipping)

    @property
    def total(self) -> int:
        return self.subtotal + self.shipping_total + (0 if self.taxes_included else self.tax) + self.tip

    # --- after edits, refunds and cancellation ---
    @property
    def current_subtotal(self) -> int:
        return sum(line.current(line.net) for line in self.lines)

    @property
    def current_discounts(self) -> int:
        lines = sum(line.current(line.discount) for line in self.lines)
        return lines + sum(0 if ship.removed else ship.price - ship.discounted for ship in self.shipping)

    @property
    def current_shipping(self) -> int:
        return sum(ship.current for ship in self.shipping)

    @property
    def current_tax(self) -> int:
        return sum(line.current(line.tax) for line in self.lines) + sum(ship.current_tax for ship in self.shipping)

    @property
    def discrepancy(self) -> int:
        """Money given back (or held back, negative) beside lines and shipping, which lowers the current total."""
        return sum(
            item.amount for refund in self.refunds for item in refund.adjustments if item.reason == "REFUND_DISCREPANCY"
        )

    @property
    def current_total(self) -> int:
        tip = 0 if self.cancelled_at is not None and self.received == 0 else self.tip
        tax = 0 if self.taxes_included else self.current_tax
        return self.current_subtotal + self.current_shipping + tax + tip - self.discrepancy

    # --- money that moved ---
    def moved(self, *kinds: str) -> int:
        return sum(item.amount for item in self.transactions if item.kind in kinds and item.status == "SUCCESS")

    @property
    def received(self) -> int:
        return self.moved("SALE", "CAPTURE")

    @property
    def refunded(self) -> int:
        return self.moved("REFUND")

    @property
    def authorized(self) -> int:
        return self.moved("AUTHORIZATION") - self.moved("CAPTURE") - self.moved("VOID")

    @property
    def outstanding(self) -> int:
        """Positive: the buyer owes; negative: a refund is due."""
        return self.current_total - self.received + self.refunded

    @property
    def financial_status(self) -> str:
        if self.refunded:
            return "REFUNDED" if self.refunded >= self.received else "PARTIALLY_REFUNDED"
        if self.received == 0:
            if self.cancelled_at is not None:
                return "VOIDED"
            if self.authorized > 0:
                return "AUTHORIZED"
            return "PENDING" if self.current_total > 0 else "PAID"
        return "PARTIALLY_PAID" if self.outstanding > 0 else "PAID"

    @property
    def fulfillment_status(self) -> str:
        shipped = sum(line.fulfilled for line in self.lines)
        if not shipped:
            return "UNFULFILLED"
        waiting = any(fo.status in WAITING for fo in self.fulfillment_orders)
        return "PARTIALLY_FULFILLED" if waiting else "FULFILLED"

    @property
    def gateways(self) -> list[str]:
        return list(dict.fromkeys(item.gateway for item in self.transactions))

    def tax_lines(self, current: bool = False) -> list[tuple[Decimal, int]]:
        """Taxes of lines and shipping lines, added up by rate in the order of their first appearance."""
        rates: dict[Decimal, int] = {}
        for line in self.lines:
            if line.vat:
                rates[line.vat] = rates.get(line.vat, 0) + (line.current(line.tax) if current else line.tax)
        for ship in self.shipping:
            if ship.vat:
                rates[ship.vat] = rates.get(ship.vat, 0) + (ship.current_tax if current else ship.tax)
        return list(rates.items())

    def line(self, key: Any) -> Line:
        """A line by its id or GID, else the last one of that SKU with units left."""
        wanted = str(key).rsplit("/", 1)[-1]
        for line in reversed(self.lines):
            if str(line.id) == wanted or (line.sku == key and line.current_quantity > 0):
                return line
        raise Refused(f"order {self.name} has no line {key}")

    def check(self) -> None:
        """The sums that hold after every action."""
        gone = [(line.net - line.current(line.net), line.tax - line.current(line.tax)) for line in self.lines]
        untaxed = self.taxes_included
        left = sum(net + (0 if untaxed else tax) for net, tax in gone)
        left += sum(
            ship.discounted - ship.current + (0 if untaxed else ship.tax - ship.current_tax) for ship in self.shipping
        )
        tip = self.total - self.current_total - left - self.discrepancy
        assert tip in (0, self.tip), f"{self.name}: {tip} of the total went nowhere"
        assert 0 <= self.refunded <= self.received, f"{self.name}: refunded more than received"
        assert self.tax == sum(amount for _, amount in self.tax_lines()), f"{self.name}: tax lines do not add up"
        for line in self.lines:
            assert 0 <= line.gone <= line.quantity, f"{self.name}: units of line {line.id}"
            assert line.unfulfilled >= 0, f"{self.name}: more shipped than sold on line {line.id}"
            if not line.removed:
                parts = [part for refund in self.refunds for part in refund.lines if part.line is line]
                assert sum(part.net for part in parts) == line.net - line.current(line.net), (
                    f"refunds of line {line.id}"
                )
                assert sum(part.tax for part in parts) == line.tax - line.current(line.tax), (
                    f"refunds of line {line.id}"
                )
            waiting = sum(
                item.remaining
                for fo in self.fulfillment_orders
                if fo.status in WAITING
                for item in fo.lines
                if item.line is line
            )
            expected = 0 if self.cancelled_at is not None or line.gift_card else line.unfulfilled
            assert waiting == expected, f"{self.name}: fulfilment orders of line {line.id}"
        for refund in self.refunds:
            worth: list[RefundLine | RefundShipping] = [*refund.lines, *refund.shipping]
            value = sum(item.net + (0 if untaxed else item.tax) for item in worth)
            value += sum(item.amount for item in refund.adjustments)
            assert value == sum(item.amount for item in refund.transactions), f"{self.name}: refund {refund.id}"
