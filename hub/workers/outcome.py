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
_KIND: sa.BindParameter[str] = sa.bindparam("kind")


def _own(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return column == sa.bindparam("merchant_id")


# built once: building them takes longer than running them
_ORDERS = sa.select(SALES_ORDER).where(_own(SALES_ORDER.c.merchant_id)).order_by(SALES_ORDER.c.id)
_ORDER_LINES = sa.select(ORDER_LINE).where(_own(ORDER_LINE.c.merchant_id)).order_by(ORDER_LINE.c.position)
_DOCUMENTS = sa.select(DOCUMENT).where(_own(DOCUMENT.c.merchant_id), DOCUMENT.c.kind == _KIND).order_by(DOCUMENT.c.id)
_ENTRIES = sa.select(ENTRY).where(_own(ENTRY.c.merchant_id)).order_by(ENTRY.c.seq)
_POSTINGS = (
    sa.select(POSTING.c.entry_id, POSTING.c.amount, POSTING.c.currency, POSTING.c.vat_code, ACCOUNT.c.code)
    .join(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
    .where(_own(POSTING.c.merchant_id))
    .order_by(POSTING.c.entry_id, POSTING.c.line)
)
_SOURCE, _DESTINATION = LOCATION.alias("source"), LOCATION.alias("destination")
_MOVES = (
    sa.select(
        ITEM.c.sku,
        MOVE.c.quantity,
        _SOURCE.c.code.label("source"),
        _DESTINATION.c.code.label("destination"),
        MOVE.c.kind,
        MOVE.c.effective_date.label("date"),
        MOVE.c.ref,
    )
    .join(ITEM, ITEM.c.id == MOVE.c.item_id)
    .join(_SOURCE, _SOURCE.c.id == MOVE.c.source_id)
    .join(_DESTINATION, _DESTINATION.c.id == MOVE.c.destination_id)
    .where(_own(MOVE.c.merchant_id))
    .order_by(MOVE.c.id)
)
_RESERVATIONS = (
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
    .where(_own(RESERVATION.c.merchant_id))
    .order_by(RESERVATION.c.id)
)
_ROLES = sa.select(_ROLE.c.role, _ROLE.c.connection_id).where(_own(_ROLE.c.merchant_id)).order_by(_ROLE.c.role)
_DELIVERIES = (
    sa.select(DELIVERY, _CONNECTION.c.name, _CONNECTION.c.connector)
    .join(_CONNECTION, _CONNECTION.c.id == DELIVERY.c.connection_id)
    .where(_own(DELIVERY.c.merchant_id))
    .order_by(DELIVERY.c.id)
)
_QUESTIONS = sa.select(QUESTION).where(_own(QUESTION.c.merchant_id)).order_by(QUESTION.c.id)
_RUNS = (
    sa.select(_RUN, _INBOX.c.topic)
    .join(_INBOX, _INBOX.c.seq == _RUN.c.event_seq)
    .where(_own(_RUN.c.merchant_id))
    .order_by(_RUN.c.id)
)

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
    for row in connection.execute(_ORDER_LINES, {"merchant_id": merchant_id}).mappings():
        shown = ("kind", "sku", "title", "quantity", "current_quantity", "shipped", "returned", "present")
        lines.setdefault(row["order_id"], []).append({name: row[name] for name in shown})
    found = []
    for row in connection.execute(_ORDERS, {"merchant_id": merchant_id}).mappings():
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
    found = []
    for row in connection.execute(_DOCUMENTS, {"merchant_id": merchant_id, "kind": kind}).mappings():
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
    for row in connection.execute(_POSTINGS, {"merchant_id": merchant_id}):
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
        for row in connection.execute(_ENTRIES, {"merchant_id": merchant_id}).mappings()
    ]


def _moves(connection: Connection, merchant_id: int) -> list[Item]:
    rows = connection.execute(_MOVES, {"merchant_id": merchant_id}).mappings()
    return [{**row, "date": row["date"].isoformat()} for row in rows]


def _reservations(connection: Connection, merchant_id: int, names: Mapping[int, str]) -> list[Item]:
    rows = connection.execute(_RESERVATIONS, {"merchant_id": merchant_id}).mappings()
    return [{"order": names.get(row["order_id"]), **{k: v for k, v in row.items() if k != "order_id"}} for row in rows]


def _deliveries(connection: Connection, merchant_id: int, names: Mapping[int, str]) -> list[Item]:
    roles: dict[int, str] = {}
    for role in connection.execute(_ROLES, {"merchant_id": merchant_id}):
        roles.setdefault(role.connection_id, role.role)
    found = []
    for row in connection.execute(_DELIVERIES, {"merchant_id": merchant_id}).mappings():
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
    rows = connection.execute(_QUESTIONS, {"merchant_id": merchant_id}).mappings()
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
    rows = connection.execute(_RUNS, {"merchant_id": merchant_id}).mappings()
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
