"""Items, locations and levels as a plan sees them, and the news that a level changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.plan import Guard, Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.core.stock.tables import ITEM, LOCATION, STOCK_LEVEL

#: kinds of location that hold goods and never go below zero; the others only mirror the moves
HOLDING = frozenset({"warehouse", "quarantine", "transit"})

_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id")
_BY_SKU = sa.select(ITEM).where(ITEM.c.merchant_id == _MERCHANT, among(ITEM.c.sku))
_BY_ID = sa.select(ITEM).where(ITEM.c.merchant_id == _MERCHANT, among(ITEM.c.id))
_LOCATIONS = sa.select(LOCATION).where(LOCATION.c.merchant_id == _MERCHANT)
_LEVELS = sa.select(STOCK_LEVEL).where(STOCK_LEVEL.c.merchant_id == _MERCHANT, among(STOCK_LEVEL.c.item_id))
_GUARD: Guard = (("on_hand", "held"), ("held", "0"), ("waiting", "0"))


def _load_by_sku(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["sku"]: row for row in rows_in(connection, _BY_SKU, keys, merchant_id=merchant_id)}


def _load_by_id(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["id"]: row for row in rows_in(connection, _BY_ID, keys, merchant_id=merchant_id)}


def _load_locations(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    # few rows, read together: found by code (text) and by id (integer)
    rows = [dict(row) for row in connection.execute(_LOCATIONS, {"merchant_id": merchant_id}).mappings()]
    return {row["code"]: row for row in rows} | {row["id"]: row for row in rows}


def _load_levels(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    items = list(dict.fromkeys(item_id for item_id, _ in keys))
    rows = rows_in(connection, _LEVELS, items, merchant_id=merchant_id)
    return {(row["item_id"], row["location_id"]): row for row in rows}


#: an item, keyed by its SKU
ITEM_BY_SKU = Source("stock.item_by_sku", _load_by_sku)
#: an item, keyed by its id
ITEM_BY_ID = Source("stock.item", _load_by_id)
#: a location, keyed by its code or its id
LOCATIONS = Source("stock.location", _load_locations)
#: a level, keyed by (item id, location id); all levels of an item are read together
LEVELS = Source("stock.level", _load_levels)


def item_by_sku(plan: Plan, sku: str) -> Row | None:
    """The item of a SKU, or None."""
    found = plan.get(ITEM_BY_SKU, sku)
    # one row object a item, whichever key it was found by
    return None if found is None else item_by_id(plan, found["id"])


def item_by_id(plan: Plan, item_id: int) -> Row:
    """The item of an id."""
    found = plan.get(ITEM_BY_ID, item_id)
    if found is None:
        raise CoreError(f"there is no item {item_id}", kind="item.unknown", subject=f"item:{item_id}")
    return found


def upsert_item(plan: Plan, sku: str, title: str, *, unit: str = "unit", tracked: bool = True) -> Row:
    """The item of a SKU, made or brought up to date."""
    row = item_by_sku(plan, sku)
    if row is None:
        row = plan.insert(ITEM, {"sku": sku, "title": title, "unit": unit, "tracked": tracked})
        plan.put(ITEM_BY_SKU, sku, row)
        plan.put(ITEM_BY_ID, row["id"], row)
        return row
    wanted = {"title": title, "unit": unit, "tracked": tracked}
    changed = {name: value for name, value in wanted.items() if row[name] != value}
    if changed:
        plan.update(ITEM, row, **changed)
    return row


def location(plan: Plan, key: str | int) -> Row:
    """The location of a code or an id."""
    found = plan.get(LOCATIONS, key)
    if found is None:
        raise CoreError(
            f"there is no location {key!r}: add it before goods are moved there",
            kind="location.unknown",
            subject=f"location:{key}",
        )
    return found


def add_location(plan: Plan, code: str, kind: str) -> Row:
    """The location of a code, made when it is not there."""
    found = plan.get(LOCATIONS, code)
    if found is None:
        found = plan.insert(LOCATION, {"code": code, "kind": kind})
        plan.put(LOCATIONS, code, found)
        plan.put(LOCATIONS, found["id"], found)
    return found


def level(plan: Plan, item_id: int, location_id: int) -> Row:
    """What is at a location; a level that is not there yet is opened at zero."""
    found = plan.get(LEVELS, (item_id, location_id))
    if found is None:
        guarded = location(plan, location_id)["kind"] in HOLDING
        found = plan.insert(
            STOCK_LEVEL,
            {
                "item_id": item_id,
                "location_id": location_id,
                "guarded": guarded,
                "on_hand": 0,
                "held": 0,
                "waiting": 0,
            },
        )
        plan.put(LEVELS, (item_id, location_id), found)
    return found


def change_level(plan: Plan, row: Row, **deltas: int) -> None:
    """Adds to a level and tells the news of a warehouse's. The caller has checked that it fits."""
    plan.increment(STOCK_LEVEL, row, guard=_GUARD if row["guarded"] else (), **deltas)
    tell_level(plan, row)


def tell_level(plan: Plan, row: Row) -> None:
    """Tells the news of a warehouse's level, so that the channels are shown what can be sold."""
    place = location(plan, row["location_id"])
    if place["kind"] != "warehouse":
        return
    plan.emit(
        "stock.changed",
        f"item:{row['item_id']}",
        {
            "item_id": row["item_id"],
            "sku": item_by_id(plan, row["item_id"])["sku"],
            "location": place["code"],
            "on_hand": row["on_hand"],
            "held": row["held"],
            "waiting": row["waiting"],
            "available": available(row),
        },
    )


def available(row: Row) -> int:
    """Units that can still be promised: negative when more is waited for than is there."""
    left: int = row["on_hand"] - row["held"] - row["waiting"]
    return left
