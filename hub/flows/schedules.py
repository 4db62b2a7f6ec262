"""Schedules: when the flows of a merchant run next, by the clock of a zone.

A tick is an instant; a flow that was not there for some of them is told of the latest one only. At the change to summer
time what would fall into the hour that is not there runs when it ends, at the change back what falls into the hour that is
there twice runs once, except for schedules of every hour or more often (as Debian's cron does it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from cronsim import CronSim
from sqlalchemy import Connection

from hub.connect import payload
from hub.core.time import local_date
from hub.db.types import instant_text
from hub.flows.definition import Flow
from hub.flows.tables import FlowSchedule
from hub.inbox.receive import Received, dedup_key

_SCHEDULE = FlowSchedule.__table__  # type: ignore[attr-defined]
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Due:
    """A flow whose tick has come."""

    merchant_id: int
    flow: str
    schedule: str
    zone: str
    next_run_at: int
    last_run_at: int | None


def ticks(schedule: str, zone: str, after: int) -> Iterator[int]:
    """The ticks after an instant, in UTC microseconds."""
    last = after
    for moment in CronSim(schedule, datetime.fromtimestamp(after // 1_000_000, ZoneInfo(zone))):
        tick = int(moment.timestamp()) * 1_000_000
        # where an hour is there twice its first ticks may be found again
        if tick > last:
            last = tick
            yield tick


def latest_tick(schedule: str, zone: str, first: int, now: int) -> int:
    """The last tick until now, from a tick that has passed."""
    for start in (now - _DAY_US, first):
        latest = first
        for tick in ticks(schedule, zone, max(start, first)):
            if tick > now:
                break
            latest = tick
        if latest > first:
            return latest
    return first


def keep(connection: Connection, merchant_id: int, flows: Sequence[Flow], zone: str, now: int) -> None:
    """Brings the table in line with the flows that run: a new or changed schedule begins with its next tick, one that is no
    longer there is forgotten, one that stays goes on where it was."""
    known = {
        row.flow: row for row in connection.execute(sa.select(_SCHEDULE).where(_SCHEDULE.c.merchant_id == merchant_id))
    }
    wanted = {flow.name: (flow.on.schedule, flow.on.zone or zone) for flow in flows if flow.on.schedule is not None}
    for name in known.keys() - wanted.keys():
        connection.execute(_SCHEDULE.delete().where(_SCHEDULE.c.merchant_id == merchant_id, _SCHEDULE.c.flow == name))
    for name, (schedule, in_zone) in wanted.items():
        row = known.get(name)
        if row is not None and (row.schedule, row.zone) == (schedule, in_zone):
            continue
        values = {"schedule": schedule, "zone": in_zone, "next_run_at": next(ticks(schedule, in_zone, now), None)}
        if row is None:
            key = {"merchant_id": merchant_id, "flow": name}
            connection.execute(_SCHEDULE.insert().values(last_run_at=None, **key, **values))
        else:
            which = (_SCHEDULE.c.merchant_id == merchant_id, _SCHEDULE.c.flow == name)
            connection.execute(_SCHEDULE.update().where(*which).values(**values))


def due(connection: Connection, now: int) -> list[Due]:
    """The flows whose tick has come."""
    columns = [_SCHEDULE.c[name] for name in Due.__dataclass_fields__]
    rows = connection.execute(
        sa.select(*columns)
        .where(_SCHEDULE.c.next_run_at <= now)
        .order_by(_SCHEDULE.c.next_run_at, _SCHEDULE.c.merchant_id, _SCHEDULE.c.flow)
    )
    return [Due(*row) for row in rows]


def claim(connection: Connection, found: Due, now: int, lanes: int) -> Received | None:
    """Moves a schedule on to its next tick. Returns the event of the tick that has come, to be stored in the same
    transaction; None when another process was first."""
    tick = latest_tick(found.schedule, found.zone, found.next_run_at, now)
    moved = connection.execute(
        _SCHEDULE.update()
        .where(
            _SCHEDULE.c.merchant_id == found.merchant_id,
            _SCHEDULE.c.flow == found.flow,
            _SCHEDULE.c.next_run_at == found.next_run_at,
            _SCHEDULE.c.schedule == found.schedule,
            _SCHEDULE.c.zone == found.zone,
        )
        .values(next_run_at=next(ticks(found.schedule, found.zone, now), None), last_run_at=tick)
    )
    if moved.rowcount != 1:
        return None
    at = instant_text(tick)
    record = {
        "at": at,
        "day": local_date(tick, found.zone).isoformat(),
        "since": instant_text(found.last_run_at) if found.last_run_at is not None else None,
    }
    return Received(
        merchant_id=found.merchant_id,
        connection_id=None,
        kind="schedule",
        topic=found.flow,
        record=found.flow,
        record_id=at,
        ordering_key=f"schedule:{found.flow}",
        lanes=lanes,
        body=payload.encode(record),
        content_type="application/json",
        stamp=at,
        dedup=dedup_key("schedule", found.flow, at),
    )
