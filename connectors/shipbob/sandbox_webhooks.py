"""Subscriptions of the ShipBob sandbox, and a thread that delivers to them, signed as Standard Webhooks says."""

from __future__ import annotations

import base64
import copy
import hashlib
import heapq
import hmac
import secrets
import time
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Condition, Thread
from typing import Any
from urllib.error import HTTPError, URLError

from .sandbox_bodies import Refused, Subscription
from .sandbox_control import encode
from .sandbox_warehouse import stamp

Record = dict[str, Any]
# After the first attempt: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h.
RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`: the key is the part of the secret after `whsec_`, decoded."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


class Webhooks:
    """Subscriptions and deliveries. An unsuccessful delivery is tried again after each of `retry_seconds`."""

    def __init__(
        self, *, retry_seconds: Sequence[float], timeout: float, https_only: bool, clock: Callable[[], datetime]
    ) -> None:
        self.retry_seconds = tuple(retry_seconds)
        self.timeout = timeout
        self.https_only = https_only
        self.clock = clock
        self._condition = Condition()
        self._subscriptions: dict[str, Record] = {}
        self._made = 0
        self._deliveries: dict[str, Record] = {}  # by `webhook-id`
        self._bodies: dict[str, bytes] = {}
        self._due: list[tuple[float, int, str]] = []  # when (monotonic), order of entry, delivery
        self._entered = 0
        self._thread: Thread | None = None

    # -- subscriptions -------------------------------------------------------------------------------------------------------

    def subscribe(self, wish: Subscription) -> Record:
        """Add a subscription; the secret is shown here only."""
        if self.https_only and not wish.url.startswith("https://"):
            raise Refused(422, {"errors": ["The url field: an https address is needed."]})
        with self._condition:
            self._made += 1
            record = {
                "id": str(self._made),
                "created_at": stamp(self.clock()),
                "description": wish.description,
                "topics": list(wish.topics),
                "url": wish.url,
                "secret": wish.secret or "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
            }
            self._subscriptions[record["id"]] = record
            return dict(record)

    def subscriptions(self) -> list[Record]:
        """All subscriptions, without their secrets."""
        with self._condition:
            return [
                {**{key: value for key, value in each.items() if key != "secret"}, "enabled": True}
                for each in self._subscriptions.values()
            ]

    def unsubscribe(self, identity: str) -> None:
        """Remove a subscription; 404 when it is not there."""
        with self._condition:
            if self._subscriptions.pop(identity, None) is None:
                raise Refused(404, None)

    # -- deliveries ------------------------------------------------------------------------------------------------------------

    def notify(self, topic: str, body: Record) -> None:
        """Queue one delivery for each subscription to the topic."""
        content = encode(body)
        with self._condition:
            for subscription in self._subscriptions.values():
                if topic in subscription["topics"]:
                    identity = f"msg_{len(self._deliveries) + 1:04d}"
                    self._deliveries[identity] = {
                        "id": identity,
                        "topic": topic,
                        "subscription_id": subscription["id"],
                        "url": subscription["url"],
                        "state": "pending",  # then delivered, or failed after the last attempt
                        "attempts": [],
                        "body": body,
                    }
                    self._bodies[identity] = content
                    self._enter(identity, 0)

    def redeliver(self, identity: str | None) -> list[str]:
        """Send a delivery once more with the same id, whatever became of it; without an id, all that wait for a retry, now."""
        with self._condition:
            if identity is None:
                wanted = [each for each, delivery in self._deliveries.items() if delivery["state"] == "pending"]
            elif identity in self._deliveries:
                wanted = [identity]
            else:
                raise Refused(400, {"error": f"there is no delivery {identity}"})
            self._due = [entry for entry in self._due if entry[2] not in wanted]
            heapq.heapify(self._due)
            for each in wanted:
                self._enter(each, 0)
            return wanted

    def deliveries(self) -> list[Record]:
        """All deliveries with their attempts."""
        with self._condition:
            return copy.deepcopy(list(self._deliveries.values()))

    def _enter(self, identity: str, after: float) -> None:
        self._entered += 1
        heapq.heappush(self._due, (time.monotonic() + after, self._entered, identity))
        if self._thread is None:
            self._thread = Thread(target=self._run, name="shipbob-sandbox-webhooks", daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._due:
                    self._condition.wait()
                wait = self._due[0][0] - time.monotonic()
                if wait > 0:
                    self._condition.wait(wait)
                    continue
                identity = heapq.heappop(self._due)[2]
                delivery = self._deliveries[identity]
                subscription = self._subscriptions.get(delivery["subscription_id"])
                if subscription is None:
                    delivery["state"] = "failed"
                    continue
                moment = self.clock()
                secret, url, topic = subscription["secret"], delivery["url"], delivery["topic"]
            outcome = self._attempt(identity, secret, url, topic, moment)
            with self._condition:
                delivery["attempts"].append({"at": stamp(moment), **outcome})
                tries = len(delivery["attempts"])
                if 200 <= (outcome["status"] or 0) < 300:
                    delivery["state"] = "delivered"
                elif tries <= len(self.retry_seconds):
                    self._enter(identity, self.retry_seconds[tries - 1])
                elif delivery["state"] == "pending":
                    delivery["state"] = "failed"

    def _attempt(self, identity: str, secret: str, url: str, topic: str, moment: datetime) -> Record:
        body = self._bodies[identity]
        timestamp = str(int(moment.timestamp()))
        headers = {
            "content-type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(secret, identity, timestamp, body),
            "x-webhook-topic": topic,
        }
        request = urllib.request.Request(url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return {"status": answer.status, "error": None}
        except HTTPError as error:
            with error:
                return {"status": error.code, "error": None}
        except (URLError, OSError, ValueError) as error:
            return {"status": None, "error": str(error)}
