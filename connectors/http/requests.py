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


def get(link: Link, call: Call) -> Confirmed:
    """`get`: one read."""
    return _confirmed(call, _request(link, "GET", call.body, {}))


def _request(link: Link, method: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
    path = str(body.get("path") or "")
    base = str(link.settings.get("base_url") or link.settings.get("url") or "").rstrip("/")
    if not path.startswith("/") or path.startswith("//") or not base:
        raise Refused(f"{link.name}: set url, and a path that begins with one /")
    sent = {"accept": "application/json"} | {str(k).lower(): str(v) for k, v in (body.get("headers") or {}).items()}
    if secret := link.secrets.get("authorization"):
        sent[str(link.settings["authorization_header"]).lower()] = secret
    content = None
    if body.get("json") is not None:
        content = payload.encode(body["json"])
        sent.setdefault("content-type", "application/json")
    query = {str(name): str(value) for name, value in (body.get("query") or {}).items()}
    answer = link.client.send(method, base + path, query=query, headers=sent | headers, content=content)
    judge(answer, link.connector.manifest.errors)
    return answer


def _confirmed(call: Call, answer: Answer) -> Confirmed:
    data = answer.data_or_none
    identity = pick(data, str(call.body.get("id_path") or "id"))
    return Confirmed(None if identity is None else str(identity), data if isinstance(data, dict) else {"body": data})
