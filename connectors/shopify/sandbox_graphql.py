"""Executes operations on the sandbox's schema: costs, scopes, and the roots that are read, with their searches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    build_schema,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from . import sandbox_nodes as nodes
from . import sandbox_order_nodes as orders
from .sandbox_body_parts import gid
from .sandbox_cost import MOST, Bucket, Cost, objects_in
from .sandbox_model import Order
from .sandbox_mutations import Mutations, number_of, subscription
from .sandbox_nodes import refusal
from .sandbox_store import Shop
from .sandbox_webhooks import Webhooks

SCHEMA = build_schema((Path(__file__).parent / "sandbox.graphql").read_text(encoding="utf-8"))

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


@lru_cache(maxsize=200)
def _document(query: str) -> DocumentNode | list[GraphQLError]:
    """A document, or what is wrong with it: the same for every shop, and dear to find out."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return [error]
    return list(validate(SCHEMA, document)) or document


@lru_cache(maxsize=1000)
def _cost(query: str, name: str | None, numbers: tuple[tuple[str, int], ...]) -> int:
    """What an operation of a valid document is charged at first: of its variables only numbers count, as `first`."""
    document = _document(query)
    assert isinstance(document, DocumentNode)
    operation = get_operation_ast(document, name)
    assert operation is not None
    return Cost(SCHEMA, document, dict(numbers)).of(operation)


@dataclass
class Call:
    """One request: what its token may do, and what it is told besides its data."""

    scopes: frozenset[str]
    user_error: dict[str, Any] | None = None
    warnings: list[dict[str, Any]] = field(default_factory=list)


class Graphql:
    def __init__(self, shop: Shop, webhooks: Webhooks, bucket: Bucket) -> None:
        self.shop, self.webhooks, self.bucket = shop, webhooks, bucket
        self._root = {name: self._guarded(name, make) for name, make in self._fields().items()}

    # --- one request ---
    def run(self, payload: dict[str, Any], call: Call) -> dict[str, Any]:
        """The answer to `{query, variables, operationName}`. Errors of all kinds come at HTTP 200."""
        query, variables = payload.get("query"), payload.get("variables") or {}
        if not isinstance(query, str):
            return {"errors": [{"message": "No query was given", "extensions": {"code": "BAD_REQUEST"}}]}
        document = _document(query)
        if isinstance(document, list):
            return {"errors": [error.formatted for error in document]}
        operation = get_operation_ast(document, payload.get("operationName"))
        if operation is None:
            return {"errors": [{"message": "No operation of that name", "extensions": {"code": "BAD_REQUEST"}}]}
        numbers = tuple(sorted((name, value) for name, value in variables.items() if type(value) is int))
        requested = _cost(query, payload.get("operationName"), numbers)
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
            "order": lambda info, id: self._of_order(self.shop.orders.get(number_of(id))),
            "orders": self._orders,
            "refund": self._refund,
            "fulfillment": self._fulfillment,
            "inventoryItems": self._inventory_items,
            "productVariants": self._variants,
            "locations": self._locations,
            "webhookSubscriptions": self._subscriptions,
            **Mutations(self.shop, self.webhooks).fields(),
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
        return None if order is None else orders.order_node(self.shop, order)

    def _refund(self, info: Any, id: str) -> dict[str, Any] | None:
        order = self.shop.owners.get(("Refund", number_of(id)))
        if order is None:
            return None
        return orders.refund(self.shop, order, next(r for r in order.refunds if r.id == number_of(id)))

    def _fulfillment(self, info: Any, id: str) -> dict[str, Any] | None:
        order = self.shop.owners.get(("Fulfillment", number_of(id)))
        if order is None:
            return None
        return orders.fulfillment(self.shop, order, next(f for f in order.fulfillments if f.id == number_of(id)))

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
        return nodes.page([(stamp(o), partial(orders.order_node, self.shop, o)) for o in found], first, after)

    def _inventory_items(
        self, info: Any, first: int | None = None, after: str | None = None, query: str | None = None
    ) -> dict[str, Any]:
        found = self._search(info, "inventoryItems", list(self.shop.variants.values()), query, _ITEM_TERMS)
        return nodes.page([(v.item_id, partial(nodes.inventory_item, self.shop, v)) for v in found], first, after)

    def _variants(
        self, info: Any, first: int | None = None, after: str | None = None, query: str | None = None
    ) -> dict[str, Any]:
        found = self._search(info, "productVariants", list(self.shop.variants.values()), query, _VARIANT_TERMS)
        return nodes.page([(v.id, partial(nodes.variant, self.shop, v)) for v in found], first, after)

    def _locations(self, info: Any, first: int | None = None, after: str | None = None) -> dict[str, Any]:
        items = [(number, partial(nodes.location, self.shop, number)) for number in self.shop.locations]
        return nodes.page(items, first, after)  # type: ignore[arg-type]

    def _subscriptions(self, info: Any, first: int | None = None, after: str | None = None) -> dict[str, Any]:
        items = [(s.id, partial(subscription, s)) for s in self.webhooks.subscriptions.values()]
        return nodes.page(items, first, after)

    def _search(
        self, info: Any, path: str, items: list[Any], query: str | None, terms: dict[str, Callable[[Any], Any]]
    ) -> list[Any]:
        """Keeps what fits `a:b c:>=d OR e:f`. An unknown name is ignored with a warning, as the vendor does."""
        if not query or not query.strip():
            return items
        branches: list[list[tuple[Callable[[Any], Any], str, str]]] = [[]]
        for either, name, sign, value in _TERM.findall(query):
            if either:
                branches.append([])
            elif name not in terms:
                warning = {"field": name, "message": "Invalid search field for this query.", "code": "invalid_field"}
                info.context.warnings.append({"path": [path], "query": query, "warnings": [warning]})
            elif name != "status":
                text = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] in "'\"" else value
                branches[-1].append((terms[name], sign or "=", text))
        kept = [item for item in items if any(all(_fits(*test, item) for test in tests) for tests in branches)]
        return kept


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
_TERM = re.compile(r"""\b(OR)\b|(\w+):(>=|<=|>|<)?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s()]+)""")
_VARIANT_TERMS: dict[str, Callable[[Any], Any]] = {
    "sku": lambda v: v.sku,
    "id": lambda v: str(v.id),
    "updated_at": lambda v: v.updated_at,
}


_ITEM_TERMS = {**_VARIANT_TERMS, "id": lambda v: str(v.item_id)}


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
