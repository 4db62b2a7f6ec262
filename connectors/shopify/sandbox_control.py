"""The control API of the sandbox, under `/_sandbox/`: what buyers and merchants do, and looking at the result."""

from __future__ import annotations

from typing import Any

from . import sandbox_orders, sandbox_payments
from .sandbox_checkout import place
from .sandbox_model import Order, Refused
from .sandbox_money import fixed_decimal
from .sandbox_mutations import tracking_of
from .sandbox_store import Shop


def act(shop: Shop, order: Order, action: str, spec: dict[str, Any]) -> dict[str, Any]:
    """One action on an order; gives the order as `summary` shows it."""
    if action == "pay":
        sandbox_payments.pay(shop, order, spec)
    elif action == "settle":
        sandbox_payments.settle(shop, order)
    elif action == "refund":
        sandbox_orders.refund(shop, order, spec)
    elif action == "edit":
        sandbox_orders.edit(shop, order, spec)
    elif action == "cancel":
        sandbox_orders.cancel(shop, order, spec)
    elif action == "fulfill":
        _fulfill(shop, order, spec)
    elif action in ("hold", "release"):
        _hold(shop, order, action == "hold")
    elif action == "touch":
        with shop.action(order) as event:
            order.tags = list(spec.get("tags", order.tags))
            order.note = spec.get("note", order.note)
            sandbox_payments.updated(shop, event, order)
    else:
        raise Refused(f"no action {action!r}")
    return summary(order)


def _fulfill(shop: Shop, order: Order, spec: dict[str, Any]) -> None:
    """The merchant ships by hand: `{tracking: {company, number, url}, lines: [{line | sku, quantity}], notify}`."""
    wanted = {order.line(i.get("line", i.get("sku"))).id: int(i["quantity"]) for i in spec.get("lines", [])}
    parts: list[Any] = []
    for fo in order.fulfillment_orders:
        if fo.status != "OPEN" or (parts and parts[0][0].location != fo.location):
            continue
        units = {item.id: wanted.get(item.line.id, 0) for item in fo.lines} if wanted else None
        if units is not None and any(units[item.id] > item.remaining for item in fo.lines):
            raise Refused("more than what remains")
        parts.append((fo, units))
    if not parts or (wanted and not any(sum(units.values()) for _, units in parts)):
        raise Refused("nothing remains to be shipped")
    sandbox_orders.fulfill(shop, order, parts, tracking_of(spec.get("tracking") or {}), bool(spec.get("notify")))


def _hold(shop: Shop, order: Order, hold: bool) -> None:
    before, after = ("OPEN", "ON_HOLD") if hold else ("ON_HOLD", "OPEN")
    with shop.action(order) as event:
        for fo in order.fulfillment_orders:
            if fo.status == before:
                fo.status = after
        sandbox_payments.updated(shop, event, order)


def place_order(shop: Shop, spec: dict[str, Any]) -> dict[str, Any]:
    return summary(place(shop, spec))


def summary(order: Order) -> dict[str, Any]:
    """An order with its totals, as the shop's admin would show it. Amounts are texts with all their places."""

    def text(amount: int) -> str:
        return fixed_decimal(amount, order.currency)

    return {
        "id": str(order.id),
        "gid": f"gid://shopify/Order/{order.id}",
        "name": order.name,
        "currency": order.currency,
        "updated_at": order.updated_at.isoformat(),
        "financial_status": order.financial_status,
        "fulfillment_status": order.fulfillment_status,
        "cancelled": order.cancelled_at is not None,
        "total": text(order.total),
        "total_tax": text(order.tax),
        "current_total": text(order.current_total),
        "current_tax": text(order.current_tax),
        "received": text(order.received),
        "refunded": text(order.refunded),
        "outstanding": text(order.outstanding),
        "lines": [
            {
                "id": str(line.id),
                "sku": line.sku,
                "quantity": line.quantity,
                "current_quantity": line.current_quantity,
                "fulfilled": line.fulfilled,
                "net": text(line.net),
                "tax": text(line.tax),
            }
            for line in order.lines
        ],
        "transactions": [
            {"id": str(t.id), "kind": t.kind, "status": t.status, "gateway": t.gateway, "amount": text(t.amount)}
            for t in order.transactions
        ],
        "refunds": [
            {"id": str(r.id), "amount": text(sum(t.amount for t in r.transactions)), "note": r.note}
            for r in order.refunds
        ],
        "fulfillments": [
            {
                "id": str(f.id),
                "tracking": f.tracking,
                "notify": f.notify,
                "lines": [{"sku": item.line.sku, "quantity": item.quantity} for item in f.lines],
            }
            for f in order.fulfillments
        ],
        "fulfillment_orders": [
            {
                "id": f"gid://shopify/FulfillmentOrder/{fo.id}",
                "status": fo.status,
                "location": fo.location,
                "lines": [
                    {
                        "id": f"gid://shopify/FulfillmentOrderLineItem/{item.id}",
                        "sku": item.line.sku,
                        "remaining": item.remaining,
                    }
                    for item in fo.lines
                ],
            }
            for fo in order.fulfillment_orders
        ],
    }


def stock(shop: Shop) -> list[dict[str, Any]]:
    return [
        {
            "sku": variant.sku,
            "item": f"gid://shopify/InventoryItem/{variant.item_id}",
            "location": f"gid://shopify/Location/{at}",
            "location_name": shop.locations[at].name,
            "available": level.available,
            "committed": level.committed,
            "on_hand": level.on_hand,
        }
        for variant in shop.variants.values()
        for at, level in variant.levels.items()
    ]
