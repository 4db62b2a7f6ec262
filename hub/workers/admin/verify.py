"""Verifies everything from its rows: books, stock, documents and the log of confirmed effects."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hub.core.ledger.verify import verify_ledger
from hub.core.sales.verify import verify_sales
from hub.core.stock.verify import verify_stock
from hub.outbox.effects import verify_effects
from hub.outbox.plan import DELIVERY
from hub.workers.hub import Hub


def verify(hub: Hub, *, merchant_id: int = 1) -> dict[str, Any]:
    """Every difference between what is stored and what it must be: `{ok, faults: [{check, place, message}]}`."""
    with hub.database.read() as connection:

        def key(key_id: int) -> bytes:
            return hub.vault.key(connection, merchant_id, key_id).key

        found = [
            *verify_ledger(connection, merchant_id, key),
            *verify_stock(connection, merchant_id),
            *verify_sales(connection, merchant_id),
        ]
        confirmed = connection.execute(
            sa.select(sa.func.count())
            .select_from(DELIVERY)
            .where(DELIVERY.c.merchant_id == merchant_id, DELIVERY.c.state == "confirmed")
        ).scalar_one()
        effects = verify_effects(connection, merchant_id, key, int(confirmed))
    faults = [{"check": fault.check, "place": fault.place, "message": fault.message} for fault in found]
    faults += [{"check": "effects", "place": f"effect {fault.seq}", "message": fault.message} for fault in effects]
    return {"ok": not faults, "faults": faults}
