"""Brings the documents of an order to the level of its snapshot: what is missing is invoiced, what is too much credited.

The level of a line depends on what the shop says now and on nothing else, so that every way of getting there (all
snapshots, some of them, in any order) ends with the same net amounts per account and VAT code.

Two things depend on when they were seen, because a document stays as it was issued: an amount given back for no line is
split over the rates by what was left of each when it was credited, and an order that was paid, then made larger and is not
paid in full again has its first invoice only if it was seen before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.core.plan import Row
from hub.core.sales.composition import (
    NOTHING,
    ROUNDING,
    Amounts,
    Coding,
    Composition,
    Regime,
    add,
    adjustment_parts,
    booked,
    gross,
    kept,
    line_net,
    merge,
    refunded_line,
    returned_units,
    snap,
    whole,
)
from hub.core.sales.context import Work
from hub.core.sales.documents import DocumentDraft, issue
from hub.core.sales.regions import destination
from hub.core.sales.snapshot import LineState, RefundContent, content_of
from hub.core.sales.sources import DOCUMENT_LINES, DOCUMENTS, REFUNDS, rows_of
from hub.core.sales.tables import REFUND
from hub.records.money import Money

#: kinds whose `current_quantity` counts what refunds took too; of the others a refund is an amount
_GOODS = frozenset({"product", "gift_card"})
#: reason of an adjustment that settles what an edit made due: it is money only, the sale is credited by the edit
BALANCE = "balance"


@dataclass(slots=True)
class _Refund:
    row: Row
    content: RefundContent
    credited: bool
    #: by line: parts given back
    parts: dict[str, Composition] = field(default_factory=dict)
    adjustments: Composition = field(default_factory=dict)

    def all(self) -> Composition:
        total: Composition = {}
        for part in self.parts.values():
            merge(total, part)
        merge(total, self.adjustments)
        return total


def bring_documents_to_level(work: Work) -> bool:
    """Issues the documents that are missing. Answers whether all that was sold is invoiced now.

    Raises: UnmappedTax, with nothing planned."""
    order = work.order
    refunds = [_Refund(row, content_of(row), row["credited"]) for row in rows_of(work.plan, REFUNDS, order["id"])]
    removed = removed_units(work, [refund.content for refund in refunds])
    documents = rows_of(work.plan, DOCUMENTS, order["id"])
    if removed is None or (not documents and not work.due):
        return False
    regime = _regime(work)
    lines = rows_of(work.plan, DOCUMENT_LINES, order["id"]) if documents else []
    so_far = booked(lines, {row["id"]: 1 if row["kind"] == "invoice" else -1 for row in documents})
    _read_credited(refunds, documents, lines)
    target = _level(work, regime, refunds, removed)

    difference: Composition = {}
    merge(difference, target)
    merge(difference, so_far, -1)
    for refund in refunds:
        if refund.credited:
            merge(difference, refund.all(), -1)
    roundings = {coding: difference.pop(coding) for coding in list(difference) if coding.source == ROUNDING}
    more = {coding: part for coding, part in difference.items() if _sign(part) > 0}
    less = {coding: Amounts(*(-x for x in part)) for coding, part in difference.items() if _sign(part) < 0}
    if not documents:  # the first invoice shows the order as it is, with its negative lines
        more, less = {coding: part for coding, part in difference.items() if part != NOTHING}, {}
    waits = bool(more) and not work.due
    if waits:
        merge(target, more, -1)
        more = {}
    to_credit, all_credited = _credit(work, regime, refunds, target) if documents or more else ([], not refunds)
    drafts = _drafts(work, more, less, to_credit)
    if not waits and all_credited:
        _round(work, target, refunds, {coding: -part.net for coding, part in roundings.items()}, drafts, documents)
    for draft in drafts:
        document_refund = draft.refund
        issue(work, draft, regime.region)
        if document_refund is not None:
            work.plan.update(REFUND, document_refund, credited=True)
    return not waits and (bool(documents) or bool(drafts) or not any(part != NOTHING for part in target.values()))


def _sign(part: Amounts) -> int:
    return part.net + part.tax or part.net or part.quantity


def _regime(work: Work) -> Regime:
    contact = work.contact
    return Regime(
        rules=work.rules,
        place=destination(contact.shipping_address, contact.billing_address, contact.party),
        included=work.order["prices_include_tax"],
        oss=work.policy.oss,
        taxed=any(tax[1] and not tax[2] for state in work.lines for tax in state.taxes),
    )


def removed_units(work: Work, refunds: list[RefundContent]) -> dict[str, int] | None:
    """Units that edits took away, by line. None when lines and refunds are not of one instant and do not explain each
    other: then the order is to be read."""
    refunded = returned_units(refunds)
    fresh = work.fresh("lines", "refunds")
    removed: dict[str, int] = {}
    for state in work.lines:
        row = state.row
        units = row["quantity"] - refunded.pop(row["external_id"], 0) - row["current_quantity"]
        if units < 0 and row["kind"] not in _GOODS:
            units = 0
        if units and not fresh:
            work.needs.add("read_back")
            return None
        removed[row["external_id"]] = min(max(0, units), row["quantity"])
    if refunded:  # a refund of a line that is not known yet
        work.needs.add("read_back")
        return None
    return removed


def _read_credited(refunds: list[_Refund], documents: list[Row], lines: list[Row]) -> None:
    by_refund = {row["refund_id"]: row["id"] for row in documents if row["refund_id"] is not None}
    for refund in refunds:
        document_id = by_refund.get(refund.row["id"])
        if document_id is None:
            continue
        for coding, amounts in booked(lines, {document_id: 1}).items():
            if coding.source == ROUNDING:
                continue
            if coding.source.startswith("~refund:"):
                add(refund.adjustments, coding, *amounts)
            else:
                add(refund.parts.setdefault(coding.source, {}), coding, *amounts)


def _level(work: Work, regime: Regime, refunds: list[_Refund], removed: dict[str, int]) -> Composition:
    """What all invoices less the credit notes of edits should say; fills in the figures of refunds not credited yet."""
    target: Composition = {}
    for state in work.lines:
        row = state.row
        source, units = row["external_id"], row["quantity"]
        parts = whole(state, regime)
        level = kept(parts, units - removed[source], units) if units else parts
        if refunds:
            level = _with_refunds(work, row, parts, level, refunds)
        elif work.withdrawn:
            level = {}
        merge(target, level)
    return target


def _with_refunds(work: Work, row: Row, parts: Composition, level: Composition, refunds: list[_Refund]) -> Composition:
    source = row["external_id"]
    given_back: Composition = {}
    last: _Refund | None = None
    units = touched = 0
    for refund in refunds:
        figures = refund.parts.get(source)
        quantity = 0
        for line_id, count, subtotal, tax, _ in (*refund.content.lines, *refund.content.shipping):
            if line_id == source:
                quantity += count
                touched += 1
                if not refund.credited:
                    figures = figures if figures is not None else {}
                    merge(figures, refunded_line(parts, count, subtotal, tax))
        units += quantity
        if figures:
            refund.parts[source] = figures
            merge(given_back, figures)
            if not refund.credited:
                last = refund
    if work.withdrawn:
        return given_back
    ended = row["current_quantity"] == 0 if row["kind"] in _GOODS else units >= row["quantity"]
    if not ended or not touched:
        return level
    if last is None:
        return snap(level, given_back, 1 + touched)
    own = last.parts[source]
    rest = dict(level)
    merge(rest, given_back, -1)
    merge(rest, own)
    last.parts[source] = snap(own, rest, 1 + touched)
    return level


def _credit(work: Work, regime: Regime, refunds: list[_Refund], sold: Composition) -> tuple[list[_Refund], bool]:
    """The refunds to credit now, with their adjustments. False when one is more than what is invoiced."""
    credited: Composition = {}
    for refund in refunds:
        if refund.credited:
            merge(credited, refund.all())
    ready: list[_Refund] = []
    tolerance = max(1, len(work.lines))
    for refund in refunds:
        if refund.credited:
            continue
        content = refund.content
        for part in refund.parts.values():
            merge(credited, part)
        adjustments = [part for part in content.adjustments if part[0] != BALANCE]
        if not (content.lines or content.shipping or content.adjustments) and refund.row["total"]:
            adjustments = [(refund.row["note"] or "refund", refund.row["total"], 0)]
        if adjustments and not work.fresh("header", "lines", "refunds"):
            # how it is split depends on all that is sold and due: sections of another instant would split it otherwise
            work.needs.add("read_back")
            return ready, False
        fits = True
        for _, amount, tax in adjustments:
            parts = adjustment_parts(refund.row["external_id"], amount, tax, sold, credited, regime)
            if parts is None:
                fits = False
                break
            merge(refund.adjustments, parts)
            merge(credited, parts)
        if not fits or _exceeds(sold, credited, tolerance):
            _ask_exceeds(work, refund, sold, credited)
            return ready, False
        ready.append(refund)
    return ready, True


def _exceeds(sold: Composition, credited: Composition, tolerance: int) -> bool:
    left: dict[str | None, int] = {}
    for sign, composition in ((1, sold), (-1, credited)):
        for coding, part in composition.items():
            left[coding.vat_code] = left.get(coding.vat_code, 0) + sign * (part.net + part.tax)
    return any(amount < -tolerance for amount in left.values())


def _ask_exceeds(work: Work, refund: _Refund, sold: Composition, credited: Composition) -> None:
    currency = work.order["currency"]
    work.ask(
        "refund.exceeds",
        f"refund {refund.row['external_id']} of order {work.order['name']} gives back more than is invoiced, for all or for "
        "one rate of tax: no credit note is issued for it",
        {
            "refund": refund.row["external_id"],
            "total": str(Money(refund.row["total"], currency)),
            "invoiced": str(Money(gross(sold.values()), currency)),
            "credited": str(Money(gross(credited.values()) - gross(refund.all().values()), currency)),
        },
    )


def _drafts(work: Work, more: Composition, less: Composition, to_credit: list[_Refund]) -> list[DocumentDraft]:
    order = work.order
    documents = rows_of(work.plan, DOCUMENTS, order["id"])
    drafts: list[DocumentDraft] = []
    credits_so_far = sum(row["kind"] == "credit_note" for row in documents)
    if more:
        ordinal = 1 + len(documents) - credits_so_far
        origin = work.date(order["placed_at"] if ordinal == 1 else order["lines_as_of"])
        drafts.append(DocumentDraft("invoice", f"invoice:{order['id']}:{ordinal}", list(more.items()), origin=origin))
    if less:
        drafts.append(
            DocumentDraft(
                "credit_note",
                f"credit_note:{order['id']}:{credits_so_far + 1}",
                list(less.items()),
                "edit" if order["cancelled_at"] is None else "cancel",
                origin=work.date(order["cancelled_at"] or order["lines_as_of"]),
            )
        )
    for refund in to_credit:
        parts = list(refund.all().items())
        if not parts:
            work.plan.update(REFUND, refund.row, credited=True)
            continue
        reasons = [reason for reason, _, _ in refund.content.adjustments]
        text = refund.row["note"] or ", ".join(reasons) or None
        drafts.append(
            DocumentDraft(
                "credit_note",
                f"refund:{order['connection_id']}:{refund.row['external_id']}",
                parts,
                "refund",
                text,
                refund.row,
                work.date(refund.row["refunded_at"]),
                {f"~refund:{refund.row['external_id']}": ", ".join(reasons) or text or "Remboursement"},
            )
        )
    return drafts


def _round(
    work: Work,
    target: Composition,
    refunds: list[_Refund],
    so_far: dict[Coding, int],
    drafts: list[DocumentDraft],
    documents: list[Row],
) -> None:
    """Adds what the shop's total differs from its lines by, on the rounding accounts; more than a unit a line is asked.

    The rounding is a level too: on each of the two accounts it is what the newest totals leave."""
    order = work.order
    net = gross(target.values()) - sum(gross(refund.all().values()) for refund in refunds)
    sections = ("header", "lines") if order["refunds_as_of"] is None else ("header", "lines", "refunds")
    if work.withdrawn:
        rounding = 0
    elif work.fresh(*sections) and work.due:
        rounding = order["current_total"] - net
        if abs(rounding) > max(1, len(work.lines)):
            currency = order["currency"]
            work.ask(
                "order.sums",
                f"order {order['name']} has {Money(order['current_total'], currency)} left in the shop, and "
                f"{Money(net, currency)} by its lines and refunds",
                {
                    "expected": str(Money(order["current_total"], currency)),
                    "found": str(Money(net, currency)),
                    "difference": str(Money(rounding, currency)),
                },
            )
            rounding = 0 if documents else _first_rounding(work)
            if documents:
                return
    elif not documents:
        rounding = _first_rounding(work)
    else:
        return
    wanted: dict[str, int] = {}
    if rounding:
        wanted[work.rules.rounding(-rounding)] = rounding
    for coding, amount in so_far.items():
        wanted[coding.account or ""] = wanted.get(coding.account or "", 0) - amount
    parts = [
        (Coding(ROUNDING, "rounding", account, None, None, None), amount)
        for account, amount in wanted.items()
        if amount
    ]
    if parts:
        _attach(work, parts, drafts)


def _first_rounding(work: Work) -> int:
    difference = work.order["total"] - ordered_total(work.lines, work.order["prices_include_tax"])
    return difference if abs(difference) <= max(1, len(work.lines)) else 0


def _attach(work: Work, parts: list[tuple[Coding, int]], drafts: list[DocumentDraft]) -> None:
    if not drafts:
        more = sum(amount for _, amount in parts) >= 0
        documents = rows_of(work.plan, DOCUMENTS, work.order["id"])
        kind = "invoice" if more else "credit_note"
        ordinal = 1 + sum(row["kind"] == kind for row in documents)
        drafts.append(DocumentDraft(kind, f"{kind}:{work.order['id']}:{ordinal}", [], None if more else "edit"))
    draft = drafts[0]
    sign = 1 if draft.kind == "invoice" else -1
    draft.titles = {**(draft.titles or {}), ROUNDING: "Arrondi"}
    draft.lines.extend((coding, Amounts(0, sign * amount, 0)) for coding, amount in parts)


def ordered_total(lines: list[LineState], included: bool) -> int:
    """What the shop's lines add up to, taxes and all, as they were ordered."""
    return sum(
        line_net(state, included) + sum(tax[1] for tax in state.taxes) for state in lines if state.row["present"]
    )
