"""What came of what came in: the orders, documents, entries, moves, reservations, deliveries, questions and runs of a
merchant, as plain records that people and tests compare. Money is `Money`, dates and instants are text.

Personal data is only in the documents and in the bodies of deliveries."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import RoleBinding
from hub.core.ledger.tables import ACCOUNT, ENTRY, POSTING
from hub.core.sales.tables import DOCUMENT, ORDER_LINE, SALES_ORDER
from hub.core.stock.tables import ITEM, LOCATION, MOVE, RESERVATION
from hub.db.types import instant_text
from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox.plan import DELIVERY
from hub.records.money import Money

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_ORDER_SUBJECT = re.compile(r"order:(\d+)(?::.*)?")

Item = dict[str, Any]
Outcome = dict[str, list[Item]]


def look(connection: Connection, merchant_id: int, kinds: Collection[str] = ()) -> Outcome:
    """Everything of a merchant, oldest first; with `kinds` only these."""
    orders = _orders(connection, merchant_id)
    names = {order["id"]: order["name"] for order in orders}
    reads: dict[str, Callable[[], list[Item]]] = {
        "orders": lambda: orders,
        "invoices": lambda: _documents(connection, merchant_id, "invoice"),
        "credit_notes": lambda: _documents(connection, merchant_id, "credit_note"),
        "entries": lambda: _entries(connection, merchant_id),
        "moves": lambda: _moves(connection, merchant_id),
        "reservations": lambda: _reservations(connection, merchant_id, names),
        "deliveries": lambda: _deliveries(connection, merchant_id, names),
        "questions": lambda: _questions(connection, merchant_id, names),
        "runs": lambda: _runs(connection, merchant_id, names),
    }
    return {kind: read() for kind, read in reads.items() if not kinds or kind in kinds}


def _orders(connection: Connection, merchant_id: int) -> list[Item]:
    lines: dict[int, list[Item]] = {}
    for row in connection.execute(
        sa.select(ORDER_LINE).where(ORDER_LINE.c.merchant_id == merchant_id).order_by(ORDER_LINE.c.position)
    ).mappings():
        shown = ("kind", "sku", "title", "quantity", "current_quantity", "shipped", "returned", "present")
        lines.setdefault(row["order_id"], []).append({name: row[name] for name in shown})
    found = []
    for row in connection.execute(
        sa.select(SALES_ORDER).where(SALES_ORDER.c.merchant_id == merchant_id).order_by(SALES_ORDER.c.id)
    ).mappings():
        currency = row["currency"]
        amounts = ("total", "total_tax", "current_total", "outstanding")
        shown = ("id", "name", "external_id", "connection_id", "state", "financial_status", "cancel_reason", "invoiced")
        found.append(
            {
                **{name: row[name] for name in shown},
                "currency": currency,
                "placed_at": instant_text(row["placed_at"]),
                "cancelled": row["cancelled_at"] is not None,
                "released": row["released_at"] is not None,
                **{name: Money(row[name], currency) for name in amounts},
                "lines": lines.get(row["id"], []),
            }
        )
    return found


def _documents(connection: Connection, merchant_id: int, kind: str) -> list[Item]:
    rows = connection.execute(
        sa.select(DOCUMENT)
        .where(DOCUMENT.c.merchant_id == merchant_id, DOCUMENT.c.kind == kind)
        .order_by(DOCUMENT.c.id)
    ).mappings()
    found = []
    for row in rows:
        currency = row["currency"]
        document = _with_money(payload.decode(row["content"])) if row["content"] else {}
        document.update(
            kind=row["kind"],
            number=row["number"],
            currency=currency,
            date=row["effective_date"].isoformat(),
            net=Money(row["total_net"], currency),
            tax=Money(row["total_tax"], currency),
            total=Money(row["total"], currency),
            order=document.get("order_name"),
            order_id=row["order_id"],
        )
        found.append(document)
    return found


def _with_money(value: Any) -> Any:
    """Money is written as `{"amount": minor units, "currency"}` in a document."""
    if isinstance(value, dict):
        if set(value) == {"amount", "currency"} and isinstance(value["amount"], int):
            return Money(value["amount"], value["currency"])
        return {name: _with_money(each) for name, each in value.items()}
    return [_with_money(each) for each in value] if isinstance(value, list) else value


def _entries(connection: Connection, merchant_id: int) -> list[Item]:
    postings: dict[int, list[Item]] = {}
    for row in connection.execute(
        sa.select(POSTING.c.entry_id, POSTING.c.amount, POSTING.c.currency, POSTING.c.vat_code, ACCOUNT.c.code)
        .join(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
        .where(POSTING.c.merchant_id == merchant_id)
        .order_by(POSTING.c.entry_id, POSTING.c.line)
    ):
        part = {"account": row.code, "amount": Money(row.amount, row.currency), "vat_code": row.vat_code}
        postings.setdefault(row.entry_id, []).append(part)
    return [
        {
            "seq": row["seq"],
            "journal": row["journal"],
            "kind": row["kind"],
            "label": row["label"],
            "date": row["effective_date"].isoformat(),
            "document": row["document_ref"],
            "postings": postings.get(row["id"], []),
        }
        for row in connection.execute(
            sa.select(ENTRY).where(ENTRY.c.merchant_id == merchant_id).order_by(ENTRY.c.seq)
        ).mappings()
    ]


def _moves(connection: Connection, merchant_id: int) -> list[Item]:
    source, destination = LOCATION.alias("source"), LOCATION.alias("destination")
    rows = connection.execute(
        sa.select(
            ITEM.c.sku,
            MOVE.c.quantity,
            source.c.code.label("source"),
            destination.c.code.label("destination"),
            MOVE.c.kind,
            MOVE.c.effective_date.label("date"),
            MOVE.c.ref,
        )
        .join(ITEM, ITEM.c.id == MOVE.c.item_id)
        .join(source, source.c.id == MOVE.c.source_id)
        .join(destination, destination.c.id == MOVE.c.destination_id)
        .where(MOVE.c.merchant_id == merchant_id)
        .order_by(MOVE.c.id)
    ).mappings()
    return [{**row, "date": row["date"].isoformat()} for row in rows]


def _reservations(connection: Connection, merchant_id: int, names: Mapping[int, str]) -> list[Item]:
    rows = connection.execute(
        sa.select(
            RESERVATION.c.order_id,
            ITEM.c.sku,
            LOCATION.c.code.label("location"),
            RESERVATION.c.quantity,
            RESERVATION.c.shipped,
            RESERVATION.c.state,
        )
        .join(ITEM, ITEM.c.id == RESERVATION.c.item_id)
        .join(LOCATION, LOCATION.c.id == RESERVATION.c.location_id)
        .where(RESERVATION.c.merchant_id == merchant_id)
        .order_by(RESERVATION.c.id)
    ).mappings()
    return [{"order": names.get(row["order_id"]), **{k: v for k, v in row.items() if k != "order_id"}} for row in rows]


def _deliveries(connection: Connection, merchant_id: int, names: Mapping[int, str]) -> list[Item]:
    roles: dict[int, str] = {}
    for role in connection.execute(sa.select(_ROLE).where(_ROLE.c.merchant_id == merchant_id).order_by(_ROLE.c.role)):
        roles.setdefault(role.connection_id, role.role)
    rows = connection.execute(
        sa.select(DELIVERY, _CONNECTION.c.name, _CONNECTION.c.connector)
        .join(_CONNECTION, _CONNECTION.c.id == DELIVERY.c.connection_id)
        .where(DELIVERY.c.merchant_id == merchant_id)
        .order_by(DELIVERY.c.id)
    ).mappings()
    found = []
    for row in rows:
        body = row["frozen_body"] or row["body"]
        found.append(
            {
                "role": roles.get(row["connection_id"]),
                "connection": row["name"],
                "connector": row["connector"],
                "operation": row["operation"],
                "key": row["key"],
                "state": row["state"],
                "about": _about(row["ordering_key"], names),
                "ensure": row["is_ensure"],
                "level": row["is_state"],
                "attempts": row["attempts"],
                "external_id": row["external_id"],
                "reason": row["reason"],
                "body": payload.decode(body) if body else None,
            }
        )
    return found


def _questions(connection: Connection, merchant_id: int, names: Mapping[int, str]) -> list[Item]:
    rows = connection.execute(
        sa.select(QUESTION).where(QUESTION.c.merchant_id == merchant_id).order_by(QUESTION.c.id)
    ).mappings()
    return [
        {
            "kind": row["kind"],
            "state": row["state"],
            "subject": row["subject"],
            "about": _about(row["subject"], names),
            "reason": row["reason"],
            "details": payload.decode(row["details"]),
            "answers": [answer["answer"] for answer in payload.decode(row["answers"])],
            "event": row["event_seq"],
        }
        for row in rows
    ]


def _runs(connection: Connection, merchant_id: int, names: Mapping[int, str]) -> list[Item]:
    rows = connection.execute(
        sa.select(_RUN, _INBOX.c.topic)
        .join(_INBOX, _INBOX.c.seq == _RUN.c.event_seq)
        .where(_RUN.c.merchant_id == merchant_id)
        .order_by(_RUN.c.id)
    ).mappings()
    return [
        {
            "flow": row["flow"],
            "trigger": row["trigger"] or row["topic"],
            "about": _about(row["subject"] or "", names),
            "state": row["state"],
            "reason": row["reason"],
            "event": row["event_seq"],
        }
        for row in rows
    ]


def _about(subject: str, names: Mapping[int, str]) -> str | None:
    """The order's own name where a subject is one of our orders."""
    found = _ORDER_SUBJECT.fullmatch(subject)
    return names.get(int(found[1])) if found else subject or None
