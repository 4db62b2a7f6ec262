"""The records of Shopify: one shape per kind, whatever brought it (a webhook body or the parts of a read).

`shopify.order` has the field names of the Admin GraphQL `Order`; connections are plain lists; decimals are text without
trailing zeros; instants are UTC text to the second; enums are in capitals; ids are GIDs, with `legacyResourceId` beside
them as text. `sections` says what is known: `{"header": {"asOf", "complete"}, "lines", "payments", "refunds",
"fulfillments"}`. A section that is not complete says nothing about what is absent from it; `lineItems`, `refunds` and
`transactions` are None while nothing of them was read.
"""

from __future__ import annotations

from typing import Any

from . import records_graphql, records_webhook
from .records_values import Node, PartsDiffer, RecordError

__all__ = [
    "PartsDiffer",
    "RecordError",
    "inventory_level_from_webhook",
    "order_from_parts",
    "order_from_webhook",
    "read_file",
    "refund_from_parts",
    "refund_from_webhook",
    "transactions_record",
]

Record = dict[str, Any]

# What OrderMoney.graphql asks for; a full page may have been cut.
MONEY_PAGE = 50


def _section(as_of: str | None, complete: bool) -> Record:
    return {"asOf": as_of, "complete": complete}


def order_from_webhook(body: Record) -> Record:
    """`shopify.order` from an `orders/*` body: all sections complete but the payments, which such a body never has."""
    record = records_webhook.order(Node(body))
    stamp = record["updatedAt"]
    whole = _section(stamp, True)
    record["sections"] = {
        "header": whole,
        "lines": dict(whole),
        "payments": _section(None, False),
        # what a refund gave back may be told in the buyer's currency only: then the order is to be read
        "refunds": _section(stamp, all(each["totalRefundedSet"]["shopMoney"] for each in record["refunds"])),
        "fulfillments": dict(whole),
    }
    return record


def refund_from_webhook(body: Record) -> Record:
    """`shopify.refund` from a `refunds/create` body. `order.id` says whose it is; the order itself is to be read."""
    node = Node(body)
    node.number_id("order_id", required=True)
    shop, presentment = _currencies_of(body)
    return records_webhook.refund(node, records_webhook.Currencies(shop, presentment))


def refund_from_parts(pages: list[Record]) -> Record:
    """`shopify.refund` from the pages of RefundFull for one refund."""
    return records_graphql.refund([_part(page, "refund", f"$.pages[{index}]") for index, page in enumerate(pages)])


def transactions_record(body: Record, shop_currency: str | None = None) -> Record:
    """`shopify.transaction` from an `order_transactions/create` body: `order.id` and one transaction.

    The body's amount is in the currency the buyer paid in. Where that is not the shop's (told by `shop_currency`, else
    by `total_unsettled_set`), `amountSet.shopMoney` is None: read the order's transactions.
    """
    node = Node(body)
    order = node.reference("Order", "order_id")
    if order is None:
        raise node.fail("order_id", "missing")
    found = records_webhook.transaction(node, records_webhook.Currencies(shop_currency, None))
    return {"order": order, **found}


def inventory_level_from_webhook(body: Record) -> Record:
    """`shopify.inventory_level` from an `inventory_levels/update` body: the state when the body was made."""
    node = Node(body)
    item, location = node.reference("InventoryItem", "inventory_item_id"), node.reference("Location", "location_id")
    if item is None:
        raise node.fail("inventory_item_id", "missing")
    if location is None:
        raise node.fail("location_id", "missing")
    return {
        "item": item,
        "location": location,
        "available": node.whole("available"),
        "updatedAt": node.instant("updated_at", required=True),
    }


def order_from_parts(
    header: Record, lines: list[Record], money: Record | None = None, refunds: list[Record] | None = None
) -> Record:
    """`shopify.order` from OrderHeader, the pages of OrderLines, OrderMoney and the pages of RefundFull.

    Each part is the whole answer or its `order` (`refund`) object. An empty `lines`, or None, means that the part was
    not read. Raises PartsDiffer when two parts were not read at the same `updatedAt`.
    """
    head = _part(header, "order", "$.header")
    record = records_graphql.header(head)
    stamp = record["updatedAt"]
    pages = [_part(page, "order", f"$.lines[{index}]") for index, page in enumerate(lines)]
    paid = None if money is None else _part(money, "order", "$.money")
    for part in [*pages, *([] if paid is None else [paid])]:
        _same_moment(part, record["id"], stamp)

    record["lineItems"] = (
        [
            records_graphql.line(item)
            for page in pages
            for item in records_graphql.nodes(page, "lineItems", required=True)
        ]
        if pages
        else None
    )
    lines_complete = bool(pages) and not records_graphql.has_more(pages[-1], "lineItems")

    payments_complete = False
    if paid is not None and paid.has("transactions"):
        record["transactions"] = [records_graphql.transaction(item) for item in paid.children("transactions")]
        payments_complete = len(record["transactions"]) < MONEY_PAGE
    record["refunds"], refunds_complete = _refunds(record["id"], stamp, paid, refunds)
    record["sections"] = {
        "header": _section(stamp, True),
        "lines": _section(stamp if pages else None, lines_complete),
        "payments": _section(stamp if payments_complete else None, payments_complete),
        "refunds": _section(stamp if refunds_complete else None, refunds_complete),
        "fulfillments": _section(stamp, records_graphql.fulfillments_complete(head)),
    }
    return record


def _refunds(order: str, stamp: str, paid: Node | None, parts: list[Record] | None) -> tuple[list[Record] | None, bool]:
    """The refunds that were read, and whether they are all of the order's (which only OrderMoney's list can tell)."""
    by_id: dict[str, list[Node]] = {}
    for index, part in enumerate(parts or []):
        page = _part(part, "refund", f"$.refunds[{index}]")
        owner = page.child("order")
        if owner is not None and owner.has("updatedAt"):
            _same_moment(owner, order, stamp)
        by_id.setdefault(page.required_text("id"), []).append(page)
    listed = None
    if paid is not None and paid.has("refunds"):
        listed = [item.required_text("id") for item in paid.children("refunds")]
    if listed is None:
        return ([records_graphql.refund(pages) for pages in by_id.values()] or None), False
    read = [records_graphql.refund(by_id[key]) for key in listed if key in by_id]
    cut = any(records_graphql.has_more(pages[-1], "refundLineItems") for pages in by_id.values())
    complete = len(read) == len(listed) < MONEY_PAGE and not cut
    return (read if read or complete else None), complete


def read_file(payloads: list[Record]) -> list[Record]:
    """Records of saved payloads: webhook bodies and GraphQL answers, in the order in which each record first appears.

    Gives `{"kind": "shopify.order", "record": {...}}` and so on (kinds `order`, `refund`, `transaction`,
    `inventory_level`). Answers about one order are joined by its id; a part that is not there leaves its section
    incomplete. Raises RecordError for a payload that is none of these.
    """
    found: list[Record | _Parts] = []
    joined: dict[str, _Parts] = {}
    for index, payload in enumerate(payloads):
        path = f"$[{index}]"
        data = Node(payload, path).get("data")
        if not isinstance(data, dict):
            found.append(_webhook(payload, path))
            continue
        order, refund = data.get("order"), data.get("refund")
        owner = (refund.get("order") or {}).get("id") if isinstance(refund, dict) else None
        key = order.get("id") if isinstance(order, dict) else owner
        if not isinstance(key, str):
            raise RecordError(f"{path}.data", "neither an order nor a refund with an id")
        if key not in joined:
            joined[key] = _Parts()
            found.append(joined[key])
        joined[key].add(order, refund, path)
    records: list[Record] = []
    for item in found:
        records.extend(item.records() if isinstance(item, _Parts) else [item])
    return records


class _Parts:
    """The answers about one order found in a file."""

    def __init__(self) -> None:
        self.header: Record | None = None
        self.lines: list[Record] = []
        self.money: Record | None = None
        self.refunds: list[Record] = []

    def add(self, order: Record | None, refund: Record | None, path: str) -> None:
        if refund is not None:
            self.refunds.append(refund)
        elif order is None:
            raise RecordError(f"{path}.data", "no order and no refund")
        elif "lineItems" in order:
            self.lines.append(order)
        elif "transactions" in order:
            self.money = order
        elif "totalPriceSet" in order:
            self.header = order
        else:
            raise RecordError(f"{path}.data.order", "neither OrderHeader, OrderLines nor OrderMoney")

    def records(self) -> list[Record]:
        if self.header is not None:
            record = order_from_parts(self.header, self.lines, self.money, self.refunds)
            return [{"kind": "shopify.order", "record": record}]
        if self.lines or self.money is not None:
            raise RecordError("$", "OrderLines and OrderMoney need the OrderHeader of the same order beside them")
        by_id: dict[str, list[Record]] = {}
        for page in self.refunds:
            by_id.setdefault(str(page.get("id")), []).append(page)
        return [{"kind": "shopify.refund", "record": refund_from_parts(pages)} for pages in by_id.values()]


def _webhook(body: Record, path: str) -> Record:
    if "line_items" in body and "total_price" in body:
        return {"kind": "shopify.order", "record": order_from_webhook(body)}
    if "refund_line_items" in body:
        return {"kind": "shopify.refund", "record": refund_from_webhook(body)}
    if "gateway" in body and "kind" in body:
        return {"kind": "shopify.transaction", "record": transactions_record(body)}
    if "inventory_item_id" in body:
        return {"kind": "shopify.inventory_level", "record": inventory_level_from_webhook(body)}
    raise RecordError(path, "neither a webhook body nor a GraphQL answer of an order or a refund")


def _part(answer: Record, name: str, path: str) -> Node:
    """The `order` (or `refund`) object of an answer, which may be given alone."""
    node = Node(answer, path)
    data = node.child("data")
    if data is None:
        return node
    found = data.child(name)
    if found is None:
        raise data.fail(name, "missing: the answer holds none")
    return found


def _same_moment(part: Node, order: str, stamp: str) -> None:
    if part.required_text("id") != order:
        raise part.fail("id", f"part of another order than {order}")
    own = part.instant("updatedAt", required=True)
    if own != stamp:
        raise PartsDiffer(f"order {order}: {part.path} was read at {own}, the header at {stamp}")


def _currencies_of(body: Record) -> tuple[str | None, str | None]:
    """Shop and presentment currency, from the first money set found in a body."""
    stack: list[Any] = [body]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            shop, presentment = value.get("shop_money"), value.get("presentment_money")
            if isinstance(shop, dict) and isinstance(presentment, dict) and shop.get("currency_code"):
                return shop["currency_code"], presentment.get("currency_code")
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return None, None
