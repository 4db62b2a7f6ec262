"""The Shopify sandbox: a stateful imitation of one shop and its Admin API, in memory, for tests and the demo.

It imports nothing of the hub nor of the connector, so that one mistake is not made on both sides.

Settings of `create`: see DEFAULTS. Control API, all JSON, no authentication (loopback only); 422 with `{"error"}` when
the shop refuses:

- POST /_sandbox/products   [{sku, title, price, vat, quantity | quantities: {location name: n}, cost, barcode, tracked,
                            gift_card}]
- POST /_sandbox/orders     {lines: [{sku, quantity, price, vat, title, discount, properties, location}], discount,
                            shipping: {title, price, vat, code, discount}, customer | null, email, company,
                            billing_address, shipping_address, taxes_included, tax_exempt, channel_liable, tip,
                            pay: true | false | "authorize" | [{gateway, amount, kind, status}], gateway,
                            note_attributes: {name: value}, note, tags, po_number, test, created_at, number, location,
                            presentment_currency, presentment_rate, oversell}; a list places each
                            discount: {type: "percentage" | "fixed", value, code | title}
- POST /_sandbox/orders/{id, name or number}/{pay, settle, refund, edit, cancel, fulfill, hold, release, touch}
- POST /_sandbox/inventory  {sku, available | delta, location}
- POST, DELETE /_sandbox/chaos, /_sandbox/faults; POST /_sandbox/subscriptions {uri, topics: ["orders/create"]}
- POST /_sandbox/clock {now | advance}; /_sandbox/expire {refresh_tokens}; /_sandbox/empty_bucket; /_sandbox/uninstall
- POST /_sandbox/drain {timeout}: waits until the webhooks are sent, retries included
- GET /_sandbox/state, /_sandbox/requests
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from . import sandbox_control as control
from .sandbox_cost import Bucket
from .sandbox_faults import Fault, Faults, cut
from .sandbox_graphql import Call, Graphql
from .sandbox_model import Refused
from .sandbox_oauth import Denied, OAuth
from .sandbox_store import Clock, Shop
from .sandbox_webhooks import Subscription, Webhooks

DEFAULTS: dict[str, Any] = {
    "domain": "hub-sandbox.myshopify.com",
    "name": "Hub sandbox",
    "version": "2026-10",
    "currency": "EUR",
    "timezone": "Europe/Paris",  # offset of the times in webhook bodies
    "taxes_included": True,
    "locations": ["Entrepôt"],
    "products": [],
    "gateway": "shopify_payments",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "redirect_uris": None,  # None allows any
    "access_token": "shpat_sandbox",  # a token that never expires; None for no such token
    "scopes": [
        "read_orders",
        "read_all_orders",
        "read_products",
        "read_customers",
        "write_inventory",
        "read_locations",
        "write_merchant_managed_fulfillment_orders",
        "read_returns",
    ],
    "token_seconds": 3600,
    "refresh_grace": 0,  # seconds in which a used refresh token still gives its new pair
    "bucket": 2000,
    "restore_rate": 100,
    "clock": None,  # a function giving aware instants, or an ISO instant at which time stands still
    "retry_schedule": [0.5, 1, 2, 4, 8, 16, 32],  # waits between the 8 tries of a webhook
    "webhook_timeout": 5.0,
    "refund_subtotal_includes_tax": False,  # of tax-included orders
    "adjustments_favour_merchant": False,  # sign of orderAdjustments
    "edit_removals_as_refunds": False,  # a unit removed by an edit, or by cancelling an unpaid order, makes a Refund
}


class Sandbox:
    """The parts of one sandbox, for tests that run in its process."""

    def __init__(self, **settings: Any) -> None:
        unknown = set(settings) - set(DEFAULTS)
        if unknown:
            raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}")
        self.settings = {**DEFAULTS, **settings}
        self.clock = Clock(self.settings["clock"])
        self.webhooks = Webhooks(self.settings, self.clock)
        self.shop = Shop(self.settings, self.clock, self.webhooks.emit)
        self.oauth = OAuth(self.settings, self.clock)
        self.bucket = Bucket(self.settings["bucket"], self.settings["restore_rate"])
        self.graphql = Graphql(self.shop, self.webhooks, self.bucket)
        self.faults = Faults()
        self.requests: list[dict[str, Any]] = []
        for spec in self.settings["products"]:
            self.shop.add_product(spec)

    def place(self, spec: dict[str, Any]) -> dict[str, Any]:
        with self.shop.lock:
            return control.place_order(self.shop, spec)

    def act(self, order: Any, action: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
        with self.shop.lock:
            return control.act(self.shop, self.shop.order(order), action, spec or {})

    def subscribe(self, uri: str, topics: list[str]) -> list[int]:
        made = [Subscription(self.shop.new_id("WebhookSubscription"), t, uri, self.shop.now()) for t in topics]
        for item in made:
            self.webhooks.subscribe(item)
        return [item.id for item in made]

    def state(self) -> dict[str, Any]:
        with self.shop.lock:
            return {
                "shop": self.shop.domain,
                "now": self.shop.now().isoformat(),
                "orders": [control.summary(order) for order in self.shop.orders.values()],
                "inventory": control.stock(self.shop),
                "pushes": list(self.shop.pushes),
                "null_pushes": self.shop.null_pushes,
                "emails": list(self.shop.emails),
                "subscriptions": [
                    {"id": s.id, "topic": s.topic, "uri": s.uri} for s in list(self.webhooks.subscriptions.values())
                ],
                "removed_subscriptions": list(self.webhooks.removed),
                "webhooks": self.webhooks.state(),
                "chaos": self.webhooks.chaos,
            }

    def uninstall(self) -> None:
        """The merchant removes the app: tokens die, app/uninstalled is sent, subscriptions go."""
        self.oauth.expire(refresh_tokens=True)
        with self.shop.action() as event:
            event.send(
                "app/uninstalled", lambda: {"id": 77001, "name": self.settings["name"], "domain": self.shop.domain}
            )
        for number in list(self.webhooks.subscriptions):
            self.webhooks.unsubscribe(number)


class App(Starlette):
    """Starlette with the faults and the request log around it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        body = await _whole_body(receive)
        if scope["path"].startswith("/_sandbox/"):
            await super().__call__(scope, _replay(body), send)
            return
        sandbox: Sandbox = self.state.sandbox
        operation, variables = _operation(scope["path"], body)
        request = f"{scope['method']} {scope['path']}"
        entry = {"request": request, "operation": operation, "variables": variables, "status": None, "fault": None}
        sandbox.requests.append(entry)
        fault = sandbox.faults.take(operation, request)
        entry["fault"] = fault and fault.kind
        scope["sandbox.fault"] = fault
        answer: list[Any] = []

        async def keep(message: Any) -> None:
            answer.append(message)

        if fault is None or fault.kind not in ("status", "drop_before"):
            if fault is not None and fault.kind == "slow_before":
                await asyncio.sleep(fault.seconds)
            await super().__call__(scope, _replay(body), keep)
        if fault is not None and fault.kind.startswith("drop"):
            await cut(send)
            return
        if fault is not None and fault.kind in ("status", "status_after"):
            answer = _fault_answer(fault)
        if fault is not None and fault.kind == "slow_after":
            await asyncio.sleep(fault.seconds)
        entry["status"] = answer[0]["status"]
        for message in answer:
            await send(message)


async def _whole_body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes) -> Callable[[], Any]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _operation(path: str, body: bytes) -> tuple[str | None, Any]:
    if not path.endswith("/graphql.json"):
        return None, None
    try:
        payload = json.loads(body)
        found = re.search(r"\b(?:query|mutation)\s+(\w+)", payload.get("query") or "")
        return payload.get("operationName") or (found and found.group(1)), payload.get("variables")
    except (ValueError, AttributeError):
        return None, None


def _fault_answer(fault: Fault) -> list[dict[str, Any]]:
    body = fault.body if isinstance(fault.body, str) else json.dumps(fault.body if fault.body is not None else {})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body.encode())).encode())]
    headers += [(name.lower().encode(), str(value).encode()) for name, value in fault.headers.items()]
    return [
        {"type": "http.response.start", "status": fault.status, "headers": headers},
        {"type": "http.response.body", "body": body.encode()},
    ]


# --- the vendor's own addresses ---
async def _graphql(request: Request) -> Response:
    sandbox: Sandbox = request.app.state.sandbox
    headers = {"X-Shopify-API-Version": sandbox.settings["version"]}
    scopes = sandbox.oauth.scopes_of(request.headers.get("X-Shopify-Access-Token"))
    if scopes is None:
        message = "[API] Invalid API key or access token (unrecognized login or wrong password)"
        return JSONResponse({"errors": message}, 401, headers)
    try:
        payload = json.loads(await request.body())
    except ValueError:
        return JSONResponse({"errors": "Not valid JSON"}, 400, headers)
    fault: Fault | None = request.scope.get("sandbox.fault")
    kind = fault.kind if fault is not None else ""
    call = Call(scopes)
    if fault is not None and kind == "user_error":
        call.user_error = {"message": fault.message, "field": fault.field, "code": fault.code}
    if kind == "throttled":
        return JSONResponse(sandbox.graphql.throttled(100), headers=headers)
    answer: dict[str, Any] = {}
    if kind != "internal_error":
        answer = await asyncio.to_thread(sandbox.graphql.run, payload, call)
    if kind.startswith("internal_error"):
        extensions = {"code": "INTERNAL_SERVER_ERROR", "requestId": "sandbox"}
        answer = {"errors": [{"message": "Internal error.", "extensions": extensions}]}
    return JSONResponse(answer, headers=headers)


async def _authorize(request: Request) -> Response:
    sandbox: Sandbox = request.app.state.sandbox
    try:
        if request.method == "GET":
            return HTMLResponse(sandbox.oauth.consent_page(dict(request.query_params)))
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        return RedirectResponse(sandbox.oauth.grant(form), 302)
    except Denied as error:
        return JSONResponse({"error": error.error, "error_description": error.description}, 400)


async def _token(request: Request) -> Response:
    sandbox: Sandbox = request.app.state.sandbox
    raw = await request.body()
    try:
        form = "json" not in request.headers.get("content-type", "")
        body = dict(parse_qsl(raw.decode())) if form else json.loads(raw)
        return JSONResponse(sandbox.oauth.token(body))
    except Denied as error:
        return JSONResponse({"error": error.error, "error_description": error.description}, 400)
    except ValueError:
        return JSONResponse({"error": "invalid_request", "error_description": "unreadable body"}, 400)


# --- control ---
def _control(work: Callable[[Sandbox, Request, Any], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else {}
            done = await asyncio.to_thread(work, request.app.state.sandbox, request, body)
        except (Refused, KeyError, TypeError, ValueError, ArithmeticError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 422)
        return JSONResponse(done if done is not None else {"ok": True})

    return endpoint


def _orders(sandbox: Sandbox, request: Request, body: Any) -> Any:
    return [sandbox.place(spec) for spec in body] if isinstance(body, list) else sandbox.place(body)


def _order_action(sandbox: Sandbox, request: Request, body: Any) -> Any:
    return sandbox.act(request.path_params["order"], request.path_params["action"], body)


def _products(sandbox: Sandbox, request: Request, body: Any) -> Any:
    made = [sandbox.shop.add_product(spec) for spec in (body if isinstance(body, list) else [body])]
    return [{"sku": v.sku, "variant": v.id, "item": v.item_id} for v in made]


def _inventory(sandbox: Sandbox, request: Request, body: Any) -> Any:
    level = sandbox.shop.set_available(body)
    return {"available": level.available, "committed": level.committed, "on_hand": level.on_hand}


def _chaos(sandbox: Sandbox, request: Request, body: Any) -> Any:
    return sandbox.webhooks.set_chaos(None if request.method == "DELETE" else body)


def _faults(sandbox: Sandbox, request: Request, body: Any) -> Any:
    if request.method == "DELETE":
        return sandbox.faults.clear()
    for spec in body if isinstance(body, list) else [body]:
        sandbox.faults.add(spec)
    return None


def _clock(sandbox: Sandbox, request: Request, body: Any) -> Any:
    return {"now": sandbox.clock.move(body.get("now"), body.get("advance")).isoformat()}


_WORKS: dict[str, tuple[list[str], Callable[[Sandbox, Request, Any], Any]]] = {
    "products": (["POST"], _products),
    "orders": (["POST"], _orders),
    "orders/{order}/{action}": (["POST"], _order_action),
    "inventory": (["POST"], _inventory),
    "subscriptions": (["POST"], lambda s, r, b: s.subscribe(b["uri"], b["topics"])),
    "chaos": (["POST", "DELETE"], _chaos),
    "faults": (["POST", "DELETE"], _faults),
    "clock": (["POST"], _clock),
    "expire": (["POST"], lambda s, r, b: s.oauth.expire(bool(b.get("refresh_tokens")))),
    "empty_bucket": (["POST"], lambda s, r, b: s.bucket.empty()),
    "uninstall": (["POST"], lambda s, r, b: s.uninstall()),
    "drain": (["POST"], lambda s, r, b: s.webhooks.drain(float(b.get("timeout", 30)))),
    "state": (["GET"], lambda s, r, b: s.state()),
    "requests": (["GET"], lambda s, r, b: list(s.requests)),
}
#: the same for every shop: what they work on is at `app.state.sandbox`
_ROUTES = [
    Route("/admin/oauth/authorize", _authorize, methods=["GET", "POST"]),
    Route("/admin/oauth/access_token", _token, methods=["POST"]),
    Route("/admin/api/{version}/graphql.json", _graphql, methods=["POST"]),
    *(Route(f"/_sandbox/{path}", _control(work), methods=methods) for path, (methods, work) in _WORKS.items()),
]


def create(**settings: Any) -> Starlette:
    """The ASGI application of one shop; its parts are at `app.state.sandbox`. Settings: DEFAULTS."""
    app = App(routes=_ROUTES)
    app.state.sandbox = Sandbox(**settings)
    return app
