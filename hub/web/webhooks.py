"""Webhook intake: signature, envelope, committed in the inbox, answered. A plain route, because it is the hot path."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, TimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hub.connect import reads, signatures
from hub.connect.errors import ConnectError
from hub.connect.links import Link
from hub.connect.manifest import ManifestError
from hub.connect.registry import UnknownConnector
from hub.connect.rootkeys import VaultError
from hub.connect.tables import Connection
from hub.db.tables import Merchant
from hub.inbox.arrivals import from_webhook
from hub.inbox.receive import Received
from hub.observe import metrics, traces
from hub.web.access import WEBHOOKS
from hub.workers.hub import Hub

_CONNECTION = Connection.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
MAX_BODY = 16 * 1024 * 1024
#: seconds for which a connection is used without asking whether its row changed
_FRESH_S = 2.0
_log = structlog.get_logger("hub.webhooks")


@dataclass(frozen=True)
class _Known:
    link: Link
    lanes: int
    until: float


class Webhooks:
    """What answers below `/webhooks/`, a connection by its name or its id: an ASGI application of its own, since what most of
    the requests of a hub are for needs nothing of what its pages go through."""

    def __init__(self, hub: Hub, max_body: int = MAX_BODY) -> None:
        self._hub = hub
        self._max_body = max_body
        self._known: dict[str, _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._measured(Request(scope, receive))
        await answer(scope, receive, send)

    async def _measured(self, request: Request) -> Response:
        """As `_receive`, with the time that it took."""
        began = time.perf_counter()
        with traces.span("webhook"):
            try:
                answer = await self._receive(request)
            except (DBAPIError, TimeoutError) as error:
                # not even the connection could be looked up
                answer = _not_stored(error)
            traces.note(status=answer.status_code)
        metrics.WEBHOOK_SECONDS.labels(str(answer.status_code)).observe(time.perf_counter() - began)
        return answer

    async def _receive(self, request: Request) -> Response:
        """200 once the event is committed; 401 for a wrong signature and 404, with nothing kept; 503 to be sent again."""
        if request.method != "POST":
            return _answer(405, "a webhook is a POST", {"allow": "POST"})
        known = await self._connection(request.scope["path"].removeprefix(WEBHOOKS))
        if known is None:
            return _answer(404, "there is no such connection")
        try:
            body = await self._body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            # the rest is not read: the client is cut off
            return _answer(413, f"the body is over {self._max_body} bytes", {"connection": "close"})
        traces.note(**_ids(known.link))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
        try:
            reads.verify(known.link, headers, body)
        except signatures.SignatureError as error:
            _log.warning("webhook refused", reason=str(error), **_ids(known.link))
            return _answer(401, str(error))
        event = received(known.link, headers, body, known.lanes)
        try:
            new = await asyncio.wrap_future(self._hub.intake.submit(event))
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being stored, the sender has to send it again
            return _not_stored(error, **_ids(known.link))
        return JSONResponse({"received": True, "repeat": not new})

    async def _body(self, request: Request) -> bytes | None:
        """The body; None as soon as it is known to be too long."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_body:
            return None
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > self._max_body:
                return None
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _connection(self, name: str) -> _Known | None:
        known = self._known.get(name)
        if known is not None and known.until > time.monotonic():
            return known
        found = await run_in_threadpool(self._look_up, name)
        if found is None:
            self._known.pop(name, None)
        else:
            self._known[name] = found
        return found

    def _look_up(self, name: str) -> _Known | None:
        if "\0" in name:
            return None
        by_id = name.isascii() and name.isdigit() and len(name) < 19
        with self._hub.database.read() as connection:
            row = connection.execute(
                sa.select(_CONNECTION.c.id, _MERCHANT.c.lanes)
                .join(_MERCHANT, _MERCHANT.c.id == _CONNECTION.c.merchant_id)
                .where(_CONNECTION.c.id == int(name) if by_id else _CONNECTION.c.name == name)
                .order_by(_CONNECTION.c.merchant_id)
            ).first()
        if row is None:
            return None
        try:
            link = self._hub.links.open(row.id)
        except (ConnectError, UnknownConnector, ManifestError, VaultError) as error:
            _log.error("connection cannot be opened", connection_id=row.id, exc_info=error)
            return None
        return _Known(link, row.lanes, time.monotonic() + _FRESH_S)


def received(link: Link, headers: dict[str, str], body: bytes, lanes: int) -> Received:
    """The event of a webhook whose signature was checked."""
    connector, settings = link.connector, link.settings
    return from_webhook(
        connector,
        body,
        merchant_id=link.merchant_id,
        connection_id=link.id,
        lanes=lanes,
        topic=reads.topic_of(connector, headers, body, settings),
        delivery_id=reads.delivery_id(connector, headers, body, settings),
        headers=headers,
        settings=settings,
    )


def _ids(link: Link) -> dict[str, Any]:
    return {"merchant_id": link.merchant_id, "connection_id": link.id, "connection": link.name}


def _not_stored(error: Exception, **of: Any) -> Response:
    _log.error("webhook not stored", exc_info=error, **of)
    return _answer(503, "it could not be stored: send it again", {"retry-after": "5"})


def _answer(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers=headers)
