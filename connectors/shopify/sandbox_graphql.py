"""Executes operations on the sandbox's schema: the roots, search queries, mutations with their user errors, costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    get_directive_values,
    get_operation_ast,
    parse,
    validate,
)

from . import sandbox_nodes as nodes
from .sandbox_bodies import gid
from .sandbox_cost import MOST, Bucket, Cost, objects_in
from .sandbox_model import Fulfillment, FulfillmentOrder, Order
from .sandbox_nodes import refusal
from .sandbox_orders import fulfill
from .sandbox_store import Refused, Shop
from .sandbox_webhooks import Subscription, Webhooks

SCHEMA = build_schema((Path(__file__).parent / "sandbox.graphql").read_text(encoding="utf-8"))
IDEMPOTENT = SCHEMA.get_directive("idempotent")

SCOPES = {
    "order": "read_orders",
    "orders": "read_orders",
    "refund": "read_orders",
    "fulfillment": "read_orders",
    "inventoryItems": "read_inventory",
    "inventorySetQuantities": "write_inventory",
    "productVariants": "read_products",
    "locations": "read_locations",
    "fulfillmentCreate": "write_merchant_managed_fulfillment_orders",
}
REASONS = (
    "correction cycle_count_available damaged movement_created movement_received other promotion quality_control "
    "received reservation_created reservation_deleted restock safety_stock shrinkage"
).split()
STALE = "The changeFromQuantity value does not match persisted value."
DAY = timedelta(hours=24)


@dataclass
class Call:
    """One request: what its token may do, and what it is told besides its data."""

    scopes: frozenset[str]
    user_error: dict[str, Any] | None = None
    warnings: list[dict[str, Any]] = field(default_factory=list)


def _number(global_id: str) -> int:
    tail = global_id.rsplit("/", 1)[-1].split("?")[0]
    return int(tail) if tail.isascii() and tail.isdigit() else 0


class Graphql:
    def __init__(self, shop: Shop, webhooks: Webhooks, bucket: Bucket) -> None:
        self.shop, self.webhooks, self.bucket = shop, webhooks, bucket
        self._parsed: dict[str, DocumentNode | list[GraphQLError]] = {}
        self._keys: dict[str, dict[str, Any]] = {}
        self._root = {name: self._guarded(name, make) for name, make in self._fields().items()}

    # --- one request ---
    def run(self, payload: dict[str, Any], call: Call) -> dict[str, Any]:
        """The answer to `{query, variables, operationName}`. Errors of all kinds come at HTTP 200."""
        query, variables = payload.get("query"), payload.get("variables") or {}
        if not isinstance(query, str):
            return {"errors": [{"message": "No query was given", "extensions": {"code": "BAD_REQUEST"}}]}
        document = self._document(query)
        if isinstance(document, list):
            return {"errors": [error.formatted for error in document]}
        operation = get_operation_ast(document, payload.get("operationName"))
        if operation is None:
            return {"errors": [{"message": "No operation of that name", "extensions": {"code": "BAD_REQUEST"}}]}
        requested = self._cost(document, operation, variables)
        if requested > MOST:
            message = f"Query cost is {requested}, which exceeds the single query max cost limit ({MOST})."
            extensions = {"code": "MAX_COST_EXCEEDED", "cost": requested, "maxCost": MOST}
            return {"errors": [{"message": message, "extensions": extensions}]}
        if not self.bucket.take(requested):
            return self.throttled(requested)
        with self.shop.lock:
            result = execute_sync(
                SCHEMA,
                document,
                self._root,
                context_value=call,
                variable_values=variables,
                operation_name=payload.get("operationName"),
            )
        actual = min(requested, objects_in(result.data) + (10 if operation.operation.value == "mutation" else -1))
        self.bucket.give_back(requested - actual)
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        answer["extensions"] = self._extensions(requested, max(actual, 0))
        if call.warnings:
            answer["extensions"]["search"] = call.warnings
        return answer

    def _document(self, query: str) -> DocumentNode | list[GraphQLError]:
        if query not in self._parsed:
            try:
                document = parse(query)
            except GraphQLError as error:
                return [error]
            if len(self._parsed) > 200:
                self._parsed.clear()
            self._parsed[query] = list(validate(SCHEMA, document)) or document
        return self._parsed[query]

    def _cost(self, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any]) -> int:
        return Cost(SCHEMA, document, variables).of(operation)

    def _extensions(self, requested: int, actual: int | None) -> dict[str, Any]:
        cost = {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": self.bucket.status()}
        return {"cost": cost}

    def throttled(self, requested: int) -> dict[str, Any]:
        extensions = {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"}
        errors = [{"message": "Throttled", "extensions": extensions}]
        return {"errors": errors, "extensions": self._extensions(requested, None)}

    # --- roots ---
    def _guarded(self, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def resolve(info: Any, **arguments: Any) -> Any:
            call: Call = info.context
            scope = SCOPES.get(name)
            if scope is not None and not self._allowed(scope, call.scopes):
                raise refusal(f"Access denied for {name} field. Required access: `{scope}`", "ACCESS_DENIED")
            if call.user_error is not None and info.parent_type.name == "Mutation":
                return {"userErrors": [call.user_error]}
            return make(info, **arguments)

        return resolve

    @staticmethod
    def _allowed(scope: str, granted: frozenset[str]) -> bool:
        """A write scope implies the read scope of the same thing."""
        return scope in granted or scope.replace("read_", "write_", 1) in granted

    def _fields(self) -> dict[str, Callable[..., Any]]:
        return {
            "shop": self._shop,
            "publicApiVersions": self._versions,
            "order": lambda info, id: self._of_order(self.shop.orders.get(_number(id))),
            "orders": self._orders,
            "refund": self._refund,
            "fulfillment": self._fulfillment,
            "inventoryItems": self._inventory_items,
            "productVariants": self._variants,
            "locations": self._locations,
            "webhookSubscriptions": self._subscriptions,
            "inventorySetQuantities": self._inventory_set,
            "fulfillmentCreate": self._fulfillment_create,
            "webhookSubscriptionCreate": self._subscribe,
            "webhookSubscriptionDelete": self._unsubscribe,
        }

    def _shop(self, info: Any) -> dict[str, Any]:
        settings = self.shop.settings
        return {
            "id": gid("Shop", 77001),
            "name": settings["name"],
            "myshopifyDomain": self.shop.domain,
            "currencyCode": self.shop.currency,
            "ianaTimezone": settings["timezone"],
            "taxesIncluded": settings["taxes_included"],
            "taxShipping": True,
        }

    def _versions(self, info: Any) -> list[dict[str, Any]]:
        version = self.shop.settings["version"]
        return [{"displayName": f"{version} (Latest)", "handle": version, "supported": True}]

    def _of_order(self, order: Order | None) -> dict[str, Any] | None:
        return None if order is None else nodes.order_node(self.shop, order)

    def _refund(self, info: Any, id: str) -> dict[str, Any] | None:
        for order in self.shop.orders.values():
            for item in order.refunds:
                if item.id == _number(id):
                    return nodes.refund(self.shop, order, item)
        return None

    def _fulfillment(self, info: Any, id: str) -> dict[str, Any] | None:
        for order in self.shop.orders.values():
            for item in order.fulfillments:
                if item.id == _number(id):
                    return nodes.fulfillment(self.shop, order, item)
        return None

    def _orders(
        self,
        info: Any,
        first: int | None = None,
        after: str | None = None,
        query: str | None = None,
        sortKey: str = "PROCESSED_AT",
        reverse: bool = False,
    ) -> dict[str, Any]:
        if reverse and after:
            raise refusal("The sandbox pages only forwards")
        stamp = {
            "CREATED_AT": lambda o: [o.created_at.timestamp(), o.id],
            "UPDATED_AT": lambda o: [o.updated_at.timestamp(), o.id],
            "PROCESSED_AT": lambda o: [o.processed_at.timestamp(), o.id],
            "ID": lambda o: [o.id],
        }[sortKey]
        found = self._search(info, "orders", list(self.shop.orders.values()), query, _ORDER_TERMS)
        found.sort(key=stamp, reverse=reverse)
        return nodes.page([(stamp(o), lambda o=o: nodes.order_node(self.shop, o)) for o in found], first, after)

    def _inventory_items(
        self, info: Any, first: int | None = None, after: str | None = None, query: str | None = None
    ) -> dict[str, Any]:
        found = self._search(info, "inventoryItems", list(self.shop.variants.values()), query, _VARIANT_TERMS)
        return nodes.page([(v.item_id, lambda v=v: nodes.inventory_item(self.shop, v)) for v in found], first, after)

    def _variants(
        self, info: Any, first: int | None = None, after: str | None = None, query: str | None = None
    ) -> dict[str, Any]:
        found = self._search(info, "productVariants", list(self.shop.variants.values()), query, _VARIANT_TERMS)
        return nodes.page([(v.id, lambda v=v: nodes.variant(self.shop, v)) for v in found], first, after)

    def _locations(self, info: Any, first: int | None = None, after: str | None = None) -> dict[str, Any]:
        items = [(number, lambda number=number: nodes.location(self.shop, number)) for number in self.shop.locations]
        return nodes.page(items, first, after)  # type: ignore[arg-type]

    def _search(
        self, info: Any, path: str, items: list[Any], query: str | None, terms: dict[str, Callable[[Any], Any]]
    ) -> list[Any]:
        """Keeps what fits `a:b c:>=d OR e:f`. An unknown name is ignored with a warning, as the vendor does."""
        if not query or not query.strip():
            return items
        kept: list[Any] = []
        for branch in re.split(r"\s+OR\s+", query.strip()):
            tests = []
            for name, sign, value in re.findall(r"(\w+):(>=|<=|>|<)?('[^']*'|\"[^\"]*\"|[^\s()]+)", branch):
                if name not in terms:
                    warning = {
                        "field": name,
                        "message": "Invalid search field for this query.",
                        "code": "invalid_field",
                    }
                    info.context.warnings.append({"path": [path], "query": query, "warnings": [warning]})
                elif name != "status":
                    tests.append((terms[name], sign or "=", value.strip("'\"")))
            kept += [item for item in items if item not in kept and all(_fits(*test, item) for test in tests)]
        return kept

    # --- stock ---
    def _inventory_set(self, info: Any, input: dict[str, Any]) -> dict[str, Any]:
        values = get_directive_values(IDEMPOTENT, info.field_nodes[0], info.variable_values) if IDEMPOTENT else None
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
            variant = self.shop.items.get(_number(item["inventoryItemId"]))
            place = _number(item["locationId"])
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
                variant = self.shop.items[_number(item["inventoryItemId"])]
                place = _number(item["locationId"])
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
        return {"fulfillment": nodes.fulfillment(self.shop, order, made), "userErrors": []}

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
            units = None if not lines else {_number(line["id"]): line["quantity"] for line in lines}
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
        for order in self.shop.orders.values():
            for part in order.fulfillment_orders:
                if part.id == _number(global_id):
                    return order, part
        raise Refused("Fulfillment order does not exist.")

    # --- webhooks ---
    def _subscriptions(self, info: Any, first: int | None = None, after: str | None = None) -> dict[str, Any]:
        items = [(s.id, lambda s=s: subscription(s)) for s in self.webhooks.subscriptions.values()]
        return nodes.page(items, first, after)

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
        if self.webhooks.unsubscribe(_number(id)):
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


_ORDER_TERMS: dict[str, Callable[[Any], Any]] = {
    "updated_at": lambda o: o.updated_at,
    "created_at": lambda o: o.created_at,
    "processed_at": lambda o: o.processed_at,
    "name": lambda o: o.name,
    "id": lambda o: str(o.id),
    "financial_status": lambda o: o.financial_status.lower(),
    "fulfillment_status": lambda o: o.fulfillment_status.lower(),
    "test": lambda o: str(o.test).lower(),
    "status": lambda o: None,
}
_VARIANT_TERMS: dict[str, Callable[[Any], Any]] = {
    "sku": lambda v: v.sku,
    "id": lambda v: str(v.id),
    "updated_at": lambda v: v.updated_at,
}


def _fits(read: Callable[[Any], Any], sign: str, value: str, item: Any) -> bool:
    own: Any = read(item)
    wanted: Any = datetime.fromisoformat(value) if isinstance(own, datetime) else value
    if isinstance(wanted, datetime) and wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=own.tzinfo)
    if sign == ">=":
        return bool(own >= wanted)
    if sign == "<=":
        return bool(own <= wanted)
    if sign == ">":
        return bool(own > wanted)
    if sign == "<":
        return bool(own < wanted)
    return bool(own == wanted or (isinstance(own, str) and own.lstrip("#") == value.lstrip("#")))


__all__ = ["SCHEMA", "Call", "Fulfillment", "Graphql", "subscription", "tracking_of"]
