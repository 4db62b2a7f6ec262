"""The shop itself and its locations."""

from __future__ import annotations

from typing import Any

from hub.connect.client import reading
from hub.connect.errors import Refused
from hub.connect.links import Link

from .graphql import run


def check(link: Link) -> dict[str, Any]:
    """The connection works and is about the shop of its settings. Raises: ConnectError."""
    shop = reading(lambda: run(link, "ShopInfo", {}))["shop"]
    if str(shop["myshopifyDomain"]).lower() != str(link.settings["shop"]).lower():
        raise Refused(
            f"{link.name}: the token is of {shop['myshopifyDomain']}, the settings say {link.settings['shop']}"
        )
    return dict(shop)


def locations(link: Link) -> list[dict[str, Any]]:
    """All active locations. Raises: ConnectError."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        variables = {"after": after} if after else {}
        page = reading(lambda variables=variables: run(link, "Locations", variables))["locations"]  # type: ignore[misc]
        found += [dict(node) for node in page["nodes"] if node["isActive"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def stock_location(link: Link) -> dict[str, Any]:
    """The location that stock is published to. Raises: Refused when it is not clear which."""
    active, wanted = locations(link), link.settings.get("location")
    if wanted:
        named = [each for each in active if each["name"] == wanted]
    else:
        named = [each for each in active if each["fulfillsOnlineOrders"]]
    if len(named) != 1:
        names = ", ".join(str(each["name"]) for each in active)
        raise Refused(f"{link.name}: set `location` to one of: {names}")
    return named[0]
