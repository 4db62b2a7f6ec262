"""Webhook bodies as records."""

from __future__ import annotations

from typing import Any

from hub.connect.errors import Unreadable

from .records import RecordError, inventory_level_from_webhook, order_from_webhook


def order(topic: str, headers: dict[str, str], data: Any) -> dict[str, Any]:
    """`shopify.order` of an `orders/*` body. Raises: Unreadable."""
    try:
        return order_from_webhook(data)
    except RecordError as error:
        raise Unreadable(f"{topic}: {error}") from error


def inventory_level(topic: str, headers: dict[str, str], data: Any) -> dict[str, Any]:
    """`shopify.inventory_level`: what the shop had when the body was made. Raises: Unreadable."""
    try:
        return inventory_level_from_webhook(data)
    except RecordError as error:
        raise Unreadable(f"{topic}: {error}") from error
