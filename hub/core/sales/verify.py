"""Verifies the documents from their rows: numbers without gaps, lines, entry and content that agree, orders at level."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.faults import Fault
from hub.core.ledger.numbers import number_text
from hub.core.ledger.tables import ACCOUNT, ENTRY, POSTING, SERIES
from hub.core.plan import Row
from hub.core.sales.tables import DOCUMENT, DOCUMENT_LINE, SALES_ORDER

_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_DOCUMENTS = (
    sa.select(DOCUMENT, SALES_ORDER.c.receivable, ENTRY.c.document_ref)
    .join(SALES_ORDER, SALES_ORDER.c.id == DOCUMENT.c.order_id)
    .outerjoin(ENTRY, ENTRY.c.id == DOCUMENT.c.entry_id)
    .where(DOCUMENT.c.merchant_id == _MERCHANT)
    .order_by(DOCUMENT.c.id)
)
_LINES = (
    sa.select(DOCUMENT_LINE.c.document_id, sa.func.sum(DOCUMENT_LINE.c.net), sa.func.sum(DOCUMENT_LINE.c.tax))
    .where(DOCUMENT_LINE.c.merchant_id == _MERCHANT)
    .group_by(DOCUMENT_LINE.c.document_id)
)
_LEGS = (
    sa.select(POSTING.c.entry_id, ACCOUNT.c.code, sa.func.sum(POSTING.c.amount))
    .join(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
    .join(DOCUMENT, DOCUMENT.c.entry_id == POSTING.c.entry_id)
    .where(DOCUMENT.c.merchant_id == _MERCHANT)
    .group_by(POSTING.c.entry_id, ACCOUNT.c.code)
)
_SERIES = sa.select(SERIES).where(SERIES.c.merchant_id == _MERCHANT).order_by(SERIES.c.code)
_ORDERS = (
    sa.select(
        SALES_ORDER.c.id,
        SALES_ORDER.c.name,
        SALES_ORDER.c.current_total,
        sa.func.sum(sa.case((DOCUMENT.c.kind == "invoice", DOCUMENT.c.total), else_=-DOCUMENT.c.total)),
    )
    .join(DOCUMENT, DOCUMENT.c.order_id == SALES_ORDER.c.id)
    .where(
        SALES_ORDER.c.merchant_id == _MERCHANT,
        SALES_ORDER.c.invoiced,
        SALES_ORDER.c.questions == "",
        SALES_ORDER.c.header_as_of == SALES_ORDER.c.lines_as_of,
        SALES_ORDER.c.header_as_of == SALES_ORDER.c.refunds_as_of,
    )
    .group_by(SALES_ORDER.c.id, SALES_ORDER.c.name, SALES_ORDER.c.current_total)
    .order_by(SALES_ORDER.c.id)
)


def verify_sales(
    connection: Connection, merchant_id: int, *, unseal: Callable[[Row], bytes | None] | None = None
) -> list[Fault]:
    """What is wrong with the documents of a merchant; an empty list: nothing. `unseal` opens the content of a document's
    row that is sealed with a key; without it, or when it answers None (erased), that content is not looked at."""
    values = {"merchant_id": merchant_id}
    documents = [dict(row) for row in connection.execute(_DOCUMENTS, values).mappings()]
    faults = _numbers(connection, values, documents)
    sums = {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(_LINES, values)}
    legs: dict[Any, dict[str, int]] = {}
    for entry_id, code, amount in connection.execute(_LEGS, values):
        legs.setdefault(entry_id, {})[code] = int(amount)
    for document in documents:
        faults += _document(document, sums.get(document["id"], (0, 0)), legs.get(document["entry_id"], {}))
        faults += _content(document, unseal)
    for order_id, name, expected, found in connection.execute(_ORDERS, values):
        if int(found) != expected:
            faults.append(
                Fault(
                    "order.net",
                    f"order {order_id}",
                    f"the documents of order {name} add up to {int(found)}, and the shop has {expected} left (minor units)",
                )
            )
    return faults


def _numbers(connection: Connection, values: dict[str, Any], documents: list[Row]) -> list[Fault]:
    faults: list[Fault] = []
    numbers = {document["number"] for document in documents}
    known: set[str] = set()
    for series in connection.execute(_SERIES, values).mappings():
        if series["code"].split(":")[0] not in ("invoice", "credit_note"):
            continue
        for number in range(1, series["next_number"]):
            text = number_text(series["prefix"], number)
            known.add(text)
            if text not in numbers:
                faults.append(
                    Fault("document.number", f"document {text}", f"number {text} was taken and no document has it")
                )
    for document in documents:
        if document["number"] not in known:
            faults.append(
                Fault(
                    "document.number",
                    f"document {document['number']}",
                    f"number {document['number']} was never taken from its series",
                )
            )
    return faults


def _document(document: Row, lines: tuple[int, int], legs: dict[str, int]) -> list[Fault]:
    place = f"document {document['number']}"
    faults: list[Fault] = []
    if lines != (document["total_net"], document["total_tax"]):
        faults.append(
            Fault(
                "document.lines",
                place,
                f"its lines add up to {lines[0]} net and {lines[1]} tax, its totals are {document['total_net']} and "
                f"{document['total_tax']} (minor units)",
            )
        )
    sign = 1 if document["kind"] == "invoice" else -1
    leg = legs.get(document["receivable"], 0)
    if leg != sign * document["total"]:
        faults.append(
            Fault(
                "document.entry",
                place,
                f"its entry has {leg} on {document['receivable']}, its total is {sign * document['total']} (minor units)",
            )
        )
    if document["entry_id"] is not None and document["document_ref"] != document["number"]:
        faults.append(Fault("document.entry", place, f"its entry names document {document['document_ref']}"))
    return faults


def _content(document: Row, unseal: Callable[[Row], bytes | None] | None) -> list[Fault]:
    content = document["content"]
    if document["data_key_id"] is not None:
        content = unseal(document) if unseal is not None else None
    if content is None or hashlib.sha256(content).digest() == document["content_hash"]:
        return []
    return [Fault("document.content", f"document {document['number']}", "its content is not what was issued")]
