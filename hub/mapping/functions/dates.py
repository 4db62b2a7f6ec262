"""Functions on instants and dates, all as text."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hub.mapping.fault import Fault, describe
from hub.mapping.functions.registry import function, need_text, need_whole

GROUP = "Dates"

# RFC 3339, and what vendors make of it: a space for the T, no seconds, an offset without its colon.
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?) ?([Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799  # of the year 9999
_MAX_DAYS = 36_600


@function(
    GROUP,
    ("instant('2026-11-24T09:12:31+01:00')", "'2026-11-24T08:12:31.000000Z'"),
    ("instant('2026-11-24 09:12', 'Europe/Paris')", "'2026-11-24T08:12:00.000000Z'"),
    ("instant(1764000000)", "'2025-11-24T16:00:00.000000Z'"),
    types="text|number?, text? -> instant~",
)
def instant(value: Any, zone: Any = None) -> str | None:
    """A moment as UTC text with microseconds, from RFC 3339 text or from seconds since 1970. Text without an offset is
    refused unless the zone it is meant in is given. Null stays null."""
    if value is None:
        return None
    return _moment(value, zone, "instant").isoformat(timespec="microseconds").replace("+00:00", "Z")


@function(
    GROUP,
    ("date('2026-11-23T23:30:00Z', 'Europe/Paris')", "'2026-11-24'"),
    ("date('2026-11-24')", "'2026-11-24'"),
    types="text|number?, text? -> date~",
)
def date_(value: Any, zone: Any = None) -> str | None:
    """The calendar day of a moment in a zone; a day stays itself. Null stays null."""
    if value is None:
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        return _day(value).isoformat()
    if zone is None:
        raise Fault("value", f"the day of {describe(value)} depends on the zone", 'give one: date(x, "Europe/Paris")')
    return _moment(value, zone, "date").astimezone(_zone(zone)).date().isoformat()


@function(GROUP, ("add_days('2026-02-27', 30)", "'2026-03-29'"), types="text?, whole -> date~")
def add_days(value: Any, days: Any) -> str | None:
    """The calendar day a number of days later, or earlier; null stays null."""
    count = need_whole(days, "add_days", -_MAX_DAYS, _MAX_DAYS)
    if value is None:
        return None
    return (_day(need_text(value, "add_days")) + timedelta(days=count)).isoformat()


def _day(value: str) -> date:
    if not _DATE.fullmatch(value):
        raise Fault(
            "value", f"{describe(value)} is not a day", "a day is YYYY-MM-DD; date(x, zone) makes one of a moment"
        )
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise Fault("value", f"{describe(value)} is not in the calendar") from None


def _moment(value: Any, zone: Any, what: str) -> datetime:
    if type(value) is int or type(value) is Decimal:
        if not 0 <= value <= _LAST_SECOND:
            raise Fault("value", f"{describe(value)} is not seconds since 1970", "divide milliseconds by 1000")
        return _EPOCH + timedelta(microseconds=int(value * 1_000_000))
    found = _INSTANT.fullmatch(need_text(value, what))
    if not found:
        raise Fault("value", f"{describe(value)} is not a moment", "RFC 3339, e.g. 2026-11-24T09:12:31+01:00")
    day, time, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{offset.upper() if offset else ''}")
    except ValueError:
        raise Fault("value", f"{describe(value)} is not in the calendar") from None
    if offset is None:
        if zone is None:
            hint = f'add one, or give the zone it is meant in: {what}(x, "Europe/Paris")'
            raise Fault("value", f"{describe(value)} has no offset", hint)
        moment = moment.replace(tzinfo=_zone(zone))
    return moment.astimezone(UTC)


@lru_cache(maxsize=128)
def _known_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if _ZONE.fullmatch(name) else None
    except (KeyError, ValueError, OSError):
        return None


def _zone(name: Any) -> ZoneInfo:
    found = _known_zone(need_text(name, "a zone")) if len(need_text(name, "a zone")) < 60 else None
    if found is None:
        raise Fault("value", f"{describe(name)} is not a time zone", "give an IANA name such as Europe/Paris")
    return found


_MONTHS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()


def _french_long(day: date) -> str:
    return f"{'1er' if day.day == 1 else day.day} {_MONTHS[day.month - 1]} {day.year}"


_PATTERNS: dict[str, Callable[[date], str]] = {
    "iso": date.isoformat,
    "compact": lambda day: f"{day.year:04}{day.month:02}{day.day:02}",
    "french": lambda day: f"{day.day:02}/{day.month:02}/{day.year:04}",
    "french_long": _french_long,
}


@function(
    GROUP,
    ("format_date('2026-11-24', 'french')", "'24/11/2026'"),
    ("format_date('2026-11-24', 'compact')", "'20261124'"),
    ("format_date('2026-12-01', 'french_long')", "'1er décembre 2026'"),
    ("format_date('2026-11-23T23:30:00Z', 'iso', 'Europe/Paris')", "'2026-11-24'"),
    types="text|number?, text, text? -> text~",
)
def format_date(value: Any, pattern: Any, zone: Any = None) -> str | None:
    """A day as people or files write it: `iso`, `compact`, `french`, `french_long`; of a moment its day in a zone. Null
    stays null."""
    form = _PATTERNS.get(need_text(pattern, "a pattern"))
    if form is None:
        raise Fault("value", f"there is no pattern {describe(pattern)}", f"known are {', '.join(_PATTERNS)}")
    day = date_(value, zone)
    return None if day is None else form(date.fromisoformat(day))


@function(
    GROUP,
    ("days_between('2026-11-24', '2026-12-24')", "30"),
    ("days_between('2026-03-01', '2026-02-27')", "-2"),
    types="text, text -> whole",
)
def days_between(start: Any, end: Any) -> int:
    """Number of days from one calendar day to another; negative when the second is earlier."""
    return (_day(need_text(end, "days_between")) - _day(need_text(start, "days_between"))).days


@function(GROUP, ("start_of_month('2026-11-24')", "'2026-11-01'"), types="text? -> date~")
def start_of_month(value: Any) -> str | None:
    """The first day of the month of a day; null stays null."""
    return None if value is None else _day(need_text(value, "start_of_month")).replace(day=1).isoformat()


@function(
    GROUP,
    ("end_of_month('2028-02-10')", "'2028-02-29'"),
    ("end_of_month(add_days('2026-11-24', 30))", "'2026-12-31'"),
    types="text? -> date~",
)
def end_of_month(value: Any) -> str | None:
    """The last day of the month of a day; null stays null."""
    if value is None:
        return None
    day = _day(need_text(value, "end_of_month"))
    return day.replace(day=monthrange(day.year, day.month)[1]).isoformat()


@function(GROUP, ("weekday('2026-11-24')", "2"), types="text? -> whole~")
def weekday(value: Any) -> int | None:
    """The day of the week of a day, 1 for Monday to 7 for Sunday; null stays null."""
    return None if value is None else _day(need_text(value, "weekday")).isoweekday()
