"""Working events again: terminal ones are made ready, with new attempts, and the questions that parked them are closed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.reading import among, one_of, rows_in
from hub.db.types import instant_text
from hub.inbox import fetches
from hub.inbox.questions import QUESTION
from hub.inbox.receive import PRIORITY
from hub.inbox.tables import READ_KINDS, Inbox

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
FINAL = ("done", "parked")
#: what is replayed in bulk comes after all that comes in
BULK = 3
_COLUMNS = ("seq", "state", "kind", "ordering_key", "received_at", "finished_at", "fetched")
_ROWS = (
    sa.select(*(_INBOX.c[name] for name in _COLUMNS), _INBOX.c.body.is_(None).label("empty"))
    .where(among(_INBOX.c.seq), _INBOX.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger))
    .with_for_update()  # says nothing on SQLite
)
_AGAIN = (
    _INBOX.update()
    .where(_INBOX.c.seq == sa.bindparam("_seq"), one_of(_INBOX.c.state, FINAL))
    .values(
        state=sa.bindparam("_state"),
        priority=sa.bindparam("_priority"),
        replay_id=sa.bindparam("_replay"),
        versions=sa.bindparam("_versions"),
        fetched=sa.bindparam("_fetched"),
        attempts=0,
        claims=0,
        next_attempt_at=0,
        finished_at=None,
        outcome=None,
        error_class=None,
    )
)
_READ_ANEW = _INBOX.update().where(among(_INBOX.c.seq)).values(reads=None)
_QUESTIONS = sa.select(QUESTION.c.id, QUESTION.c.subject, QUESTION.c.event_seq).where(
    QUESTION.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    # the condition of the partial index, word for word
    sa.text("question.state = 'open'"),
    among(QUESTION.c.subject),
    QUESTION.c.event_seq.is_not(None),
)
_PARKED_OF = sa.select(_INBOX.c.seq, _INBOX.c.ordering_key, _INBOX.c.outcome).where(
    _INBOX.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    sa.text("inbox.state = 'parked'"),
    among(_INBOX.c.ordering_key),
)
_CLOSE = (
    QUESTION.update()
    .where(QUESTION.c.id == sa.bindparam("_id"), QUESTION.c.state == "open")
    .values(
        state="answered",
        answer=sa.bindparam("_answer"),
        answered_by=sa.bindparam("_by"),
        closed_at=sa.bindparam("_now"),
    )
)
_HAND_ON = QUESTION.update().where(QUESTION.c.id == sa.bindparam("_id")).values(event_seq=sa.bindparam("_seq"))


class NotAgain(Exception):
    """Events that cannot be worked again, by their number, each with the reason."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = dict(reasons)


def events_of(connection: Connection, merchant_id: int, seqs: Sequence[int]) -> list[dict[str, Any]]:
    """Events that may be worked again, as `reopen` takes them, in order. On PostgreSQL their rows stay locked."""
    rows = rows_in(connection, _ROWS, sorted(set(seqs)), merchant_id=merchant_id)
    return sorted(rows, key=lambda row: int(row["seq"]))


def refusals(rows: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Why events cannot be worked again, by their number."""
    found = {}
    for row in rows:
        if row["state"] not in FINAL:
            found[row["seq"]] = f"event {row['seq']} is {row['state']}: it is worked anyway"
        elif row["kind"] not in READ_KINDS and row["empty"]:
            done = instant_text(row["finished_at"])[:10] if row["finished_at"] else "unknown"
            found[row["seq"]] = (
                f"event {row['seq']} came in on {instant_text(row['received_at'])[:10]} and was done on {done}: its body "
                "has been erased since, so that it cannot be worked again"
            )
    return found


def reopen(
    connection: Connection,
    merchant_id: int,
    rows: Sequence[Mapping[str, Any]],
    now: int,
    by: str,
    *,
    said: str = "replay",
    versions: Mapping[int, Mapping[str, str]] | None = None,
    replay_id: int | None = None,
) -> None:
    """Makes events ready again, in a write transaction, as `events_of` gave them in it. Records are read anew. `said` and
    `by`: what is kept as the answer to their questions. `versions`: those of flows that an event is worked with, by event
    and flow; without, it is worked with what runs. `replay_id`: in bulk, after all that comes in.

    Raises: NotAgain."""
    refused = refusals(rows)
    if refused:
        raise NotAgain(refused)
    if not rows:
        return
    changed = connection.execute(
        _AGAIN,
        [
            {
                "_seq": row["seq"],
                "_state": "fetch" if row["kind"] in READ_KINDS else "ready",
                "_priority": PRIORITY[row["kind"]] if replay_id is None else BULK,
                "_replay": replay_id,
                "_versions": json.dumps((versions or {})[row["seq"]]) if row["seq"] in (versions or {}) else None,
                "_fetched": fetches.again(row["fetched"]) if row["fetched"] is not None else None,
            }
            for row in rows
        ],
    ).rowcount
    if changed != len(rows):
        raise RuntimeError(f"{len(rows)} events were to be worked again, the database changed {changed}")
    reads = [row["seq"] for row in rows if row["kind"] in READ_KINDS]
    if reads:
        connection.execute(_READ_ANEW, {"keys": reads})
    _answer(connection, merchant_id, rows, {"_answer": said, "_by": by or None, "_now": now})


def _answer(
    connection: Connection, merchant_id: int, rows: Sequence[Mapping[str, Any]], values: Mapping[str, Any]
) -> None:
    """Closes the questions of events. One that other events of the key are parked by, too, stays open for those."""
    key_of = {row["seq"]: row["ordering_key"] for row in rows}
    keys = sorted(set(key_of.values()))
    asked = [
        each
        for each in rows_in(connection, _QUESTIONS, keys, merchant_id=merchant_id)
        if key_of.get(each["event_seq"]) == each["subject"]
    ]
    if not asked:
        return
    left = rows_in(connection, _PARKED_OF, [each["subject"] for each in asked], merchant_id=merchant_id)
    close, hand_on = [], []
    for each in asked:
        still = [
            row["seq"]
            for row in left
            if row["ordering_key"] == each["subject"] and (row["outcome"] or "").startswith(f"question {each['id']}:")
        ]
        if still:
            hand_on.append({"_id": each["id"], "_seq": min(still)})
        else:
            close.append({"_id": each["id"], **values})
    if close:
        connection.execute(_CLOSE, close)
    if hand_on:
        connection.execute(_HAND_ON, hand_on)
