"""Webhooks of the sandbox: subscriptions, signatures, one sending thread, retries, and chaos on demand.

Chaos (`POST /_sandbox/chaos`, merged into what is set; DELETE clears it), all deterministic by emission number:

- `duplicate_every: n` sends each n-th emission twice, with the same Webhook-Id
- `lose_every: n` never sends each n-th emission; `lose_orders: ["#1007"]` never sends those of these orders
- `bad_signature_every: n` signs the first try of each n-th emission wrongly; `sign_with` signs all with another secret
- `hold: true` keeps emissions back until it is false again, or until `drain`
- `shuffle_seed: s` sends each `window` (10) emissions in an order drawn from the seed; a part of a window is sent when
  nothing was emitted for 0.1 s, on `drain`, and together with all others when a hold ends
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import httpx2

from .sandbox_store import Clock

NAMESPACE = uuid.UUID("6f9a1c1e-3a3f-4f0e-9d5c-5b6f0f5f2c11")
IDLE = 0.1


@dataclass
class Subscription:
    id: int
    topic: str
    uri: str
    created_at: Any


@dataclass
class Delivery:
    index: int
    subscription: Subscription
    topic: str
    event_id: str
    webhook_id: str
    order: str | None
    body: bytes
    triggered_at: str
    bad_signature: bool
    copies: int = 1  # still to be sent; the body is let go after the last one
    attempts: int = 0
    statuses: list[int | str] = field(default_factory=list)
    state: str = "waiting"


class Webhooks:
    """Queue and sender. `emit` is called by the shop, with its lock held; nothing here takes the shop's lock."""

    def __init__(self, settings: dict[str, Any], clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.subscriptions: dict[int, Subscription] = {}
        self.deliveries: list[Delivery] = []
        self.removed: list[dict[str, Any]] = []
        self.chaos: dict[str, Any] = {}
        self._emitted = 0
        self._block = 0
        self._serial = 0
        self._queue: list[tuple[float, int, Delivery]] = []
        self._held: list[Delivery] = []
        self._last_emission = 0.0
        self._sending = 0
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None

    # --- subscriptions ---
    def subscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self.subscriptions[subscription.id] = subscription

    def unsubscribe(self, number: int, why: str | None = None) -> bool:
        with self._lock:
            gone = self.subscriptions.pop(number, None)
            if gone is not None and why is not None:
                self.removed.append({"id": gone.id, "topic": gone.topic, "uri": gone.uri, "why": why})
            return gone is not None

    def known(self, topic: str, uri: str) -> bool:
        return any(item.topic == topic and item.uri == uri for item in self.subscriptions.values())

    # --- what happens in the shop ---
    def emit(self, topic: str, body: Callable[[], dict[str, Any]], event_id: str, order: str | None) -> None:
        with self._lock:
            wanted = [item for item in self.subscriptions.values() if item.topic == topic]
            if not wanted:
                return
            raw = json.dumps(body(), ensure_ascii=False, separators=(",", ":")).encode()
            for subscription in wanted:
                self._emitted += 1
                self._take(subscription, event_id, order, raw)
            self._last_emission = time.monotonic()
            self._start()
            self._lock.notify_all()

    def _take(self, subscription: Subscription, event_id: str, order: str | None, raw: bytes) -> None:
        number = self._emitted
        made = Delivery(
            index=number,
            subscription=subscription,
            topic=subscription.topic,
            event_id=event_id,
            webhook_id=str(uuid.uuid5(NAMESPACE, f"{self.settings['domain']}:{number}")),
            order=order,
            body=raw,
            triggered_at=self.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            bad_signature=self._every("bad_signature_every"),
        )
        self.deliveries.append(made)
        if self._every("lose_every") or (order is not None and order in self.chaos.get("lose_orders", [])):
            made.state, made.body = "lost", b""
            return
        made.copies = 2 if self._every("duplicate_every") else 1
        for _ in range(made.copies):
            if self.chaos.get("hold") or self.chaos.get("shuffle_seed") is not None:
                self._held.append(made)
            else:
                self._push(made, 0)
        if len(self._held) >= self.chaos.get("window", 10) and not self.chaos.get("hold"):
            self._release()

    def _every(self, name: str) -> bool:
        n = int(self.chaos.get(name) or 0)
        return n > 0 and self._emitted % n == 0

    def _push(self, delivery: Delivery, delay: float) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (time.monotonic() + delay, self._serial, delivery))

    def _release(self) -> None:
        held, self._held = self._held, []
        seed = self.chaos.get("shuffle_seed")
        if seed is not None:
            self._block += 1
            random.Random(f"{seed}:{self._block}").shuffle(held)
        for delivery in held:
            self._push(delivery, 0)

    def set_chaos(self, changes: dict[str, Any] | None) -> dict[str, Any]:
        with self._lock:
            self.chaos = {} if changes is None else {**self.chaos, **changes}
            if not self.chaos.get("hold"):
                self._release()
            self._lock.notify_all()
            return dict(self.chaos)

    # --- sending ---
    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shopify-sandbox-webhooks", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        timeout = httpx2.Timeout(self.settings["webhook_timeout"], connect=1.0)
        with httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=False) as client:
            while True:
                delivery = self._next()
                outcome = self._send(client, delivery)
                self._finish(delivery, outcome)

    def _next(self) -> Delivery:
        with self._lock:
            while True:
                now = time.monotonic()
                if self._held and not self.chaos.get("hold") and now - self._last_emission >= IDLE:
                    self._release()
                if self._queue and self._queue[0][0] <= now:
                    self._sending = 1
                    return heapq.heappop(self._queue)[2]
                waits = [self._queue[0][0] - now] if self._queue else []
                if self._held and not self.chaos.get("hold"):
                    waits.append(self._last_emission + IDLE - now)
                self._lock.wait(max(0.0, min(waits)) if waits else None)

    def _send(self, client: httpx2.Client, delivery: Delivery) -> int | str:
        secret = str(self.chaos.get("sign_with") or self.settings["client_secret"]).encode()
        if delivery.bad_signature and delivery.attempts == 0:
            secret = b"not the secret"
        digest = hmac.new(secret, delivery.body, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": delivery.topic,
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
            "X-Shopify-Shop-Domain": self.settings["domain"],
            "X-Shopify-API-Version": self.settings["version"],
            "X-Shopify-Webhook-Id": delivery.webhook_id,
            "X-Shopify-Event-Id": delivery.event_id,
            "X-Shopify-Triggered-At": delivery.triggered_at,
        }
        try:
            return client.post(delivery.subscription.uri, content=delivery.body, headers=headers).status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return type(error).__name__

    def _finish(self, delivery: Delivery, outcome: int | str) -> None:
        schedule = self.settings["retry_schedule"]
        with self._lock:
            self._sending = 0
            delivery.attempts += 1
            delivery.statuses.append(outcome)
            if isinstance(outcome, int) and 200 <= outcome < 300:
                delivery.state = "delivered"
                delivery.copies -= 1
                if delivery.copies == 0:
                    delivery.body = b""
            elif delivery.attempts <= len(schedule) and delivery.subscription.id in self.subscriptions:
                delivery.state = "retrying"
                self._push(delivery, schedule[delivery.attempts - 1])
            else:
                delivery.state, delivery.body = "failed", b""
                self.unsubscribe(delivery.subscription.id, f"{delivery.attempts} failures in a row")
                self._drop(delivery.subscription.id)
            self._lock.notify_all()

    def _drop(self, number: int) -> None:
        for waiting in [*(item[2] for item in self._queue), *self._held]:
            if waiting.subscription.id == number:
                waiting.state, waiting.body = "failed", b""
        self._queue = [item for item in self._queue if item[2].subscription.id != number]
        heapq.heapify(self._queue)
        self._held = [item for item in self._held if item.subscription.id != number]

    # --- looking at it ---
    def drain(self, timeout: float = 30.0) -> dict[str, Any]:
        """Waits until nothing is queued, held back or being sent, retries included; then the counts by state."""
        end = time.monotonic() + timeout
        with self._lock:
            self._release()
            self._lock.notify_all()
            while self._queue or self._sending or self._held:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._lock.wait(left)
            states = ("delivered", "failed", "lost", "retrying", "waiting")
            counts = {state: sum(item.state == state for item in self.deliveries) for state in states}
            return {**counts, "emitted": self._emitted, "drained": not (self._queue or self._sending)}

    def state(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {
                    "index": item.index,
                    "topic": item.topic,
                    "order": item.order,
                    "uri": item.subscription.uri,
                    "webhook_id": item.webhook_id,
                    "event_id": item.event_id,
                    "attempts": item.attempts,
                    "statuses": list(item.statuses),
                    "state": item.state,
                }
                for item in self.deliveries
            ]
