"""Objects of the sandbox as the GraphQL executor reads them: dicts, with functions where a field takes arguments.

Here are pages, places, products and stock; orders and what belongs to them are in `sandbox_order_nodes.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from graphql import GraphQLError

from .sandbox_body_parts import gid
from .sandbox_model import Variant
from .sandbox_money import fixed_decimal, graphql_decimal
from .sandbox_store import Shop

Node = dict[str, Any]


def refusal(message: str, code: str = "BAD_REQUEST") -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cursor(key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def page(items: Sequence[tuple[Any, Callable[[], Node]]], first: int | None, after: str | None) -> Node:
    """A page of a connection. Each item has a sort key that makes its cursor: pages go on by value, not by place."""
    if first is None:
        raise refusal("you must provide one of first or last")
    if not 0 <= first <= 250:
        raise refusal("first cannot exceed 250")
    if after is not None:
        try:
            start = json.loads(base64.urlsafe_b64decode(after))
        except ValueError:
            raise refusal(f"Invalid cursor: {after}", "INVALID_CURSOR") from None
        items = [item for item in items if item[0] > start]
    shown = items[:first]
    return {
        "nodes": [make() for _, make in shown],
        "pageInfo": {"hasNextPage": len(items) > first, "endCursor": _cursor(shown[-1][0]) if shown else None},
    }


def connection(nodes: Sequence[Callable[[], Node]]) -> Callable[..., Node]:
    items = [(index, make) for index, make in enumerate(nodes)]
    return lambda info, first=None, after=None, **_: page(items, first, after)


def some(nodes: Sequence[Callable[[], Node]]) -> Callable[..., list[Node]]:
    """A plain list that takes `first`."""
    return lambda info, first=None: [make() for make in (nodes if first is None else nodes[:first])]


def location(shop: Shop, number: int | None) -> Node | None:
    if number is None:
        return None
    place = shop.locations[number]
    return {
        "id": gid("Location", number),
        "legacyResourceId": str(number),
        "name": place.name,
        "isActive": True,
        "fulfillsOnlineOrders": True,
    }


def variant(shop: Shop, item: Variant) -> Node:
    return {
        "id": gid("ProductVariant", item.id),
        "sku": item.sku,
        "barcode": item.barcode,
        "title": "Default Title",
        "price": fixed_decimal(item.price, shop.currency),
        "compareAtPrice": None,
        "taxable": not item.gift_card,
        "updatedAt": instant(item.updated_at),
        "inventoryItem": lambda info: inventory_item(shop, item),
        "product": {
            "id": gid("Product", item.product_id),
            "title": item.title,
            "status": "ACTIVE",
            "vendor": item.vendor,
            "productType": "",
        },
    }


def inventory_item(shop: Shop, item: Variant) -> Node:
    cost = item.cost
    return {
        "id": gid("InventoryItem", item.item_id),
        "sku": item.sku,
        "tracked": item.tracked,
        "updatedAt": instant(item.updated_at),
        "unitCost": None
        if cost is None
        else {"amount": graphql_decimal(cost, shop.currency), "currencyCode": shop.currency},
        "inventoryLevels": connection([partial(_level, shop, item, at) for at in item.levels]),
    }


def _level(shop: Shop, item: Variant, at: int) -> Node:
    level = item.levels[at]
    stamp = instant(level.updated_at)
    known = {"available": level.available, "committed": level.committed, "on_hand": level.on_hand}
    known |= dict.fromkeys(("incoming", "reserved", "damaged", "safety_stock", "quality_control"), 0)

    def quantities(info: Any, names: list[str]) -> list[Node]:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise refusal(f"The specified inventory state {unknown[0]} is invalid")
        return [{"name": name, "quantity": known[name], "updatedAt": stamp} for name in names]

    return {
        "id": f"gid://shopify/InventoryLevel/{at}?inventory_item_id={item.item_id}",
        "updatedAt": stamp,
        "isActive": True,
        "location": location(shop, at),
        "quantities": quantities,
    }
