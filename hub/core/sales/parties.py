"""Customers: one by the shop's id, one by VAT number for a business without an account, one for all other guests."""

from __future__ import annotations

import msgspec

from hub.core.plan import Plan, Row
from hub.core.sales.sources import PARTIES, party_key
from hub.core.sales.tables import PARTY
from hub.records.order import Party

_json = msgspec.json.Encoder(order="deterministic").encode


def take_party(plan: Plan, connection_id: int, party: Party) -> Row:
    """The customer's row, made or brought up to date. Guests leave no name in it: it is in their order."""
    key = party_key(party)
    row = plan.get(PARTIES, (connection_id, key))
    content = None if key == "guest" else _json(party)
    if row is None:
        row = plan.insert(
            PARTY,
            {
                "connection_id": connection_id,
                "key": key,
                "anonymous": key == "guest",
                "content": content,
                "data_key_id": None,
                "created_at": plan.now,
                "updated_at": plan.now,
            },
        )
        plan.put(PARTIES, (connection_id, key), row)
    elif row["content"] != content and row["data_key_id"] is None:
        plan.update(PARTY, row, content=content, updated_at=plan.now)
    return row
