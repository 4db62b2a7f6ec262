"""A connection that no longer lets us in: its deliveries and reads wait until a person connects it again."""

from __future__ import annotations

from hub.connect.tables import Connection
from hub.core.plan import Plan
from hub.inbox.questions import raise_question

CONNECTION = Connection.__table__  # type: ignore[attr-defined]
KIND = "connection.reconnect"


def subject_of(connection_id: int | str) -> str:
    """What the question of a connection is about."""
    return f"connection:{connection_id}"


def ask_to_reconnect(plan: Plan, connection_id: int, reason: str, *, event_seq: int | None = None) -> None:
    """Marks the connection and tells a person. The question is closed by connecting it again."""
    plan.update(CONNECTION, {"id": connection_id}, status="reconnect_needed")
    raise_question(
        plan,
        kind=KIND,
        subject=subject_of(connection_id),
        reason=f"the connection has to be connected again: {reason}. Its deliveries and reads wait.",
        details={"connection_id": connection_id},
        event_seq=event_seq,
    )
