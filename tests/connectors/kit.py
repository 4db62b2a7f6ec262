"""Connections to sandboxes: a vault, a database and links as the hub has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hub.connect import links as connections
from hub.connect.http import httpx
from hub.connect.links import Link, Links
from hub.connect.sandboxes import Running, start
from hub.db.engine import Database

MERCHANT = 1


@dataclass
class Kit:
    """The connector kit on one database, and the sandboxes it talks to."""

    database: Database
    links: Links
    running: list[Running] = field(default_factory=list)

    def connect(self, connector: str, settings: dict[str, Any], name: str | None = None) -> Link:
        """A connection of merchant 1, opened."""
        self.database.ids.ensure(10)
        connection_id = self.database.ids.next()
        with self.database.write() as connection:
            connections.create(
                connection,
                self.links.registry,
                self.links.vault,
                connection_id=connection_id,
                merchant_id=MERCHANT,
                name=name or f"{connector}-{connection_id}",
                connector=connector,
                settings=settings,
                mode="live",
            )
        return self.links.open(connection_id)

    def sandbox(self, connector: str, **settings: Any) -> Running:
        running = start(self.links.registry, connector, **settings)
        self.running.append(running)
        return running


def control(running: Running, path: str, body: Any = None, method: str = "POST") -> Any:
    """One call of a sandbox's control routes."""
    answer = httpx.request(method, f"{running.url}/_sandbox/{path}", json=body, timeout=10)
    assert answer.status_code < 300, answer.text
    return answer.json()
