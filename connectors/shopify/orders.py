"""Orders: one read in parts, because one query for all of it would cost too much, and those that changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.connect.client import reading
from hub.connect.errors import Throttled, Unreadable
from hub.connect.links import Link
from hub.connect.reads import Page

from .graphql import run
from .records import PartsDiffer, RecordError, order_from_parts
from .records_values import gid

_PAGE = 100
_MOST_PAGES = 40


def read(link: Link, record_id: str) -> dict[str, Any] | None:
    """`shopify.order` with all its sections; None when the shop has it no more. Raises: Unreadable, ConnectError."""
    order_id = record_id if record_id.startswith("gid:") else gid("Order", record_id)
    for _ in range(3):
        header = _ask(link, "OrderHeader", {"id": order_id})
        if header.get("order") is None:
            return None
        lines = _pages(link, "OrderLines", order_id, ("order", "lineItems"))
        money = _ask(link, "OrderMoney", {"id": order_id})
        listed = (money.get("order") or {}).get("refunds") or []
        refunds = [
            page["refund"]
            for each in listed
            for page in _pages(link, "RefundFull", each["id"], ("refund", "refundLineItems"))
            if page.get("refund")
        ]
        try:
            parts = [page["order"] for page in lines if page.get("order")]
            return order_from_parts(header["order"], parts, money.get("order"), refunds)
        except PartsDiffer:
            continue  # it changed while it was read
        except RecordError as error:
            raise Unreadable(f"order {record_id}: {error}") from error
    raise Throttled(f"{link.name}: order {record_id} changes while it is read", 2)


def poll(link: Link, cursor: str | None) -> Page:
    """Orders changed since the cursor, oldest change first. The cursor is an instant, or `instant|after|newest` inside
    a round; each round reads the lookback again, because the search index lags behind the records."""
    since, after, newest = _round(cursor)
    start = datetime.fromisoformat(since) - timedelta(seconds=link.connector.manifest.records["order"].lookback)
    variables: dict[str, Any] = {"first": _PAGE, "query": f"updated_at:>='{_utc(start)}'"}
    if after:
        variables["after"] = after
    found = run(link, "OrdersUpdatedSince", variables)["orders"]
    items = [(str(node["legacyResourceId"]), str(node["updatedAt"])) for node in found["nodes"]]
    newest = max([newest, *(_utc(datetime.fromisoformat(stamp)) for _, stamp in items)])
    info = found["pageInfo"]
    if info["hasNextPage"]:
        return Page(list(items), f"{since}|{info['endCursor']}|{newest}", True)
    return Page(list(items), newest, False)


def _round(cursor: str | None) -> tuple[str, str, str]:
    since, _, rest = (cursor or "").partition("|")
    after, _, newest = rest.partition("|")
    since = since or _utc(datetime.now(UTC))
    return since, after, newest or _utc(datetime.fromisoformat(since))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ask(link: Link, name: str, variables: dict[str, Any]) -> dict[str, Any]:
    """One part, asked for again by itself: starting over when the bucket is empty would empty it again."""
    return reading(lambda: run(link, name, variables))


def _pages(link: Link, name: str, record_id: str, connection: tuple[str, str]) -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = []
    after: str | None = None
    while len(pages) < _MOST_PAGES:
        page = _ask(link, name, {"id": record_id, **({"after": after} if after else {})})
        pages.append(page)
        info = ((page.get(connection[0]) or {}).get(connection[1]) or {}).get("pageInfo") or {}
        if not info.get("hasNextPage"):
            break
        after = info["endCursor"]
    return pages
