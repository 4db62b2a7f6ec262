"""Quantities, set only where they are what we believe."""

from __future__ import annotations

from typing import Any

from hub.connect.errors import StaleState
from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed


def set_quantity(link: Link, call: Call) -> Confirmed:
    answer = link.client.request(
        "POST", "/stock", query={}, headers={"idempotency-key": call.wire_key}, content=call.frozen
    )
    if answer.status == 409:
        found = answer.data["found"]
        if not call.first_attempt and found == call.body["quantity"]:
            return Confirmed(None)
        raise StaleState("the lab has another number", found)
    judge(answer, link.connector.manifest.errors)
    return Confirmed(None)


def check(link: Link, call: Call) -> Confirmed:
    answer = link.client.request("GET", "/stock", query={"item_ref": call.body["item_ref"]}, headers={})
    judge(answer, link.connector.manifest.errors)
    found: Any = answer.data["quantity"]
    if found != call.body["from"]:
        raise StaleState("the lab shows another number", found)
    return Confirmed(None)
