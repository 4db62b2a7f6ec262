"""What happened, step by step, with the ids of the event, run and delivery: lines of the log of a hub that serves."""

from __future__ import annotations

from typing import Any

import structlog


def step(log: Any, text: str, *, warn: bool = False, **ids: Any) -> None:
    """A line of the level `debug`, or `warning`. None in a process that was not told how to log, such as a command that works
    with a hub of its own: what it did is what it prints."""
    if structlog.is_configured():
        (log.warning if warn else log.debug)(text, **ids)
