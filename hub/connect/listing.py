"""Lists what is in a system, page by page and as fast as it lets us; never changes anything there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.connect.client import reading
from hub.connect.errors import ReconnectNeeded, Refused, Throttled, Unreadable
from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.paths import FillError, fill, pick
from hub.connect.proof_spec import Paging, Proof

#: waits for one page before the list is given up, and the longest of them in seconds
_WAITS, _LONGEST_S = 20, 120.0


@dataclass(frozen=True)
class Listed:
    """One page. `cursor` goes on behind it; none: it was the last."""

    items: list[dict[str, Any]]
    cursor: str | None


def listing(
    link: Link, operation: str, since: str, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """The records there that an operation makes, as its `proof` declares them. `since`: an instant, for lists that can be
    cut by time. Raises: ConnectError, LookupError when none is declared."""
    if not link.connected:
        raise ReconnectNeeded(f"{link.name} is not connected yet")
    spec = link.operation(operation).proof
    if spec is None:
        raise LookupError(f"{link.connector.name} declares no list for {operation}")
    cursor: str | None = None
    seen: set[str] = set()
    while True:
        page = _patiently(lambda at=cursor: _page(link, spec, since, at), sleep)  # type: ignore[misc]
        yield from page.items
        if page.cursor is None:
            return
        if page.cursor in seen:
            raise Unreadable(f"{link.name}: the list of {operation} comes back to {page.cursor!r}: it has no end")
        seen.add(page.cursor)
        cursor = page.cursor


def value_at(text: str, record: Any) -> str | None:
    """The value of a path, or of a text with places; None where there is none."""
    if "{" in text:
        try:
            return fill(text, record if isinstance(record, Mapping) else {})
        except FillError:
            return None
    value = pick(record, text) if text else None
    return None if value is None or isinstance(value, (Mapping, list, bool)) else str(value)


def _patiently(ask: Callable[[], Listed], sleep: Callable[[float], None]) -> Listed:
    for left in reversed(range(_WAITS)):
        try:
            return reading(ask)
        except Throttled as error:
            if not left or (error.after_s or 0) > _LONGEST_S:
                raise
            sleep(error.after_s if error.after_s is not None else 5.0)
    raise AssertionError("unreachable")


def _page(link: Link, spec: Proof, since: str, cursor: str | None) -> Listed:
    if spec.code:
        return link.connector.code(spec.code)(link, since, cursor)  # type: ignore[no-any-return]
    paging = spec.paging
    at = int(cursor) if cursor is not None and paging is not None and paging.by != "cursor" else None
    scope = {
        "settings": link.settings,
        "since": since,
        "cursor": cursor or "",
        "size": paging.size if paging else 0,
        "page": at if at is not None else paging.first if paging else 1,
        "offset": at if at is not None else paging.first if paging else 0,
    }
    try:
        path = fill(spec.path, scope, in_path=True)
        filled = {name: fill(text, scope) for name, text in spec.query.items()}
    except FillError as error:
        raise Refused(f"{link.name}: {error}") from None
    # the first page has no cursor yet
    answer = link.client.request("GET", path, query={name: text for name, text in filled.items() if text})
    judge(answer, link.connector.manifest.errors)
    items = pick(answer.data, spec.items) if spec.items else answer.data
    # a list with nothing in it may be left out of the answer
    records = items if items is not None else []
    if not isinstance(records, list):
        raise Unreadable(f"{link.name}: the answer has no list at {spec.items!r}")
    return Listed(records, _next(paging, at, len(records), answer.data))


def _next(paging: Paging | None, at: int | None, count: int, data: Any) -> str | None:
    if paging is None:
        return None
    if paging.by == "cursor":
        found = pick(data, paging.next)
        return None if found in (None, "") else str(found)
    if count < paging.size:
        return None
    return str((paging.first if at is None else at) + (1 if paging.by == "page" else count))
