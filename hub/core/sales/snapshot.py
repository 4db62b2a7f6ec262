"""Takes a snapshot in: which of its sections are new, and the rows that hold what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from hub.core.plan import Plan, Row
from hub.core.sales.sources import FULFILMENTS, LINES, REFUNDS, add_row, rows_of
from hub.core.sales.tables import FULFILMENT, ORDER_LINE, REFUND, SALES_ORDER
from hub.core.time import instant_of
from hub.records.order import Address, Fulfilments, Header, Line, Lines, Party, Payments, Refund, RefundLine, Refunds


class Freshness(StrEnum):
    """What a section is compared with the one that is booked."""

    NEW = "new"
    SAME = "same"
    OLD = "old"
    CONFLICT = "conflict"
    ABSENT = "absent"


class Contact(msgspec.Struct, kw_only=True, frozen=True):
    """Who an order is from and where it goes: personal data, kept in one place of its row."""

    party: Party
    billing_address: Address | None = None
    shipping_address: Address | None = None


#: rate (`0.2`), amount, remitted by a marketplace, title
Tax = tuple[str, int, bool, str]


class RefundContent(msgspec.Struct, frozen=True, array_like=True):
    """A refund's figures: (line id, quantity, subtotal, tax, restock) and (reason, amount, tax)."""

    lines: list[tuple[str, int, int, int, str]]
    shipping: list[tuple[str, int, int, int, str]]
    adjustments: list[tuple[str, int, int]]


class LineState(msgspec.Struct):
    """A line of the order: its row with what is packed in it."""

    row: Row
    taxes: list[Tax]
    discount: int


_json = msgspec.json.Encoder(order="deterministic").encode
_NOTHING = hashlib.blake2b(b"[]", digest_size=16).hexdigest()
_taxes = msgspec.json.Decoder(list[Tax]).decode
_discounts = msgspec.json.Decoder(list[tuple[int, str | None]]).decode
_refund = msgspec.json.Decoder(RefundContent).decode
_contact = msgspec.json.Decoder(Contact).decode
_fulfilment = msgspec.json.Decoder(list[tuple[str, int]]).decode


@lru_cache(maxsize=256)
def rate_text(rate: Decimal) -> str:
    """A rate as it is stored: the shortest plain decimal, `0.2` for 0.20."""
    return format(rate.normalize(), "f")


def digest(value: Any) -> str:
    """Hash of a section's content."""
    if value == []:
        return _NOTHING
    return hashlib.blake2b(_json(value), digest_size=16).hexdigest()


def freshness(order: Row, section: str, as_of: int, content: str, *, read_back: bool) -> Freshness:
    """Compares a section with the booked one. At an equal stamp another content is a conflict, unless the snapshot was
    read back for that very reason: then it holds."""
    booked = order[f"{section}_as_of"]
    if booked is None or as_of > booked:
        return Freshness.NEW
    if as_of < booked:
        return Freshness.OLD
    if order[f"{section}_hash"] == content:
        return Freshness.SAME
    return Freshness.NEW if read_back else Freshness.CONFLICT


def stamp(plan: Plan, order: Row, section: str, as_of: int, content: str) -> None:
    """Marks a section as the one that is booked."""
    values = {f"{section}_as_of": as_of, f"{section}_hash": content}
    if order["updated_at"] != plan.now:
        values["updated_at"] = plan.now
    plan.update(SALES_ORDER, order, **values)


def contact_bytes(header: Header) -> bytes:
    """Canonical JSON of an order's contact."""
    return _json(
        Contact(
            party=header.party,
            billing_address=header.billing_address,
            shipping_address=header.shipping_address,
        )
    )


def contact_of(order: Row) -> Contact:
    """Who an order is from, as its row has it; empty once the personal data is erased."""
    return _contact(order["contact"]) if order["contact"] else Contact(party=Party())


def header_values(header: Header) -> Row:
    """Columns of an order that its header fills."""
    presentment = header.presentment_total
    return {
        "name": header.name,
        "placed_at": instant_of(header.placed_at, "header.placed_at"),
        "currency": header.currency,
        "prices_include_tax": header.prices_include_tax,
        "tax_exempt": header.tax_exempt,
        "financial_status": header.financial_status.upper(),
        "cancelled_at": instant_of(header.cancelled_at, "header.cancelled_at") if header.cancelled_at else None,
        "cancel_reason": header.cancel_reason,
        "total": header.total.amount,
        "total_tax": header.total_tax.amount,
        "current_total": header.current_total.amount,
        "outstanding": header.outstanding.amount,
        "rounding": header.rounding.amount if header.rounding else 0,
        "presentment_total": presentment.amount if presentment else None,
        "presentment_currency": presentment.currency if presentment else None,
    }


def _line_values(line: Line, position: int) -> Row:
    return {
        "external_id": line.external_id,
        "position": position,
        "kind": line.kind,
        "sku": line.sku,
        "variant_id": line.variant_id,
        "title": line.title,
        "quantity": line.quantity,
        "current_quantity": line.current_quantity,
        "unit_price": line.unit_price.amount,
        "gross": line.gross.amount,
        "discounts": _json([(part.amount.amount, part.title) for part in line.discounts]).decode()
        if line.discounts
        else "[]",
        "taxes": _json(
            [(rate_text(tax.rate), tax.amount.amount, tax.channel_liable, tax.title) for tax in line.taxes]
        ).decode()
        if line.taxes
        else "[]",
        "requires_shipping": line.requires_shipping,
        "present": True,
    }


def lines_values(section: Lines) -> list[Row]:
    """Columns of the lines of a section, in its order."""
    return [_line_values(line, position) for position, line in enumerate(section.items, 1)]


def lines_digest(values: Sequence[Row]) -> str:
    """Hash of the lines, whatever their order and however a rate is written."""
    return digest(sorted(([*row.values()][0:1] + [*row.values()][2:] for row in values), key=lambda row: str(row[0])))


def take_lines(plan: Plan, order: Row, values: Sequence[Row]) -> None:
    """Makes the rows of the lines say what the section says. A line that is gone keeps its row, with nothing left."""
    known = {row["external_id"]: row for row in rows_of(plan, LINES, order["id"])}
    fresh: list[Row] = []
    for value in values:
        row = known.pop(value["external_id"], None)
        if row is None:
            row = {
                **value,
                "order_id": order["id"],
                "item_id": None,
                "shipped": 0,
                "returned": 0,
                "released": 0,
                "channel_taken": 0,
            }
            fresh.append(plan.insert(ORDER_LINE, row))
            continue
        changed = {name: new for name, new in value.items() if row[name] != new}
        if changed:
            plan.update(ORDER_LINE, row, **changed)
    for row in known.values():
        if row["present"] or row["current_quantity"]:
            plan.update(ORDER_LINE, row, present=False, current_quantity=0)
    if fresh:
        plan.put(LINES, order["id"], {"rows": [*rows_of(plan, LINES, order["id"]), *fresh]})


def line_states(plan: Plan, order: Row) -> list[LineState]:
    """The lines of an order, those that are gone too."""
    return [
        LineState(
            row,
            _taxes(row["taxes"]) if row["taxes"] != "[]" else [],
            sum(amount for amount, _ in _discounts(row["discounts"])) if row["discounts"] != "[]" else 0,
        )
        for row in rows_of(plan, LINES, order["id"])
    ]


def _refund_line(line: RefundLine) -> tuple[str, int, int, int, str]:
    return line.line_id, line.quantity, line.subtotal.amount, line.tax.amount, line.restock


def refund_content(refund: Refund) -> RefundContent:
    """The figures of a refund."""
    return RefundContent(
        [_refund_line(line) for line in refund.lines],
        [_refund_line(line) for line in refund.shipping],
        [(part.reason, part.amount.amount, part.tax.amount) for part in refund.adjustments],
    )


def content_of(refund: Row) -> RefundContent:
    """The figures of a refund's row."""
    return _refund(refund["content"])


def refunds_digest(section: Refunds) -> str:
    return digest(sorted(section.items, key=lambda refund: refund.external_id))


def payments_digest(section: Payments) -> str:
    return digest(sorted(section.items, key=lambda payment: payment.external_id))


def fulfilments_digest(section: Fulfilments) -> str:
    return digest(sorted(section.items, key=lambda fulfilment: fulfilment.external_id))


def take_refunds(plan: Plan, order: Row, section: Refunds) -> list[Row]:
    """Keeps the refunds of a section. Answers those that were credited with other figures before."""
    known = {row["external_id"]: row for row in rows_of(plan, REFUNDS, order["id"])}
    differing: list[Row] = []
    fresh: list[Row] = []
    for refund in section.items:
        content = _json(refund_content(refund)).decode()
        row = known.get(refund.external_id)
        if row is None:
            row = {
                "connection_id": order["connection_id"],
                "order_id": order["id"],
                "external_id": refund.external_id,
                "refunded_at": instant_of(refund.refunded_at, f"refunds[{refund.external_id}].refunded_at"),
                "total": refund.total.amount,
                "note": refund.note,
                "content": content,
                "credited": False,
                "created_at": plan.now,
            }
            fresh.append(plan.insert(REFUND, row))
        elif row["content"] != content or row["total"] != refund.total.amount:
            if row["credited"]:
                differing.append(row)
            else:
                plan.update(REFUND, row, content=content, total=refund.total.amount)
    if fresh:
        rows = [*rows_of(plan, REFUNDS, order["id"]), *fresh]
        rows.sort(key=lambda row: (row["refunded_at"], row["external_id"]))
        plan.put(REFUNDS, order["id"], {"rows": rows})
    return differing


def take_fulfilments(plan: Plan, order: Row, section: Fulfilments) -> None:
    """Keeps what the shop says has left."""
    known = {row["external_id"]: row for row in rows_of(plan, FULFILMENTS, order["id"]) if row["origin"] == "shop"}
    for fulfilment in section.items:
        values: Row = {
            "status": fulfilment.status,
            "carrier": fulfilment.carrier,
            "tracking_number": fulfilment.tracking_number,
            "tracking_url": fulfilment.tracking_url,
            "shipped_at": instant_of(fulfilment.shipped_at, f"fulfilments[{fulfilment.external_id}].shipped_at")
            if fulfilment.shipped_at
            else None,
            "lines": _json([(line.line_id, line.quantity) for line in fulfilment.lines]).decode(),
        }
        row = known.get(fulfilment.external_id)
        if row is None:
            row = {
                "connection_id": order["connection_id"],
                "order_id": order["id"],
                "external_id": fulfilment.external_id,
                "origin": "shop",
                "service": None,
                "created_at": plan.now,
                **values,
            }
            add_row(plan, FULFILMENTS, order["id"], plan.insert(FULFILMENT, row))
        elif any(row[name] != value for name, value in values.items()):
            plan.update(FULFILMENT, row, **values)


def fulfilment_lines(row: Row) -> list[tuple[str, int]]:
    """(line external id, quantity) of a fulfilment's row."""
    return _fulfilment(row["lines"])
