"""Opens the stock of a merchant: the places that every stock has, and a first warehouse."""

from __future__ import annotations

from sqlalchemy import Connection

from hub.core.stock.tables import LOCATION
from hub.db.engine import Ids

#: places where goods come from and go to
VIRTUAL = ("supplier", "customer", "loss", "opening")


def open_stock(connection: Connection, merchant_id: int, ids: Ids, *, warehouse: str = "main") -> dict[str, int]:
    """Adds the locations in a write transaction, and returns their ids by code. Needs 5 ids."""
    rows = [
        {"id": ids.next(), "merchant_id": merchant_id, "code": code, "kind": kind}
        for code, kind in (*((kind, kind) for kind in VIRTUAL), (warehouse, "warehouse"))
    ]
    connection.execute(LOCATION.insert(), rows)
    return {str(row["code"]): int(str(row["id"])) for row in rows}
