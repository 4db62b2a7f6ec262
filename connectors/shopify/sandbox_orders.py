"""What a merchant does with an order of the sandbox's shop: refund, edit, cancel, ship."""

from __future__ import annotations

from typing import Any

from . import sandbox_bodies as bodies
from .sandbox_checkout import commit, make_line, open_fulfillment
from .sandbox_model import (
    WAITING,
    Adjustment,
    Fulfillment,
    FulfillmentLine,
    FulfillmentOrder,
    Line,
    Order,
    Refund,
    RefundLine,
    RefundShipping,
    Refused,
    Shipping,
)
from .sandbox_money import minor, share
from .sandbox_payments import pay_some, refundable, transact, updated
from .sandbox_store import Event, Shop

RESTOCK = ("CANCEL", "RETURN", "NO_RESTOCK")


# --- units that leave an order ---
def _release(shop: Shop, event: Event, order: Order, line: Line, units: int, restock: bool) -> None:
    """Takes units that were not shipped out of the fulfilment orders and of the committed stock."""
    if order.cancelled_at is not None:
        return
    left = units
    for fo in order.fulfillment_orders:
        for item in fo.lines:
            if item.line is line and fo.status in WAITING and left:
                taken = min(left, item.remaining)
                item.remaining -= taken
                left -= taken
                shop.move(event, line.variant, fo.location, available=taken if restock else 0, committed=-taken)
        _close_if_done(fo)


def _close_if_done(fo: FulfillmentOrder) -> None:
    if fo.status in WAITING and all(item.remaining == 0 for item in fo.lines):
        fo.status = "CLOSED"


def _refund_line(shop: Shop, event: Event, order: Order, item: dict[str, Any]) -> RefundLine:
    line: Line = item["line"]
    units: int = item["quantity"]
    restock: str = item["restock"]
    net, tax = line.next_units(line.net, units), line.next_units(line.tax, units)
    unshipped = min(units, line.unfulfilled) if restock != "RETURN" else 0
    _release(shop, event, order, line, unshipped, restock == "CANCEL")
    line.returned += units - unshipped
    line.refunded += units
    place = None if restock == "NO_RESTOCK" else item["location"]
    if restock == "RETURN":
        shop.move(event, line.variant, item["location"], available=units)
    return RefundLine(shop.new_id("RefundLineItem"), line, units, restock, place, net, tax)


def _lines_to_refund(shop: Shop, order: Order, spec: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = spec.get("lines", [])
    if spec.get("all"):
        wanted = [{"line": ln.id, "quantity": ln.current_quantity} for ln in order.lines if ln.current_quantity]
        wanted = [item | ({"restock": spec["restock"]} if "restock" in spec else {}) for item in wanted]
    found: list[dict[str, Any]] = []
    for item in wanted:
        line = order.line(item.get("line", item.get("sku")))
        if any(other["line"] is line for other in found):
            raise Refused(f"line {line.id} is named twice")
        units = int(item.get("quantity", 1))
        back = line.fulfilled - line.returned
        usual = "CANCEL" if line.unfulfilled >= units else "RETURN" if back >= units else "NO_RESTOCK"
        restock = str(item.get("restock") or usual).upper()
        if not 0 < units <= line.current_quantity or restock not in RESTOCK:
            raise Refused(f"{units} units of line {line.id} cannot be refunded as {restock}")
        if (restock == "CANCEL" and units > line.unfulfilled) or (restock == "RETURN" and units > back):
            raise Refused(f"{units} units of line {line.id} cannot be restocked as {restock}")
        found.append(
            {
                "line": line,
                "quantity": units,
                "restock": restock,
                "location": shop.location(item["location"]) if item.get("location") else line.location,
            }
        )
    return found


def _refund_shipping(shop: Shop, ship: Shipping, amount: int) -> RefundShipping:
    before = share(ship.tax, ship.refunded, ship.discounted)
    ship.refunded += amount
    tax = share(ship.tax, ship.refunded, ship.discounted) - before
    return RefundShipping(shop.new_id("RefundShippingLine"), ship, amount, tax)


def _shipping_to_refund(order: Order, spec: dict[str, Any]) -> list[tuple[Shipping, int]]:
    wanted = "full" if spec.get("all") else spec.get("shipping")
    if not wanted:
        return []
    open_lines = [(ship, ship.current) for ship in order.shipping if ship.current > 0]
    if wanted in ("full", True):
        return open_lines
    amount, found = minor(wanted, order.currency), []
    for ship, left in open_lines:
        part = min(left, amount)
        amount -= part
        found.append((ship, part))
    if amount:
        raise Refused("more than the shipping that is left")
    return [item for item in found if item[1]]


def refund(shop: Shop, order: Order, spec: dict[str, Any]) -> Refund:
    """`{lines: [{line | sku, quantity, restock, location}], shipping: "full" | amount, amount, all, note, pending}`.

    Without `amount`, the money is the worth of the lines and shipping, at most what was paid. A typed amount that is
    not their worth leaves an adjustment: PENDING_REFUND_DISCREPANCY for money that was due already, after an edit, or
    that was never paid; REFUND_DISCREPANCY for the rest, which lowers the order's current total.
    """
    lines, shipping = _lines_to_refund(shop, order, spec), _shipping_to_refund(order, spec)
    if not lines and not shipping and spec.get("amount") is None and not spec.get("all"):
        raise Refused("nothing to refund")
    with shop.action(order) as event:
        made = _refund(shop, event, order, spec, lines, shipping)
        updated(shop, event, order)
    return made


def _refund(
    shop: Shop,
    event: Event,
    order: Order,
    spec: dict[str, Any],
    lines: list[dict[str, Any]],
    shipping: list[tuple[Shipping, int]],
) -> Refund:
    payments = refundable(order)
    limit = sum(left for _, left in payments)
    pending = sum(t.amount for t in order.transactions if t.kind == "REFUND" and t.status == "PENDING")
    due = max(0, -order.outstanding - pending)
    typed = None if spec.get("amount") is None else minor(spec["amount"], order.currency)
    if typed is not None and not 0 <= typed <= limit:
        raise Refused(f"{typed} is more than can be refunded, {limit} (minor units)")

    made = Refund(shop.new_id("Refund"), shop.now(), spec.get("note"), [], [], [], [])
    made.lines = [_refund_line(shop, event, order, item) for item in lines]
    made.shipping = [_refund_shipping(shop, ship, amount) for ship, amount in shipping]
    taxed = 0 if order.taxes_included else 1
    parts: list[RefundLine | RefundShipping] = [*made.lines, *made.shipping]
    worth = sum(item.net + taxed * item.tax for item in parts)
    amount = typed if typed is not None else limit if spec.get("all") else min(worth, limit)
    if spec.get("no_money"):
        amount = 0
    _adjust(shop, made, amount - worth, due, typed is not None or amount > worth)

    left = amount
    for paid, most in payments:
        part = min(left, most)
        left -= part
        if part:
            status = "PENDING" if spec.get("pending") else "SUCCESS"
            made.transactions.append(transact(shop, event, order, "REFUND", part, paid.gateway, paid.id, status))
    order.refunds.append(made)
    shop.owners["Refund", made.id] = order
    event.send("refunds/create", lambda: bodies.refund(shop, order, made), order)
    return made


def _adjust(shop: Shop, made: Refund, difference: int, due: int, typed: bool) -> None:
    balance = min(difference, due) if difference > 0 else 0 if typed else difference
    for reason, amount in (
        ("PENDING_REFUND_DISCREPANCY", balance),
        ("REFUND_DISCREPANCY", difference - balance),
    ):
        if amount:
            made.adjustments.append(Adjustment(shop.new_id("OrderAdjustment"), reason, amount))


# --- edits and cancellation ---
def edit(shop: Shop, order: Order, spec: dict[str, Any]) -> None:
    """`{add: [{sku, quantity, price}], remove: [{line | sku, quantity}], restock: true}`, as one edit."""
    if order.cancelled_at is not None:
        raise Refused("the order is cancelled")
    removals = []
    for item in spec.get("remove", []):
        line = order.line(item.get("line", item.get("sku")))
        units = int(item.get("quantity", line.unfulfilled))
        if not 0 < units <= min(line.unfulfilled, line.current_quantity):
            raise Refused(f"{units} units of line {line.id} cannot be removed")
        removals.append((line, units))
    restock = bool(spec.get("restock", True))
    added = [make_line(shop, order, item, by_edit=True) for item in spec.get("add", [])]
    with shop.action(order) as event:
        for line in added:
            commit(shop, event, line)
        order.lines.extend(added)
        open_fulfillment(shop, order, added)
        _remove(shop, event, order, removals, restock)
        order.edited = True
        changes = bodies.edit(shop, order, [(ln, ln.quantity) for ln in added], removals)
        event.send("orders/edited", lambda: changes, order)
        updated(shop, event, order)


def _remove(shop: Shop, event: Event, order: Order, removals: list[tuple[Line, int]], restock: bool) -> None:
    if shop.settings["edit_removals_as_refunds"] and removals:
        how = "CANCEL" if restock else "NO_RESTOCK"
        lines = [{"line": ln, "quantity": n, "restock": how, "location": ln.location} for ln, n in removals]
        _refund(shop, event, order, {"no_money": True}, lines, [])
        return
    for line, units in removals:
        _release(shop, event, order, line, units, restock)
        line.removed += units


def cancel(shop: Shop, order: Order, spec: dict[str, Any]) -> None:
    """`{reason: "customer", restock: true, refund: true}`. With `refund: false` a paid order keeps its money."""
    if order.cancelled_at is not None:
        raise Refused("the order is cancelled already")
    if any(line.fulfilled for line in order.lines):
        raise Refused("an order that was shipped cannot be cancelled")
    restock = bool(spec.get("restock", True))
    with shop.action(order) as event:
        if order.authorized > 0:
            pay_some(shop, event, order, [{"kind": "VOID"}], "")
        if order.received > order.refunded and spec.get("refund", True):
            how = {"all": True, "restock": "CANCEL" if restock else "NO_RESTOCK", "note": spec.get("note")}
            _refund(shop, event, order, how, _lines_to_refund(shop, order, how), _shipping_to_refund(order, how))
        removals: list[tuple[Line, int]] = []
        for line in order.lines:
            units = line.unfulfilled if not line.gift_card else line.current_quantity
            if units and order.received:
                _release(shop, event, order, line, units, restock)
            elif units:
                removals.append((line, units))
        if order.received == 0:
            _remove(shop, event, order, removals, restock)
            for ship in order.shipping:
                ship.removed = True
        for fo in order.fulfillment_orders:
            if fo.status != "CLOSED" or not order.fulfillments:
                fo.status = "CANCELLED"
        order.cancelled_at, order.cancel_reason = shop.now(), str(spec.get("reason", "customer")).upper()
        updated(shop, event, order, "orders/cancelled")


# --- shipping ---
def fulfill(
    shop: Shop,
    order: Order,
    parts: list[tuple[FulfillmentOrder, dict[int, int] | None]],
    tracking: list[dict[str, str | None]],
    notify: bool,
) -> Fulfillment:
    """Ships units of fulfilment orders of one location; None instead of units ships all that remains."""
    with shop.action(order) as event:
        lines: list[FulfillmentLine] = []
        for fo, units in parts:
            for item in fo.lines:
                count = item.remaining if units is None else units.get(item.id, 0)
                if not count:
                    continue
                item.remaining -= count
                item.line.fulfilled += count
                shop.move(event, item.line.variant, fo.location, committed=-count)
                lines.append(FulfillmentLine(shop.new_id("FulfillmentLineItem"), item.line, count))
            _close_if_done(fo)
        made = Fulfillment(
            id=shop.new_id("Fulfillment"),
            name=f"{order.name}.{len(order.fulfillments) + 1}",
            at=shop.now(),
            location=parts[0][0].location,
            tracking=tracking,
            lines=lines,
            notify=notify,
        )
        order.fulfillments.append(made)
        shop.owners["Fulfillment", made.id] = order
        if notify and order.email:
            shop.emails.append({"order": order.name, "to": order.email, "kind": "shipping", "tracking": tracking})
        event.send("fulfillments/create", lambda: bodies.fulfillment(shop, order, made), order)
        done = order.fulfillment_status == "FULFILLED"
        updated(shop, event, order, "orders/fulfilled" if done else "orders/partially_fulfilled")
    return made
