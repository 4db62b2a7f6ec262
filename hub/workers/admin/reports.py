"""How the hub stands: counts, events, deliveries and runs, with filters and page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.db.tables import Merchant
from hub.db.types import instant_text
from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox.plan import DELIVERY
from hub.workers.admin import filters
from hub.workers.admin.errors import AdminError
from hub.workers.admin.paging import instant, page
from hub.workers.hub import Hub

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
#: states in which an event or a delivery still moves by itself
OPEN_EVENTS = ("fetch", "ready", "retry")
OPEN_DELIVERIES = ("planned", "sending", "retry")


def merchant(hub: Hub, *, merchant_id: int = 1) -> dict[str, Any]:
    """Whose hub it is. Raises: AdminError when it was not made yet."""
    with hub.database.read() as connection:
        row = connection.execute(sa.select(_MERCHANT).where(_MERCHANT.c.id == merchant_id)).mappings().one_or_none()
    if row is None:
        raise AdminError("the hub has no merchant: run `hub init`")
    return {"id": str(row["id"]), "name": row["name"], "currency": row["currency"], "zone": row["zone"]}


def status(hub: Hub, *, merchant_id: int = 1) -> dict[str, Any]:
    """Counts, the oldest open event, and whether nothing moves by itself any more (`idle`)."""
    with hub.database.read() as connection:
        inbox = _counts(connection, _INBOX, merchant_id)
        deliveries = _counts(connection, DELIVERY, merchant_id)
        by_connection: dict[str, dict[str, int]] = {}
        for row in connection.execute(
            sa.select(_CONNECTION.c.name, DELIVERY.c.state, sa.func.count().label("count"))
            .join(_CONNECTION, _CONNECTION.c.id == DELIVERY.c.connection_id)
            .where(DELIVERY.c.merchant_id == merchant_id)
            .group_by(_CONNECTION.c.name, DELIVERY.c.state)
            .order_by(_CONNECTION.c.name, DELIVERY.c.state)
        ):
            by_connection.setdefault(row.name, {})[row.state] = row[2]
        oldest = connection.execute(
            sa.select(sa.func.min(_INBOX.c.received_at)).where(
                _INBOX.c.merchant_id == merchant_id, _INBOX.c.state.in_(OPEN_EVENTS)
            )
        ).scalar_one()
        # what goes to a connection that is not live waits for a person
        moving = connection.execute(
            sa.select(sa.func.count())
            .select_from(DELIVERY)
            .join(_CONNECTION, _CONNECTION.c.id == DELIVERY.c.connection_id)
            .where(
                DELIVERY.c.merchant_id == merchant_id,
                DELIVERY.c.state.in_(OPEN_DELIVERIES),
                _CONNECTION.c.mode == "live",
                _CONNECTION.c.status != "reconnect_needed",
            )
        ).scalar_one()
        questions = connection.execute(
            sa.select(sa.func.count())
            .select_from(QUESTION)
            .where(QUESTION.c.merchant_id == merchant_id, QUESTION.c.state == "open")
        ).scalar_one()
    return {
        "inbox": inbox,
        "deliveries": deliveries,
        "deliveries_by_connection": by_connection,
        "questions": questions,
        "oldest_event": instant_text(oldest) if oldest is not None else None,
        "idle": not any(inbox.get(state) for state in OPEN_EVENTS) and not moving,
    }


def inbox(
    hub: Hub,
    *,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
    **narrowed: str | None,
) -> dict[str, Any]:
    """Events, without their bodies. `narrowed`: see `filters.asked`."""
    wanted = filters.asked(hub, merchant_id=merchant_id, **narrowed).on_events()

    def shown(row: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "seq": row["seq"],
            "state": row["state"],
            "kind": row["kind"],
            "topic": row["topic"],
            "connection": names.get(row["connection_id"]),
            "record": row["record"],
            "record_id": row["record_id"],
            "attempts": row["attempts"],
            "outcome": row["outcome"],
            "error_class": row["error_class"],
            "received_at": instant_text(row["received_at"]),
            "finished_at": instant(row["finished_at"]),
        }

    columns = [_INBOX.c[name] for name in _INBOX.c.keys() if name not in ("body", "reads")]  # noqa: SIM118 - columns
    return page(hub, _INBOX.c.seq, columns, wanted, shown, before, limit, merchant_id)


def outbox(
    hub: Hub,
    *,
    operation: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
    **narrowed: str | None,
) -> dict[str, Any]:
    """Deliveries, without their bodies. `narrowed`: see `filters.asked`."""
    wanted = filters.asked(hub, merchant_id=merchant_id, **narrowed).on_deliveries()
    if operation:
        wanted.append(DELIVERY.c.operation == operation)

    def shown(row: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "state": row["state"],
            "connection": names.get(row["connection_id"]),
            "operation": row["operation"],
            "key": row["key"],
            "ladder": row["ladder"],
            "attempts": row["attempts"],
            "reason": row["reason"],
            "error_class": row["error_class"],
            "external_id": row["external_id"],
            "event": row["event_seq"],
            "created_at": instant_text(row["created_at"]),
            "finished_at": instant(row["finished_at"]),
        }

    columns = [DELIVERY.c[name] for name in DELIVERY.c.keys() if name not in ("body", "frozen_body")]  # noqa: SIM118
    return page(hub, DELIVERY.c.id, columns, wanted, shown, before, limit, merchant_id)


def runs(
    hub: Hub,
    *,
    event: int | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
    **narrowed: str | None,
) -> dict[str, Any]:
    """Runs of flows and what each changed. `narrowed`: see `filters.asked`."""
    wanted = filters.asked(hub, merchant_id=merchant_id, **narrowed).on_runs()
    if event is not None:
        wanted.append(_RUN.c.event_seq == event)

    def shown(row: Mapping[str, Any], _names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "event": row["event_seq"],
            "flow": row["flow"],
            "version": row["version_hash"],
            "trigger": row["trigger"],
            "subject": row["subject"],
            "state": row["state"],
            "reason": row["reason"],
            "error_class": row["error_class"],
            "changed": row["changed"],
            "started_at": instant_text(row["started_at"]),
        }

    columns = [_RUN.c[name] for name in _RUN.c.keys() if name != "scope"]  # noqa: SIM118
    return page(hub, _RUN.c.id, columns, wanted, shown, before, limit, merchant_id)


def _counts(connection: Connection, table: sa.Table, merchant_id: int) -> dict[str, int]:
    rows = connection.execute(
        sa.select(table.c.state, sa.func.count())
        .where(table.c.merchant_id == merchant_id)
        .group_by(table.c.state)
        .order_by(table.c.state)
    )
    return {state: count for state, count in rows}
