"""Questions and their answers. What an answer does is looked up by the kind of its question."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hub.core.errors import CoreError
from hub.core.plan import Row
from hub.db.types import instant_text
from hub.flows.canary import WITHDRAWN
from hub.inbox.questions import QUESTION
from hub.workers.admin import answers, delivery_answers, filters
from hub.workers.admin.core import Change, change
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.paging import page

if TYPE_CHECKING:
    from hub.workers.hub import Hub

#: answer -> what it does; `(kind, answer)` first, then `answer` alone. False: the question stays open
Handler = Callable[["Hub", Change, Row, Mapping[str, Any]], bool]
HANDLERS: dict[tuple[str, str] | str, Handler] = {
    "replay": answers.replay,
    "retry": answers.retry,
    "drop": answers.drop,
    "accept": answers.accept,
    "done": answers.accept,
    "close": answers.accept,
    "wait": answers.wait,
    "resend": delivery_answers.resend,
    "confirmed": delivery_answers.confirmed,
    (WITHDRAWN, "replay"): answers.replay_withdrawn,
    ("stock.drift", "adopt"): answers.adopt_drift,
    ("stock.drift", "push"): answers.push_drift,
    ("sku.unknown", "map"): answers.map_sku,
    ("sku.unknown", "create"): answers.create_sku,
    ("sku.unknown", "ignore"): answers.ignore_sku,
}
_CLOSE = {"answer": "close", "text": "It is seen to"}


def listed(
    hub: Hub,
    *,
    state: str = "open",
    delivery: int | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
    **narrowed: str | None,
) -> dict[str, Any]:
    """Questions, newest first. `state`: open, answered, resolved or all; `delivery`: those about one delivery; `narrowed`:
    see `filters.asked`."""
    some = None if state == "all" else state
    wanted = filters.asked(hub, state=some, merchant_id=merchant_id, **narrowed).on_questions()
    if delivery is not None:
        wanted.append(QUESTION.c.delivery_id == delivery)
    result = page(
        hub, QUESTION.c.id, list(QUESTION.c), wanted, lambda row, _names: _shown(row), before, limit, merchant_id
    )
    return {**result, "next": None if result["next"] is None else str(result["next"])}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "kind": row["kind"],
        "error_class": row["error_class"],
        "subject": row["subject"],
        "reason": row["reason"],
        "details": json.loads(row["details"]),
        "answers": _answers(row),
        "state": row["state"],
        "event": row["event_seq"],
        "delivery": str(row["delivery_id"]) if row["delivery_id"] is not None else None,
        "answer": row["answer"],
        "answered_by": row["answered_by"],
        "created_at": instant_text(row["created_at"]),
        "closed_at": instant_text(row["closed_at"]) if row["closed_at"] is not None else None,
    }


def _answers(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers that can be given, each with the list of values it needs."""
    given = json.loads(row["answers"]) or ([] if row["kind"] == "connection.reconnect" else [_CLOSE])
    return [
        {"answer": one["answer"], "needs": _needs(one.get("needs")), "text": one.get("text", one["answer"])}
        for one in given
    ]


def _needs(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or [])


def answer(
    hub: Hub,
    question_id: int,
    answer: str,
    values: Mapping[str, Any] | None = None,
    *,
    by: str = "",
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Answers an open question: does what the answer says and closes it, in one transaction.

    Raises: NotThere; AdminError when the answer is not one of the question's, lacks a value, or cannot be done."""
    values = values or {}
    try:
        with change(hub, merchant_id) as changing:
            row = still_open(hub, question_id, merchant_id)
            known = _answers(row)
            chosen = next((one for one in known if one["answer"] == answer), None)
            if chosen is None:
                there = ", ".join(one["answer"] for one in known) or "none: connect it again"
                raise AdminError(
                    f"{answer!r} is no answer to question {question_id} ({row['kind']}): there are {there}"
                )
            missing = [name for name in chosen["needs"] if values.get(name) in (None, "")]
            if missing:
                raise AdminError(f"the answer {answer!r} needs {', '.join(missing)}")
            handler = HANDLERS.get((row["kind"], answer)) or HANDLERS.get(answer)
            if handler is None:
                raise AdminError(f"this release does not know what {answer!r} does for {row['kind']}")
            changing.event_seq = row["event_seq"] or 0
            closed = handler(hub, changing, row, values)
            if closed:
                said = json.dumps({"answer": answer, **values}, ensure_ascii=False, default=str) if values else answer
                changing.close(row, said, by)
    except CoreError as error:
        raise AdminError(str(error)) from None
    return {"question": str(question_id), "answer": answer, "closed": closed}


def _said(row: Mapping[str, Any]) -> str:
    by = f" by {row['answered_by']}" if row["answered_by"] else ""
    at = f" on {instant_text(row['closed_at'])}" if row["closed_at"] is not None else ""
    return f"{by}{at}: {row['answer']}" if row["answer"] else f"{by}{at}"


def still_open(hub: Hub, question_id: int, merchant_id: int) -> Row:
    """A question that nobody has answered. Raises: NotThere, AdminError with who answered it, and how."""
    with hub.database.read() as connection:
        row = (
            connection.execute(
                sa.select(QUESTION).where(QUESTION.c.merchant_id == merchant_id, QUESTION.c.id == question_id)
            )
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise NotThere(f"there is no question {question_id}")
    if row["state"] != "open":
        raise AdminError(f"question {question_id} is {row['state']} already{_said(dict(row))}")
    return dict(row)
