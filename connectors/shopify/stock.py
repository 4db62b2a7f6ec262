"""Quantities: read, adopted, and set only where the shop still has what we believe it has."""

from __future__ import annotations

from typing import Any

from hub.connect.client import reading
from hub.connect.errors import Refused, StaleState, Throttled
from hub.connect.links import Link
from hub.connect.listing import Listed
from hub.connect.operations import Call, Confirmed

from .graphql import refuse, run, user_errors
from .records_values import legacy_id
from .shop import stock_location

_BATCH = 20


def set_quantity(link: Link, call: Call) -> Confirmed:
    """`stock.set`. Raises: StaleState with the shop's number when it is another than `from`."""
    body = call.body
    quantity = {
        "inventoryItemId": body["item_ref"],
        "locationId": body["location_ref"],
        "quantity": int(body["quantity"]),
        "changeFromQuantity": int(body["from"]),
    }
    wanted = {
        "name": "available",
        "reason": "correction",
        "referenceDocumentUri": f"gid://hub/Delivery/{call.wire_key}",
        "quantities": [quantity],
    }
    payload = run(link, "InventorySet", {"input": wanted, "key": call.wire_key})["inventorySetQuantities"]
    errors = user_errors(payload)
    codes = {each.get("code") for each in errors}
    if "IDEMPOTENCY_CONCURRENT_REQUEST" in codes:
        raise Throttled(f"{link.name}: an earlier attempt still runs", 1)
    if codes & {"CHANGE_FROM_QUANTITY_STALE", "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"}:
        found = available(link, body["item_ref"], body["location_ref"])
        if not call.first_attempt and found == int(body["quantity"]):
            return Confirmed(None, {"available": found})  # an earlier attempt had arrived
        raise StaleState(f"{link.name}: the shop has {found}, not {body['from']}", found)
    refuse(link, errors)
    return Confirmed(None, {"available": int(body["quantity"])})


def read(link: Link, call: Call) -> Confirmed:
    """`stock.read`."""
    found = available(link, call.body["item_ref"], call.body["location_ref"])
    return Confirmed(None, {"available": found})


def check(link: Link, call: Call) -> Confirmed:
    """`stock.check`. Raises: StaleState with the shop's number when it is another than `from`."""
    found = available(link, call.body["item_ref"], call.body["location_ref"])
    if found != int(call.body["from"]):
        raise StaleState(f"{link.name}: the shop has {found}, not {call.body['from']}", found)
    return Confirmed(None, {"available": found})


def available(link: Link, item_ref: str, location_ref: str) -> int | None:
    """What the shop has for sale of an item at a location; None when it does not stock it there."""
    items = _items(link, f"id:{legacy_id(item_ref)}")
    return next((_available(item, location_ref) for item in items if item["id"] == item_ref), None)


def adopt(link: Link, skus: list[str]) -> list[dict[str, Any]]:
    """For each SKU that the shop stocks: `{sku, item_ref, location_ref, available}`. A SKU of several items is refused:
    nothing tells which one is meant. Raises: Refused, ConnectError."""
    location = str(stock_location(link)["id"])
    found: dict[str, dict[str, Any]] = {}
    wanted = list(dict.fromkeys(skus))
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        for item in _items(link, " OR ".join(f'sku:"{_escaped(sku)}"' for sku in batch)):
            sku, quantity = item.get("sku"), _available(item, location)
            if sku not in batch or quantity is None or not item["tracked"]:
                continue
            if sku in found:
                raise Refused(f"{link.name}: two items have the SKU {sku!r}: change one of them in the shop")
            found[sku] = {"sku": sku, "item_ref": item["id"], "location_ref": location, "available": quantity}
    return [found[sku] for sku in wanted if sku in found]


def listed(link: Link, since: str, cursor: str | None) -> Listed:
    """A page of what the shop has for sale, `{item_ref, location_ref, available}` an item and location."""
    page = run(link, "InventoryBySku", {"after": cursor} if cursor else {})["inventoryItems"]
    found = [
        {
            "item_ref": item["id"],
            "location_ref": level["location"]["id"],
            "available": _available(item, level["location"]["id"]),
        }
        for item in page["nodes"]
        for level in item["inventoryLevels"]["nodes"]
    ]
    return Listed(found, page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None)


def _items(link: Link, query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        variables = {"query": query, **({"after": after} if after else {})}
        page = reading(lambda variables=variables: run(link, "InventoryBySku", variables))["inventoryItems"]  # type: ignore[misc]
        items += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return items
        after = page["pageInfo"]["endCursor"]


def _available(item: dict[str, Any], location_ref: str) -> int | None:
    for level in item["inventoryLevels"]["nodes"]:
        if level["location"]["id"] == location_ref and level["isActive"]:
            return next((int(each["quantity"]) for each in level["quantities"] if each["name"] == "available"), None)
    return None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
