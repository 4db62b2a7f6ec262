"""One delivery: what is known of it, and settling it when it is parked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.db.types import instant_text
from hub.inbox.questions import QUESTION
from hub.outbox import bodies
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import DeliveryState
from hub.workers.admin import edits, questions
from hub.workers.admin.core import change
from hub.workers.admin.delivery_answers import ANEW, set_delivery
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.paging import instant
from hub.workers.hub import Hub

#: why there is nothing to settle, by state
_NOTHING_TO_SETTLE: Mapping[str, str] = {
    DeliveryState.PLANNED: "it is sent by itself",
    DeliveryState.WAITING: "it waits for what it refers to",
    DeliveryState.SENDING: "it is being sent",
    DeliveryState.RETRY: "it is tried again by itself",
    DeliveryState.CONFIRMED: "it has arrived",
    DeliveryState.SUPERSEDED: "it is not sent any more",
    DeliveryState.OBSERVED: "its connection only observes: it is never sent",
}


def resolve(
    hub: Hub, delivery_id: int, answer: str, *, external_id: str | None = None, by: str = "", merchant_id: int = 1
) -> dict[str, Any]:
    """Settles a delivery that was refused, of which nobody knows whether it arrived, or that waits with a question: it is
    there (`confirmed`, with its id), it is sent again (`resend`), or it is not sent (`drop`). Its question keeps who said so.

    Raises: NotThere; AdminError when there is nothing to settle, or somebody else was quicker."""
    row = _row(hub, delivery_id, merchant_id)
    asked = questions.listed(hub, delivery=delivery_id, merchant_id=merchant_id)["items"]
    taking = next((each for each in asked if answer in [one["answer"] for one in each["answers"]]), None)
    if taking is None:
        raise AdminError(f"delivery {delivery_id} is {row['state']}: {_why_not(hub, row, asked, answer)}")
    values = {"external_id": external_id} if external_id else {}
    questions.answer(hub, int(taking["id"]), answer, values, by=by, merchant_id=merchant_id)
    return {"delivery": str(delivery_id), "question": taking["id"], "answer": answer}


def _why_not(hub: Hub, row: Mapping[str, Any], asked: list[dict[str, Any]], answer: str) -> str:
    if asked:
        there = ", ".join(one["answer"] for one in asked[0]["answers"])
        return f"its question {asked[0]['id']} ({asked[0]['kind']}) takes no {answer!r}, but {there}"
    before = [each for each in _history(hub, row) if each["answered_by"]]
    said = f"; {before[0]['answered_by']} said {before[0]['answer']} on {before[0]['closed_at']}" if before else ""
    return f"{_NOTHING_TO_SETTLE.get(row['state'], 'it has no open question')}{said}"


def shown(hub: Hub, delivery_id: int, *, merchant_id: int = 1) -> dict[str, Any]:
    """A delivery with its body, the bodies that people replaced, and who answered what about it. Raises: NotThere."""
    row = _row(hub, delivery_id, merchant_id)
    with hub.database.read() as connection:
        versions = edits.versions(connection, edits.OF_DELIVERIES, delivery_id, row["body"], row["created_at"])
    names = ("operation", "key", "state", "ladder", "attempts", "reason", "error_class", "external_id")
    return {
        "id": str(row["id"]),
        **{name: row[name] for name in names},
        "event": row["event_seq"],
        "maybe_sent": row["maybe_sent"],
        "first_sent_at": instant(row["first_sent_at"]),
        "created_at": instant_text(row["created_at"]),
        "finished_at": instant(row["finished_at"]),
        **edits.body_of(row["body"]),
        "sent_body": edits.body_of(row["frozen_body"])["body"],
        "versions": versions,
        "questions": _history(hub, row),
    }


def _history(hub: Hub, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was asked about a delivery, the newest first."""
    names = ("id", "kind", "reason", "state", "answer", "answered_by", "created_at", "closed_at")
    found = questions.listed(hub, state="all", delivery=row["id"], merchant_id=row["merchant_id"], limit=500)["items"]
    return [{name: each[name] for name in names} for each in sorted(found, key=_when, reverse=True)]


def _when(question: Mapping[str, Any]) -> str:
    return str(question["created_at"])


def edit(
    hub: Hub,
    delivery_id: int,
    *,
    body: str | None = None,
    values: Mapping[str, Any] | None = None,
    of: str | None = None,
    why: str | None = None,
    by: str = "",
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Gives a refused fact another body and sends it, under the same key. The body that it had is kept. `body`: all of it,
    or `values` by their path; `of`: digest of the body that was looked at.

    Raises: NotThere; AdminError where anything may have arrived, or the body does not fit."""
    wanted = edits.Wanted(body, values, of, why, by)
    kept: list[int] = []
    with change(hub, merchant_id) as changing:
        row = _row(hub, delivery_id, merchant_id)  # under the lock that all who edit hold
        _check(row)
        made, now = _checked_body(row, wanted), changing.plan.now
        fresh = {"frozen_body": None, "first_sent_at": None}
        set_delivery(changing, delivery_id, (DeliveryState.REJECTED,), **ANEW, **fresh, body=made)

        def keep(connection: Connection) -> None:
            number = edits.keep(connection, edits.OF_DELIVERIES, delivery_id, row, wanted, now)
            answered = {"state": "answered", "answer": f"edit {number}", "answered_by": by or None, "closed_at": now}
            asked = (QUESTION.c.delivery_id == delivery_id, QUESTION.c.state == "open")
            connection.execute(QUESTION.update().where(*asked).values(**answered))
            kept.append(number)

        changing.then(keep)
    return {"delivery": str(delivery_id), "version": kept[0]}


def _check(row: Mapping[str, Any]) -> None:
    what = f"delivery {row['id']}"
    if row["is_state"]:
        raise AdminError(f"{what} is a number that is computed when it is sent: there is nothing to edit")
    if row["state"] != DeliveryState.REJECTED:
        raise AdminError(f"{what} is {row['state']}: only what was refused is edited")
    if row["maybe_sent"]:
        raise AdminError(
            f"{what}: an earlier attempt may have arrived with the body that it has. Look there, then "
            f"`hub outbox resolve {row['id']}`"
        )


def _checked_body(row: Mapping[str, Any], wanted: edits.Wanted) -> bytes:
    """Canonical JSON that refers to nothing that the planned body did not refer to: nothing else is made for it."""
    before = bytes(row["body"])
    made = wanted.made(before, f"delivery {row['id']}")
    try:
        value = payload.decode(made)
        text = bodies.encode(value)
    except (Unreadable, bodies.BodyError) as error:
        raise AdminError(f"the new body is {error}") from None
    known = {(ref.kind, ref.key) for ref in bodies.references(bodies.decode(before))}
    new = {(ref.kind, ref.key) for ref in bodies.references(value)} - known
    if new:
        named = ", ".join(f"{kind} {key}" for kind, key in sorted(new))
        raise AdminError(f"the new body refers to {named}, which is not made for this delivery: give its id there")
    return text


def _row(hub: Hub, delivery_id: int, merchant_id: int) -> dict[str, Any]:
    with hub.database.read() as connection:
        row = (
            connection.execute(
                sa.select(DELIVERY).where(DELIVERY.c.merchant_id == merchant_id, DELIVERY.c.id == delivery_id)
            )
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise NotThere(f"there is no delivery {delivery_id}: see `hub outbox list`")
    return dict(row)
