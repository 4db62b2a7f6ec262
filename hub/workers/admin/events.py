"""Events that people and programs bring in, and events that are worked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.errors import ConnectError
from hub.flows.activation import load_earlier
from hub.flows.active import Active
from hub.flows.tables import Run
from hub.inbox import replay as again
from hub.inbox.receive import Received, dedup_key
from hub.inbox.replay import NotAgain
from hub.workers.admin import connections
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.tables_in import read_rows
from hub.workers.parts import Part

if TYPE_CHECKING:
    from hub.workers.hub import Hub

_RUN = Run.__table__  # type: ignore[attr-defined]
MAX_RECORDS = 10_000


def trigger(
    hub: Hub, name: str, records: Sequence[Mapping[str, Any]], *, key: str | None = None, merchant_id: int = 1
) -> dict[str, Any]:
    """Puts one event a record into the inbox, for the flows with `on: {manual: NAME}`. With a `key` the same call again
    changes nothing. Answers how many were new. Raises: AdminError."""
    hub.notice()
    active = hub.active(merchant_id)
    names = sorted({flow.on.manual for flow in active.flows if flow.on.manual})
    if name not in names:
        raise NotThere(f"no flow has the manual trigger {name!r}: there are {', '.join(names) or 'none'}")
    if len(records) > MAX_RECORDS:
        raise AdminError(f"{len(records)} records at once: give at most {MAX_RECORDS}")
    events = []
    for index, record in enumerate(records):
        subject = record.get("sku") or record.get("id") or index
        if not isinstance(subject, (str, int)) or isinstance(subject, bool):
            subject = index
        events.append(
            Received(
                merchant_id=merchant_id,
                connection_id=None,
                kind="manual",
                topic=name,
                record=name,
                record_id=str(subject)[:200],
                ordering_key=f"manual:{name}:{subject}"[:250],
                lanes=active.lanes,
                body=payload.encode(record),
                content_type="application/json",
                dedup=dedup_key("manual", name, key, str(index)) if key else None,
            )
        )
    new = hub.intake.receive(events)
    return {"trigger": name, "received": sum(new), "repeats": len(new) - sum(new)}


def import_file(
    hub: Hub,
    path: str,
    *,
    name: str = "items",
    sheet: str | None = None,
    key: str | None = None,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Brings in the rows of an XLSX or CSV file, each as one record of a manual trigger. Nothing of a file with an error
    is taken. Raises: AdminError with every error, its row and its column."""
    records = read_rows(path, sheet)
    total = {"trigger": name, "received": 0, "repeats": 0}
    for start in range(0, len(records), MAX_RECORDS):
        part_key = f"{key}:{start}" if key else None
        part = trigger(hub, name, records[start : start + MAX_RECORDS], key=part_key, merchant_id=merchant_id)
        total["received"] += part["received"]
        total["repeats"] += part["repeats"]
    return total


def replay(
    hub: Hub, seqs: Sequence[int], *, same_version: bool = False, by: str = "", merchant_id: int = 1
) -> dict[str, Any]:
    """Works parked or done events again, with new attempts; the questions that parked them are closed. What is booked
    already is not booked twice. `same_version`: with the versions of the flows that worked them last.

    Raises: NotThere; AdminError when a body was erased, or a version does not run any more."""
    kept = _versions(hub, seqs, merchant_id) if same_version else {}
    with hub.database.write() as connection:
        reopen(connection, merchant_id, seqs, hub.clock(), by, versions=kept)
    hub.wake(Part.BOOKS, Part.FETCH)
    return {"replayed": sorted(set(seqs))}


def _versions(hub: Hub, seqs: Sequence[int], merchant_id: int) -> dict[int, dict[str, str]]:
    """The versions of flows that worked events last, by event and flow. Raises: AdminError when one cannot run again."""
    hub.notice()
    active = hub.active(merchant_id)
    found = worked_by(hub, seqs, merchant_id)
    problems = sorted({reason for versions in found.values() for reason in not_runnable(active, versions)})
    if problems:
        raise AdminError("these events cannot be worked as they were", problems)
    return found


def worked_by(hub: Hub, seqs: Sequence[int], merchant_id: int) -> dict[int, dict[str, str]]:
    """The versions of flows that worked events last, by event and flow, made ready to run."""
    found: dict[int, dict[str, str]] = {}
    with hub.database.read() as connection:
        for row in connection.execute(
            sa.select(_RUN.c.event_seq, _RUN.c.flow, _RUN.c.version_hash)
            .where(_RUN.c.merchant_id == merchant_id, _RUN.c.event_seq.in_(sorted(set(seqs))))
            .order_by(_RUN.c.started_at, _RUN.c.id)
        ):
            found.setdefault(row.event_seq, {})[row.flow] = row.version_hash
    load_earlier(
        hub.database, hub.active(merchant_id), {version for some in found.values() for version in some.values()}
    )
    return found


def not_runnable(active: Active, versions: Mapping[str, str]) -> list[str]:
    """Why versions of flows, by flow, do not run any more."""
    problems = [reason for version in sorted(versions.values()) if isinstance(reason := active.earlier[version], str)]
    gone = versions.keys() - {flow.name for flow in active.flows}
    return problems + [f"flow {flow} is not there any more" for flow in sorted(gone)]


def reopen(
    connection: Connection,
    merchant_id: int,
    seqs: Sequence[int],
    now: int,
    by: str,
    *,
    versions: Mapping[int, Mapping[str, str]] | None = None,
) -> None:
    """Makes events ready again, in a write transaction (`hub/inbox/replay.py`). Raises: NotThere; AdminError."""
    rows = again.events_of(connection, merchant_id, seqs)
    missing = sorted(set(seqs) - {row["seq"] for row in rows})
    if missing:
        raise NotThere(f"there is no event {', '.join(map(str, missing))}")
    try:
        again.reopen(connection, merchant_id, rows, now, by, versions=versions)
    except NotAgain as refused:
        problems = list(refused.reasons.values())
        raise AdminError(problems[0] if len(problems) == 1 else "these events cannot be replayed", problems) from None


def poll(hub: Hub, name: str, *, merchant_id: int = 1) -> dict[str, Any]:
    """Asks a system now what changed. Raises: AdminError."""
    found = connections.link(hub, name, merchant_id=merchant_id)
    if not any(record.poll for record in found.connector.manifest.records.values()):
        raise AdminError(f"{found.name}: {found.connector.name} cannot be polled")
    try:
        count = hub.poller.poll_all(found.id)
    except ConnectError as error:
        raise AdminError(f"{found.name}: {error}") from None
    hub.wake(Part.FETCH)
    return {"connection": found.name, "found": count}
