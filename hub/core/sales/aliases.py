"""Keeps a person's answer to an unknown SKU, so that the order can go on and the next one does not ask."""

from __future__ import annotations

from hub.core.plan import Plan, Row
from hub.core.sales.sources import ALIASES
from hub.core.sales.tables import ITEM_ALIAS


def set_alias(
    plan: Plan, connection_id: int, *, variant_id: str | None = None, sku: str | None = None, item_id: int | None
) -> Row:
    """What a shop's variant (or SKU, when it has no variant id) stands for; `item_id` null: not kept in stock.

    Orders go on with their next sync, of the same snapshot too."""
    if not variant_id and not sku:
        raise ValueError("an alias needs a variant id or a SKU of the shop")
    key = f"variant:{variant_id}" if variant_id else f"sku:{sku}"
    row = plan.get(ALIASES, (connection_id, key))
    if row is not None:
        plan.update(ITEM_ALIAS, row, item_id=item_id)
        return row
    row = plan.insert(
        ITEM_ALIAS, {"connection_id": connection_id, "key": key, "item_id": item_id, "created_at": plan.now}
    )
    plan.put(ALIASES, (connection_id, key), row)
    return row
