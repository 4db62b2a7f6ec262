"""Fulfilments: what left the warehouse, with its tracking number. The vendor has no idempotency for them."""

from __future__ import annotations

from typing import Any

from hub.connect.errors import Refused
from hub.connect.links import Link
from hub.connect.listing import Listed
from hub.connect.operations import Call, Confirmed

from .graphql import refuse, run, user_errors
from .records_values import gid, legacy_id

Record = dict[str, Any]

_OPEN = ("OPEN", "IN_PROGRESS")
_UNDONE = ("CANCELLED", "FAILURE", "ERROR")


def find(link: Link, call: Call) -> Confirmed | None:
    """The fulfilment with our tracking number; without one, the last of an order of which nothing of ours remains."""
    order = _order(link, call)
    done = [each for each in order["fulfillments"] if each["status"] not in _UNDONE]
    number = call.body.get("tracking_number")
    if number:
        ours = [each for each in done if any(info.get("number") == number for info in each["trackingInfo"])]
        return Confirmed(str(ours[0]["id"]), ours[0]) if ours else None
    if call.first_attempt or not done:
        return None
    remaining = [_remaining(line, wanted) for wanted in call.body["lines"] for _, line in _lines(order)]
    return Confirmed(str(done[-1]["id"]), done[-1]) if not any(remaining) else None


def create(link: Link, call: Call) -> Confirmed:
    """`fulfillment.create`. Raises: Refused when the shop has less left to ship than that, or at several locations."""
    body = call.body
    parts = _allocate(link, _order(link, call), body["lines"])
    tracking = {"company": body.get("carrier"), "number": body.get("tracking_number"), "url": body.get("tracking_url")}
    tracking = {name: value for name, value in tracking.items() if value}
    wanted: Record = {
        "notifyCustomer": bool(body.get("notify", True)),
        "lineItemsByFulfillmentOrder": [
            {
                "fulfillmentOrderId": part,
                "fulfillmentOrderLineItems": [{"id": line, "quantity": count} for line, count in lines.items()],
            }
            for part, lines in parts.items()
        ],
    }
    if tracking:
        wanted["trackingInfo"] = tracking
    payload = run(link, "FulfillmentCreate", {"fulfillment": wanted})["fulfillmentCreate"]
    refuse(link, user_errors(payload))
    return Confirmed(str(payload["fulfillment"]["id"]), payload["fulfillment"])


def listed(link: Link, since: str, cursor: str | None) -> Listed:
    """A page of the fulfilments of orders that changed since an instant. One that was cancelled has no tracking number here:
    the parcel may have been told again."""
    variables = {"query": f"updated_at:>='{since}'", **({"after": cursor} if cursor else {})}
    page = run(link, "FulfillmentsSince", variables)["orders"]
    found = [
        {
            "id": str(each["id"]),
            "order_id": legacy_id(str(order["id"])),
            "tracking_number": None if each["status"] in _UNDONE else _number(each),
        }
        for order in page["nodes"]
        for each in order["fulfillments"]
    ]
    return Listed(found, page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None)


def _number(fulfillment: Record) -> str | None:
    return next((info["number"] for info in fulfillment["trackingInfo"] if info.get("number")), None)


def _order(link: Link, call: Call) -> Record:
    order_id = str(call.body["order_id"])
    found = run(
        link, "FulfillmentOrdersOfOrder", {"id": order_id if order_id.startswith("gid:") else gid("Order", order_id)}
    )
    order = found.get("order")
    if order is None:
        raise Refused(f"{link.name}: the shop has no order {order_id}")
    return dict(order)


def _lines(order: Record) -> list[tuple[Record, Record]]:
    return [(part, line) for part in order["fulfillmentOrders"]["nodes"] for line in part["lineItems"]["nodes"]]


def _is(line: Record, wanted: Record) -> bool:
    if wanted.get("line_id"):
        return legacy_id(str(line["lineItem"]["id"])) == legacy_id(str(wanted["line_id"]))
    return bool(wanted.get("sku")) and line.get("sku") == wanted["sku"]


def _remaining(line: Record, wanted: Record) -> int:
    return int(line["remainingQuantity"]) if _is(line, wanted) else 0


def _allocate(link: Link, order: Record, wanted: list[Record]) -> dict[str, dict[str, int]]:
    """Units by line of each fulfilment order: one location, nothing more than what remains."""
    parts: dict[str, dict[str, int]] = {}
    places: set[str] = set()
    for each in wanted:
        left = int(each["quantity"])
        for part, line in _lines(order):
            able = part["status"] in _OPEN and {"action": "CREATE_FULFILLMENT"} in part["supportedActions"]
            used = parts.get(part["id"], {}).get(line["id"], 0)
            take = min(left, _remaining(line, each) - used) if able else 0
            if take > 0:
                lines = parts.setdefault(part["id"], {})
                lines[line["id"]] = used + take
                places.add(str((part["assignedLocation"].get("location") or {}).get("id")))
                left -= take
        if left:
            what = each.get("sku") or each.get("line_id")
            raise Refused(
                f"{link.name}: {left} of {what} are more than the shop has left to ship of order {order['id']}"
            )
    if not parts:
        raise Refused(f"{link.name}: nothing to ship of order {order['id']}")
    if len(places) > 1:
        raise Refused(
            f"{link.name}: order {order['id']} ships from {len(places)} locations: one shipment each is needed"
        )
    return parts
