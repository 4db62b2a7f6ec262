"""Logs of a hub: one JSON object a line on stderr, without bodies, secrets or personal data."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import DBAPIError

from hub.cli.errors import CommandError
from hub.connect.errors import Cut, NotSent
from hub.connect.manifest import ManifestError
from hub.connect.registry import UnknownConnector
from hub.connect.rootkeys import VaultError
from hub.connect.signatures import SignatureError
from hub.db import refusals
from hub.inbox.lanes import LeaseLost
from hub.observe.personal import without_people
from hub.workers.admin.errors import AdminError

if TYPE_CHECKING:
    from hub.workers.settings import Settings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_HIDDEN = frozenset(
    "body headers authorization cookie secret secrets token access_token refresh_token password".split()
)
_MAX_TEXT = 500
#: errors whose words are ours, and name nothing but connections, files, keys and settings
_PLAIN = (AdminError, LeaseLost, ManifestError, NotSent, Cut, SignatureError, UnknownConnector, VaultError)


def set_up(settings: Settings) -> None:
    """Logs as the settings say. Raises: CommandError."""
    try:
        configure(settings.log_level)
    except ValueError as error:
        raise CommandError(str(error), exit_code=2) from None


def set_up_command(settings: Settings) -> None:
    """Logs of a command, which says itself what it did: on stderr, what goes wrong; with `debug`, all. `info` counts as `warning`."""
    try:
        number = _number(settings.log_level)
    except ValueError as error:
        raise CommandError(str(error), exit_code=2) from None
    _structured(logging.WARNING if number == logging.INFO else number)


def configure(level: str) -> None:
    """Sets up structlog, and hands it what other libraries log. Raises: ValueError for an unknown level."""
    number = _number(level)
    _structured(number)
    root = logging.getLogger()
    root.handlers[:] = [_Handler()]
    root.setLevel(max(number, logging.WARNING))


def _number(level: str) -> int:
    number = _LEVELS.get(level.lower())
    if number is None:
        raise ValueError(f"HUB_LOG_LEVEL is one of {', '.join(_LEVELS)}, not {level!r}")
    return number


def _structured(number: int) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide,
            _explain,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_logger,
    )


def _logger(*names: Any) -> Any:
    return _Lines(str(names[0]) if names else "hub")


class _Lines:
    """Writes whole lines to stderr, with the name of the logger in each."""

    def __init__(self, name: str) -> None:
        self._name = name

    def msg(self, line: str) -> None:
        sys.stderr.write(f'{{"logger": "{self._name}", {line[1:]}\n')
        sys.stderr.flush()

    log = debug = info = warning = error = critical = exception = fatal = msg


class _Handler(logging.Handler):
    """What libraries log, in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        values = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(record.levelno, record.getMessage()[:_MAX_TEXT], **values)


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event.keys() & _HIDDEN:
        event[name] = "hidden"
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_people(value)
    return event


def _explain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type, its place in the code and, where it cannot hold what a system or a person wrote, its first
    line. What else it said stands with the event or the delivery that the line names, behind the door of the API."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        message = _message(error)
        if message:
            event["message"] = message[:_MAX_TEXT]
        event["at"] = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-12:]
        ]
    return event


def _message(error: BaseException) -> str | None:
    if isinstance(error, DBAPIError):
        return refusals.said(error).partition(": ")[2]
    if isinstance(error, _PLAIN):
        return without_people(str(error).partition("\n")[0])
    return error.strerror if isinstance(error, OSError) else None
