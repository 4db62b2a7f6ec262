"""Money of the sandbox's orders: sales, authorisations, captures, and what can be given back."""

from __future__ import annotations

from typing import Any

from . import sandbox_bodies as bodies
from .sandbox_model import Order, Refused, Transaction
from .sandbox_money import minor
from .sandbox_store import Event, Shop


def updated(shop: Shop, event: Event, order: Order, *topics: str) -> None:
    """Sends the order's body on the topics, and on orders/updated."""
    for topic in (*topics, "orders/updated"):
        event.send(topic, lambda: bodies.order(shop, order), order)


def transact(
    shop: Shop, event: Event, order: Order, kind: str, amount: int, gateway: str, parent: int | None, status: str
) -> Transaction:
    made = Transaction(
        id=shop.new_id("OrderTransaction"),
        kind=kind,
        status=status,
        gateway=gateway,
        amount=amount,
        at=shop.now(),
        parent=parent,
        payment_id=f"{order.name}.{len(order.transactions) + 1}",
        test=order.test,
    )
    order.transactions.append(made)
    event.send("order_transactions/create", lambda: bodies.transaction(shop, order, made), order)
    return made


def pay_some(shop: Shop, event: Event, order: Order, how: Any, gateway: str) -> None:
    """`how`: True (all, now), "authorize", False, or a list of `{gateway, amount, kind}`; no amount means the rest."""
    if how is True:
        how = [{}]
    elif how == "authorize":
        how = [{"kind": "AUTHORIZATION"}]
    for item in how or []:
        auth = next((t for t in reversed(order.transactions) if t.kind == "AUTHORIZATION"), None)
        kind = item.get("kind") or ("CAPTURE" if order.authorized > 0 else "SALE")
        status = item.get("status", "SUCCESS")
        limit = order.authorized if kind == "VOID" else order.outstanding
        amount = limit if item.get("amount") is None else minor(item["amount"], order.currency)
        if kind not in ("SALE", "CAPTURE", "AUTHORIZATION", "VOID"):
            raise Refused(f"{kind} is not a payment")
        if kind in ("CAPTURE", "VOID") and (auth is None or amount > order.authorized):
            raise Refused("nothing of that amount is authorised")
        if not 0 < amount <= limit:
            if how == [{}] and amount == 0:
                return
            raise Refused(f"{amount} is not between 0 and what is left, {limit} (minor units)")
        parent = auth.id if auth is not None and kind in ("CAPTURE", "VOID") else None
        via = auth.gateway if parent is not None and auth is not None else item.get("gateway", gateway)
        transact(shop, event, order, kind, amount, via, parent, status)


def pay(shop: Shop, order: Order, spec: dict[str, Any]) -> None:
    """Pays, authorises, captures or voids: `{amount, gateway, kind, status}`, all optional."""
    if order.cancelled_at is not None:
        raise Refused("the order is cancelled")
    before = order.financial_status
    with shop.action(order) as event:
        pay_some(shop, event, order, [spec], spec.get("gateway", shop.settings["gateway"]))
        paid = order.financial_status == "PAID" and before != "PAID"
        updated(shop, event, order, *(["orders/paid"] if paid else []))


def settle(shop: Shop, order: Order) -> None:
    """Pending transactions come through."""
    with shop.action(order) as event:
        for item in order.transactions:
            if item.status == "PENDING":
                item.status = "SUCCESS"
        updated(shop, event, order)


def refundable(order: Order) -> list[tuple[Transaction, int]]:
    """Payments with what can still be given back on each, the latest first."""
    found = []
    for paid in reversed(order.transactions):
        if paid.kind in ("SALE", "CAPTURE") and paid.status == "SUCCESS":
            given = sum(t.amount for t in order.transactions if t.kind == "REFUND" and t.parent == paid.id)
            if paid.amount > given:
                found.append((paid, paid.amount - given))
    return found
