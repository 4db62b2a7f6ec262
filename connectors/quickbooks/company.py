"""Requests to one company, and queries with text escaped."""

from __future__ import annotations

from typing import Any

from hub.connect.errors import ReconnectNeeded
from hub.connect.judge import judge
from hub.connect.links import Link

_VERSION = {"minorversion": "75"}


def query(link: Link, entity: str, field: str, value: str) -> list[dict[str, Any]]:
    """The active records of an entity whose field has a value."""
    text = value.replace("\\", "\\\\").replace("'", "\\'")
    # names of our own and a quoted text: nothing of it can leave the quotes
    asked = f"select * from {entity} where {field} = '{text}'"  # noqa: S608
    answer = link.client.request("GET", f"{_company(link)}/query", query={**_VERSION, "query": asked})
    judge(answer, link.connector.manifest.errors)
    found = (answer.data or {}).get("QueryResponse", {}).get(entity) or []
    return [dict(each) for each in found if each.get(field) == value]


def post(link: Link, path: str, body: dict[str, Any], request_id: str) -> dict[str, Any]:
    """One write; repeated with the same request id it answers the same."""
    answer = link.client.request(
        "POST", f"{_company(link)}/{path}", query={**_VERSION, "requestid": request_id}, json=body
    )
    judge(answer, link.connector.manifest.errors)
    return dict(answer.data)


def _company(link: Link) -> str:
    realm = str(link.settings.get("realm_id") or "")
    if not realm.isdigit():
        raise ReconnectNeeded(f"{link.name}: no company yet (realm_id): connect it")
    return f"/v3/company/{realm}"
