"""Verifies everything from its rows: books, stock, documents and the log of confirmed effects."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from hub.connect.vault import Vault
from hub.core.ledger.verify import verify_ledger
from hub.core.sales.verify import verify_sales
from hub.core.stock.verify import verify_stock
from hub.outbox.proof import prove_effects
from hub.workers.hub import Hub


def verify(hub: Hub, *, merchant_id: int = 1) -> dict[str, Any]:
    """Every difference between what is stored and what it must be: `{ok, faults: [{check, place, message}]}`."""
    with hub.database.snapshot() as connection:
        faults = faults_in(connection, hub.vault, merchant_id)
    return {"ok": not faults, "faults": faults}


def faults_in(connection: Connection, vault: Vault, merchant_id: int) -> list[dict[str, str]]:
    """What is wrong with the rows of a merchant as a transaction sees them."""

    def key(key_id: int) -> bytes:
        return vault.key(connection, merchant_id, key_id).key

    found = [
        *verify_ledger(connection, merchant_id, key),
        *verify_stock(connection, merchant_id),
        *verify_sales(connection, merchant_id),
    ]
    effects = prove_effects(connection, merchant_id, key)
    faults = [{"check": fault.check, "place": fault.place, "message": fault.message} for fault in found]
    return faults + [{"check": each.check, "place": each.place, "message": each.message} for each in effects.faults]
