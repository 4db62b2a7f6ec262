"""A client of the Shopify sandbox for tests: its documents, its control API, and the webhooks it sends."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from tests.connectors.serving import ROOT, Received

DOCUMENTS: dict[str, str] = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "connectors" / "shopify" / "documents").glob("*.graphql"))
}
TOKEN = "shpat_sandbox"
ORDER_TOPICS = [
    "orders/create",
    "orders/updated",
    "orders/paid",
    "orders/cancelled",
    "orders/edited",
    "orders/fulfilled",
    "orders/partially_fulfilled",
]
PRODUCTS = [
    {"sku": "MUG-01", "title": "Mug émaillé", "price": "10.00", "vat": "0.2", "quantity": 40},
    {"sku": "BOOK-01", "title": "Livre", "price": "10.00", "vat": "0.055", "quantity": 20},
    {"sku": "CARD-25", "title": "Carte cadeau", "price": "25.00", "gift_card": True},
]


class Admin:
    """Speaks to a sandbox as a connector and as a merchant do."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.url = url
        self.token = token
        # no certificates are read for plain HTTP on loopback: that takes longer than most tests
        self.http = httpx2.Client(base_url=url, timeout=5, trust_env=False, verify=False)

    def post(self, payload: dict[str, Any], token: str | None = None) -> httpx2.Response:
        headers = {"X-Shopify-Access-Token": self.token if token is None else token}
        return self.http.post("/admin/api/2026-10/graphql.json", json=payload, headers=headers)

    def run(self, name: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to one of our documents."""
        payload = {"query": DOCUMENTS[name], "variables": variables, "operationName": name}
        response = self.post(payload)
        assert response.status_code == 200, response.text
        return response.json()

    def data(self, name: str, **variables: Any) -> Any:
        """The only field of a document's answer; there are no top-level errors."""
        answer = self.run(name, **variables)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        return value

    def control(self, path: str, body: Any = None, method: str = "POST", refused: bool = False) -> Any:
        response = self.http.request(method, f"/_sandbox/{path}", json=body)
        assert response.status_code == (422 if refused else 200), response.text
        return response.json()

    def state(self) -> dict[str, Any]:
        return self.control("state", method="GET")

    def place(self, lines: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
        return self.control("orders", {"lines": lines or [{"sku": "MUG-01", "quantity": 2}], **spec})

    def act(self, order: dict[str, Any], action: str, **spec: Any) -> dict[str, Any]:
        return self.control(f"orders/{order['id']}/{action}", spec)

    def level(self, sku: str) -> dict[str, Any]:
        return next(item for item in self.state()["inventory"] if item["sku"] == sku)

    def parts(self, order: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], Any, list[dict[str, Any]]]:
        """The order read in parts, as `order_from_parts` takes them."""
        header, money = self.run("OrderHeader", id=order["gid"]), self.run("OrderMoney", id=order["gid"])
        lines, after = [], None
        while True:
            lines.append(self.run("OrderLines", id=order["gid"], after=after))
            info = lines[-1]["data"]["order"]["lineItems"]["pageInfo"]
            if not info["hasNextPage"]:
                break
            after = info["endCursor"]
        refunds = [self.run("RefundFull", id=item["id"]) for item in money["data"]["order"]["refunds"]]
        return header, lines, money, refunds

    def set_available(self, sku: str, quantity: int, **more: Any) -> dict[str, Any]:
        """inventorySetQuantities of one SKU, with `key`, `change_from` (left out: none sent), `location`."""
        level = self.level(sku)
        item: dict[str, Any] = {
            "inventoryItemId": more.get("item", level["item"]),
            "locationId": more.get("location", level["location"]),
            "quantity": quantity,
        }
        if "change_from" in more:
            item["changeFromQuantity"] = more["change_from"]
        sent = {"name": "available", "reason": more.get("reason", "correction"), "quantities": [item]}
        return self.run("InventorySet", input=sent, key=more.get("key", "key-1"))


class Inbox:
    """A webhook endpoint that keeps what it gets in the order in which it was sent: each is kept before it is answered."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self._received: queue.Queue[Received] = queue.Queue()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                inbox._received.put(Received({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(inbox.answers.pop(0) if inbox.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def next(self) -> Received:
        """The next webhook, waited for up to five seconds."""
        return self._received.get(timeout=5)

    def nothing_more(self) -> bool:
        return self._received.empty()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def body_of(received: Received) -> dict[str, Any]:
    return json.loads(received.body)


def document(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def subscribe(admin: Admin, inbox: Inbox, *topics: str) -> None:
    admin.control("subscriptions", {"uri": inbox.url, "topics": list(topics)})


def ship(admin: Admin, order: dict[str, Any], number: str = "6A1", **more: Any) -> dict[str, Any]:
    node = admin.data("FulfillmentOrdersOfOrder", id=order["gid"])["fulfillmentOrders"]["nodes"][0]
    part: dict[str, Any] = {"fulfillmentOrderId": node["id"]}
    if "quantity" in more:
        line = node["lineItems"]["nodes"][0]["id"]
        part["fulfillmentOrderLineItems"] = [{"id": line, "quantity": more["quantity"]}]
    tracking = {"company": "Colissimo", "number": number, "url": f"https://example.com/{number}"}
    sent = {"notifyCustomer": more.get("notify", True), "trackingInfo": tracking, "lineItemsByFulfillmentOrder": [part]}
    return admin.data("FulfillmentCreate", fulfillment=sent)


def user_error(answer: dict[str, Any]) -> str:
    payload = answer["data"]["inventorySetQuantities"]
    assert payload["inventoryAdjustmentGroup"] is None
    return payload["userErrors"][0]["code"]
