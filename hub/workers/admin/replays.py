"""Bulk replays: begun, looked at, paused and resumed. `hub/workers/replays.py` works them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.types import instant_text
from hub.workers.admin import filters
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.paging import instant, size_of
from hub.workers.hub import Hub
from hub.workers.narrowed import INBOX
from hub.workers.replays import REPLAY, events_after, questions_after

#: states of events that can be worked again
_STATES = ("parked", "done")


def begin(
    hub: Hub,
    *,
    state: str = "parked",
    same_version: bool = False,
    most: int | None = None,
    dry_run: bool = False,
    by: str = "",
    merchant_id: int = 1,
    **narrowed: str | None,
) -> dict[str, Any]:
    """Begins to work all of a class (connection, flow, time) again: parked events, the events behind open questions of
    orders, parked runs, and deliveries that were refused; with `state` done the events that were worked. `dry_run`: only
    counts. Answers as `one` does.

    Raises: AdminError when nothing narrows it, or a replay of the same is not at its end."""
    if state not in _STATES:
        raise AdminError(f"events that are {state!r} are not worked again: say {' or '.join(_STATES)}")
    wanted = filters.asked(hub, state=state, merchant_id=merchant_id, **narrowed)
    if state == "done" and wanted.error_class is not None:
        raise AdminError("what is done has no class of errors: leave it out, or say `parked`")
    criteria = {name: value for name, value in asdict(wanted).items() if name != "merchant_id" and value is not None}
    if criteria.keys() == {"state"}:
        raise AdminError("say what is to be worked again: a class of errors, a connection, a flow or a time")
    text = json.dumps(criteria, sort_keys=True)
    hub.database.ids.ensure(1)
    with hub.database.write() as connection:
        row = {
            "id": hub.database.ids.next(),
            "merchant_id": merchant_id,
            "state": "running",
            "criteria": text,
            "same_version": same_version,
            "most": most,
            "phase": "events",
            "cursor": 0,
            "last_seq": connection.execute(sa.select(sa.func.coalesce(sa.func.max(INBOX.c.seq), 0))).scalar_one(),
            "taken": 0,
            "skipped": 0,
            "created_at": hub.clock(),
            "created_by": by or "unknown",
        }
        counted = _counted(connection, row)
        row["total"] = min(sum(counted.values()), most) if most is not None else sum(counted.values())
        if dry_run:
            return {**counted, "classes": _classes(connection, row)}
        _refuse_another(connection, row)
        connection.execute(REPLAY.insert().values(row))
    hub.replays.wake()
    return one(hub, row["id"], merchant_id=merchant_id)


def _refuse_another(connection: Connection, row: Mapping[str, Any]) -> None:
    """Two replays of the same would work what the first has parked again twice."""
    names = ("merchant_id", "criteria", "same_version")
    same = connection.execute(
        sa.select(REPLAY.c.id, REPLAY.c.state).where(
            *(REPLAY.c[name] == row[name] for name in names), REPLAY.c.state != "done"
        )
    ).first()
    if same is not None:
        raise AdminError(f"replay {same.id} of the same is {same.state}: `hub replay --resume {same.id}`")


def _counted(connection: Connection, row: Mapping[str, Any]) -> dict[str, int]:
    """How many events, runs and deliveries a replay is about to work again."""
    events = connection.execute(sa.select(sa.func.count()).select_from(events_after(row).subquery())).scalar_one()
    if json.loads(row["criteria"])["state"] == "done":
        return {"events": events, "runs": 0, "deliveries": 0}
    asked = questions_after(row).subquery()
    deliveries, questions = connection.execute(
        sa.select(sa.func.count(asked.c.delivery_id), sa.func.count()).select_from(asked)
    ).one()
    return {"events": events, "runs": questions - deliveries, "deliveries": deliveries}


def _classes(connection: Connection, row: Mapping[str, Any]) -> dict[str, int]:
    """Of which class they are."""
    events = events_after(row).subquery()
    found: Counter[str] = Counter()
    of_events = sa.select(sa.func.coalesce(INBOX.c.error_class, "none"), sa.func.count()).join(
        events, events.c.seq == INBOX.c.seq
    )
    asked = questions_after(row).subquery()
    of_questions = sa.select(asked.c.error_class, sa.func.count()).select_from(asked)
    for statement in (of_events.group_by(sa.text("1")), of_questions.group_by(sa.text("1"))):
        found.update({name: count for name, count in connection.execute(statement)})
    return dict(sorted(found.items()))


def listed(hub: Hub, *, limit: int = 50, merchant_id: int = 1) -> dict[str, Any]:
    """Bulk replays, the newest first."""
    with hub.database.read() as connection:
        rows = connection.execute(
            sa.select(REPLAY)
            .where(REPLAY.c.merchant_id == merchant_id)
            .order_by(REPLAY.c.created_at.desc(), REPLAY.c.id.desc())
            .limit(size_of(limit))
        ).mappings()
        return {"items": [_shown(connection, dict(row)) for row in rows.all()]}


def one(hub: Hub, replay_id: int, *, merchant_id: int = 1) -> dict[str, Any]:
    """A bulk replay: how many there were, how many it has taken, and what came of their events. Raises: NotThere."""
    with hub.database.read() as connection:
        return _shown(connection, _row(connection, replay_id, merchant_id))


def set_state(hub: Hub, replay_id: int, state: str, *, merchant_id: int = 1) -> dict[str, Any]:
    """Pauses a replay, or lets it run on from where it was. Raises: NotThere; AdminError when it is done."""
    with hub.database.write() as connection:
        row = _row(connection, replay_id, merchant_id)
        changed = connection.execute(
            REPLAY.update().where(REPLAY.c.id == replay_id, REPLAY.c.state != "done").values(state=state)
        ).rowcount
        if not changed:
            raise AdminError(f"replay {replay_id} is {row['state']}")
    hub.replays.wake()
    return one(hub, replay_id, merchant_id=merchant_id)


def _row(connection: Connection, replay_id: int, merchant_id: int) -> Mapping[str, Any]:
    row = (
        connection.execute(sa.select(REPLAY).where(REPLAY.c.merchant_id == merchant_id, REPLAY.c.id == replay_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotThere(f"there is no replay {replay_id}: see `hub replay --list`")
    return dict(row)


def _shown(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    of_events = connection.execute(
        sa.select(INBOX.c.state, sa.func.count()).where(INBOX.c.replay_id == row["id"]).group_by(INBOX.c.state)
    )
    events = {state: count for state, count in of_events}
    criteria = json.loads(row["criteria"])
    for name in ("since", "until"):
        if name in criteria:
            criteria[name] = instant_text(criteria[name])
    names = ("state", "same_version", "most", "phase", "total", "taken", "skipped", "skipped_reason", "created_by")
    return {
        "id": str(row["id"]),
        "criteria": criteria,
        **{name: row[name] for name in names},
        "events": events,
        "open": sum(events.get(state, 0) for state in ("fetch", "ready", "retry")),
        "created_at": instant_text(row["created_at"]),
        "finished_at": instant(row["finished_at"]),
    }
