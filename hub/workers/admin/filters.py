"""What lists of events, deliveries, questions and runs are narrowed by, as people and programs say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.core.time import given_instant
from hub.inbox.error_class import ErrorClass
from hub.workers.admin import connections
from hub.workers.admin.errors import AdminError
from hub.workers.narrowed import Filter

if TYPE_CHECKING:
    from hub.workers.hub import Hub


def asked(
    hub: Hub,
    *,
    state: str | None = None,
    error_class: str | None = None,
    connection: str | None = None,
    flow: str | None = None,
    since: str | None = None,
    until: str | None = None,
    merchant_id: int = 1,
) -> Filter:
    """A filter from what a person or program gave: names, and days in the book's zone or instants.

    Raises: NotThere, AdminError when there is no such connection, class or day."""
    if error_class is not None and error_class not in set(ErrorClass):
        raise AdminError(f"{error_class!r} is no class of errors: there are {', '.join(ErrorClass)}")
    zone = hub.active(merchant_id).settings.zone if since or until else ""
    return Filter(
        merchant_id,
        state or None,
        error_class or None,
        connections.id_of(hub, connection, merchant_id=merchant_id) if connection else None,
        flow or None,
        _instant(since, zone),
        _instant(until, zone),
    )


def _instant(text: str | None, zone: str) -> int | None:
    if not text:
        return None
    try:
        return given_instant(text, zone)
    except ValueError:
        raise AdminError(f"{text!r} is no day and no instant: say 2026-11-24, or 2026-11-24T09:00:00+01:00") from None
