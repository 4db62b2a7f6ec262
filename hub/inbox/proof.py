"""The proof of the inbox: each event came to its end, or is named as open, or waits for a person with its question."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.faults import Fault
from hub.core.reading import among, rows_in
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_COUNTS = sa.select(_INBOX.c.state, sa.func.count()).where(_INBOX.c.merchant_id == _MERCHANT).group_by(_INBOX.c.state)
_NAMES = ("seq", "state", "topic", "record", "record_id", "ordering_key", "outcome")
_SHOWN = sa.select(*(_INBOX.c[name] for name in _NAMES)).where(_INBOX.c.merchant_id == _MERCHANT).order_by(_INBOX.c.seq)
# the conditions of the partial indexes, word for word
_OPEN = _SHOWN.where(sa.text("inbox.state IN ('fetch', 'ready', 'retry')")).limit(sa.bindparam("limit"))
_PARKED = _SHOWN.where(
    sa.text("inbox.state = 'parked'"), _INBOX.c.seq > sa.bindparam("after", type_=sa.BigInteger)
).limit(500)
#: the open questions of events: asked for the first event of a key, they are about those parked after it too
_ASKED = sa.select(QUESTION.c.id, QUESTION.c.event_seq, QUESTION.c.subject, QUESTION.c.reason).where(
    QUESTION.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    sa.text("question.state = 'open'"),
    sa.or_(
        among(QUESTION.c.event_seq),
        among(QUESTION.c.subject, "subjects"),
    ),
)


@dataclass
class Open:
    """Something that has not come to its end, and why."""

    what: str
    state: str
    about: str
    reason: str
    question: int | None = None


@dataclass
class Ends:
    """Counts by state, what is open (the first of each state), and what is parked although nobody is asked."""

    counts: dict[str, int] = field(default_factory=dict)
    open: list[Open] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def prove_events(connection: Connection, merchant_id: int, *, most: int) -> Ends:
    """Where the events of a merchant stand; names `most` of each kind."""
    values: dict[str, Any] = {"merchant_id": merchant_id}
    ends = Ends({state: int(count) for state, count in connection.execute(_COUNTS, values)})
    for row in connection.execute(_OPEN, {**values, "limit": most}).mappings():
        ends.open.append(_named(row, row["outcome"] or "is to be worked"))
    after, shown = 0, 0
    while rows := connection.execute(_PARKED, {**values, "after": after}).mappings().all():
        after = rows[-1]["seq"]
        asked = _questions(connection, merchant_id, rows)
        for row in rows:
            about = (*asked["event", row["seq"]], *asked["key", row["ordering_key"]])
            question = next((each for each in about if _is_of(each, row)), None)
            if question is None:
                message = f"it is parked and no question asks about it: {row['outcome'] or 'no reason is told'}"
                ends.faults.append(Fault("event.question", f"event {row['seq']}", message))
            elif shown < most:
                shown += 1
                ends.open.append(_named(row, question["reason"], question["id"]))
    return ends


def _questions(connection: Connection, merchant_id: int, rows: Any) -> dict[Any, list[Any]]:
    """The open questions about events, by the event that they were asked for and by its key: several may be open."""
    subjects = sorted({row["ordering_key"] for row in rows})
    found: dict[Any, list[Any]] = defaultdict(list)
    seqs = [row["seq"] for row in rows]
    for each in rows_in(connection, _ASKED, seqs, merchant_id=merchant_id, subjects=subjects):
        found["event", each["event_seq"]].append(each)
        found["key", each["subject"]].append(each)
    return found


def _is_of(question: Any, row: Any) -> bool:
    return question["event_seq"] == row["seq"] or str(row["outcome"]).startswith(f"question {question['id']}:")


def _named(row: Any, reason: str, question: int | None = None) -> Open:
    about = " ".join(part for part in (row["topic"], row["record_id"]) if part)
    return Open(f"event {row['seq']}", row["state"], about, reason, question)
