"""Instants and dates: an instant becomes a date once, in the zone of the book."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from hub.db.types import instant_us as exact_us


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_date(instant_us: int, zone: str) -> date:
    """The date of an instant (UTC microseconds) in a zone such as `Europe/Paris`."""
    return datetime.fromtimestamp(instant_us // 1_000_000, _zone(zone)).date()


def given_instant(text: str, zone: str) -> int:
    """UTC microseconds of what a person wrote: a day (`2026-11-24`), from its first moment in a zone, or an instant with
    its offset. Raises: ValueError."""
    if len(text) > len("2026-11-24"):
        return exact_us(text)
    return exact_us(datetime.fromisoformat(text).replace(tzinfo=_zone(zone)).isoformat())
