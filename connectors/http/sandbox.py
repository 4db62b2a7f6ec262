"""Some system over HTTP on loopback: records at paths, as most REST systems keep them.

    app = create(authorization="Bearer sandbox")      # then serve it with any ASGI server

PUT makes or replaces the record of a path, POST makes one below it (the same Idempotency-Key gives the same answer and does
nothing), PATCH changes the fields that it names, DELETE takes it away, GET shows one, or those right below a path. A body is
a JSON object; a record is shown with its `id`, the last part of its path. The control routes are those of `sandbox_control`;
`POST /_sandbox/records` with `{"path", "record"}` puts a record there.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .sandbox_control import Controlled, encode

AUTHORIZATION = "Bearer sandbox"
#: what webhooks to it are signed with (Standard Webhooks); one with another signature is refused
SECRET = "whsec_" + b64encode(b"the secret of the sandbox").decode()
#: the request that an operation of the connector stands for, where a test plants an answer to it
REQUESTS = {"put": "PUT *"}
_METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE"]


def connection(url: str) -> dict[str, Any]:
    """The settings of a connection to this sandbox at its address, for tests of flows."""
    return {
        "url": url,
        "authorization": AUTHORIZATION,
        "idempotency_header": "Idempotency-Key",
        "sending_secret": SECRET,
    }


def create(*, authorization: str = AUTHORIZATION) -> Controlled:
    """The application; its state is at `app.state.sandbox`."""
    sandbox = Sandbox(authorization)
    vendor = Starlette(routes=[Route("/{path:path}", sandbox.answer, methods=_METHODS)])
    return Controlled(vendor, sandbox, sandbox.dump, {"records": sandbox.put_there})


class Sandbox:
    """Records by path."""

    def __init__(self, authorization: str) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self._authorization = authorization
        self._answers: dict[str, tuple[bytes, int, Any]] = {}
        self._made = 0

    def dump(self) -> dict[str, Any]:
        """All records, by path."""
        return {"records": self.records}

    def put_there(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The action `records`."""
        path, record = body.get("path"), body.get("record")
        if not isinstance(path, str) or not path.startswith("/") or not isinstance(record, dict):
            return 400, {"error": "give `path`, which begins with /, and `record`, an object"}
        self.records[path] = record
        return 201, _shown(path, record)

    async def answer(self, request: Request) -> Response:
        """Any request."""
        status, value = self._answer(request, await request.body())
        return Response(encode(value), status, media_type="application/json")

    def _answer(self, request: Request, content: bytes) -> tuple[int, Any]:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), self._authorization.encode()):
            return 401, {"error": "unknown authorization"}
        path = "/" + request.path_params["path"].strip("/")
        if request.method == "GET":
            return self._show(path)
        if request.method == "DELETE":
            return (204, None) if self.records.pop(path, None) is not None else (404, {"error": f"no {path}"})
        try:
            body = msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            return 400, {"error": f"the body is not JSON: {error}"}
        if not isinstance(body, dict):
            return 422, {"error": "a record is an object"}
        if request.method == "POST":
            identity = request.headers.get("webhook-id")
            if identity is not None and not _signed(request, identity, content):
                return 401, {"error": "the signature of the webhook is not right"}
            return self._make(path, body, content, identity or request.headers.get("idempotency-key"))
        known = self.records.get(path)
        if request.method == "PATCH" and known is None:
            return 404, {"error": f"no {path}"}
        self.records[path] = {**(known or {}), **body} if request.method == "PATCH" else body
        return 201 if known is None else 200, _shown(path, self.records[path])

    def _make(self, path: str, body: dict[str, Any], content: bytes, key: str | None) -> tuple[int, Any]:
        if key is not None and key in self._answers:
            before, status, answer = self._answers[key]
            return (status, answer) if before == content else (422, {"error": "this key came with another body"})
        self._made += 1
        made = f"{path}/{self._made}"
        self.records[made] = body
        if key is not None:
            self._answers[key] = (content, 201, _shown(made, body))
        return 201, _shown(made, body)

    def _show(self, path: str) -> tuple[int, Any]:
        if path in self.records:
            return 200, _shown(path, self.records[path])
        below = [at for at in self.records if at.rpartition("/")[0] == path.rstrip("/")]
        return (
            (200, {"items": [_shown(at, self.records[at]) for at in below]})
            if below
            else (404, {"error": f"no {path}"})
        )


def _signed(request: Request, identity: str, content: bytes) -> bool:
    """Whether a webhook is signed with our secret, as Standard Webhooks say."""
    signed = f"{identity}.{request.headers.get('webhook-timestamp', '')}.".encode() + content
    key = b64decode(SECRET.removeprefix("whsec_"))
    wanted = "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(request.headers.get("webhook-signature", "").encode(), wanted.encode())


def _shown(path: str, record: dict[str, Any]) -> dict[str, Any]:
    return {"id": path.rpartition("/")[2], **record}
