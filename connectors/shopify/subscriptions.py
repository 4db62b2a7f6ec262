"""Webhook subscriptions: one for each topic that the connector knows, never two."""

from __future__ import annotations

from typing import Any

from hub.connect.client import reading
from hub.connect.links import Link

from .graphql import refuse, run, user_errors


def setup(link: Link, callback_url: str) -> dict[str, Any]:
    """Creates the subscriptions that are missing and removes repeats. The vendor deletes one after 8 failures in a row:
    run it daily. Raises: ConnectError."""
    wanted = {topic.upper().replace("/", "_") for topic in link.connector.manifest.webhooks.topics}  # type: ignore[union-attr]
    known: set[str] = set()
    repeats: list[str] = []
    for each in _list(link):
        if each["uri"] == callback_url:
            if each["topic"] in known or each["topic"] not in wanted:
                repeats.append(each["id"])
            known.add(each["topic"])
    for identity in repeats:
        refuse(link, user_errors(run(link, "WebhookDelete", {"id": identity})["webhookSubscriptionDelete"]))
    created = sorted(wanted - known)
    for topic in created:
        variables = {"topic": topic, "webhookSubscription": {"uri": callback_url, "format": "JSON"}}
        errors = user_errors(run(link, "WebhookCreate", variables)["webhookSubscriptionCreate"])
        # somebody else made it since: the vendor refuses a second one
        refuse(link, [each for each in errors if "already been taken" not in str(each.get("message"))])
    return {"created": created, "removed": len(repeats)}


def _list(link: Link) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        variables = {"after": after} if after else {}
        page = reading(lambda variables=variables: run(link, "WebhookList", variables))["webhookSubscriptions"]  # type: ignore[misc]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]
