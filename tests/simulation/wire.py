"""Webhooks on their way from the sandboxes to the hub: kept here until the schedule delivers, repeats or loses them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hub.connect.registry import Registry
from hub.workers.sandboxed import FakeClock

SHOP_SECRET = "sandbox-secret"
WAREHOUSE_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


@dataclass(frozen=True)
class Message:
    """One webhook as it is sent, and sent again."""

    role: str
    topic: str
    number: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.role} {self.topic} {self.number}"


class Wire:
    """What the systems have sent and the hub has not answered yet."""

    def __init__(self, registry: Registry, clock: FakeClock) -> None:
        self._sign = registry.get("shipbob").module("sandbox_webhooks").sign
        self._clock = clock
        self.waiting: list[Message] = []
        self._subscribed = frozenset(registry.get("shopify").manifest.webhooks.topics)
        #: topics that the shop never sends in this seed
        self.silent: frozenset[str] = frozenset()
        self._number = 0

    def attach(self, shop: Any, warehouse: Any) -> None:
        """From now on the sandboxes' webhooks come here, and not to the threads that would send them."""
        self.waiting.clear()
        self._number = 0
        shop.shop._emit = self._from_shop(shop.settings["domain"])
        warehouse.warehouse.notify = self._from_warehouse

    def _from_shop(self, domain: str) -> Callable[..., None]:
        def emit(topic: str, body: Callable[[], dict[str, Any]], event_id: str, _order: str | None) -> None:
            if topic in self.silent or topic not in self._subscribed:
                return
            raw = json.dumps(body(), ensure_ascii=False, separators=(",", ":")).encode()
            digest = hmac.new(SHOP_SECRET.encode(), raw, hashlib.sha256).digest()
            headers = {
                "x-shopify-topic": topic,
                "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
                "x-shopify-shop-domain": domain,
                "x-shopify-webhook-id": f"webhook-{self._number + 1}",
                "x-shopify-event-id": event_id,
            }
            self._send("shop", topic, headers, raw)

        return emit

    def _from_warehouse(self, topic: str, body: dict[str, Any]) -> None:
        raw = json.dumps(body, separators=(",", ":"), default=str).encode()
        self._send("warehouse", topic, {"webhook-id": f"msg_{self._number + 1:04d}", "x-webhook-topic": topic}, raw)

    def headers(self, message: Message) -> dict[str, str]:
        """The headers of one attempt: the warehouse signs each with its instant."""
        if message.role != "warehouse":
            return message.headers
        identity, stamp = message.headers["webhook-id"], str(self._clock.now // 1_000_000)
        signature = self._sign(WAREHOUSE_SECRET, identity, stamp, message.body)
        return {**message.headers, "webhook-timestamp": stamp, "webhook-signature": signature}

    def _send(self, role: str, topic: str, headers: dict[str, str], body: bytes) -> None:
        self._number += 1
        self.waiting.append(Message(role, topic, self._number, headers, body))
