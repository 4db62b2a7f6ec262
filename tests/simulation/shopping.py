"""Customers, the merchant and the warehouse: what they do to an order, at the sandboxes."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from .stage import UNITS, Stage

_MOST_ORDERS = 6
_SHIPPING = {"title": "Colissimo", "price": "4.90", "vat": "0.2"}


class Customers:
    """All that happens outside of the hub on purpose."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self._stage = stage
        self._chance = chance
        self.skus = sorted(UNITS)
        #: nobody takes back what the warehouse may have been told already: then no question is asked about goods
        self.tidy = chance.random() < 0.75
        self.orders: list[str] = []
        #: units that the merchant says came in, by ref
        self.receipts: dict[str, tuple[str, int]] = {}

    def received(self, sku: str, units: int, ref: str) -> None:
        """The merchant typed a receipt."""
        self.receipts[ref] = (sku, units)

    def act(self) -> str:
        """One thing that somebody does. Raises: SandboxRefused where it cannot be done."""
        chance = self._chance
        if not self.orders or (len(self.orders) < _MOST_ORDERS and chance.random() < 0.3):
            return self._place()
        # the shop's stamps are of whole seconds: two changes of one second, read between them, look like one
        self._stage.clock.now += 1_000_000
        name = chance.choice(self.orders)
        kind = chance.choices(("ship", "refund", "edit", "cancel", "pay", "touch"), weights=(5, 4, 3, 1.5, 2, 1))[0]
        if kind == "ship":
            return self._ship()
        order = self._stage.sandboxes.inside("shop").shop.order(name)
        if self.tidy and kind in ("refund", "edit", "cancel") and order.received and not _shipped(order):
            kind = "more" if kind == "edit" or not self._gets_gestures(order) else "refund"
        if kind == "edit" and order.refunds:
            kind = "more"
        if (kind == "cancel" and order.refunds) or (kind == "refund" and order.cancelled_at is not None):
            kind = "touch"
        spec: dict[str, Any] = {}
        if kind == "more":
            kind, spec = "edit", self._more()
        elif kind == "refund":
            spec = self._refund(order)
        elif kind == "edit":
            spec = self._edit(order)
        self._stage.sandboxes.post("shop", f"orders/{name.lstrip('#')}/{kind}", spec)
        return f"{kind} {name} {spec or ''}".strip()

    def _place(self) -> str:
        chance = self._chance
        skus = chance.sample(self.skus, chance.randint(1, len(self.skus)))
        spec: dict[str, Any] = {
            "lines": [{"sku": sku, "quantity": chance.randint(1, 3)} for sku in skus],
            "pay": chance.random() < 0.8,
            "customer": {
                "email": f"buyer{len(self.orders) % 3}@example.org",
                "first_name": "Camille",
                "last_name": f"Exemple {len(self.orders) % 3}",
            },
        }
        if chance.random() < 0.4:
            spec["shipping"] = _SHIPPING
        if chance.random() < 0.2:
            spec["discount"] = {"type": "percentage", "value": chance.choice((10, 33)), "code": "CODE"}
        placed = self._stage.sandboxes.post("shop", "orders", spec)
        self.orders.append(placed["name"])
        return f"place {placed['name']} {spec['lines']} paid {spec['pay']}"

    def _refund(self, order: Any) -> dict[str, Any]:
        chance = self._chance
        lines = [line for line in order.lines if line.current_quantity]
        if self._gets_gestures(order) or not lines:
            return {**self._gesture(), **({} if lines else {"amount": "0.00"})}
        line = chance.choice(lines)
        return {"lines": [{"line": line.id, "quantity": chance.randint(1, line.current_quantity)}]}

    def _edit(self, order: Any) -> dict[str, Any]:
        chance = self._chance
        lines = [line for line in order.lines if line.unfulfilled and line.current_quantity]
        if not lines or chance.random() < 0.5:
            return self._more()
        return {"remove": [{"line": chance.choice(lines).id, "quantity": 1}]}

    @staticmethod
    def _gets_gestures(order: Any) -> bool:
        """An amount given back and then all units of a rate of tax are more than was invoiced at it: a question."""
        return bool(order.number % 2)

    def _gesture(self) -> dict[str, Any]:
        return {"amount": self._chance.choice(("1.00", "2.50")), "note": "Geste"}

    def _more(self) -> dict[str, Any]:
        return {"add": [{"sku": self._chance.choice(self.skus), "quantity": 1}]}

    def _ship(self) -> str:
        warehouse = self._stage.sandboxes.inside("warehouse").warehouse
        ready = sorted({each["order_id"] for each in warehouse.shipments.values() if each["status"] == "Processing"})
        if not ready:
            return "nothing to ship"
        order_id = self._chance.choice(ready)
        self._stage.sandboxes.post(
            "warehouse", "ship", {"order_id": order_id, "carrier": "Colissimo", "service": "Domicile"}
        )
        return f"ship {order_id}"

    def pay_what_is_due(self) -> list[str]:
        """Whoever has paid a part pays the rest: what an edit added is due."""
        paid = []
        shop = self._stage.sandboxes.inside("shop").shop
        for order in list(shop.orders.values()):
            if order.received > 0 and order.outstanding > 0 and order.cancelled_at is None:
                self._stage.sandboxes.post("shop", f"orders/{order.number}/pay", {})
                paid.append(order.name)
        return paid

    def returned(self) -> Counter[str]:
        """Units that came back to the shelf, by SKU."""
        back: Counter[str] = Counter()
        for order in self._stage.sandboxes.inside("shop").shop.orders.values():
            for refund in order.refunds:
                back.update({each.line.sku: each.quantity for each in refund.lines if each.restock == "RETURN"})
        return back


def _shipped(order: Any) -> bool:
    return all(line.unfulfilled == 0 for line in order.lines)
