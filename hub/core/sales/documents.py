"""Issues invoices and credit notes: number, entry, rows and the canonical document, all in the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from hub.core.ledger.numbers import take_number
from hub.core.ledger.posting import ENTRY_BY_REF, EntryDraft, Posting, post
from hub.core.plan import Row
from hub.core.sales.composition import Amounts, Coding, share
from hub.core.sales.context import Work
from hub.core.sales.regions import destination, mention, region_of
from hub.core.sales.snapshot import LineState
from hub.core.sales.sources import DOCUMENT_LINES, DOCUMENTS, add_row, rows_of
from hub.core.sales.tables import DOCUMENT, DOCUMENT_LINE
from hub.db.types import instant_text
from hub.records.money import Money
from hub.records.order import Address

#: all documents of a batch have one instant
_instant = lru_cache(maxsize=16)(instant_text)
_json = msgspec.json.Encoder(order="deterministic").encode
_LABELS = {"invoice": "Facture", "credit_note": "Avoir"}
_REASONS = {
    "edit": "Modification de la commande",
    "cancel": "Annulation de la commande",
    "refund": "Remboursement",
}


@dataclass(slots=True)
class DocumentDraft:
    """A document to issue. Amounts of a credit note are positive."""

    kind: str
    #: of the entry; it names the fact
    ref: str
    lines: list[tuple[Coding, Amounts]]
    reason: str | None = None
    #: what a person reads as the reason
    text: str | None = None
    refund: Row | None = None
    #: the day it happened, when the document is issued on another
    origin: date | None = None
    #: titles of lines that are no order line, by source
    titles: dict[str, str] | None = None


def issue(work: Work, draft: DocumentDraft, regime_region: str | None) -> Row:
    """Issues a document: takes its number, books its entry, keeps its content and announces it."""
    plan, order = work.plan, work.order
    rows = rows_of(plan, DOCUMENTS, order["id"])
    ordinal = 1 + sum(row["kind"] == draft.kind for row in rows)
    corrected = next((row for row in rows if row["kind"] == "invoice"), None) if draft.kind != "invoice" else None
    number = take_number(plan, draft.kind, work.today.year)
    net = sum(amounts.net for _, amounts in draft.lines)
    tax = sum(amounts.tax for _, amounts in draft.lines)
    document: Row = {
        "id": plan.next_id(),
        "order_id": order["id"],
        "kind": draft.kind,
        "ordinal": ordinal,
        "number": number,
        "reason": draft.reason,
        "refund_id": draft.refund["id"] if draft.refund else None,
        "corrects_id": corrected["id"] if corrected else None,
        "party_id": order["party_id"],
        "currency": order["currency"],
        "issued_at": plan.now,
        "effective_date": work.today,
        "total_net": net,
        "total_tax": tax,
        "total": net + tax,
        "entry_id": _post(work, draft, number, corrected),
        "data_key_id": None,
    }
    canonical, rows_to_add = _canonical(work, draft, document, corrected, regime_region)
    content = _json(canonical)
    document["content"] = content
    document["content_hash"] = hashlib.sha256(content).digest()
    plan.insert(DOCUMENT, document)
    for row in rows_to_add:
        plan.insert(DOCUMENT_LINE, row)
    add_row(plan, DOCUMENTS, order["id"], document)
    plan.put(DOCUMENT_LINES, order["id"], {"rows": [*rows_of(plan, DOCUMENT_LINES, order["id"]), *rows_to_add]})
    plan.emit("invoice.issued" if draft.kind == "invoice" else "credit_note.issued", work.subject, canonical)
    work.changed = True
    return document


def entry_amounts(lines: Sequence[tuple[Coding, Amounts]]) -> dict[tuple[str, str | None], int]:
    """Net and tax by (account, VAT code), positive as on the document."""
    amounts: dict[tuple[str, str | None], int] = {}
    for coding, (_, net, tax) in lines:
        if net and coding.account:
            key = (coding.account, coding.vat_code)
            amounts[key] = amounts.get(key, 0) + net
        if tax:
            # without a tax account (nothing is due in that region) the amount stays part of the price
            key = (coding.tax_account or coding.account or "", coding.vat_code)
            amounts[key] = amounts.get(key, 0) + tax
    return amounts


def _post(work: Work, draft: DocumentDraft, number: str, corrected: Row | None) -> int | None:
    order = work.order
    sign = 1 if draft.kind == "invoice" else -1
    amounts = entry_amounts(draft.lines)
    total = sum(amounts.values())
    currency, party_id = order["currency"], order["party_id"]
    postings = [Posting(order["receivable"], sign * total, currency, party_id)] if total else []
    postings.extend(
        Posting(account, -sign * amount, currency, None, vat_code)
        for (account, vat_code), amount in amounts.items()
        if amount
    )
    if not postings:
        return None
    # the documents of the order are known: a ref with the next ordinal is not booked, and is not looked for
    work.plan.put(ENTRY_BY_REF, draft.ref, None)
    posted = post(
        work.plan,
        EntryDraft(
            ref=draft.ref,
            journal=work.rules.journals["sale"],
            kind=draft.kind,
            label=f"{_LABELS[draft.kind]} {number} {order['name']}",
            effective_date=work.today,
            postings=postings,
            document_ref=number,
            party_id=party_id,
            origin_date=draft.origin if draft.origin != work.today else None,
            corrects_id=corrected["entry_id"] if corrected else None,
        ),
    )
    return posted.entry_id


def _canonical(
    work: Work, draft: DocumentDraft, document: Row, corrected: Row | None, region: str | None
) -> tuple[Row, list[Row]]:
    """The document as everything outside reads it, and the rows of its lines."""
    order, currency = work.order, work.order["currency"]
    states = {state.row["external_id"]: state for state in work.lines}
    lines: list[Row] = []
    rows: list[Row] = []
    taxes: dict[tuple[str | None, str | None], list[int]] = {}
    for position, (coding, amounts) in enumerate(draft.lines, 1):
        state = states.get(coding.source)
        line = state.row if state is not None else None
        title = line["title"] if line else (draft.titles or {}).get(coding.source, coding.source)
        rate = coding.rate if coding.kind != "channel_tax" else None
        unit_price, discount = _price(state, coding, amounts)
        lines.append(
            {
                "kind": coding.kind,
                "sku": line["sku"] if line else None,
                "item_id": line["item_id"] if line else None,
                "title": title,
                "quantity": amounts.quantity,
                "unit_price": Money(unit_price, currency),
                "discount": Money(discount, currency),
                "net": Money(amounts.net, currency),
                "tax": Money(amounts.tax, currency),
                "rate": Decimal(rate) if rate else None,
                "vat_code": coding.vat_code,
            }
        )
        rows.append(
            {
                "document_id": document["id"],
                "order_id": order["id"],
                "line": position,
                "source": coding.source,
                "kind": coding.kind,
                "sku": lines[-1]["sku"],
                "item_id": lines[-1]["item_id"],
                "title": title,
                "quantity": amounts.quantity,
                "net": amounts.net,
                "tax": amounts.tax,
                "rate": coding.rate,
                "vat_code": coding.vat_code,
                "account": coding.account,
                "tax_account": coding.tax_account,
            }
        )
        if coding.vat_code is not None:
            sums = taxes.setdefault((coding.vat_code, rate), [0, 0])
            sums[0] += amounts.net
            sums[1] += amounts.tax
    contact = work.contact
    party = contact.party
    canonical: Row = {
        "id": document["id"],
        "kind": draft.kind,
        "number": document["number"],
        "order_id": order["id"],
        "order_name": order["name"],
        "connection_id": order["connection_id"],
        "issued_at": _instant(work.plan.now),
        "effective_date": document["effective_date"].isoformat(),
        # the day of the order, of the refund or of the edit, when it is another one
        "supply_date": draft.origin.isoformat() if draft.origin else None,
        "currency": currency,
        "prices_include_tax": order["prices_include_tax"],
        "party": {
            "id": order["party_id"],
            "external_id": party.external_id,
            "name": party.name,
            "company": party.company,
            "email": party.email,
            "phone": party.phone,
            "vat_number": party.vat_number,
            "language": party.language,
        },
        "billing_address": _address(contact.billing_address),
        "shipping_address": _address(contact.shipping_address),
        "lines": lines,
        "taxes": [
            {
                "vat_code": vat_code,
                "rate": Decimal(rate) if rate else None,
                "base": Money(base, currency),
                "tax": Money(tax, currency),
            }
            for (vat_code, rate), (base, tax) in taxes.items()
        ],
        "total_net": Money(document["total_net"], currency),
        "total_tax": Money(document["total_tax"], currency),
        "total": Money(document["total"], currency),
        "presentment_total": _presentment(order) if draft.kind == "invoice" and document["ordinal"] == 1 else None,
        "corrects_number": corrected["number"] if corrected else None,
        "corrects_date": corrected["effective_date"].isoformat() if corrected else None,
        "reason": draft.text or _REASONS.get(draft.reason or ""),
        "mentions": [text for text in (mention(region),) if text],
    }
    return canonical, rows


def _price(state: LineState | None, coding: Coding, amounts: Amounts) -> tuple[int, int]:
    """Unit price and discount as the shop shows them; a line that is only an amount is its own price."""
    if state is None or not amounts.quantity or coding.kind == "channel_tax":
        return amounts.net, 0
    row = state.row
    units, of = abs(amounts.quantity), row["quantity"]
    return row["unit_price"], share(state.discount, min(units, of), of) if of else 0


def _address(address: Address | None) -> Row | None:
    return msgspec.structs.asdict(address) if address is not None else None


def _presentment(order: Row) -> Money | None:
    if order["presentment_total"] is None:
        return None
    return Money(order["presentment_total"], order["presentment_currency"])


def order_region(work: Work, taxed: bool) -> str | None:
    """The region an order is taxed in, from its addresses."""
    contact = work.contact
    place = destination(contact.shipping_address, contact.billing_address, contact.party)
    return region_of(place, taxed, oss=work.policy.oss)


def summary(document: Row) -> dict[str, Any]:
    """Id and number of a document, as other events name it."""
    return {"id": document["id"], "number": document["number"]}
