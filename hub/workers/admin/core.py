"""A change of the books by a person or a program: one plan, under the book's lock, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from hub.core.ledger.book import lock_book
from hub.core.plan import Plan, Row
from hub.flows.active import Active
from hub.flows.batch import WRITE_ORDER, Later
from hub.inbox.claim import Event
from hub.inbox.questions import OPEN_QUESTIONS, QUESTION
from hub.outbox import plan as outbox_plan

if TYPE_CHECKING:
    from hub.workers.hub import Hub
from hub.workers.parts import Part


@dataclass
class Change:
    """What is planned, and what else is written with it."""

    plan: Plan
    active: Active
    #: the event that the change follows from, for the runs of the flows that answer it
    event_seq: int = 0
    _then: list[Callable[[Connection], object]] = field(default_factory=list)

    def then(self, write: Callable[[Connection], object]) -> None:
        """Runs in the transaction that writes the plan, after it."""
        self._then.append(write)

    def close(self, question: Row, said: str, by: str = "") -> None:
        """Closes an open question as answered."""
        self.plan.update(
            QUESTION, question, state="answered", answer=said, answered_by=by or None, closed_at=self.plan.now
        )
        self.plan.put(OPEN_QUESTIONS, (question["subject"], question["kind"]), None)


@contextmanager
def change(hub: Hub, merchant_id: int, *, ids: int = 0) -> Iterator[Change]:
    """Gives a plan and writes it at the end; an exception writes nothing. Core events go to the flows that answer them,
    as they do in a batch. `ids`: how many ids may be taken beyond the usual."""
    hub.notice()
    active = hub.active(merchant_id)
    hub.database.ids.ensure(5_000 + ids)
    with ExitStack() as stack:
        if hub.database.sqlite:
            stack.enter_context(hub.locks.hold(merchant_id))
            with hub.database.read() as reading:
                changing = _begin(hub, reading, active)
                yield changing
                _dispatch(hub, changing)
            connection = stack.enter_context(hub.database.write())
        else:
            connection = stack.enter_context(hub.database.write())
            lock_book(connection, merchant_id)
            changing = _begin(hub, connection, active)
            yield changing
            _dispatch(hub, changing)
        changing.plan.write(connection, WRITE_ORDER)
        for write in changing._then:
            write(connection)
        outbox_plan.settle(connection, changing.plan)
    hub.wake(Part.BOOKS, Part.OUTBOX, Part.FETCH)


def _begin(hub: Hub, connection: Connection, active: Active) -> Change:
    plan = Plan(active.merchant_id, connection, hub.database.ids, hub.clock())
    plan.chain_key = active.chain_key
    return Change(plan, active)


def _dispatch(hub: Hub, changing: Change) -> None:
    if changing.plan.events:
        later: list[Later] = []
        event = event_of(changing, seq=changing.event_seq)
        hub.batch.dispatch(changing.plan, 0, event, changing.active, later)
        hub.batch.deliver(later, changing.plan, changing.active)


def event_of(changing: Change, *, seq: int | None, connection_id: int | None = None) -> Event:
    """The event that runs and reads of a change are said to come from."""
    return Event(
        seq=seq or 0,
        merchant_id=changing.active.merchant_id,
        connection_id=connection_id,
        kind="manual",
        topic="answer",
        record="answer",
        record_id="",
        ordering_key="answer",
        lane=0,
        stamp=None,
        body=None,
        reads=None,
        attempts=0,
        claims=0,
        received_at=changing.plan.now,
        parent_seq=None,
    )
