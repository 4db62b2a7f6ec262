"""Which events, deliveries, questions and runs are meant: by class of error, connection, flow, state and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox.plan import DELIVERY

INBOX = Inbox.__table__  # type: ignore[attr-defined]
RUN = Run.__table__  # type: ignore[attr-defined]
Condition = sa.ColumnElement[bool]
_PARKED = sa.text("inbox.state = 'parked'")


@dataclass(frozen=True)
class Filter:
    """What is wanted; null: whatever it is. `since` (from it on) and `until` (before it) are UTC microseconds: when an event
    came in, a delivery was planned, a question was asked, a run began."""

    merchant_id: int
    state: str | None = None
    error_class: str | None = None
    connection_id: int | None = None
    flow: str | None = None
    since: int | None = None
    until: int | None = None

    # -- the conditions on each table ---------------------------------------------------------------------------

    def on_events(self) -> list[Condition]:
        """Events: of a connection, with a run of the flow."""
        found = self._on(INBOX, INBOX.c.received_at)
        if self.error_class is not None:
            found.append(_PARKED)  # type: ignore[arg-type] # the condition of the partial index, word for word
        if self.connection_id is not None:
            found.append(INBOX.c.connection_id == self.connection_id)
        if self.flow is not None:
            parked = [RUN.c.state == "parked"] if self.error_class is not None or self.state == "parked" else []
            found.append(self._run(RUN.c.event_seq == INBOX.c.seq, *parked))
        return found

    def on_deliveries(self) -> list[Condition]:
        """Deliveries: to a connection, planned by a run of the flow."""
        found = self._on(DELIVERY, DELIVERY.c.created_at)
        if self.connection_id is not None:
            found.append(DELIVERY.c.connection_id == self.connection_id)
        if self.flow is not None:
            found.append(self._run(RUN.c.id == DELIVERY.c.run_id))
        return found

    def on_questions(self) -> list[Condition]:
        """Questions: about a delivery to a connection or an event from it; of a run of the flow, or of a delivery of one."""
        found = self._on(QUESTION, QUESTION.c.created_at)
        about = DELIVERY.alias("about")
        if self.connection_id is not None:
            of_delivery = sa.exists().where(
                about.c.id == QUESTION.c.delivery_id, about.c.connection_id == self.connection_id
            )
            found.append(
                sa.or_(
                    of_delivery,
                    sa.and_(QUESTION.c.delivery_id.is_(None), self._event(QUESTION.c.event_seq)),
                    QUESTION.c.subject == f"connection:{self.connection_id}",
                )
            )
        if self.flow is not None:
            planned_by = sa.select(about.c.run_id).where(about.c.id == QUESTION.c.delivery_id).scalar_subquery()
            found.append(self._run(RUN.c.id == sa.func.coalesce(QUESTION.c.run_id, planned_by)))
        return found

    def on_runs(self) -> list[Condition]:
        """Runs: of the flow, for events from a connection."""
        found = self._on(RUN, RUN.c.started_at)
        if self.connection_id is not None:
            found.append(self._event(RUN.c.event_seq))
        if self.flow is not None:
            found.append(RUN.c.flow == self.flow)
        return found

    def _on(self, table: sa.Table, at: sa.ColumnElement[int]) -> list[Condition]:
        found: list[Condition] = [table.c.merchant_id == self.merchant_id]
        found += [
            column == value
            for column, value in ((table.c.state, self.state), (table.c.error_class, self.error_class))
            if value is not None
        ]
        if self.since is not None:
            found.append(at >= self.since)
        if self.until is not None:
            found.append(at < self.until)
        return found

    def _event(self, seq: sa.ColumnElement[Any]) -> Condition:
        return sa.exists().where(INBOX.c.seq == seq, INBOX.c.connection_id == self.connection_id)

    def _run(self, *joined: Condition) -> Condition:
        return sa.exists().where(RUN.c.merchant_id == self.merchant_id, RUN.c.flow == self.flow, *joined)
