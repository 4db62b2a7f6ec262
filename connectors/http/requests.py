"""Requests to any HTTP system, as the body of the operation says."""

from __future__ import annotations

from typing import Any

from hub.connect import payload
from hub.connect.client import Answer
from hub.connect.errors import Refused
from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed
from hub.connect.paths import pick

_METHODS = ("POST", "PUT", "PATCH", "DELETE")


def send(link: Link, call: Call) -> Confirmed:
    """`request`: one write, with the idempotency key in the header that the settings name."""
    method = str(call.body.get("method") or "POST").upper()
    if method not in _METHODS:
        raise Refused(f"{link.name}: method {method!r} is not one of {', '.join(_METHODS)}")
    headers = {}
    if name := link.settings.get("idempotency_header"):
        headers[str(name)] = call.wire_key
    return _confirmed(call, _request(link, method, call.body, headers))


def put(link: Link, call: Call) -> Confirmed:
    """`put`: a whole record at its own path. Putting it there twice leaves it as it is (RFC 9110, 9.2.2)."""
    return _confirmed(call, _request(link, "PUT", call.body, {}))


def same(link: Link, call: Call) -> Confirmed | None:
    """The record at the path, if it holds all that is to be put there. Raises: ConnectError."""
    try:
        answer = _request(link, "GET", {name: value for name, value in call.body.items() if name != "json"}, {})
    except Refused:
        return None  # it is not there, or cannot be read there: it is put there again
    there, wanted = answer.data_or_none, call.body.get("json")
    if not isinstance(there, dict) or not isinstance(wanted, dict):
        return None
    return _confirmed(call, answer) if all(there.get(name) == value for name, value in wanted.items()) else None


def get(link: Link, call: Call) -> Confirmed:
    """`get`: one read."""
    return _confirmed(call, _request(link, "GET", call.body, {}))


def _request(link: Link, method: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
    path = str(body.get("path") or "")
    base = str(link.settings.get("base_url") or link.settings.get("url") or "").rstrip("/")
    if not path.startswith("/") or path.startswith("//") or not base:
        raise Refused(f"{link.name}: set url, and a path that begins with one /")
    sent = {"accept": "application/json"} | {str(k).lower(): str(v) for k, v in (body.get("headers") or {}).items()}
    sent |= with_authorization(link)
    content = None
    if body.get("json") is not None:
        content = payload.encode(body["json"])
        sent.setdefault("content-type", "application/json")
    query = {str(name): str(value) for name, value in (body.get("query") or {}).items()}
    answer = link.client.send(method, base + path, query=query, headers=sent | headers, content=content)
    judge(answer, link.connector.manifest.errors)
    return answer


def with_authorization(link: Link) -> dict[str, str]:
    """The header that carries the credentials of a connection, if it has any."""
    secret = link.secrets.get("authorization")
    return {str(link.settings["authorization_header"]).lower(): secret} if secret else {}


def _confirmed(call: Call, answer: Answer) -> Confirmed:
    data = answer.data_or_none
    identity = pick(data, str(call.body.get("id_path") or "id"))
    return Confirmed(None if identity is None else str(identity), data if isinstance(data, dict) else {"body": data})
