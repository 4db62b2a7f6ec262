"""What the API lets an app change in the sandbox's shop: stock, fulfilments, webhook subscriptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from graphql import get_directive_values

from . import sandbox_nodes as nodes
from . import sandbox_order_nodes as orders
from .sandbox_body_parts import gid
from .sandbox_model import FulfillmentOrder, Order, Refused
from .sandbox_nodes import refusal
from .sandbox_orders import fulfill
from .sandbox_store import Shop
from .sandbox_webhooks import Subscription, Webhooks

REASONS = (
    "correction cycle_count_available damaged movement_created movement_received other promotion quality_control "
    "received reservation_created reservation_deleted restock safety_stock shrinkage"
).split()
STALE = "The changeFromQuantity value does not match persisted value."
DAY = timedelta(hours=24)


def number_of(global_id: str) -> int:
    tail = global_id.rsplit("/", 1)[-1].split("?")[0]
    return int(tail) if tail.isascii() and tail.isdigit() else 0


class Mutations:
    """Each gives its payload with `userErrors`; the shop's lock is held."""

    def __init__(self, shop: Shop, webhooks: Webhooks) -> None:
        self.shop, self.webhooks = shop, webhooks
        self._keys: dict[str, dict[str, Any]] = {}

    def fields(self) -> dict[str, Callable[..., Any]]:
        return {
            "inventorySetQuantities": self._inventory_set,
            "fulfillmentCreate": self._fulfillment_create,
            "webhookSubscriptionCreate": self._subscribe,
            "webhookSubscriptionDelete": self._unsubscribe,
        }

    # --- stock ---
    def _inventory_set(self, info: Any, input: dict[str, Any]) -> dict[str, Any]:
        directive = info.schema.get_directive("idempotent")
        values = get_directive_values(directive, info.field_nodes[0], info.variable_values)
        if values is None or not str(values["key"]).strip():
            raise refusal("The @idempotent directive is required for this mutation but was not provided.")
        for item in input["quantities"]:
            if "changeFromQuantity" not in item:
                raise refusal("The changeFromQuantity argument is required: give a number, or null for no check.")
        key, now = str(values["key"]), self.shop.clock.now()
        known = self._keys.get(key)
        if known is not None and now - known["at"] < DAY:
            return self._replay(known, input)
        errors = self._inventory_errors(input)
        made = None if errors else self._set_quantities(input)
        self._keys[key] = {"at": now, "input": repr(input), "group": made}
        return {"inventoryAdjustmentGroup": made, "userErrors": errors}

    def _replay(self, known: dict[str, Any], input: dict[str, Any]) -> dict[str, Any]:
        if known["input"] != repr(input):
            code, message = "IDEMPOTENCY_KEY_PARAMETER_MISMATCH", "The same key was used with different parameters."
        elif known["group"] is None:
            code, message = "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "The earlier attempt with this key failed."
        else:
            return {"inventoryAdjustmentGroup": known["group"], "userErrors": []}
        return {"inventoryAdjustmentGroup": None, "userErrors": [{"code": code, "field": None, "message": message}]}

    def _inventory_errors(self, input: dict[str, Any]) -> list[dict[str, Any]]:
        errors: list[dict[str, Any]] = []

        def add(code: str, message: str, *path: str) -> None:
            errors.append({"code": code, "field": ["input", *path], "message": message})

        if input["name"] not in ("available", "on_hand"):
            add("INVALID_NAME", "The quantity name must be either 'available' or 'on_hand'.", "name")
        if input["reason"] not in REASONS:
            add("INVALID_REASON", "The specified reason is invalid.", "reason")
        if "://" not in (input.get("referenceDocumentUri") or "x://"):
            add("INVALID_REFERENCE_DOCUMENT", "The specified reference document is invalid.", "referenceDocumentUri")
        seen = set()
        for index, item in enumerate(input["quantities"]):
            at = ("quantities", str(index))
            variant = self.shop.items.get(number_of(item["inventoryItemId"]))
            place = number_of(item["locationId"])
            if variant is None:
                add(
                    "INVALID_INVENTORY_ITEM", "The specified inventory item could not be found.", *at, "inventoryItemId"
                )
                continue
            if place not in self.shop.locations or place not in variant.levels:
                add("INVALID_LOCATION", "The specified location could not be found.", *at, "locationId")
                continue
            if (variant.id, place) in seen:
                code = "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"
                add(code, "The combination of inventoryItemId and locationId must be unique.", *at)
            seen.add((variant.id, place))
            if item["quantity"] < 0:
                add("INVALID_QUANTITY_NEGATIVE", "The quantity can't be negative.", *at, "quantity")
            elif item["quantity"] > 1_000_000_000:
                add("INVALID_QUANTITY_TOO_HIGH", "The quantity can't be higher than 1,000,000,000.", *at, "quantity")
            expected = item["changeFromQuantity"]
            level = variant.levels[place]
            if (
                expected is not None
                and input["name"] in ("available", "on_hand")
                and expected != getattr(level, input["name"])
            ):
                add("CHANGE_FROM_QUANTITY_STALE", STALE, *at, "changeFromQuantity")
        return errors

    def _set_quantities(self, input: dict[str, Any]) -> dict[str, Any]:
        changes = []
        with self.shop.action() as event:
            for item in input["quantities"]:
                variant = self.shop.items[number_of(item["inventoryItemId"])]
                place = number_of(item["locationId"])
                delta = item["quantity"] - getattr(variant.levels[place], input["name"])
                self.shop.null_pushes += item["changeFromQuantity"] is None
                self.shop.move(event, variant, place, available=delta)
                self.shop.pushes.append({"sku": variant.sku, "location": place, **item})
                for name in ("available", "on_hand") if delta else ():
                    changes.append(
                        {
                            "name": name,
                            "delta": delta,
                            "quantityAfterChange": None,
                            "item": lambda info, v=variant: nodes.inventory_item(self.shop, v),
                            "location": nodes.location(self.shop, place),
                        }
                    )
        number = self.shop.new_id("InventoryAdjustmentGroup")
        return {
            "id": gid("InventoryAdjustmentGroup", number),
            "createdAt": nodes.instant(self.shop.now()),
            "reason": input["reason"],
            "referenceDocumentUri": input.get("referenceDocumentUri"),
            "changes": changes,
        }

    # --- shipping ---
    def _fulfillment_create(self, info: Any, fulfillment: dict[str, Any], message: str | None = None) -> dict[str, Any]:
        try:
            order, parts = self._to_ship(fulfillment["lineItemsByFulfillmentOrder"])
        except Refused as error:
            return {"fulfillment": None, "userErrors": [{"field": ["fulfillment"], "message": str(error)}]}
        notify = bool(fulfillment.get("notifyCustomer"))
        made = fulfill(self.shop, order, parts, tracking_of(fulfillment.get("trackingInfo") or {}), notify)
        return {"fulfillment": orders.fulfillment(self.shop, order, made), "userErrors": []}

    def _to_ship(
        self, wanted: list[dict[str, Any]]
    ) -> tuple[Order, list[tuple[FulfillmentOrder, dict[int, int] | None]]]:
        found: Order | None = None
        parts: list[tuple[FulfillmentOrder, dict[int, int] | None]] = []
        for item in wanted:
            order, part = self._fulfillment_order(item["fulfillmentOrderId"])
            if part.status != "OPEN" or not any(line.remaining for line in part.lines):
                raise Refused(f"Fulfillment order {part.id} has an unfulfillable status= {part.status.lower()}.")
            if found is not None and (order is not found or part.location != parts[0][0].location):
                raise Refused("All fulfillment orders must belong to the same order and the same location.")
            found = order
            lines = item.get("fulfillmentOrderLineItems")
            units = None if not lines else {number_of(line["id"]): line["quantity"] for line in lines}
            left = {line.id: line.remaining for line in part.lines}
            for number, count in (units or {}).items():
                if number not in left:
                    raise Refused("Fulfillment order line item does not exist.")
                if not 0 < count <= left[number]:
                    raise Refused("Invalid fulfillment order line item quantity requested.")
            parts.append((part, units))
        if found is None:
            raise Refused("No fulfillment order was given.")
        return found, parts

    def _fulfillment_order(self, global_id: str) -> tuple[Order, FulfillmentOrder]:
        number = number_of(global_id)
        order = self.shop.owners.get(("FulfillmentOrder", number))
        if order is None:
            raise Refused("Fulfillment order does not exist.")
        return order, next(part for part in order.fulfillment_orders if part.id == number)

    # --- webhooks ---
    def _subscribe(self, info: Any, topic: str, webhookSubscription: dict[str, Any]) -> dict[str, Any]:
        head, _, tail = topic.rpartition("_")
        uri, name = webhookSubscription.get("uri") or "", f"{head.lower()}/{tail.lower()}"
        if topic.endswith("_PARTIALLY_FULFILLED"):
            name = "orders/partially_fulfilled"
        error = None
        if not re.match(r"https?://[^/]+", uri):
            error = "Address is not a valid URI"
        elif self.webhooks.known(name, uri):
            error = "Address for this topic has already been taken"
        if error is not None:
            field = ["webhookSubscription", "uri"]
            return {"webhookSubscription": None, "userErrors": [{"field": field, "message": error}]}
        made = Subscription(self.shop.new_id("WebhookSubscription"), name, uri, self.shop.now())
        self.webhooks.subscribe(made)
        return {"webhookSubscription": subscription(made), "userErrors": []}

    def _unsubscribe(self, info: Any, id: str) -> dict[str, Any]:
        if self.webhooks.unsubscribe(number_of(id)):
            return {"deletedWebhookSubscriptionId": id, "userErrors": []}
        error = {"field": ["id"], "message": "Webhook subscription does not exist"}
        return {"deletedWebhookSubscriptionId": None, "userErrors": [error]}


def subscription(item: Subscription) -> dict[str, Any]:
    return {
        "id": gid("WebhookSubscription", item.id),
        "topic": item.topic.upper().replace("/", "_"),
        "uri": item.uri,
        "format": "JSON",
        "createdAt": nodes.instant(item.created_at),
    }


def tracking_of(info: dict[str, Any]) -> list[dict[str, str | None]]:
    """One entry a parcel, from the singular fields or the lists."""
    numbers: Sequence[str | None] = info.get("numbers") or [info.get("number")]
    urls: Sequence[str | None] = info.get("urls") or [info.get("url")]
    count = max(len(numbers), len(urls))
    parcels = [
        {
            "company": info.get("company"),
            "number": numbers[index] if index < len(numbers) else None,
            "url": urls[index] if index < len(urls) else None,
        }
        for index in range(count)
    ]
    return [parcel for parcel in parcels if any(parcel.values())]
