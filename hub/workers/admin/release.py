"""Lets the connections of a restored hub send again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.manifest import ManifestError
from hub.connect.registry import UnknownConnector
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import PollCursor
from hub.db.types import instant_text
from hub.inbox.tables import Inbox
from hub.outbox import restored
from hub.outbox.plan import DELIVERY
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.reports import OPEN_EVENTS
from hub.workers.admin.restore import next_numbers
from hub.workers.hub import Hub

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_CURSOR = PollCursor.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]


def release(
    hub: Hub, *, connection: str | None = None, yes: bool = False, force: bool = False, merchant_id: int = 1
) -> dict[str, Any]:
    """Gives connections that came out of a backup their mode again, one or all; what the lost hub may have sent follows its
    ladder. Without `yes` it only says what would be released. Everything since the backup has to be read before, so that
    what follows from it is known as maybe sent; `force`: although it is not.

    Raises: NotThere; AdminError with what was not read."""
    with hub.database.read() as reading:
        rows = [row for row in restored.waiting(reading, merchant_id) if connection in (None, row.name)]
        if connection is not None and not rows:
            raise NotThere(f"no connection {connection!r} waits for its release: see `hub connections list`")
        unread = _unread(hub, reading, merchant_id, rows)
        result = {
            "released": False,
            "connections": [_shown(reading, row) for row in rows],
            "unread": unread,
            "next_numbers": next_numbers(reading, merchant_id),
        }
    if not yes or not rows:
        return result
    if unread and not force:
        raise AdminError("nothing was released: not everything since the backup was read yet", unread)
    with hub.database.write() as writing:
        restored.release(writing, merchant_id, [row.connection_id for row in rows], hub.clock())
    for row in rows:
        hub.links.forget(row.connection_id)
    hub.reload()
    hub.outbox.wake()
    return {**result, "released": True}


def _shown(reading: Connection, row: Any) -> dict[str, Any]:
    waiting = reading.execute(
        sa.select(DELIVERY.c.ladder, sa.func.count())
        .where(
            DELIVERY.c.connection_id == row.connection_id,
            sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')"),
        )
        .group_by(DELIVERY.c.ladder)
    ).all()
    return {
        "name": row.name,
        "mode": row.mode,
        "backed_up_at": instant_text(row.backed_up_at),
        "restored_at": instant_text(row.restored_at),
        #: deliveries that wait, by how they are made safe
        "deliveries": {ladder: int(count) for ladder, count in sorted(waiting)},
    }


def _unread(hub: Hub, reading: Connection, merchant_id: int, rows: list[Any]) -> list[str]:
    """What may still come in of the time between the backup and now, in words. All connections count: what comes in by one
    goes out by another."""
    if not rows:
        return []
    found = []
    since = max(row.restored_at for row in rows)
    connected = reading.execute(
        sa.select(_CONNECTION).where(_CONNECTION.c.merchant_id == merchant_id, _CONNECTION.c.status == "connected")
    ).all()
    polled = {
        (row.connection_id, row.record): row.updated_at
        for row in reading.execute(sa.select(_CURSOR).where(_CURSOR.c.merchant_id == merchant_id))
    }
    for row in connected:
        try:
            records = hub.registry.get(row.connector).manifest.records
        except (UnknownConnector, ManifestError):
            continue  # it brings in nothing
        late = sorted(name for name, spec in records.items() if spec.poll and polled.get((row.id, name), 0) < since)
        if late:
            found.append(f"{row.name}: {', '.join(late)} was not read since: run `hub poll {row.name}`")
    events = reading.execute(
        sa.select(sa.func.count())
        .select_from(_INBOX)
        .where(_INBOX.c.merchant_id == merchant_id, _INBOX.c.state.in_(OPEN_EVENTS))
    ).scalar_one()
    if events:
        found.append(f"{events} events are not worked yet: see `hub inbox`")
    return found
