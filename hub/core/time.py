"""Instants and dates: an instant becomes a date once, in the zone of the book."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from hub.core.errors import CoreError
from hub.db.types import instant_us as exact_us

#: instants that have a date in every zone: the years that dates know, less two days at either end
_FIRST_US, _LAST_US = exact_us("0001-01-03T00:00:00Z"), exact_us("9999-12-29T00:00:00Z")
_SHOWN = 60


class UnreadableInstant(CoreError):
    """A record has a text where an instant belongs that is none."""

    kind = "record.unreadable"


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_date(instant_us: int, zone: str) -> date:
    """The date of an instant (UTC microseconds) in a zone such as `Europe/Paris`."""
    return datetime.fromtimestamp(instant_us // 1_000_000, _zone(zone)).date()


def instant_of(text: str, field: str) -> int:
    """UTC microseconds of an instant in a record; `field` is its path there (`header.placed_at`).

    Raises: UnreadableInstant, which names the field and its text."""
    try:
        found = exact_us(text)
        if _FIRST_US <= found <= _LAST_US:
            return found
        wrong = "is out of the years that are counted"
    except (ValueError, OverflowError):  # OverflowError: an offset that leads out of the years
        wrong = "is no instant with its offset, such as 2026-11-24T08:12:31Z"
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    raise UnreadableInstant(
        f"{field} {shown!r} {wrong}: correct it where it comes from, or in its mapping",
        details={"field": field},
    )


def given_instant(text: str, zone: str) -> int:
    """UTC microseconds of what a person wrote: a day (`2026-11-24`), from its first moment in a zone, or an instant with
    its offset. Raises: ValueError."""
    if len(text) > len("2026-11-24"):
        return exact_us(text)
    return exact_us(datetime.fromisoformat(text).replace(tzinfo=_zone(zone)).isoformat())
