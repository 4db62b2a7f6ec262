"""Events that people and programs bring in, and events that are worked again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.errors import ConnectError
from hub.db.types import instant_text
from hub.flows.activation import load_earlier
from hub.flows.tables import Run
from hub.inbox import fetches
from hub.inbox.questions import QUESTION
from hub.inbox.receive import Received, dedup_key
from hub.inbox.tables import READ_KINDS, Inbox
from hub.workers.admin import connections
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.tables_in import read_rows
from hub.workers.hub import Hub
from hub.workers.parts import Part

INBOX = Inbox.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_FINAL = ("done", "parked")
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
    found: dict[int, dict[str, str]] = {}
    with hub.database.read() as connection:
        for row in connection.execute(
            sa.select(_RUN.c.event_seq, _RUN.c.flow, _RUN.c.version_hash)
            .where(_RUN.c.merchant_id == merchant_id, _RUN.c.event_seq.in_(sorted(set(seqs))))
            .order_by(_RUN.c.started_at, _RUN.c.id)
        ):
            found.setdefault(row.event_seq, {})[row.flow] = row.version_hash
    hub.notice()
    active = hub.active(merchant_id)
    wanted = {version for some in found.values() for version in some.values()}
    load_earlier(hub.database, active, wanted)
    problems = [reason for version in sorted(wanted) if isinstance(reason := active.earlier[version], str)]
    gone = {flow for some in found.values() for flow in some} - {flow.name for flow in active.flows}
    problems += [f"flow {flow} is not there any more" for flow in sorted(gone)]
    if problems:
        raise AdminError("these events cannot be worked as they were", problems)
    return found


def reopen(
    connection: Connection,
    merchant_id: int,
    seqs: Sequence[int],
    now: int,
    by: str,
    *,
    versions: Mapping[int, Mapping[str, str]] | None = None,
) -> None:
    """Makes events ready again, in a write transaction. `versions`: those of flows that an event is worked with, by event
    and flow; without, it is worked with what runs."""
    wanted = sorted(set(seqs))
    columns = ("seq", "state", "kind", "ordering_key", "received_at", "finished_at", "fetched")
    rows = connection.execute(
        sa.select(*(INBOX.c[name] for name in columns), INBOX.c.body.is_(None).label("empty")).where(
            INBOX.c.merchant_id == merchant_id, INBOX.c.seq.in_(wanted)
        )
    ).all()
    missing = sorted(set(wanted) - {row.seq for row in rows})
    if missing:
        raise NotThere(f"there is no event {', '.join(map(str, missing))}")
    problems = []
    for row in rows:
        if row.state not in _FINAL:
            problems.append(f"event {row.seq} is {row.state}: it is worked anyway")
        elif row.kind not in READ_KINDS and row.empty:
            done = instant_text(row.finished_at)[:10] if row.finished_at else "unknown"
            problems.append(
                f"event {row.seq} came in on {instant_text(row.received_at)[:10]} and was done on {done}: its body has been "
                "erased since, so that it cannot be worked again"
            )
    if problems:
        raise AdminError(problems[0] if len(problems) == 1 else "these events cannot be replayed", problems)
    for kinds, state in ((READ_KINDS, "fetch"), (None, "ready")):
        these = [row.seq for row in rows if (row.kind in READ_KINDS) == (kinds is not None)]
        if these:
            values: dict[str, Any] = {
                "state": state, "attempts": 0, "claims": 0, "next_attempt_at": 0, "finished_at": None, "outcome": None,
                "versions": None,
            }  # fmt: skip
            if kinds is not None:
                values["reads"] = None
            connection.execute(INBOX.update().where(INBOX.c.seq.in_(these)).values(**values))
    for seq, of_flows in (versions or {}).items():
        connection.execute(INBOX.update().where(INBOX.c.seq == seq).values(versions=json.dumps(of_flows)))
    for row in rows:
        if row.fetched is not None:
            left = fetches.again(row.fetched)
            connection.execute(INBOX.update().where(INBOX.c.seq == row.seq).values(fetched=left))
        connection.execute(
            QUESTION.update()
            .where(
                QUESTION.c.merchant_id == merchant_id,
                QUESTION.c.state == "open",
                QUESTION.c.event_seq == row.seq,
                QUESTION.c.subject == row.ordering_key,
            )
            .values(state="answered", answer="replay", answered_by=by or None, closed_at=now)
        )


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
