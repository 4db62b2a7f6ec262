"""A ShipBob account on loopback: orders, shipments, tracking and signed webhooks, with faults on demand.

    app = create(token="pat")      # then serve it with any ASGI server

Beside the routes of `sandbox_control`, whose words are the same in every sandbox, the control actions are:
    POST /_sandbox/ship       {"order_id": 100500} or {"all": true}, and optionally "carrier", "service", "shipped_at",
                              "partial": {"SKU": 1}, "tracking": false, "webhook": false
    POST /_sandbox/track      {"shipment_id", "status", "substatus", "message", "location", "webhook"}
    POST /_sandbox/hold       {"order_id", "status": "OnHold" | "Exception" | "Processing"}
    POST /_sandbox/redeliver  {"id": "msg_0001"} sends a webhook again; {} sends all that wait for a retry now
"""

from __future__ import annotations

import hmac
import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .sandbox_bodies import Order, Refused, Ship, Subscription, Track, parse
from .sandbox_control import Controlled, encode
from .sandbox_warehouse import Warehouse
from .sandbox_webhooks import RETRY_SECONDS, Webhooks

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
MOST_SHIPMENTS = 25
PAGE, MOST_ON_PAGE = 50, 250


class Sandbox:
    """The whole state: `warehouse`, `webhooks` and the calls of the last minute."""

    def __init__(
        self,
        *,
        token: str,
        channel_id: int,
        warehouse: Warehouse,
        webhooks: Webhooks,
        calls_per_minute: int,
        versions: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self.warehouse = warehouse
        self.webhooks = webhooks
        self._token = token
        self._channel_id = channel_id
        self._calls_per_minute = calls_per_minute
        self._versions = versions
        self._clock = clock
        self._calls: deque[datetime] = deque()

    def dump(self) -> dict[str, Any]:
        """Orders, shipments, tracking, products, webhooks and deliveries."""
        sent = {"webhooks": self.webhooks.subscriptions(), "deliveries": self.webhooks.deliveries()}
        return {**self.warehouse.dump(), **sent}

    # -- the vendor's API --------------------------------------------------------------------------------------------------

    def handle(self, request: Request, work: Callable[[Request, bytes], tuple[int, Any]], body: bytes) -> Response:
        """Check who asks and how often, then do the work."""
        if request.path_params["version"] not in self._versions:
            return Response(status_code=404)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            return Response(status_code=401)
        with self.warehouse.lock:
            wait, remaining = self._count()
            if wait:
                text = f"Rate limit is exceeded. Try again in {wait} seconds."
                return _json(429, {"statusCode": 429, "message": text}, {"x-retry-after": str(wait)})
            headers = {"x-remaining-calls": str(remaining)}
            try:
                status, value = work(request, body)
            except Refused as refusal:
                status, value = refusal.status, refusal.body
            return Response(None, status, headers) if value is None else _json(status, value, headers)

    def _count(self) -> tuple[int, int]:
        """Seconds to wait (0: go on) and calls left in the sliding minute; a call that is refused does not count."""
        now = self._clock()
        while self._calls and (now - self._calls[0]).total_seconds() >= 60:
            self._calls.popleft()
        if len(self._calls) >= self._calls_per_minute:
            return max(1, math.ceil(60 - (now - self._calls[0]).total_seconds())), 0
        self._calls.append(now)
        return 0, self._calls_per_minute - len(self._calls)

    def _channel(self, request: Request, needed: bool) -> None:
        sent = request.headers.get("shipbob_channel_id")
        if sent is None:
            if needed:
                raise Refused(400, {"shipbob_channel_id": ["The shipbob_channel_id header is required."]})
        elif sent != str(self._channel_id):
            raise Refused(403, None)

    def channels(self, _request: Request, _body: bytes) -> tuple[int, Any]:
        """GET channel."""
        channel = {**self.warehouse.channel, "application_name": "hub", "scopes": ["orders_read", "orders_write"]}
        return 200, {"items": [channel], "next": None, "prev": None}

    def orders(self, request: Request, body: bytes) -> tuple[int, Any]:
        """POST order and GET order."""
        self._channel(request, needed=request.method == "POST")
        if request.method == "POST":
            return 201, self.warehouse.create(parse(Order, _read(body)))
        query = request.query_params
        found = self.warehouse.find(
            ids=_numbers(request, "IDs"),
            references=_list(request, "ReferenceIds"),
            updated_from=_instant(request, "LastUpdateStartDate"),
            created_from=_instant(request, "StartDate"),
            has_tracking={"true": True, "false": False}.get(query.get("HasTracking", "").lower()),
            newest_first=query.get("SortOrder", "Newest") == "Newest",
        )
        page, limit = _whole(request, "Page", 1, None), _whole(request, "Limit", PAGE, MOST_ON_PAGE)
        return 200, found[(page - 1) * limit : page * limit]

    def order(self, request: Request, _body: bytes) -> tuple[int, Any]:
        """GET order/{id}."""
        self._channel(request, needed=False)
        return 200, self.warehouse.order(request.path_params["order_id"])

    def order_shipments(self, request: Request, _body: bytes) -> tuple[int, Any]:
        """GET order/{id}/shipment."""
        self._channel(request, needed=False)
        return 200, self.warehouse.order(request.path_params["order_id"])["shipments"]

    def cancel(self, request: Request, _body: bytes) -> tuple[int, Any]:
        """POST order/{id}:cancel."""
        return 200, self.warehouse.cancel(request.path_params["order_id"])

    def shipment(self, request: Request, _body: bytes) -> tuple[int, Any]:
        """GET shipment/{id}."""
        self._channel(request, needed=False)
        return 200, self.warehouse.shipment(request.path_params["shipment_id"])

    def tracking(self, request: Request, _body: bytes) -> tuple[int, Any]:
        """GET shipments-tracking, for 1 to 25 shipments."""
        wanted = _numbers(request, "ShipmentIds")
        if not 1 <= len(wanted) <= MOST_SHIPMENTS:
            raise Refused(400, {"ShipmentIds": [f"Give between 1 and {MOST_SHIPMENTS} ids."]})
        return 200, self.warehouse.track_of(wanted)

    def subscriptions(self, request: Request, body: bytes) -> tuple[int, Any]:
        """POST webhook and GET webhook."""
        if request.method == "POST":
            return 200, self.webhooks.subscribe(parse(Subscription, _read(body), status=422))
        size = _whole(request, "RecordsPerPage", PAGE, MOST_ON_PAGE)
        start = _whole(request, "Cursor", 1, None) - 1  # the cursor is the first record's place
        found = self.webhooks.subscriptions()
        following = f"{request.url.path}?Cursor={start + size + 1}&RecordsPerPage={size}"
        following = following if len(found) > start + size else ""
        return 200, {"items": found[start : start + size], "next": following or None, "prev": None}

    def unsubscribe(self, request: Request, _body: bytes) -> tuple[int, Any]:
        """DELETE webhook/{id}."""
        self.webhooks.unsubscribe(request.path_params["webhook_id"])
        return 204, None

    # -- control -------------------------------------------------------------------------------------------------------------

    def act(self, work: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], tuple[int, Any]]:
        """Make a control action of a function that may refuse."""

        def action(body: dict[str, Any]) -> tuple[int, Any]:
            try:
                return 200, work(body)
            except Refused as refusal:
                return 400, refusal.body or {"error": f"not there: {body}"}

        return action

    def actions(self) -> dict[str, Callable[[dict[str, Any]], tuple[int, Any]]]:
        """The control actions by name."""
        return {
            "ship": self.act(lambda body: {"shipments": self.warehouse.ship(parse(Ship, body))}),
            "track": self.act(lambda body: self.warehouse.track(parse(Track, body))),
            "hold": self.act(
                lambda body: {"shipments": self.warehouse.hold(int(body.get("order_id", 0)), str(body.get("status")))}
            ),
            "redeliver": self.act(lambda body: {"sent": self.webhooks.redeliver(body.get("id"))}),
        }


def _json(status: int, value: Any, headers: dict[str, str]) -> Response:
    return Response(encode(value), status, headers, "application/json")


def _read(body: bytes) -> Any:
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise Refused(400, {"body": [f"The body is not JSON: {error}"]}) from None


def _list(request: Request, name: str) -> list[str]:
    """A query parameter with commas, or given several times."""
    return [part.strip() for value in request.query_params.getlist(name) for part in value.split(",") if part.strip()]


def _numbers(request: Request, name: str) -> list[int]:
    values = _list(request, name)
    if not all(value.isdigit() for value in values):
        raise Refused(400, {name: [f"The value '{','.join(values)}' is not valid."]})
    return [int(value) for value in values]


def _whole(request: Request, name: str, default: int, most: int | None) -> int:
    value = request.query_params.get(name, str(default))
    if not value.isdigit() or int(value) < 1 or (most is not None and int(value) > most):
        raise Refused(400, {name: [f"The value '{value}' is not valid."]})
    return int(value)


def _instant(request: Request, name: str) -> datetime | None:
    value = request.query_params.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Refused(400, {name: [f"The value '{value}' is not valid."]}) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def create(
    token: str,
    channel_id: int = 100001,
    *,
    channel_name: str = "hub",
    location: tuple[int, str] = (9, "Demo (FR)"),
    products: Sequence[str] = (),
    strict_products: bool = False,
    calls_per_minute: int = 150,
    versions: Sequence[str] = ("2026-01",),
    retry_seconds: Sequence[float] = RETRY_SECONDS,
    webhook_timeout: float = 15,
    https_only: bool = False,
    tracking_url: str = "https://www.example.org/t/{number}",
    clock: Callable[[], datetime] | None = None,
) -> Controlled:
    """The ASGI application; its state is `app.state.sandbox`.

    `clock` gives an aware datetime and also drives the limit of calls. `products` are references known from the start; an order
    with another one makes a product, unless `strict_products`. `https_only` refuses webhooks to http addresses, as the vendor
    does. `retry_seconds` are real seconds between the attempts to deliver a webhook.
    """
    now = clock or (lambda: datetime.now(UTC))
    webhooks = Webhooks(retry_seconds=retry_seconds, timeout=webhook_timeout, https_only=https_only, clock=now)
    warehouse = Warehouse(
        channel={"id": channel_id, "name": channel_name},
        location=location,
        products=products,
        strict_products=strict_products,
        tracking_url=tracking_url,
        clock=now,
        notify=webhooks.notify,
    )
    sandbox = Sandbox(
        token=token,
        channel_id=channel_id,
        warehouse=warehouse,
        webhooks=webhooks,
        calls_per_minute=calls_per_minute,
        versions=versions,
        clock=now,
    )

    def route(path: str, work: Callable[[Request, bytes], tuple[int, Any]], *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return sandbox.handle(request, work, await request.body())

        return Route("/{version}/" + path, endpoint, methods=list(methods or ("GET",)))

    routes = [
        route("channel", sandbox.channels),
        route("order", sandbox.orders, "GET", "POST"),
        route("order/{order_id:int}:cancel", sandbox.cancel, "POST"),
        route("order/{order_id:int}", sandbox.order),
        route("order/{order_id:int}/shipment", sandbox.order_shipments),
        route("shipment/{shipment_id:int}", sandbox.shipment),
        route("shipments-tracking", sandbox.tracking),
        route("webhook", sandbox.subscriptions, "GET", "POST"),
        route("webhook/{webhook_id}", sandbox.unsubscribe, "DELETE"),
    ]
    return Controlled(Starlette(routes=routes), sandbox, sandbox.dump, sandbox.actions())
