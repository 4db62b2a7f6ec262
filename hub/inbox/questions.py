"""Questions: what waits for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.inbox.error_class import class_of
from hub.inbox.tables import Question

QUESTION = Question.__table__  # type: ignore[attr-defined]
_OPEN = sa.select(QUESTION).where(
    QUESTION.c.merchant_id == sa.bindparam("merchant_id"),
    # the condition of the partial index, word for word
    sa.text("question.state = 'open'"),
    among(QUESTION.c.subject),
)


def _load_open(connection: Connection, merchant_id: int, keys: Sequence[tuple[str, str]]) -> Mapping[Any, Row]:
    subjects = list(dict.fromkeys(subject for subject, _ in keys))
    rows = rows_in(connection, _OPEN, subjects, merchant_id=merchant_id)
    return {(row["subject"], row["kind"]): row for row in rows}


OPEN_QUESTIONS = Source("open_question", _load_open)


def raise_question(
    plan: Plan,
    *,
    kind: str,
    subject: str,
    reason: str,
    details: Mapping[str, Any] | None = None,
    answers: Sequence[Mapping[str, Any]] = (),
    event_seq: int | None = None,
    run_id: int | None = None,
    delivery_id: int | None = None,
) -> int:
    """Parks something for a person. An open question of the same subject and kind stays one: its reason is brought up to
    date. Returns its id."""
    known = plan.get(OPEN_QUESTIONS, (subject, kind))
    text = json.dumps(details or {}, default=str, ensure_ascii=False, sort_keys=True)
    if known is not None:
        if known["reason"] != reason or known["details"] != text:
            plan.update(QUESTION, known, reason=reason, details=text)
        return int(known["id"])
    row = plan.insert(
        QUESTION,
        {
            "kind": kind,
            "error_class": class_of(kind).value,
            "subject": subject,
            "reason": reason,
            "details": text,
            "answers": json.dumps(list(answers), ensure_ascii=False),
            "state": "open",
            "event_seq": event_seq,
            "run_id": run_id,
            "delivery_id": delivery_id,
            "answer": None,
            "answered_by": None,
            "created_at": plan.now,
            "closed_at": None,
        },
    )
    plan.put(OPEN_QUESTIONS, (subject, kind), row)
    return int(row["id"])


def resolve_question(
    plan: Plan, *, kind: str, subject: str, answer: str | None = None, about: Mapping[str, Any] | None = None
) -> bool:
    """Closes an open question because what it asked for has happened. Returns whether there was one; with `about`, one that
    has these details."""
    known = plan.get(OPEN_QUESTIONS, (subject, kind))
    if known is None or (about and not about.items() <= json.loads(known["details"]).items()):
        return False
    plan.update(QUESTION, known, state="resolved", answer=answer, closed_at=plan.now)
    plan.put(OPEN_QUESTIONS, (subject, kind), None)
    return True
