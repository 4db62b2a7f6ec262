"""Payloads that a person edits: those of parked events and of refused deliveries. What was there before is always kept."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.db.types import instant_text
from hub.inbox import replay as again
from hub.inbox.tables import READ_KINDS, EventEdit, Inbox
from hub.outbox.tables import DeliveryEdit
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.paging import instant
from hub.workers.hub import Hub
from hub.workers.parts import Part

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_EVENT_EDIT = EventEdit.__table__  # type: ignore[attr-defined]
_DELIVERY_EDIT = DeliveryEdit.__table__  # type: ignore[attr-defined]
#: the table of kept bodies and the column that says whose they are
OF_EVENTS = (_EVENT_EDIT, _EVENT_EDIT.c.event_seq)
OF_DELIVERIES = (_DELIVERY_EDIT, _DELIVERY_EDIT.c.delivery_id)
#: kinds of events that somebody else wrote: what the hub itself says is not edited
_FROM_OUTSIDE = ("webhook", "manual")


@dataclass(frozen=True)
class Wanted:
    """An edit: all of the `body`, or `values` by their path in it (`lines.0.sku`). `of`: SHA-256 of the body that the person
    looked at."""

    body: str | None
    values: Mapping[str, Any] | None
    of: str | None
    why: str | None
    by: str

    def made(self, before: bytes, what: str) -> bytes:
        """The body after the edit. Raises: AdminError."""
        if (self.body is None) == (not self.values):
            raise AdminError("say either the whole body or what to set in it")
        if self.of is not None and self.of != hashlib.sha256(before).hexdigest():
            raise AdminError(f"the body of {what} was changed since it was looked at: look at it again")
        if self.body is not None:
            return self.body.encode()
        try:
            value = payload.decode(before)
        except Unreadable as error:
            raise AdminError(f"the body of {what} is {error}: give a whole body") from None
        for path, new in (self.values or {}).items():
            value = _put(value, path.split("."), new, path)
        return payload.encode(value)


def _put(value: Any, parts: list[str], new: Any, path: str) -> Any:
    """A value with another one at a path; a name that is not there is added, a place of a list is not."""
    if not parts:
        return new
    part, rest = parts[0], parts[1:]
    if isinstance(value, list):
        if not part.isdecimal() or int(part) >= len(value):
            raise AdminError(f"{path}: {part!r} is no place in a list of {len(value)}")
        return [*value[: int(part)], _put(value[int(part)], rest, new, path), *value[int(part) + 1 :]]
    if not isinstance(value, dict):
        raise AdminError(f"{path}: there is nothing in which {part!r} could be")
    if rest and part not in value:
        raise AdminError(f"{path}: there is no {part!r}, only {', '.join(value) or 'nothing'}")
    return {**value, part: _put(value.get(part), rest, new, path)}


# -- showing ----------------------------------------------------------------------------------------------------


def body_of(text: bytes | None) -> dict[str, Any]:
    """A body as it can be shown, and its digest. One that is no UTF-8 comes as `base64:...`."""
    if text is None:
        return {"body": None, "sha256": None}
    raw = bytes(text)
    try:
        said = raw.decode()
    except UnicodeDecodeError:
        said = f"base64:{base64.b64encode(raw).decode()}"
    return {"body": said, "sha256": hashlib.sha256(raw).hexdigest()}


def versions(
    connection: Connection, kept: tuple[sa.Table, Any], owner: int, now: bytes | None, since: int
) -> list[dict[str, Any]]:
    """All bodies in order: the one that came in or was planned, then those that people made of it, each with who and why."""
    table, column = kept
    rows = connection.execute(sa.select(table).where(column == owner).order_by(table.c.number)).all()
    texts = [*(row.body for row in rows), now]
    said: list[dict[str, Any]] = [{"version": 0, "at": instant_text(since), "by": None, "why": None}]
    said += [
        {"version": row.number, "at": instant_text(row.edited_at), "by": row.edited_by, "why": row.why} for row in rows
    ]
    return [{**each, **body_of(text)} for each, text in zip(said, texts, strict=True)]


def event(hub: Hub, seq: int, *, merchant_id: int = 1) -> dict[str, Any]:
    """An event with its body and the bodies that people replaced. Raises: NotThere."""
    with hub.database.read() as connection:
        row = _event(connection, seq, merchant_id)
        bodies_of = versions(connection, OF_EVENTS, seq, row.body, row.received_at)
    names = ("seq", "state", "kind", "topic", "record", "record_id", "attempts", "outcome", "error_class")
    return {
        **{name: getattr(row, name) for name in names},
        "received_at": instant_text(row.received_at),
        "finished_at": instant(row.finished_at),
        **body_of(row.body if row.kind not in READ_KINDS else row.reads),
        "versions": bodies_of,
    }


# -- editing ----------------------------------------------------------------------------------------------------


def edit_event(
    hub: Hub,
    seq: int,
    *,
    body: str | None = None,
    values: Mapping[str, Any] | None = None,
    of: str | None = None,
    why: str | None = None,
    by: str = "",
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Gives a parked event another body, with which it is worked. The one that it had is kept, and so are its key in what
    was seen (a repeat of the original is still one) and its place among the events of its ordering key.

    Raises: NotThere; AdminError when it is not parked, was not written by somebody else, or the edit does not fit."""
    wanted = Wanted(body, values, of, why, by)
    with hub.database.write() as connection:
        locked = again.events_of(connection, merchant_id, [seq])
        row = _event(connection, seq, merchant_id)
        if row.state != "parked":
            raise AdminError(f"event {seq} is {row.state}: only what is parked is edited")
        if row.kind in READ_KINDS:
            raise AdminError(
                f"the record of event {seq} is read from its system: correct it there, then `hub replay {seq}`"
            )
        if row.kind not in _FROM_OUTSIDE:
            raise AdminError(f"event {seq} was made by the hub itself: mend its flow, then `hub replay {seq}`")
        if row.body is None:
            raise AdminError(f"the body of event {seq} has been erased")
        made, now = wanted.made(bytes(row.body), f"event {seq}"), hub.clock()
        number = keep(connection, OF_EVENTS, seq, row, wanted, now)
        connection.execute(_INBOX.update().where(_INBOX.c.seq == seq).values(body=made))
        again.reopen(connection, merchant_id, locked, now, by, said=f"edit {number}")
    hub.wake(Part.BOOKS)
    return {"event": seq, "version": number}


def keep(connection: Connection, kept: tuple[sa.Table, Any], owner: int, row: Any, wanted: Wanted, now: int) -> int:
    """Keeps the body that is replaced. Returns the number of the edit."""
    table, column = kept
    last = connection.execute(sa.select(sa.func.max(table.c.number)).where(column == owner)).scalar()
    number = (last or 0) + 1
    values = row if isinstance(row, Mapping) else row._mapping
    connection.execute(
        table.insert().values(
            {
                column.name: owner,
                "merchant_id": values["merchant_id"],
                "number": number,
                "body": values["body"],
                "edited_by": wanted.by or "unknown",
                "why": wanted.why,
                "edited_at": now,
            }
        )
    )
    return number


def _event(connection: Connection, seq: int, merchant_id: int) -> Any:
    row = connection.execute(
        sa.select(_INBOX).where(_INBOX.c.merchant_id == merchant_id, _INBOX.c.seq == seq)
    ).one_or_none()
    if row is None:
        raise NotThere(f"there is no event {seq}: see `hub inbox`")
    return row
