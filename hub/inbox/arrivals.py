"""Events as they arrive: what a webhook or a poll brings, made ready for the inbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.connect import payload, reads
from hub.connect.registry import Connector
from hub.inbox.receive import Received, dedup_key

_MAX_TEXT = 300


def from_webhook(
    connector: Connector,
    body: bytes,
    *,
    merchant_id: int,
    connection_id: int,
    lanes: int,
    topic: str,
    delivery_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    settings: Mapping[str, Any],
) -> Received:
    """The event of a webhook whose signature was checked. A body that cannot be read is kept and parked by the worker.
    Without the vendor's id of the delivery an exact repeat is told by topic, record, stamp and body."""
    headers = headers or {}
    topic = _clean(topic)
    found = reads.envelope(connector, topic, headers, body, settings)
    if delivery_id is not None:
        key = dedup_key("id", delivery_id)
    else:
        key = dedup_key("body", topic, found.record_id, found.stamp, body)
    return Received(
        merchant_id=merchant_id,
        connection_id=connection_id,
        kind="webhook",
        topic=topic,
        record=_clean(found.record),
        record_id=_clean(found.record_id or ""),
        ordering_key=f"{connection_id}:{_clean(found.ordering_key or 'unread:' + key.hex())}",
        lanes=lanes,
        body=body,
        content_type=_clean(headers.get("content-type", "")) or None,
        stamp=_clean(found.stamp) if found.stamp else None,
        dedup=key,
    )


def from_poll(
    record: str, record_id: str, stamp: str | None, *, merchant_id: int, connection_id: int, lanes: int
) -> Received:
    """The event of a record that a poll found changed; it is read before it is worked. The same stamp again is a repeat."""
    return Received(
        merchant_id=merchant_id,
        connection_id=connection_id,
        kind="poll",
        topic=f"poll/{record}",
        record=record,
        record_id=_clean(record_id),
        ordering_key=_clean(reads.ordering_key(connection_id, record, record_id)),
        lanes=lanes,
        body=None,
        stamp=_clean(stamp) if stamp is not None else None,
        dedup=dedup_key("poll", record, record_id, stamp) if stamp is not None else None,
        state="fetch",
    )


def from_core(
    name: str,
    subject: str,
    record: Any,
    *,
    flow: str,
    merchant_id: int,
    lanes: int,
    parent_seq: int | None,
    depth: int = 0,
) -> Received:
    """An event of the core for one flow that answers it after its transaction: stored in that very transaction, so that
    it is there exactly if the event happened. `depth`: deliveries that one after the other led to it."""
    return Received(
        merchant_id=merchant_id,
        connection_id=None,
        kind="core",
        topic=name,
        record=flow,
        record_id=_clean(subject),
        ordering_key=_clean(f"{subject}:{flow}"),
        lanes=lanes,
        body=payload.encode({"subject": subject, "record": record, "depth": depth}),
        content_type="application/json",
        parent_seq=parent_seq,
    )


def _clean(text: str) -> str:
    """Text that every database takes: one event that is refused would hold up those committed with it."""
    return text[:_MAX_TEXT].replace("\0", "").encode("utf-8", "replace").decode()
