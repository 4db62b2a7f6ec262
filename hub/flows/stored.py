"""Records that events of the core and parked runs keep, so that they can be worked again: exact numbers, money as money."""

from __future__ import annotations

from typing import Any

from hub.connect import payload
from hub.records.money import Money


def stored_record(text: bytes) -> Any:
    """The record as the flow saw it."""
    return _with_money(payload.decode(text))


def _with_money(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"amount", "currency"} and isinstance(value["amount"], int):
            return Money(value["amount"], value["currency"])
        return {name: _with_money(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_money(part) for part in value]
    return value
