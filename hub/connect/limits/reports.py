"""What an answer says of the system's limits: what is left, what it cost, how long to wait. Instants become durations by the
answer's own `Date`, so that our clock does not matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from hub.connect.declared_limits import Body, BucketLimit, CostLimit, Headers, WindowLimit
from hub.connect.limits.rule import Rule, pace
from hub.connect.limits.tally import Report
from hub.connect.paths import pick

if TYPE_CHECKING:
    from hub.connect.client import Answer
    from hub.connect.manifest import ErrorShape

_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,9})?")
#: a number above is an instant, below it seconds from now
_EPOCH = 1_000_000_000
#: statuses that say that too much was asked
_REFUSALS = (429, 430)
#: seconds; no system is believed that asks for more
_LONGEST_S = 3600.0
#: seconds to wait where the system refuses and says nothing
_UNSAID_S = 1.0


@dataclass(frozen=True)
class Said:
    """What an answer said of one limit. `requested`, `actual`: its cost in points."""

    report: Report | None = None
    requested: float | None = None
    actual: float | None = None


_NOTHING = Said()


def said(rule: Rule, answer: Answer) -> Said:
    """What an answer says of a limit."""
    declared = rule.declared
    if isinstance(declared, CostLimit):
        return _of_body(answer, declared.body)
    if isinstance(declared, (WindowLimit, BucketLimit)) and declared.headers is not None:
        return _of_headers(answer, declared.headers)
    return _NOTHING


def _of_headers(answer: Answer, where: Headers) -> Said:
    left, size = _left(answer.headers, where.remaining, where.limit)
    reset = _seconds(answer.headers, where.reset) if where.reset else None
    if left is None and size is None:
        return _NOTHING
    return Said(Report(left, size, reset_us=None if reset is None else reset * 1_000_000))


def _of_body(answer: Answer, where: Body) -> Said:
    body = answer.data_or_none
    found = {name: _number(pick(body, path)) for name, path in where.paths()}
    requested, actual, restore = (found.get(name) for name in ("requested", "actual", "restore"))
    if requested is not None and actual is None:
        actual = 0.0  # refused: nothing was done, nothing is charged
    rate = None if restore is None else pace(restore)
    return Said(Report(found.get("remaining"), found.get("limit"), rate), requested, actual)


def pause_s(answer: Answer, errors: ErrorShape) -> float:
    """Seconds for which nothing more is to be asked; 0: go on."""
    if answer.status not in (*_REFUSALS, 503):
        return 0.0
    names = dict.fromkeys((errors.wait_header, "Retry-After"))
    told = next((wait for name in names if (wait := _seconds(answer.headers, name)) is not None), None)
    if told is not None:
        return min(max(told, 0.0), _LONGEST_S)
    if answer.status == 503:
        return 0.0
    waits = [rule.wait for rule in errors.rules if answer.status in rule.statuses and rule.wait is not None]
    return float(min(waits[0], _LONGEST_S)) if waits else _UNSAID_S


def _left(headers: Mapping[str, str], remaining: str, limit: str) -> tuple[float | None, float | None]:
    """What is left and of how much. `32/40`: 32 are used of 40."""
    text = headers.get(remaining.lower(), "").strip() if remaining else ""
    used, slash, size = text.partition("/")
    if slash:
        of, taken = _number(size.strip()), _number(used.strip())
        return (None, None) if of is None or taken is None else (of - taken, of)
    return _number(text), _number(headers.get(limit.lower(), "").strip()) if limit else None


def _seconds(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name.lower(), "").strip()
    value = _number(text)
    sent = _instant(headers.get("date", ""))
    if value is None:
        until = _instant(text)
        return None if until is None or sent is None else max(0.0, until - sent)
    if value < _EPOCH:
        return max(0.0, value)
    return None if sent is None else max(0.0, value - sent)


def _instant(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return None


def _number(value: Any) -> float | None:
    if type(value) in (int, float):
        return float(value)
    if isinstance(value, bool) or value is None:
        return None
    return float(value) if _NUMBER.fullmatch(str(value)) else None
