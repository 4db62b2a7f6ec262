"""Lists page by page, newest first: `next` is the `before` of the following page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hub.connect.tables import Connection as ConnectionTable
from hub.db.types import instant_text

if TYPE_CHECKING:
    from hub.workers.hub import Hub

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
MAX_LIMIT = 500


def page(
    hub: Hub,
    order: sa.ColumnElement[Any],
    columns: list[Any],
    wanted: list[Any],
    shown: Callable[[Mapping[str, Any], Mapping[int, str]], dict[str, Any]],
    before: int | None,
    limit: int,
    merchant_id: int,
) -> dict[str, Any]:
    size = size_of(limit)
    with hub.database.read() as connection:
        names: dict[int, str] = {
            row.id: row.name
            for row in connection.execute(
                sa.select(_CONNECTION.c.id, _CONNECTION.c.name).where(_CONNECTION.c.merchant_id == merchant_id)
            )
        }
        if before is not None:
            wanted = [*wanted, order < before]
        rows = connection.execute(sa.select(*columns).where(*wanted).order_by(order.desc()).limit(size + 1)).mappings()
        found = [dict(row) for row in rows]
    more, found = len(found) > size, found[:size]
    place = str(getattr(order, "name", "id"))
    return {"items": [shown(row, names) for row in found], "next": found[-1][place] if more else None}


def size_of(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))


def instant(value: int | None) -> str | None:
    return instant_text(value) if value is not None else None
