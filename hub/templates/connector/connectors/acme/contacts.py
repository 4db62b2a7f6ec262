"""Contacts: one by its id, and those that changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.reads import Page

_PAGE = 50


def check(link: Link) -> None:
    """Asks for one contact: raises when the API key is refused."""
    judge(link.client.request("GET", "/contacts", query={"limit": "1"}), link.connector.manifest.errors)


def read(link: Link, record_id: str) -> dict[str, Any] | None:
    """A contact as it is now; None when it is gone."""
    answer = link.client.request("GET", f"/contacts/{int(record_id)}")
    if answer.status == 404:
        return None
    judge(answer, link.connector.manifest.errors)
    return dict(answer.data)


def poll(link: Link, cursor: str | None) -> Page:
    """Contacts that changed since the cursor, `instant|id` of the last one seen. Its first run looks back a little."""
    lookback = link.connector.manifest.records["contact"].lookback
    first = (datetime.now(UTC) - timedelta(seconds=lookback)).isoformat(timespec="seconds")
    since, _, after = (cursor or first).partition("|")
    query = {"updated_since": since, "after": after or "0", "limit": str(_PAGE)}
    answer = link.client.request("GET", "/contacts", query=query)
    judge(answer, link.connector.manifest.errors)
    found = answer.data["items"]
    if found:
        since, after = found[-1]["updated_at"], str(found[-1]["id"])
    items = [(str(contact["id"]), contact["updated_at"]) for contact in found]
    return Page(items, f"{since}|{after or '0'}", len(found) == _PAGE)
