"""Shipments: one by its id, and those that changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.reads import Page

_PAGE = 50


def read(link: Link, record_id: str) -> dict[str, Any] | None:
    """A shipment as it is now."""
    answer = link.client.request("GET", f"/{link.settings['version']}/shipment/{int(record_id)}")
    if answer.status == 404:
        return None
    judge(answer, link.connector.manifest.errors)
    return dict(answer.data)


def poll(link: Link, cursor: str | None) -> Page:
    """Shipments of the orders that changed since the cursor, `instant` or `instant|page`; not all webhooks come."""
    lookback = link.connector.manifest.records["shipment"].lookback
    since, _, number = (cursor or "").partition("|")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    since, began, page = (since or now, *_state(number, now))
    start = (datetime.fromisoformat(since) - timedelta(seconds=lookback)).astimezone(UTC)
    query = {
        "LastUpdateStartDate": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SortOrder": "Oldest",
        "Page": str(page),
        "Limit": str(_PAGE),
    }
    answer = link.client.request("GET", f"/{link.settings['version']}/order", query=query)
    judge(answer, link.connector.manifest.errors)
    orders = answer.data or []
    items = [
        (str(shipment["id"]), shipment.get("last_update_at"))
        for order in orders
        for shipment in order.get("shipments") or []
        if shipment.get("status") in ("Completed", "Cancelled")
    ]
    more = len(orders) == _PAGE
    return Page(items, f"{since}|{began}~{page + 1}" if more else began, more)


def _state(text: str, now: str) -> tuple[str, int]:
    """When this round began, and its page: the next round starts from there."""
    began, _, page = text.partition("~")
    return (began or now, int(page or 1))
