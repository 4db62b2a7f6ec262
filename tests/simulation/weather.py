"""What goes wrong at the systems: refused, late, cut, answered twice; before the write or after it."""

from __future__ import annotations

import random
from typing import Any

from .stage import Stage

_HTTP: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429},
    {"kind": "status_after", "status": 502},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "slow_after", "seconds": 45},
)
_SHOP: tuple[dict[str, Any], ...] = (
    *_HTTP,
    {"kind": "throttled"},
    {"kind": "internal_error"},
    {"kind": "internal_error_after"},
)
#: a server that answers an error after it took the mail has taken it on: no such one is to be reckoned with
_MAIL: tuple[dict[str, Any], ...] = (
    {"match": "DATA *", "kind": "drop_before"},
    {"match": "DATA *", "kind": "drop_after"},
    {"match": "DATA *", "kind": "status", "status": 451},
    {"match": "RCPT *", "kind": "status", "status": 450},
    {"match": "CONNECT *", "kind": "drop_before"},
)
_REQUESTS = {
    "shop": ("POST /admin", "FulfillmentCreate", "InventorySet", "OrderHeader", "OrdersUpdatedSince"),
    "books": (
        "POST *",
        "POST /v3/company/*/invoice",
        "POST /v3/company/*/payment",
        "GET *",
        "POST /v3/company/*/customer",
    ),
    "warehouse": ("POST *", "GET *", "POST /*/order"),
}


class Weather:
    """Plants faults, each for the next one to three requests that it fits."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self._stage = stage
        self._chance = chance

    def plant(self) -> str:
        chance = self._chance
        role = chance.choice(("shop", "books", "books", "warehouse", "mail"))
        if role == "mail":
            fault = dict(chance.choice(_MAIL))
        else:
            kinds = _SHOP if role == "shop" else _HTTP
            fault = {**chance.choice(kinds), "match": chance.choice(_REQUESTS[role]), "times": chance.randint(1, 3)}
        self._stage.sandboxes.plant(role, fault)
        return f"{role} {fault}"
