"""At rest all sides agree: what the shop says, what the hub booked, what the books, the warehouse and the customers have."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from hub.workers.admin.verify import verify

from .shopping import Customers
from .stage import MOST_RECEIVED, UNITS, Stage

_DOCUMENTS = (
    "SELECT document.number, document.kind, document.total, sales_order.name FROM document "
    "JOIN sales_order ON sales_order.id = document.order_id"
)
_AVAILABLE = (
    "SELECT item.id, item.sku, sum(on_hand - held - waiting), sum(on_hand) FROM stock_level JOIN item ON item.id = stock_level.item_id "
    "JOIN location ON location.id = stock_level.location_id WHERE location.kind = 'warehouse' GROUP BY item.id, item.sku"
)
_NOT_DONE = "SELECT seq, topic, state, outcome FROM inbox WHERE state <> 'done'"
_DELIVERIES = "SELECT id, operation, key, state, attempts, reason, body FROM delivery"
_QUESTIONS = "SELECT kind, subject, reason, delivery_id FROM question WHERE state = 'open'"


class Agreement:
    """Every difference between the sides, by its name."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.shop = stage.sandbox("shop")
        self.books = stage.sandbox("books")
        self.warehouse = stage.sandbox("warehouse")
        self.mails = stage.sandbox("mail")["messages"]
        self.documents = stage.rows(_DOCUMENTS)
        self.deliveries = stage.rows(_DELIVERIES)
        self.questions = stage.rows(_QUESTIONS)
        self.wrong: list[str] = []

    def differences(self, customers: Customers) -> list[str]:
        """Everything that does not agree. Where customers took back what the warehouse had, goods are a person's decision."""
        self._tidy = customers.tidy
        self._terminal()
        self._verified()
        self._invoiced()
        self._booked()
        self._paid()
        self._goods()
        self._stock()
        if self._tidy:
            self._on_hand(customers)
        self._mailed()
        self._asked()
        return self.wrong

    def _say(self, text: str) -> None:
        self.wrong.append(text)

    def _terminal(self) -> None:
        for seq, topic, state, outcome in self._stage.rows(_NOT_DONE):
            refused = state == "parked" and topic == "receipts"
            if state != "parked" or (self._tidy and not refused):
                self._say(f"event {seq} is {state}: {outcome}")
        final = ("confirmed", "rejected", "uncertain", "superseded")
        asked = {row.delivery_id for row in self.questions}
        for row in self.deliveries:
            if row.state not in final and row.id not in asked:
                self._say(f"delivery {row.operation} {row.key} is {row.state}: {row.reason}")
            if row.state in ("rejected", "uncertain") and row.id not in asked:
                self._say(f"delivery {row.operation} {row.key} is {row.state} and nobody is asked")

    def _verified(self) -> None:
        self.wrong += [f"{each['place']}: {each['message']}" for each in verify(self._stage.scratch.hub)["faults"]]

    def _invoiced(self) -> None:
        net: Counter[str] = Counter()
        for row in self.documents:
            net[row.name] += row.total if row.kind == "invoice" else -row.total
        known = {row.name for row in self._stage.rows("SELECT name FROM sales_order")}
        for order in self.shop["orders"]:
            due = _cents(order["current_total"]) if _cents(order["received"]) else 0
            if order["name"] not in known:
                self._say(f"order {order['name']} is unknown to the hub")
            elif net[order["name"]] != due:
                self._say(f"order {order['name']}: the shop says {due}, the hub invoiced {net[order['name']]}")

    def _booked(self) -> None:
        theirs: dict[str, list[int]] = {}
        for entity in ("invoice", "creditmemo"):
            for record in self.books[entity]:
                theirs.setdefault(record["DocNumber"], []).append(_cents(record["TotalAmt"]))
        for row in self.documents:
            found = theirs.pop(row.number, [])
            if found != [row.total] and not (row.total == 0 and not found):
                self._say(f"{row.number} is {row.total} at the hub, {found} in the books")
        for number in theirs:
            self._say(f"{number} is in the books and not at the hub")
        for entity, name in (("customer", "DisplayName"), ("item", "Name"), ("taxcode", "Name")):
            for text, count in Counter(each[name] for each in self.books.get(entity, ())).items():
                if count > 1:
                    self._say(f"{entity} {text} is in the books {count} times")

    def _paid(self) -> None:
        notes = Counter(str(each.get("PrivateNote")) for each in self.books["payment"])
        for note, count in notes.items():
            if count > 1:
                self._say(f"payment {note} is in the books {count} times")
        received = sum(_cents(each["received"]) for each in self.shop["orders"])
        booked = sum(_cents(each["TotalAmt"]) for each in self.books["payment"])
        if received != booked:
            self._say(f"the shop received {received}, the books have {booked}")

    def _goods(self) -> None:
        there: Counter[str] = Counter()
        for order in self.shop["orders"]:
            there.update(each["number"] for one in order["fulfillments"] for each in one["tracking"])
        for shipment in self.warehouse["shipments"]:
            tracking = (shipment.get("tracking") or {}).get("tracking_number")
            if tracking is None:
                continue
            if there[tracking] > 1:
                self._say(f"parcel {tracking} is at the shop {there[tracking]} times")
            elif self._tidy and not there[tracking]:
                self._say(f"parcel {tracking} (shipment {shipment['id']}) is not at the shop")
        planned = [row for row in self.deliveries if row.operation == "order.create"]
        references = Counter(each["reference_id"] for each in self.warehouse["orders"])
        for row in planned:
            if references[row.key] != (row.state == "confirmed"):
                self._say(f"order {row.key} is {row.state} and at the warehouse {references[row.key]} times")

    def _stock(self) -> None:
        drifting = (
            {row.subject.rpartition(":")[0] for row in self.questions if row.kind == "stock.drift"}
            if not self._tidy
            else set()
        )
        shown = {each["sku"]: each["available"] for each in self.shop["inventory"]}
        for item_id, sku, available, _on_hand in self._stage.rows(_AVAILABLE):
            if shown[sku] not in (available, max(0, available)) and f"item:{item_id}" not in drifting:
                self._say(f"stock of {sku}: the shop shows {shown[sku]}, the hub has {available} for sale")
        if self.shop["null_pushes"]:
            self._say(f"{self.shop['null_pushes']} stock pushes without the number they expected")

    def _on_hand(self, customers: Customers) -> None:
        """What came in, less what left, plus what came back."""
        kept = {row.ref for row in self._stage.rows("SELECT ref FROM move")}
        expected = Counter(UNITS)
        for ref, (sku, units) in customers.receipts.items():
            if units <= MOST_RECEIVED and f"receipt:{ref}:{sku}" in kept:
                expected[sku] += units
        for shipment in self.warehouse["shipments"]:
            if shipment["status"] == "Completed":
                for product in shipment["products"]:
                    expected[product["reference_id"]] -= sum(each["quantity"] for each in product["inventory_items"])
        expected.update(customers.returned())
        for _item_id, sku, _available, on_hand in self._stage.rows(_AVAILABLE):
            if on_hand != expected[sku]:
                self._say(f"stock of {sku}: {on_hand} on hand, and {expected[sku]} came in and did not leave")

    def _mailed(self) -> None:
        for identity, count in Counter(each["message_id"] for each in self.mails).items():
            if count > 1:
                self._say(f"mail {identity} was sent {count} times")
        sent = Counter(word for each in self.mails for word in each["subject"].split() if word.startswith("F2"))
        states = {row.key: row.state for row in self.deliveries if row.operation == "message.send"}
        for row in self.documents:
            if row.kind != "invoice":
                continue
            state = states.get(row.number)
            if state not in ("confirmed", "uncertain"):
                self._say(f"invoice {row.number} was not mailed: {state}")
            elif state == "confirmed" and sent[row.number] != 1:
                self._say(f"invoice {row.number} is confirmed as mailed and was sent {sent[row.number]} times")

    def _asked(self) -> None:
        """Questions that the seed's own doings explain; any other is a fault."""
        explained = _EXPLAINED if self._tidy else _EXPLAINED | _UNTIDY
        for row in self.questions:
            if row.kind not in explained or (row.kind == "delivery.uncertain" and "message.send" not in row.reason):
                self._say(f"question {row.kind} ({row.subject}): {row.reason}")


#: a customer who wants more after the warehouse was told, more than there is, a mail that is not proven sent
_EXPLAINED = frozenset(("order.edited_after_release", "stock.short", "delivery.uncertain", "validate"))
#: one who takes back what the warehouse was told to send
_UNTIDY = frozenset(("shipment.exceeds", "shipment.cancelled", "delivery.rejected", "stock.drift"))


def _cents(amount: Any) -> int:
    return int((Decimal(str(amount)) * 100).to_integral_exact())
