"""The acts of the demo, in the order in which a merchant lives them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hub.cli.demo import scenario
from hub.cli.demo.compare import pages
from hub.cli.demo.stage import SHIPBOB_TOKEN, SHOP, DemoFailed, Stage, webhook_secret

#: actions that a merchant takes once the goods have left
_AFTER_SHIPPING = ("refund",)


@dataclass
class Act:
    """One line of the table: what was done, how often, in what time."""

    name: str
    count: str
    seconds: float


@dataclass
class Play:
    """Runs the acts on a stage and keeps what they did."""

    stage: Stage
    count: int
    tell: Callable[[str], None]
    acts: list[Act] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    placed: list[scenario.Placed] = field(default_factory=list)

    def run(self) -> None:
        """All acts. Raises: DemoFailed."""
        self.act("sandboxes of Shopify, QuickBooks, ShipBob and mail are up", self._sandboxes)
        self.act("a fresh hub is up, in a home of its own", self._hub)
        self.act("apps connected: OAuth at Shopify and QuickBooks, a token at ShipBob", self._connect)
        self.act("catalogue and opening stock imported from XLSX, the shop's quantities adopted", self._import)
        self.act("orders placed, paid, cancelled and edited at the shop", self._orders)
        self.act("a poll finds the orders whose webhooks were lost", self._poll)
        self.act("goods shipped by ShipBob, tracking back to the shop", self._ship)
        self.act("refunds at the shop after delivery", self._refunds)
        self.questions = self.stage.hub("GET", "/api/questions", params={"state": "open", "limit": 500})["items"]
        self.act("goods received: stock up, waiting orders go on, the shop is told", self._receipt)

    def act(self, name: str, work: Callable[[], str]) -> None:
        """Does one act and notes what it did."""
        self.tell(name)
        began = time.monotonic()
        count = work()
        self.acts.append(Act(name, count, time.monotonic() - began))

    # -- the acts -----------------------------------------------------------------------------------------------

    def _sandboxes(self) -> str:
        products = [
            {"sku": sku, "title": title, "price": price, "vat": vat, "quantity": quantity}
            for sku, title, price, vat, quantity in scenario.CATALOGUE
        ]
        products.append(
            {"sku": scenario.UNKNOWN_SKU, "title": "Prototype", "price": "12.00", "vat": "0.20", "quantity": 5}
        )
        self.stage.start_sandboxes(products)
        return "4"

    def _hub(self) -> str:
        self.stage.cli("init", "--name", "Boutique de démonstration")
        self.stage.start_hub()
        return "1"

    def _connect(self) -> str:
        stage = self.stage
        mail = urlsplit(stage.sandboxes["smtp"])
        began = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        unlimited = {"requests_per_minute": 0}  # the systems of the demo answer as fast as they are asked
        document = {
            "connections": {
                "shop": {
                    "connector": "shopify",
                    "mode": "live",
                    "go_live_at": began,
                    "settings": {"shop": SHOP, "base_url": stage.sandboxes["shopify"], "client_id": "demo-shopify"},
                },
                "books": {
                    "connector": "quickbooks",
                    "mode": "live",
                    "settings": {
                        "base_url": stage.sandboxes["quickbooks"],
                        "client_id": "demo-quickbooks",
                        **unlimited,
                        "requests_per_second": 0,
                    },
                },
                "warehouse": {
                    "connector": "shipbob",
                    "mode": "live",
                    "settings": {"base_url": stage.sandboxes["shipbob"], "channel_id": "100001", **unlimited},
                },
                "mail": {
                    "connector": "smtp",
                    "mode": "live",
                    "settings": {
                        "host": str(mail.hostname),
                        "port": mail.port,
                        "security": "none",
                        "sender": "Boutique <factures@boutique-demo.example>",
                    },
                },
            },
            "roles": {"shop": "shop", "books": "books", "warehouse": "warehouse", "mail": "mail"},
        }
        file = stage.folder / "connections.yaml"
        file.write_text(json.dumps(document, indent=2), encoding="utf-8")  # JSON is YAML
        secrets = {
            "shop": {"client_secret": "demo-shopify-secret"},
            "books": {"client_secret": "demo-quickbooks-secret"},
            "warehouse": {"token": SHIPBOB_TOKEN, "webhook_secret": webhook_secret()},
        }
        stage.cli("connections", "apply", str(file))
        for name, values in secrets.items():
            stage.hub("PUT", f"/api/connections/{name}/secrets", json={"secrets": values})
        stage.browse("shop")
        stage.browse("books")
        stage.hub("POST", "/api/connections/warehouse/setup")
        return "4"

    def _import(self) -> str:
        file = catalogue_file(self.stage.folder / "catalogue.xlsx")
        self.stage.cli("import", str(file))
        self.stage.wait_idle()
        self.stage.cli("connections", "adopt-stock", "shop")
        self.stage.wait_idle()
        return f"{len(scenario.CATALOGUE)} items"

    def _orders(self) -> str:
        stage = self.stage
        stage.sandbox(
            "shopify",
            "chaos",
            {"duplicate_every": 9, "shuffle_seed": scenario.SEED, "lose_orders": scenario.lost_orders(self.count)},
        )
        self.placed = scenario.orders(self.count)
        for placed in self.placed:
            stage.sandbox("shopify", "orders", placed.spec)
            for action, settings in placed.after:
                if action not in _AFTER_SHIPPING:
                    stage.sandbox("shopify", f"orders/{placed.number}/{action}", settings)
        self._settle()
        stage.sandbox("shopify", "chaos", method="DELETE")
        return f"{len(self.placed)} orders"

    def _poll(self) -> str:
        # the hub may have polled by itself before: a stock level that its orders do not explain makes it look for more
        self.stage.cli("poll", "shop")
        self.stage.wait_idle()
        lost = set(scenario.lost_orders(self.count))
        known = {each["name"] for each in pages(self.stage, "/api/orders")}
        return f"{len(lost & known)} of {len(lost)}"

    def _ship(self) -> str:
        self.stage.sandbox("shipbob", "ship", {"all": True, "carrier": "Colissimo", "service": "Domicile"})
        self._settle()
        return f"{len(self.stage.sandbox('shipbob', 'state')['shipments'])} shipments"

    def _refunds(self) -> str:
        done = 0
        for placed in self.placed:
            for action, settings in placed.after:
                if action in _AFTER_SHIPPING:
                    self.stage.sandbox("shopify", f"orders/{placed.number}/{action}", settings)
                    done += 1
        self._settle()
        return f"{done} refunds"

    def _receipt(self) -> str:
        record = json.dumps([{"sku": scenario.SHORT_SKU, "quantity": 12, "ref": "BL-2026-118"},
                             {"sku": "MUG-01", "quantity": 48, "ref": "BL-2026-118"}])  # fmt: skip
        self.stage.cli("run", "receipts", "--record", record, "--key", "BL-2026-118")
        self._settle()
        self.stage.sandbox("shipbob", "ship", {"all": True, "carrier": "Colissimo", "service": "Domicile"})
        self._settle()
        return "60 units"

    def _settle(self) -> None:
        """Until nothing moves: the shop's webhooks are out, the hub is idle, and nothing came of it meanwhile."""
        for _ in range(20):
            drained = self.stage.sandbox("shopify", "drain", {"timeout": 30})["drained"]
            self.stage.wait_idle()
            before = self.stage.hub("GET", "/api/status")
            state = self.stage.sandbox("shipbob", "state")
            waiting = any(each["state"] == "pending" for each in state["deliveries"])
            self.stage.sandbox("shopify", "drain", {"timeout": 30})
            self.stage.wait_idle()
            if drained and not waiting and self.stage.hub("GET", "/api/status") == before:
                return
        raise DemoFailed("the hub and the sandboxes do not come to rest")


def catalogue_file(path: Path) -> Path:
    """The catalogue as a merchant keeps it: an XLSX file."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Catalogue"
    sheet.append(["sku", "title", "price", "vat", "quantity"])
    for sku, title, price, vat, quantity in scenario.CATALOGUE:
        sheet.append([sku, title, float(price), float(vat), quantity])
    book.save(path)
    return path
