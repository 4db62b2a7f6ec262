"""One read from a system: of an event's record, and of what its flows ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import structlog

from hub.connect import errors, operations, payload, reads
from hub.connect.limits import turn
from hub.connect.links import Links
from hub.inbox import fetches
from hub.inbox.claim import Event
from hub.inbox.fetches import Fetch
from hub.observe import traces

_log = structlog.get_logger("hub.fetch")
#: errors that trying again does not mend
_FOR_GOOD = (errors.Refused, errors.StaleState)
_SHOWN = 300
_NONE: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True)
class Answered:
    """What came of the reads that an event waits for: what is known by now, and what failed for the moment, of which
    connection."""

    answers: Mapping[str, Mapping[str, Any]]
    failure: Exception | None = None
    failed_connection: int = 0


@dataclass(frozen=True)
class Read:
    """What came of one turn of an event: its record as JSON, or answers; else the failure."""

    event: Event
    record: bytes | None = None
    answered: Answered | None = None
    failure: Exception | None = field(default=None)


def read(links: Links, event: Event, down: Mapping[int, float] = _NONE) -> Read:
    """Reads what an event waits for: its record first, then what its flows ask for. `down`: connections that are not asked
    now, with the seconds after which it may be tried."""
    ids = {"merchant_id": event.merchant_id, "connection_id": event.connection_id, "record": event.record}
    with (
        traces.span("read", event.seq, **ids),
        turn("backfill" if event.kind == "backfill" else "read"),
    ):
        return _read(links, event, down)


def _read(links: Links, event: Event, down: Mapping[int, float]) -> Read:
    if not event.lacks_record:
        return Read(event, answered=answer(links, event, down))
    try:
        link = links.open(event.connection_id or 0)
        return Read(event, record=payload.encode(reads.read(link, event.record, event.record_id)))
    except Exception as error:  # noqa: BLE001 - also a fault of a connector's code: tried again, and seen in the inbox
        _logged(error, event)
        return Read(event, failure=error)


def answer(links: Links, event: Event, down: Mapping[int, float] = _NONE) -> Answered:
    """Makes the reads that are not answered yet. What one answers is kept whatever becomes of the others."""
    answers: dict[str, dict[str, Any]] = {}
    failure, connection_id = None, 0
    for fetch in fetches.pending(event.fetched):
        try:
            if fetch.connection in down:
                raise errors.Down(f"{links.open(fetch.connection).name} is down", down[fetch.connection])
            answers[fetch.key] = {"answer": _answer(links, fetch)}
        except _FOR_GOOD as error:
            answers[fetch.key] = {"refused": str(error)[:_SHOWN]}
        except Exception as error:  # noqa: BLE001 - as above
            _logged(error, event)
            failure, connection_id = error, fetch.connection
    return Answered(answers, failure, connection_id)


def _answer(links: Links, fetch: Fetch) -> Any:
    link = links.open(fetch.connection)
    if fetch.operation is not None:
        return operations.look(link, fetch.operation, fetch.body)
    try:
        return reads.read(link, str(fetch.record), str(fetch.id))
    except errors.Refused as error:
        if error.missing:
            return None
        raise


def _logged(error: Exception, event: Event) -> None:
    if not isinstance(error, errors.ConnectError):
        _log.error(
            "read failed",
            record=event.record,
            merchant_id=event.merchant_id,
            connection_id=event.connection_id,
            event_seq=event.seq,
            exc_info=error,
        )
