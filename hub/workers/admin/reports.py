"""What is there: lists with filters, newest first, page by page. `next` is the `before` of the following page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.core.ledger.tables import ACCOUNT, BALANCE, ENTRY, POSTING
from hub.core.sales.tables import DOCUMENT, SALES_ORDER
from hub.core.stock.tables import CHANNEL_LEVEL, ITEM, LOCATION, STOCK_LEVEL
from hub.db.tables import Merchant
from hub.db.types import instant_text
from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox.plan import DELIVERY
from hub.records.money import Money
from hub.workers.admin.errors import AdminError
from hub.workers.hub import Hub

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
#: states in which an event or a delivery still moves by itself
OPEN_EVENTS = ("fetch", "ready", "retry")
OPEN_DELIVERIES = ("planned", "sending", "retry")
MAX_LIMIT = 500


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
    state: str | None = None,
    connection: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Events, without their bodies."""
    wanted = [_INBOX.c.merchant_id == merchant_id]
    if state:
        wanted.append(_INBOX.c.state == state)

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
            "received_at": instant_text(row["received_at"]),
            "finished_at": _instant(row["finished_at"]),
        }

    columns = [_INBOX.c[name] for name in _INBOX.c.keys() if name not in ("body", "reads")]  # noqa: SIM118 - columns
    return _page(hub, _INBOX, _INBOX.c.seq, columns, wanted, shown, connection, before, limit, merchant_id)


def outbox(
    hub: Hub,
    *,
    state: str | None = None,
    connection: str | None = None,
    operation: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Deliveries, without their bodies."""
    wanted = [DELIVERY.c.merchant_id == merchant_id]
    if state:
        wanted.append(DELIVERY.c.state == state)
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
            "external_id": row["external_id"],
            "event": row["event_seq"],
            "created_at": instant_text(row["created_at"]),
            "finished_at": _instant(row["finished_at"]),
        }

    columns = [DELIVERY.c[name] for name in DELIVERY.c.keys() if name not in ("body", "frozen_body")]  # noqa: SIM118
    return _page(hub, DELIVERY, DELIVERY.c.id, columns, wanted, shown, connection, before, limit, merchant_id)


def runs(
    hub: Hub,
    *,
    event: int | None = None,
    flow: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Runs of flows and what each changed."""
    wanted = [_RUN.c.merchant_id == merchant_id]
    wanted += [
        column == value
        for column, value in ((_RUN.c.event_seq, event), (_RUN.c.flow, flow), (_RUN.c.state, state))
        if value
    ]

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
            "changed": row["changed"],
            "started_at": instant_text(row["started_at"]),
        }

    columns = [_RUN.c[name] for name in _RUN.c.keys() if name != "scope"]  # noqa: SIM118
    return _page(hub, _RUN, _RUN.c.id, columns, wanted, shown, None, before, limit, merchant_id)


def orders(
    hub: Hub,
    *,
    name: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Orders with what the shop says they come to now and what was invoiced for them, credit notes taken off."""
    wanted = [SALES_ORDER.c.merchant_id == merchant_id]
    if name:
        wanted.append(SALES_ORDER.c.name == name)
    if state:
        wanted.append(SALES_ORDER.c.state == state)
    sign = sa.case((DOCUMENT.c.kind == "invoice", 1), else_=-1)
    invoiced = (
        sa.select(sa.func.coalesce(sa.func.sum(DOCUMENT.c.total * sign), 0))
        .where(DOCUMENT.c.order_id == SALES_ORDER.c.id)
        .scalar_subquery()
        .label("invoiced")
    )
    names = ("id", "connection_id", "external_id", "name", "state", "financial_status", "currency", "current_total")

    def shown(row: Mapping[str, Any], connections: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "connection": connections.get(row["connection_id"]),
            "external_id": row["external_id"],
            "name": row["name"],
            "state": row["state"],
            "financial_status": row["financial_status"],
            "current_total": str(Money(row["current_total"], row["currency"])),
            "invoiced": str(Money(row["invoiced"], row["currency"])),
        }

    columns = [*(SALES_ORDER.c[each] for each in names), invoiced]
    return _page(hub, SALES_ORDER, SALES_ORDER.c.id, columns, wanted, shown, None, before, limit, merchant_id)


def documents(
    hub: Hub,
    *,
    kind: str | None = None,
    number: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Invoices and credit notes, without the names on them."""
    wanted = [DOCUMENT.c.merchant_id == merchant_id]
    if kind:
        wanted.append(DOCUMENT.c.kind == kind)
    if number:
        wanted.append(DOCUMENT.c.number == number)

    def shown(row: Mapping[str, Any], _names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "kind": row["kind"],
            "number": row["number"],
            "order_id": str(row["order_id"]),
            "date": row["effective_date"].isoformat(),
            "net": str(Money(row["total_net"], row["currency"])),
            "tax": str(Money(row["total_tax"], row["currency"])),
            "total": str(Money(row["total"], row["currency"])),
            "issued_at": instant_text(row["issued_at"]),
        }

    columns = [DOCUMENT.c[name] for name in DOCUMENT.c.keys() if name not in ("content", "content_hash")]  # noqa: SIM118
    return _page(hub, DOCUMENT, DOCUMENT.c.id, columns, wanted, shown, None, before, limit, merchant_id)


def stock(
    hub: Hub, *, sku: str | None = None, after: str | None = None, limit: int = 200, merchant_id: int = 1
) -> dict[str, Any]:
    """Warehouse levels by SKU, and what each channel is believed to show. `next` is the `after` of the following page."""
    with hub.database.read() as connection:
        items = connection.execute(
            sa.select(ITEM)
            .where(
                ITEM.c.merchant_id == merchant_id,
                ITEM.c.sku == sku if sku else sa.true(),
                ITEM.c.sku > after if after else sa.true(),
            )
            .order_by(ITEM.c.sku)
            .limit(_limit(limit) + 1)
        ).mappings()
        found = [dict(row) for row in items]
        more, found = len(found) > _limit(limit), found[: _limit(limit)]
        ids = [row["id"] for row in found]
        levels: dict[int, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(STOCK_LEVEL, LOCATION.c.code)
            .join(LOCATION, LOCATION.c.id == STOCK_LEVEL.c.location_id)
            .where(
                STOCK_LEVEL.c.merchant_id == merchant_id,
                STOCK_LEVEL.c.item_id.in_(ids),
                LOCATION.c.kind == "warehouse",
            )
            .order_by(LOCATION.c.code)
        ).mappings():
            levels.setdefault(row["item_id"], []).append(
                {
                    "location": row["code"],
                    "on_hand": row["on_hand"],
                    "held": row["held"],
                    "waiting": row["waiting"],
                    "available": row["on_hand"] - row["held"] - row["waiting"],
                }
            )
        channels: dict[int, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(CHANNEL_LEVEL, _CONNECTION.c.name)
            .join(_CONNECTION, _CONNECTION.c.id == CHANNEL_LEVEL.c.connection_id)
            .where(CHANNEL_LEVEL.c.merchant_id == merchant_id, CHANNEL_LEVEL.c.item_id.in_(ids))
            .order_by(_CONNECTION.c.name)
        ).mappings():
            channels.setdefault(row["item_id"], []).append(
                {"connection": row["name"], "expected": row["expected"], "acknowledged": row["acknowledged"]}
            )
    return {
        "items": [
            {
                "sku": row["sku"],
                "title": row["title"],
                "tracked": row["tracked"],
                "levels": levels.get(row["id"], []),
                "channels": channels.get(row["id"], []),
            }
            for row in found
        ],
        "next": found[-1]["sku"] if more else None,
    }


def ledger(hub: Hub, *, all: bool = False, merchant_id: int = 1) -> dict[str, Any]:
    """Accounts with their balances, debit positive; `all`: also those that nothing was booked on."""
    with hub.database.read() as connection:
        rows = connection.execute(
            sa.select(ACCOUNT.c.code, ACCOUNT.c.name, ACCOUNT.c.currency, BALANCE.c.amount)
            .join(BALANCE, BALANCE.c.id == ACCOUNT.c.id)
            .where(
                ACCOUNT.c.merchant_id == merchant_id,
                sa.true()
                if all
                else sa.exists().where(
                    POSTING.c.merchant_id == ACCOUNT.c.merchant_id, POSTING.c.account_id == ACCOUNT.c.id
                ),
            )
            .order_by(ACCOUNT.c.code, ACCOUNT.c.currency)
        ).all()
    return {
        "accounts": [
            {"code": row.code, "name": row.name, "balance": str(Money(row.amount, row.currency)), "minor": row.amount}
            for row in rows
        ]
    }


def entries(
    hub: Hub,
    *,
    account: str | None = None,
    document: str | None = None,
    since: date | None = None,
    until: date | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Entries with their postings, the last first; `since` and `until` are days of booking."""
    wanted = [ENTRY.c.merchant_id == merchant_id]
    if document:
        wanted.append(ENTRY.c.document_ref == document)
    if since:
        wanted.append(ENTRY.c.effective_date >= since)
    if until:
        wanted.append(ENTRY.c.effective_date <= until)
    if account:
        wanted.append(
            sa.exists()
            .where(POSTING.c.entry_id == ENTRY.c.id, POSTING.c.account_id == ACCOUNT.c.id, ACCOUNT.c.code == account)
            .correlate(ENTRY)
        )

    def shown(row: Mapping[str, Any], _names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "seq": row["seq"],
            "ref": row["ref"],
            "journal": row["journal"],
            "kind": row["kind"],
            "label": row["label"],
            "document": row["document_ref"],
            "date": row["effective_date"].isoformat(),
            "origin_date": row["origin_date"].isoformat() if row["origin_date"] else None,
            "recorded_at": instant_text(row["recorded_at"]),
            "hash": row["hash"].hex(),
        }

    result = _page(hub, ENTRY, ENTRY.c.seq, list(ENTRY.c), wanted, shown, None, before, limit, merchant_id)
    with hub.database.read() as connection:
        lines: dict[str, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(POSTING.c.entry_id, ACCOUNT.c.code, POSTING.c.amount, POSTING.c.currency, POSTING.c.vat_code)
            .join(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
            .where(
                POSTING.c.merchant_id == merchant_id, POSTING.c.entry_id.in_([int(e["id"]) for e in result["items"]])
            )
            .order_by(POSTING.c.entry_id, POSTING.c.line)
        ):
            lines.setdefault(str(row.entry_id), []).append(
                {
                    "account": row.code,
                    "amount": str(Money(row.amount, row.currency)),
                    "minor": row.amount,
                    "vat_code": row.vat_code,
                }
            )
    for entry in result["items"]:
        entry["postings"] = lines.get(entry["id"], [])
    return result


def _page(
    hub: Hub,
    table: sa.Table,
    order: sa.ColumnElement[Any],
    columns: list[Any],
    wanted: list[Any],
    shown: Callable[[Mapping[str, Any], Mapping[int, str]], dict[str, Any]],
    connection_name: str | None,
    before: int | None,
    limit: int,
    merchant_id: int,
) -> dict[str, Any]:
    size = _limit(limit)
    with hub.database.read() as connection:
        names: dict[int, str] = {
            row.id: row.name
            for row in connection.execute(
                sa.select(_CONNECTION.c.id, _CONNECTION.c.name).where(_CONNECTION.c.merchant_id == merchant_id)
            )
        }
        if connection_name:
            ids = [known for known, name in names.items() if connection_name in (name, str(known))]
            wanted = [*wanted, table.c.connection_id.in_(ids)]
        if before is not None:
            wanted = [*wanted, order < before]
        rows = connection.execute(sa.select(*columns).where(*wanted).order_by(order.desc()).limit(size + 1)).mappings()
        found = [dict(row) for row in rows]
    more, found = len(found) > size, found[:size]
    place = str(getattr(order, "name", "id"))
    return {"items": [shown(row, names) for row in found], "next": found[-1][place] if more else None}


def _limit(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))


def _counts(connection: Connection, table: sa.Table, merchant_id: int) -> dict[str, int]:
    rows = connection.execute(
        sa.select(table.c.state, sa.func.count())
        .where(table.c.merchant_id == merchant_id)
        .group_by(table.c.state)
        .order_by(table.c.state)
    )
    return {state: count for state, count in rows}


def _instant(value: int | None) -> str | None:
    return instant_text(value) if value is not None else None
