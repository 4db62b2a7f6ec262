"""Reads an answer by the connector's error table: passes a success, raises what a failure means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hub.connect.client import Answer
from hub.connect.errors import Ambiguous, ConnectError, ReconnectNeeded, Refused, StaleState, Throttled
from hub.connect.manifest import ErrorRule, ErrorShape, Meaning
from hub.connect.paths import pick

_SHOWN = 300
_MISSING = (404, 410)
_DEFAULTS: dict[int, Meaning] = {401: "auth", 408: "ambiguous", 425: "throttled", 429: "throttled"}


def judge(answer: Answer, shape: ErrorShape, rules: Sequence[ErrorRule] = ()) -> None:
    """The operation's rules first, then the connector's, then what HTTP says (5xx: it may have been done).

    Raises: Throttled, Ambiguous, Refused, StaleState, ReconnectNeeded."""
    code, message = _first(answer, shape.code), _first(answer, shape.message)
    if answer.ok and not (shape.also_in_success and (code or message)):
        return
    rule = next((rule for rule in (*rules, *shape.rules) if _fits(rule, answer.status, code, message)), None)
    meaning = rule.means if rule else default_meaning(answer.status)
    error = failure(
        meaning,
        f"{answer.status}{' ' + code if code else ''}{': ' + message if message else ''}"[:_SHOWN],
        after_s=rule.wait if rule and rule.wait is not None else wait_of(answer, shape.wait_header),
        detail=answer.data_or_none,
        missing=answer.status in _MISSING,
    )
    if meaning == "retry" and answer.status >= 500:
        error.health = "down"  # it is sure that nothing was done, and it is a failure all the same
    raise error


def default_meaning(status: int) -> Meaning:
    """What a status means with no rule for it."""
    if status >= 500:
        return "ambiguous"
    return _DEFAULTS.get(status, "permanent")


def failure(
    meaning: Meaning, reason: str, *, after_s: float | None = None, detail: object = None, missing: bool = False
) -> ConnectError:
    """The error of a meaning."""
    match meaning:
        case "retry" | "throttled":
            return Throttled(reason, after_s)
        case "ambiguous":
            return Ambiguous(reason)
        case "auth":
            return ReconnectNeeded(reason)
        case "stale":
            return StaleState(reason)
        case "duplicate":
            return Refused(reason, detail, duplicate=True)
        case _:
            return Refused(reason, detail, missing=missing)


def wait_of(answer: Answer, header: str) -> float | None:
    """Seconds that a header asks to wait: a number, or an HTTP date."""
    text = answer.headers.get(header.lower(), "").strip()
    if re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _first(answer: Answer, paths: Sequence[str]) -> str:
    for path in paths:
        value = pick(answer.data_or_none, path)
        if value is not None:
            return str(value)
    return ""


def _fits(rule: ErrorRule, status: int, code: str, message: str) -> bool:
    if rule.status is not None and status not in rule.statuses:
        return False
    if rule.code is not None and code not in rule.codes:
        return False
    return rule.message is None or rule.message.lower() in message.lower()
