"""Bulk replays: what is parked is worked again in pages, after all that comes in, and never twice by one replay.

A page of events is made ready in one transaction with the place that the replay has come to; the runs and refused
deliveries that questions are of are answered one by one, each with its place. So it may be stopped at any instruction and
goes on where it was. The next page waits while a hundred of its events are ready, so that a replay never fills the inbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.db.engine import Unavailable
from hub.flows.canary import WITHDRAWN
from hub.inbox import replay as again
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Replay
from hub.observe import metrics
from hub.workers.admin import answers, delivery_answers, questions
from hub.workers.admin.core import change
from hub.workers.admin.errors import AdminError
from hub.workers.admin.events import not_runnable, worked_by
from hub.workers.loop import Loop
from hub.workers.narrowed import INBOX, RUN, Filter
from hub.workers.parts import Part

if TYPE_CHECKING:
    from hub.workers.hub import Hub

REPLAY = Replay.__table__  # type: ignore[attr-defined]
_log = structlog.get_logger("hub.replay")
PAGE = 100
#: events of a replay that may wait at once to be worked
_WAITING = 100
_RUNNING = sa.select(REPLAY).where(sa.text("replay.state = 'running'")).order_by(REPLAY.c.id)
_ONE = sa.select(REPLAY).where(REPLAY.c.id == sa.bindparam("id", type_=sa.BigInteger))
#: by one worker at a time: others go on with other replays
_LOCKED = _ONE.where(sa.text("replay.state = 'running'")).with_for_update(skip_locked=True)
_SET = REPLAY.update().where(REPLAY.c.id == sa.bindparam("_id"))
_STILL_READY = sa.select(sa.func.count()).where(
    INBOX.c.replay_id == sa.bindparam("id", type_=sa.BigInteger), INBOX.c.state == "ready"
)
#: questions that no event is worked again for: another answer, or another way, is theirs
_APART = (WITHDRAWN, "connection.reconnect")


class _Moved(Exception):
    """The replay is no longer where it was: paused, or moved on by another worker."""


class Replays:
    """Works the bulk replays of a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = Loop("replay", self.step, idle_s=0.2)

    def start(self) -> None:
        self._loop.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs, or was never started."""
        return self._loop.alive

    def wake(self) -> None:
        self._loop.wake()

    def stop(self) -> None:
        self._loop.stop()

    def step(self) -> bool:
        """One page of each replay that runs. Returns whether one moved."""
        with self._hub.database.read() as connection:
            running = [dict(row) for row in connection.execute(_RUNNING).mappings()]
        moved, failed = False, None
        for row in running:
            try:
                moved = self._page(row) or moved
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - raised below, once the others had their turn
                metrics.failed("replay", error)
                _log.error("replay failed", merchant_id=row["merchant_id"], replay_id=row["id"], exc_info=error)
                failed = failed or error
        if failed is not None and not moved:
            raise failed
        return moved

    def _page(self, row: Mapping[str, Any]) -> bool:
        if row["phase"] == "questions":
            return self._questions(row)
        with self._hub.database.read() as connection:
            if connection.execute(_STILL_READY, {"id": row["id"]}).scalar_one() >= _WAITING:
                return False
        return self._events(row)

    # -- events -------------------------------------------------------------------------------------------------

    def _events(self, row: Mapping[str, Any]) -> bool:
        """Makes the next events ready, in order of arrival."""
        hub, merchant_id = self._hub, row["merchant_id"]
        with hub.database.read() as connection:
            seqs = list(connection.execute(events_after(row).limit(_room(row))).scalars())
        versions, refused = self._versions(merchant_id, seqs) if row["same_version"] else ({}, {})
        with hub.database.write() as connection:
            now_is = connection.execute(_LOCKED, {"id": row["id"]}).mappings().one_or_none()
            if now_is is None or (now_is["phase"], now_is["cursor"]) != (row["phase"], row["cursor"]):
                return False  # another worker has it
            found = again.events_of(connection, merchant_id, seqs)
            refused |= again.refusals(found)
            good = [each for each in found if each["seq"] not in refused]
            again.reopen(connection, merchant_id, good, hub.clock(), _by(row), versions=versions, replay_id=row["id"])
            changed: dict[str, Any] = {"taken": row["taken"] + len(good), "skipped": row["skipped"] + len(refused)}
            if refused:
                changed["skipped_reason"] = list(refused.values())[-1]
            if seqs:
                changed["cursor"] = seqs[-1]
            else:
                changed |= {"phase": "questions", "cursor": 0}
            connection.execute(_SET, {"_id": row["id"], **changed})
            if _spent({**row, **changed}) or (not seqs and _filter(row).state == "done"):
                _finish(connection, row, hub.clock())
        hub.wake(Part.BOOKS, Part.FETCH)
        return True

    def _versions(self, merchant_id: int, seqs: Sequence[int]) -> tuple[dict[int, dict[str, str]], dict[int, str]]:
        """The versions that events were worked with last, and why some of them do not run any more."""
        versions = worked_by(self._hub, seqs, merchant_id)
        active = self._hub.active(merchant_id)
        reasons = {seq: not_runnable(active, each) for seq, each in versions.items()}
        return versions, {seq: f"event {seq}: {'; '.join(found)}" for seq, found in reasons.items() if found}

    # -- questions ----------------------------------------------------------------------------------------------

    def _questions(self, row: Mapping[str, Any]) -> bool:
        """Answers the next questions, each in a transaction of its own with the place that was come to."""
        with self._hub.database.read() as connection:
            found = connection.execute(questions_after(row).limit(_room(row))).mappings()
            asked = [dict(each) for each in found]
        if not asked:
            with self._hub.database.write() as connection:
                if connection.execute(_LOCKED, {"id": row["id"]}).one_or_none() is not None:
                    _finish(connection, row, self._hub.clock())
            return True
        for question in asked:
            try:
                if self._answer(row, question):
                    return True  # it was the last that was wanted
            except _Moved:
                return False
        return True

    def _answer(self, row: Mapping[str, Any], question: Mapping[str, Any]) -> bool:
        """Answers one question. Returns whether the replay is at its end by it."""
        row_after, reason = dict(row), None
        try:
            with change(self._hub, row["merchant_id"]) as changing:
                # a person may have answered it by now
                questions.still_open(self._hub, question["id"], row["merchant_id"])
                changing.event_seq = question["event_seq"] or 0
                if question["delivery_id"] is not None:
                    closed = delivery_answers.resend(self._hub, changing, dict(question), {})
                else:
                    closed = answers.run_again(self._hub, changing, dict(question), same_version=row["same_version"])
                if closed:
                    changing.close(dict(question), "resend" if question["delivery_id"] else "replay", _by(row))
                changing.then(lambda connection: self._move(connection, row, question["id"], row_after, None))
        except (AdminError, CoreError) as error:
            reason = str(error)
        except (*Unavailable, _Moved):
            raise
        except Exception as error:  # noqa: BLE001 - that one cannot be answered: the others are, and it says so
            metrics.failed("replay", error)
            _log.error("question not answered", replay_id=row["id"], question_id=question["id"], exc_info=error)
            reason = f"the hub failed: {type(error).__name__}, see its log"
        if reason is not None:
            with self._hub.database.write() as connection:
                self._move(connection, row, question["id"], row_after, reason)
        return _spent(row_after)

    def _move(
        self,
        connection: Connection,
        row: Mapping[str, Any],
        question_id: int,
        row_after: dict[str, Any],
        skipped: str | None,
    ) -> None:
        """Notes that a question was come to. Raises: _Moved when it was already, or the replay does not run."""
        now_is = connection.execute(_LOCKED, {"id": row["id"]}).mappings().one_or_none()
        if now_is is None or now_is["phase"] != "questions" or now_is["cursor"] >= question_id:
            raise _Moved
        changed: dict[str, Any] = {"cursor": question_id, "taken": now_is["taken"] + (skipped is None)}
        if skipped is not None:
            changed |= {"skipped": now_is["skipped"] + 1, "skipped_reason": skipped}
        connection.execute(_SET, {"_id": row["id"], **changed})
        row_after.update({**now_is, **changed})
        if _spent(row_after):
            _finish(connection, row, self._hub.clock())


# -- what is chosen -------------------------------------------------------------------------------------------------


def _filter(row: Mapping[str, Any]) -> Filter:
    return Filter(row["merchant_id"], **json.loads(row["criteria"]))


def events_after(row: Mapping[str, Any]) -> sa.Select[Any]:
    """Numbers of the events that a replay has not come to, in order of arrival: those that are parked (or done, if these are
    wanted), and those that left a question about what the core did not take of them."""
    wanted = _filter(row)
    mine = (INBOX.c.seq > row["cursor"], INBOX.c.seq <= row["last_seq"])
    parked = sa.select(INBOX.c.seq).where(*wanted.on_events(), *mine)
    if wanted.state != "parked":
        return parked.order_by(INBOX.c.seq)
    about = [
        # the condition of the partial index, word for word
        sa.text("question.state = 'open'"),
        QUESTION.c.merchant_id == row["merchant_id"],
        QUESTION.c.event_seq == INBOX.c.seq,
        QUESTION.c.run_id.is_(None),
        QUESTION.c.delivery_id.is_(None),
        QUESTION.c.kind.not_in(_APART),
        QUESTION.c.created_at <= row["created_at"],
    ]
    if wanted.error_class is not None:
        about.append(QUESTION.c.error_class == wanted.error_class)
    of_any = Filter(wanted.merchant_id, "done", None, wanted.connection_id, wanted.flow, wanted.since, wanted.until)
    asked = sa.select(INBOX.c.seq).select_from(QUESTION).join(INBOX, INBOX.c.seq == QUESTION.c.event_seq)
    asked = asked.where(*about, *of_any.on_events(), *mine)
    both = sa.union(parked, asked).subquery()
    return sa.select(both.c.seq).order_by(both.c.seq)


def questions_after(row: Mapping[str, Any]) -> sa.Select[Any]:
    """Questions that a replay has not come to: of runs that answered core events, and of deliveries that were refused."""
    wanted = _filter(row)
    asked = Filter(
        wanted.merchant_id, "open", wanted.error_class, wanted.connection_id, wanted.flow, wanted.since, wanted.until
    )
    own_event = sa.exists().where(INBOX.c.seq == QUESTION.c.event_seq, INBOX.c.ordering_key == QUESTION.c.subject)
    of_run = sa.exists().where(RUN.c.id == QUESTION.c.run_id, RUN.c.trigger.is_not(None))
    return (
        sa.select(QUESTION)
        .where(
            *asked.on_questions(),
            sa.text("question.state = 'open'"),
            QUESTION.c.id > (row["cursor"] if row["phase"] == "questions" else 0),
            QUESTION.c.created_at <= row["created_at"],
            sa.or_(
                QUESTION.c.kind == "delivery.rejected",
                sa.and_(QUESTION.c.delivery_id.is_(None), of_run, ~own_event),
            ),
        )
        .order_by(QUESTION.c.id)
    )


def _room(row: Mapping[str, Any]) -> int:
    return PAGE if row["most"] is None else max(0, min(PAGE, row["most"] - row["taken"]))


def _spent(row: Mapping[str, Any]) -> bool:
    return row["most"] is not None and row["taken"] >= row["most"]


def _by(row: Mapping[str, Any]) -> str:
    return f"replay {row['id']} ({row['created_by']})"


def _finish(connection: Connection, row: Mapping[str, Any], now: int) -> None:
    connection.execute(_SET, {"_id": row["id"], "state": "done", "finished_at": now})
    _log.info("replay done", replay=row["id"])
