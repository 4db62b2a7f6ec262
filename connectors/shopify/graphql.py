"""One GraphQL operation, and the three layers of errors: HTTP, top level, and `userErrors`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hub.connect.errors import Ambiguous, ConnectError, Refused, Throttled, Unreadable
from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.paths import pick
from hub.connect.registry import Connector

# What the vendor's codes mean when nothing was done; anything else at the top level is a refusal.
_WAIT = {"SHOP_INACTIVE": 3600.0}


def run(link: Link, name: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The `data` of `documents/<name>.graphql`. Raises: Throttled with the seconds until the bucket holds enough,
    Ambiguous when a mutation may have been done, Refused."""
    body = {"query": _document(link.connector, name), "variables": variables, "operationName": name}
    path = f"/admin/api/{link.settings['version']}/graphql.json"
    answer = link.client.request("POST", path, json=body, asks=name, reads=_reads(link.connector, name))
    judge(answer, link.connector.manifest.errors)
    data = answer.data
    if not isinstance(data, dict):
        raise Unreadable(f"{link.name}: the answer to {name} is no object")
    if errors := data.get("errors"):
        raise _failure(link, name, errors, data)
    found = data.get("data")
    if not isinstance(found, dict):
        raise Unreadable(f"{link.name}: the answer to {name} has no data")
    return found


def user_errors(payload: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The `userErrors` of a mutation: nothing, or only a part, was done. Raises: Unreadable when there is no payload."""
    if payload is None:
        raise Unreadable("the mutation answered nothing")
    return list(payload.get("userErrors") or [])


def refuse(link: Link, errors: list[dict[str, Any]]) -> None:
    """Raises: Refused with what the vendor said, when it said something."""
    if errors:
        text = "; ".join(f"{each.get('code') or ''} {each.get('message')}".strip() for each in errors)
        raise Refused(f"{link.name}: {text}"[:300], errors)


def _failure(link: Link, name: str, errors: Any, data: dict[str, Any]) -> ConnectError:
    listed = errors if isinstance(errors, list) else [{"message": str(errors)}]
    codes = {str(pick(each, "extensions.code") or "") for each in listed}
    text = f"{link.name}: {name}: " + "; ".join(str(each.get("message")) for each in listed)[:250]
    if "THROTTLED" in codes:
        return Throttled(text, _until_restored(data))
    if "INTERNAL_SERVER_ERROR" in codes:
        return Ambiguous(text)
    for code, wait in _WAIT.items():
        if code in codes:
            return Throttled(text, wait)
    return Refused(text, listed)


def _until_restored(data: dict[str, Any]) -> float:
    """Seconds until the bucket holds what the operation costs."""
    cost = pick(data, "extensions.cost") or {}
    status = cost.get("throttleStatus") or {}
    missing = (cost.get("requestedQueryCost") or 0) - (status.get("currentlyAvailable") or 0)
    return max(0.1, float(missing) / float(status.get("restoreRate") or 50))


@lru_cache(maxsize=64)
def _reads(connector: Connector, name: str) -> bool:
    """Whether a document asks only."""
    return "mutation" not in _document(connector, name)


@lru_cache(maxsize=64)
def _document(connector: Connector, name: str) -> str:
    return connector.text(f"documents/{name}.graphql")
