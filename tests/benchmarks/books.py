"""The books: events that lie in the inbox until they are committed, and nothing else."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from hub.inbox.receive import Received, dedup_key
from hub.workers import memory
from hub.workers.admin import connections, events, setup
from hub.workers.hub import Hub
from hub.workers.settings import Settings
from tests.benchmarks.hub_home import SECRET, SKUS, bodies, write_home
from tests.benchmarks.hub_home import connections as connections_document


@dataclass
class Books:
    """A hub whose workers are not started."""

    hub: Hub
    next_order: int = 1

    @classmethod
    def open(cls, home: Path, settings: Settings | None = None) -> Books:
        settings = settings or Settings(home=home)
        setup.init(settings)
        write_home(home)
        hub = Hub.open(settings)
        connections.apply(hub, json.dumps(connections_document("http://127.0.0.1:9")), file="connections.yaml")
        connections.set_secrets(hub, "shop", {"client_secret": SECRET})
        hub.reload()
        memory.tune()
        stock = [{"sku": sku, "title": f"Item {sku}", "quantity": 10**8} for sku in SKUS]
        events.trigger(hub, "items", stock)
        while hub.books.work_once():
            pass
        return cls(hub)

    def fill(self, count: int) -> None:
        """Puts order events into the inbox."""
        info = self.hub.active(1).settings.roles.named("shop")
        assert info is not None
        batch = []
        for number, body in enumerate(bodies(count, first=self.next_order), self.next_order):
            record_id = str(9_200_000_000_000_000 + number * 10)
            batch.append(
                Received(
                    merchant_id=1,
                    connection_id=info.id,
                    kind="webhook",
                    topic="orders/create",
                    record="order",
                    record_id=record_id,
                    ordering_key=f"{info.id}:order:{record_id}",
                    lanes=self.hub.active(1).lanes,
                    body=body,
                    dedup=dedup_key("id", f"bench-{number}"),
                )
            )
        self.next_order += count
        self.hub.intake.receive(batch)

    def work(self) -> tuple[float, float]:
        """Works everything; wall and CPU seconds."""
        began, cpu = time.perf_counter(), time.process_time()
        while self.hub.books.work_once():
            pass
        return time.perf_counter() - began, time.process_time() - cpu

    def close(self) -> None:
        self.hub.stop()
