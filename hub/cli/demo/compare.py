"""The three-way comparison: what the shop, the hub and QuickBooks say of every order, to the cent; and the stock."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hub.cli.demo.stage import Stage


@dataclass
class Comparison:
    """Sums of the three sides, and every difference by its name."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def line(self, what: str, shop: Any, hub: Any, books: Any) -> None:
        self.rows.append((what, str(shop), str(hub), str(books)))

    def wrong(self, text: str) -> None:
        self.differences.append(text)


def compare(stage: Stage) -> Comparison:
    """Compares orders, documents, payments, stock, shipments and mails of all sides."""
    made = Comparison()
    shop = stage.sandbox("shopify", "state")
    books = stage.sandbox("quickbooks", "state")
    warehouse = stage.sandbox("shipbob", "state")
    mails = stage.client.get(f"{stage.sandboxes['smtp_control']}/_sandbox/state").json()["messages"]
    orders = {each["name"]: each for each in pages(stage, "/api/orders")}
    documents = pages(stage, "/api/documents")
    _money(made, shop, orders, documents, books)
    _stock(made, stage, shop)
    _goods(made, stage, shop, warehouse)
    _mails(made, documents, mails, stage)
    if shop["null_pushes"]:
        made.wrong(f"{shop['null_pushes']} stock pushes without the number they expected")
    return made


def _money(
    made: Comparison,
    shop: dict[str, Any],
    orders: dict[str, dict[str, Any]],
    documents: list[dict[str, Any]],
    books: dict[str, Any],
) -> None:
    numbers_of: dict[str, list[str]] = defaultdict(list)
    name_of = {each["id"]: each["name"] for each in orders.values()}
    for document in documents:
        numbers_of[name_of[document["order_id"]]].append(document["number"])
    ours = {each["number"]: each for each in documents}
    theirs: dict[str, list[tuple[str, Decimal]]] = defaultdict(list)
    for entity, sign in (("invoice", 1), ("creditmemo", -1)):
        for record in books[entity]:
            theirs[record["DocNumber"]].append((entity, sign * _cents(record["TotalAmt"])))
    shop_sum = hub_sum = books_sum = Decimal(0)
    for order in shop["orders"]:
        name = order["name"]
        # what was never paid is never invoiced: nobody owes it any more, or nobody owes it yet
        due = Decimal(order["current_total"]) if Decimal(order["received"]) else Decimal(0)
        known = orders.get(name)
        hub = _amount(known["invoiced"]) if known else Decimal(0)
        booked = sum((amount for number in numbers_of[name] for _, amount in theirs.get(number, [])), Decimal(0))
        shop_sum, hub_sum, books_sum = shop_sum + due, hub_sum + hub, books_sum + booked
        if known is None:
            made.wrong(f"order {name} is unknown to the hub")
        elif hub != due:
            made.wrong(f"order {name}: the shop says {due}, the hub invoiced {hub}")
        if booked != hub:
            made.wrong(f"order {name}: the hub invoiced {hub}, QuickBooks has {booked}")
    for number, document in ours.items():
        found = theirs.get(number, [])
        sign = 1 if document["kind"] == "invoice" else -1
        if not found and _amount(document["total"]):
            made.wrong(f"{number} is not in QuickBooks")
        elif len(found) > 1:
            made.wrong(f"{number} is in QuickBooks {len(found)} times")
        elif found and found[0][1] != sign * _amount(document["total"]):
            made.wrong(f"{number} is {document['total']} at the hub, {abs(found[0][1])} in QuickBooks")
    for number in sorted(set(theirs) - set(ours)):
        made.wrong(f"{number} is in QuickBooks and not at the hub")
    invoices = [each for each in documents if each["kind"] == "invoice"]
    made.line("orders", len(shop["orders"]), len(orders), "")
    made.line("invoices", "", len(invoices), len(books["invoice"]))
    made.line("credit notes", "", len(documents) - len(invoices), len(books["creditmemo"]))
    made.line("net invoiced, EUR", shop_sum, hub_sum, books_sum)
    received = sum((Decimal(each["received"]) for each in shop["orders"]), Decimal(0))
    paid = sum((_cents(each["TotalAmt"]) for each in books["payment"]), Decimal(0))
    made.line("payments received, EUR", received, "", paid)
    if received != paid:
        made.wrong(f"payments: the shop received {received}, QuickBooks has {paid}")


def _stock(made: Comparison, stage: Stage, shop: dict[str, Any]) -> None:
    items = stage.hub("GET", "/api/stock", params={"limit": 500})["items"]
    hub = {each["sku"]: sum(level["available"] for level in each["levels"]) for each in items}
    shown = {each["sku"]: each["available"] for each in shop["inventory"]}
    for sku, available in hub.items():
        if shown.get(sku) != available:
            made.wrong(f"stock of {sku}: the shop shows {shown.get(sku)}, the hub has {available} for sale")
    made.line("units for sale", sum(shown[sku] for sku in hub if sku in shown), sum(hub.values()), "")


def _goods(made: Comparison, stage: Stage, shop: dict[str, Any], warehouse: dict[str, Any]) -> None:
    sent = {each["tracking"]["tracking_number"]: each for each in warehouse["shipments"] if each.get("tracking")}
    there: Counter[str] = Counter()
    for order in shop["orders"]:
        for fulfilment in order["fulfillments"]:
            numbers = [each["number"] for each in fulfilment["tracking"]] or ["without number"]
            there.update(numbers)
            if not fulfilment["notify"]:
                made.wrong(f"order {order['name']}: the customer was not told of parcel {', '.join(numbers)}")
    for number in sent:
        if there[number] != 1:
            made.wrong(f"parcel {number} is at the shop {there[number]} times")
    references = Counter(each["reference_id"] for each in warehouse["orders"])
    for reference, count in references.items():
        if count > 1:
            made.wrong(f"order {reference} is at the warehouse {count} times")
    planned = sum(1 for each in pages(stage, "/api/outbox", operation="order.create") if each["state"] == "confirmed")
    if planned != len(warehouse["orders"]):
        made.wrong(f"the hub sent {planned} orders to the warehouse, which has {len(warehouse['orders'])}")
    made.line("parcels with tracking", sum(there.values()), len(sent), "")


def _mails(made: Comparison, documents: list[dict[str, Any]], mails: list[dict[str, Any]], stage: Stage) -> None:
    sent = Counter(word for each in mails for word in each["subject"].split() if word.startswith("F2"))
    states = {each["key"]: each["state"] for each in pages(stage, "/api/outbox", operation="message.send")}
    for document in documents:
        if document["kind"] != "invoice":
            continue
        number = document["number"]
        if sent[number] > 1:
            made.wrong(f"invoice {number} was mailed {sent[number]} times")
        elif states.get(number) == "confirmed" and not sent[number]:
            made.wrong(f"invoice {number} was not mailed")
        elif states.get(number) not in ("confirmed", "uncertain"):
            made.wrong(f"invoice {number} was not mailed: {states.get(number, 'no mail was planned')}")
    count = Counter(states.values())
    made.line("invoices mailed", "", count["confirmed"], "")
    if count["uncertain"]:
        # the hub stopped between sending and writing it down: a person is asked
        made.line("invoices mailed, not proven", "", count["uncertain"], "")


def _amount(text: str) -> Decimal:
    return Decimal(text.split()[0])


def _cents(number: float) -> Decimal:
    """An amount of QuickBooks, which leaves out the last 0."""
    return Decimal(str(number)).quantize(Decimal("0.01"))


def pages(stage: Stage, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    items: list[dict[str, Any]] = []
    before: Any = None
    while True:
        page = stage.hub(
            "GET", path, params={**parameters, "limit": 500, **({} if before is None else {"before": before})}
        )
        items += page["items"]
        before = page["next"]
        if before is None:
            return items
