"""Orders and things: as told, as read, and what changed since a cursor."""

from __future__ import annotations

from typing import Any

from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.reads import Page


def decode(topic: str, headers: dict[str, str], data: dict[str, Any]) -> dict[str, Any]:
    lines = data["lines"]  # a body without lines is not expected here: the connector stumbles
    return {**data, "lines": list(lines)}


def read_order(link: Link, record_id: str) -> dict[str, Any] | None:
    return _read(link, "order", record_id)


def read_thing(link: Link, record_id: str) -> dict[str, Any] | None:
    return _read(link, "thing", record_id)


def poll(link: Link, cursor: str | None) -> Page:
    answer = link.client.request("GET", "/changes", query={"since": cursor or "0"}, headers={})
    judge(answer, link.connector.manifest.errors)
    data = answer.data
    return Page([(str(item["id"]), item["at"]) for item in data["items"]], str(data["cursor"]), data["more"])


def _read(link: Link, kind: str, record_id: str) -> dict[str, Any] | None:
    answer = link.client.request("GET", f"/{kind}/{record_id}", query={}, headers={})
    if answer.status == 404:
        return None
    judge(answer, link.connector.manifest.errors)
    found: dict[str, Any] = answer.data
    return found
