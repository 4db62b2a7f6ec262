"""References of orders: what a warehouse, a carrier or a file calls an order of ours, and names in its shipments.

A reference is made of what stays when a hub is put back from a backup and reads its orders again: the connection and the shop's
own id, `SO12-5678901234567`. Made of an id of ours, another order might get it. An id that is long, or has other characters than
A-Z, 0-9 and inner hyphens, is told by its hash. At most 30 characters, the least of what systems take (Colissimo's
`orderNumber`; DPD 35, ShipBob 300), for connections up to 11 digits; letters may come back in another case.
"""

from __future__ import annotations

import base64
import hashlib
import re

from hub.core.plan import Plan, Row
from hub.core.sales.sources import ORDER_REFS, order_by_id

_PREFIX = "SO"
_MAX = 16
_PLAIN = re.compile(r"[0-9A-Z]+(-[0-9A-Z]+)*")
#: 80 bits in base32; an id of the shop that looks like one is told by its hash, too
_HASHED = re.compile(r"[A-Z2-7]{16}")


def order_ref(connection_id: int, external_id: str) -> str:
    """The reference of an order that a warehouse gets and names in its shipments."""
    plain = len(external_id) <= _MAX and _PLAIN.fullmatch(external_id) and not _HASHED.fullmatch(external_id)
    return f"{_PREFIX}{connection_id}-{external_id if plain else _hashed(external_id)}"


def order_of_ref(plan: Plan, ref: str) -> Row | None:
    """The order that a reference which came back names, or None."""
    found = plan.get(ORDER_REFS, ref.strip().upper())
    return None if found is None else order_by_id(plan, found["id"])


def _hashed(external_id: str) -> str:
    return base64.b32encode(hashlib.blake2b(external_id.encode(), digest_size=10).digest()).decode()
