"""A hub with its sandboxes in one process, for tests that follow an order through the whole house."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.connect import links, sandboxes
from hub.connect.limits import Limits
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.vault import Vault
from hub.core.ledger.setup import IDS_NEEDED, open_book
from hub.core.stock.setup import open_stock
from hub.db import migrate
from hub.db.engine import Database
from hub.db.tables import Merchant
from hub.workers.hub import Hub

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]


class World:
    """Sandboxes of Shopify, QuickBooks, ShipBob and a mail server, and a hub connected to them."""

    def __init__(self, folder: Path, *, url: str | None = None, registry: Registry | None = None) -> None:
        self.registry = registry or Registry.discover()
        url = url or f"sqlite:///{folder / 'hub.sqlite'}"
        if url.startswith("sqlite"):
            migrate.upgrade(url)
        self.database = Database(url)
        self.vault = Vault([root_key(bytes(range(32)))], self.database.ids)
        self.running: dict[str, sandboxes.Running] = {}
        self.hub: Hub

    def start(self, products: list[dict[str, Any]]) -> None:
        self.running["shopify"] = sandboxes.start(
            self.registry, "shopify", products=products, bucket=100_000, restore_rate=10_000
        )
        self.running["quickbooks"] = sandboxes.start(
            self.registry, "quickbooks", client_id="qbo", client_secret="qbo-secret"
        )
        self.running["shipbob"] = sandboxes.start(
            self.registry, "shipbob", token="pat", retry_seconds=(1, 1), calls_per_minute=10_000
        )
        self.running["smtp"] = sandboxes.start(self.registry, "smtp")
        self._open()
        self.hub = Hub(self.database, self.vault, self.registry, limits=Limits(enforced=False))

    def _open(self) -> None:
        ids = self.database.ids
        ids.ensure(IDS_NEEDED + 100)
        now = 1_795_507_200_000_000
        with self.database.write() as connection:
            connection.execute(
                _MERCHANT.insert(),
                [
                    {
                        "id": 1,
                        "name": "Boutique",
                        "zone": "Europe/Paris",
                        "currency": "EUR",
                        "lanes": 64,
                        "created_at": now,
                    }
                ],
            )
            key = self.vault.data_key(connection, 1, "chain")
            open_book(connection, 1, ids, currency="EUR", zone="Europe/Paris", data_key_id=key.id, now=now)
            open_stock(connection, 1, ids)
        state = self.running["quickbooks"].state
        tokens = state.oauth.grant() if hasattr(state.oauth, "grant") else None
        del tokens
        self.connect(
            "shop",
            "shopify",
            {
                "shop": self.running["shopify"].state.settings["domain"],
                "base_url": self.running["shopify"].url,
                "client_id": "sandbox-client",
                "client_secret": "sandbox-secret",
                "access_token": "shpat_sandbox",
            },
        )
        granted = self._post("quickbooks", "/_sandbox/grant")
        self.connect(
            "books",
            "quickbooks",
            {
                "base_url": self.running["quickbooks"].url,
                "realm_id": granted["realmId"],
                "client_id": "qbo",
                "client_secret": "qbo-secret",
                "access_token": granted["access_token"],
                "refresh_token": granted["refresh_token"],
            },
        )
        self.connect(
            "warehouse",
            "shipbob",
            {
                "base_url": self.running["shipbob"].url,
                "token": "pat",
                "channel_id": "100001",
                "webhook_secret": "whsec_" + base64.b64encode(bytes(24)).decode(),
            },
        )
        mail = self.running["smtp"]
        self.connect(
            "mail",
            "smtp",
            {"host": mail.host, "port": mail.port, "security": "none", "sender": "Boutique <shop@example.org>"},
        )

    def connect(self, role: str, connector: str, settings: dict[str, Any], *, mode: str = "live") -> int:
        from hub.flows.context import _ROLE

        self.database.ids.ensure(10)
        connection_id = self.database.ids.next()
        with self.database.write() as connection:
            links.create(
                connection,
                self.registry,
                self.vault,
                connection_id=connection_id,
                merchant_id=1,
                name=role,
                connector=connector,
                settings=settings,
                mode=mode,
                go_live_at=0,
            )
            connection.execute(
                _ROLE.insert(),
                [{"id": self.database.ids.next(), "merchant_id": 1, "role": role, "connection_id": connection_id}],
            )
        return connection_id

    def _post(self, name: str, path: str, body: Any = None) -> Any:
        from hub.connect.http import httpx

        answer = httpx.post(self.running[name].url + path, json=body or {})
        answer.raise_for_status()
        return answer.json()

    def stop(self) -> None:
        self.hub.stop()
        for running in self.running.values():
            running.stop()


@contextmanager
def world(folder: Path, products: list[dict[str, Any]], **options: Any) -> Iterator[World]:
    made = World(folder, **options)
    made.start(products)
    try:
        yield made
    finally:
        made.stop()
