"""Instants and dates: an instant becomes a date once, in the zone of the book."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_date(instant_us: int, zone: str) -> date:
    """The date of an instant (UTC microseconds) in a zone such as `Europe/Paris`."""
    return datetime.fromtimestamp(instant_us // 1_000_000, _zone(zone)).date()
