"""Acme on loopback: contacts, notes and signed webhooks, with faults on demand.

    app = create(token="sandbox-token")      # then serve it with any ASGI server

It imports nothing of the hub nor of the connector, so that one mistake is not made on both sides: it does what Acme's
documentation says. Beside the routes of `sandbox_control`, the control actions are:
    POST /_sandbox/contacts    {"email", "name"}: somebody adds or changes a contact there
    POST /_sandbox/subscribe   {"url"}: where webhooks go to
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .sandbox_control import Controlled

TOKEN, WEBHOOK_SECRET = "sandbox-token", "sandbox-webhooks"
_PAGE = 50


def connection(url: str) -> dict[str, Any]:
    """The settings of a connection to this sandbox at its address, for tests of flows."""
    return {"base_url": url, "token": TOKEN, "webhook_secret": WEBHOOK_SECRET}


def create(
    *, token: str = TOKEN, webhook_secret: str = WEBHOOK_SECRET, clock: Callable[[], datetime] | None = None
) -> Controlled:
    """The application; its state is at `app.state.sandbox`."""
    sandbox = Sandbox(token, webhook_secret, clock or (lambda: datetime.now(UTC)))
    routes = [
        Route("/contacts", sandbox.contacts, methods=["GET", "POST"]),
        Route("/contacts/{id:int}", sandbox.contact, methods=["GET"]),
        Route("/contacts/{id:int}/notes", sandbox.note, methods=["POST"]),
    ]
    actions = {"contacts": sandbox.act, "subscribe": sandbox.subscribe}
    return Controlled(Starlette(routes=routes), sandbox, sandbox.dump, actions)


class Sandbox:
    """All that this account holds."""

    def __init__(self, token: str, webhook_secret: str, clock: Callable[[], datetime]) -> None:
        self.by_id: dict[int, dict[str, Any]] = {}
        self.notes: list[dict[str, Any]] = []
        self._answers: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self._token = token
        self._secret = webhook_secret
        self._clock = clock
        self._url = ""
        self._sent = 0

    def dump(self) -> dict[str, Any]:
        """Contacts and notes."""
        return {"contacts": list(self.by_id.values()), "notes": self.notes}

    # -- Acme's API -----------------------------------------------------------------------------------------------------

    async def contacts(self, request: Request) -> JSONResponse:
        """GET and POST /contacts."""
        if (refused := self._refused(request)) is not None:
            return refused
        if request.method == "POST":
            body = await request.json()
            if not body.get("email"):
                return _error(422, "invalid", "email is missing")
            if self._by_email(body["email"]):
                return _error(409, "duplicate", "there is a contact with this email")
            return JSONResponse(self._save(body["email"], body.get("name")), 201)
        query = request.query_params
        since, after = query.get("updated_since"), int(query.get("after", "0"))
        found = sorted(self.by_id.values(), key=lambda each: (each["updated_at"], each["id"]))
        if "email" in query:
            found = [each for each in found if each["email"] == query["email"]]
        if since:
            start = (datetime.fromisoformat(since.replace("Z", "+00:00")), after)
            found = [each for each in found if (datetime.fromisoformat(each["updated_at"]), each["id"]) > start]
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", _PAGE))
        return JSONResponse({"items": found[offset : offset + limit]})

    async def contact(self, request: Request) -> JSONResponse:
        """GET /contacts/{id}."""
        if (refused := self._refused(request)) is not None:
            return refused
        found = self.by_id.get(request.path_params["id"])
        return JSONResponse(found) if found else _error(404, "not_found", "there is no such contact")

    async def note(self, request: Request) -> JSONResponse:
        """POST /contacts/{id}/notes: the same Idempotency-Key gives the same answer and does nothing."""
        if (refused := self._refused(request)) is not None:
            return refused
        key, content = request.headers.get("idempotency-key", ""), await request.body()
        if key in self._answers:
            before, answer = self._answers[key]
            if before != content:
                return _error(422, "key_reused", "this key was used for another request")
            return JSONResponse(answer, 201)
        contact, text = request.path_params["id"], json.loads(content).get("text")
        if contact not in self.by_id or not text:
            return _error(422, "invalid", "a note has a text and is about a contact")
        note = {"id": len(self.notes) + 1, "contact_id": contact, "text": text}
        self.notes.append(note)
        if key:
            self._answers[key] = (content, note)
        return JSONResponse(note, 201)

    def _refused(self, request: Request) -> JSONResponse | None:
        given = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return None
        return _error(401, "unauthorized", "the API key is not known")

    # -- what happens there -------------------------------------------------------------------------------------------

    def act(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Somebody adds or changes a contact, and Acme tells it."""
        if not body.get("email"):
            return 422, {"error": "a contact has an email"}
        contact = self._save(body["email"], body.get("name"))
        self._tell("contact.updated", contact)
        return 200, contact

    def subscribe(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Webhooks go to an address from now on."""
        self._url = str(body.get("url", ""))
        return 200, {"url": self._url}

    def _by_email(self, email: str) -> dict[str, Any] | None:
        return next((each for each in self.by_id.values() if each["email"] == email), None)

    def _save(self, email: str, name: Any) -> dict[str, Any]:
        known = self._by_email(email)
        number = known["id"] if known else 1001 + len(self.by_id)
        stamp = self._clock().astimezone(UTC).isoformat(timespec="seconds")
        self.by_id[number] = {"id": number, "email": email, "name": name, "updated_at": stamp}
        return self.by_id[number]

    def _tell(self, topic: str, record: dict[str, Any]) -> None:
        if not self._url:
            return
        self._sent += 1
        content = json.dumps(record).encode()
        signature = hmac.new(self._secret.encode(), content, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-acme-topic": topic,
            "x-acme-delivery": f"delivery-{self._sent}",
            "x-acme-signature": f"sha256={signature}",
        }
        # a proxy of the environment is not for this machine
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(self._url, content, headers), timeout=10).close()


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
