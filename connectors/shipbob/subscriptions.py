"""The webhook subscription of a connection: one, with all topics, signed with a secret of ours."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from hub.connect.client import reading
from hub.connect.judge import judge
from hub.connect.links import Link


def setup(link: Link, callback_url: str) -> dict[str, Any]:
    """Creates the subscription, or repairs it. Doing it again changes nothing."""
    topics = set(link.connector.manifest.webhooks.topics)  # type: ignore[union-attr]
    ours = [each for each in _subscriptions(link) if each.get("url") == callback_url]
    # the secret is shown once, at creation: a subscription whose secret we do not have is made anew
    good = [each for each in ours if set(each.get("topics") or ()) == topics and each.get("enabled", True)]
    if not link.secrets.get("webhook_secret"):
        good = []
    kept = good[:1]
    removed = [each for each in ours if each not in kept]
    if not kept:
        secret = link.secrets.get("webhook_secret")
        if not secret:
            secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
            link.learn(webhook_secret=secret)  # before it is used: a crash must not leave webhooks we cannot check
        _call(link, "POST", "", {"topics": sorted(topics), "url": callback_url, "secret": secret})
    for each in removed:
        _call(link, "DELETE", f"/{each['id']}")
    return {"created": not kept, "removed": len(removed)}


def check(link: Link) -> None:
    """The token works. Raises: ConnectError."""
    _subscriptions(link)


def _subscriptions(link: Link) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = 1
    while True:
        query = {"RecordsPerPage": "100", "Cursor": str(cursor)}
        page = reading(lambda query=query: _call(link, "GET", "", query=query))  # type: ignore[misc]
        items = (page or {}).get("items") or []
        found += items
        if not items or not page.get("next"):
            return found
        cursor += len(items)


def _call(link: Link, method: str, path: str, json: Any = None, query: dict[str, str] | None = None) -> Any:
    more = {} if json is None else {"json": json}
    answer = link.client.request(method, f"/{link.settings['version']}/webhook{path}", query=query, **more)
    if method == "DELETE" and answer.status == 404:
        return None
    judge(answer, link.connector.manifest.errors)
    return answer.data
