"""Brings the books and the stock to the level of an order's snapshot.

`sync` compares each complete section of a snapshot with what is booked and books the difference, and nothing else: the same
snapshot again, an older one, one that came late or one that was never seen make no difference to the balances that are
left in the end.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hub.core.ledger.book import book_of
from hub.core.ledger.rules import Rules, UnmappedTax
from hub.core.plan import Plan, Row
from hub.core.sales.checks import check_taxes, currencies_fit, quantities_fit, sums_fit
from hub.core.sales.context import Policy, Work
from hub.core.sales.goods import bring_goods_to_level, resolve_items, to_hold
from hub.core.sales.invoicing import bring_documents_to_level
from hub.core.sales.parties import take_party
from hub.core.sales.payments import announce_payments, book_cash_rounding, book_payments, missing_payments
from hub.core.sales.references import order_ref
from hub.core.sales.regions import vat_country
from hub.core.sales.release import announce_order
from hub.core.sales.restock import replenish_orders
from hub.core.sales.snapshot import (
    Freshness,
    contact_bytes,
    digest,
    freshness,
    fulfilments_digest,
    header_values,
    line_states,
    lines_digest,
    lines_values,
    payments_digest,
    refunds_digest,
    stamp,
    take_fulfilments,
    take_lines,
    take_refunds,
)
from hub.core.sales.sources import ORDERS, start_order
from hub.core.sales.tables import SALES_ORDER
from hub.core.time import instant_of, local_date
from hub.records.money import Money
from hub.records.order import Header, Order

Outcome = Literal["new", "changed", "unchanged", "question", "test", "before_go_live", "unknown"]


class SyncResult(msgspec.Struct, frozen=True):
    """What a sync did. `needs`: what has to be read from the shop: `read_back` (the whole order), `payments`."""

    order_id: int | None
    outcome: Outcome
    needs: set[str]


def sync(
    plan: Plan,
    order: Order,
    *,
    connection_id: int,
    go_live_at: int | None,
    policy: Policy,
    rules: Rules,
    read_back: bool = False,
) -> SyncResult:
    """Books what an order's snapshot says and the books do not.

    `go_live_at`: UTC microseconds; orders placed before it, or all when it is null, are known and never posted.
    `read_back`: the snapshot was read because an earlier one conflicted; at an equal stamp it holds.
    """
    if order.header is not None and order.header.test:
        return SyncResult(None, "test", set())
    row = plan.get(ORDERS, (connection_id, order.external_id))
    if row is None and (order.header is None or not order.header.complete):
        return SyncResult(None, "unknown", {"read_back"})
    new = row is None
    book = book_of(plan)
    if row is None:
        assert order.header is not None
        row = _start(plan, order.external_id, order.header, connection_id, rules)
    work = Work(plan, row, rules, policy, book["zone"], local_date(plan.now, book["zone"]))
    if not new:
        _take_header(work, order, read_back)
    if go_live_at is None or row["placed_at"] < go_live_at:
        work.set(state="before_go_live")
        return SyncResult(row["id"], "before_go_live", set())
    asked = _work(work, order, book["currency"], read_back)
    outcome: Outcome = "question" if asked else "new" if new else "changed" if work.changed else "unchanged"
    return SyncResult(row["id"], outcome, work.needs)


def _work(work: Work, order: Order, currency: str, read_back: bool) -> bool:
    """Works the order; answers whether it has a question open."""
    if not currencies_fit(work, order, currency):
        work.settle_questions(all_checked=False)
        return True
    _take_sections(work, order, read_back)
    work.lines = line_states(work.plan, work.order)
    if work.order["lines_as_of"] is None:
        work.needs.add("read_back")
        return False
    if not quantities_fit(work) or not sums_fit(work):
        work.settle_questions(all_checked=False)
        return bool(work.asked)
    resolve_items(work)
    if order.payments is not None and _payments_hold(work, order, read_back):
        book_payments(work, order.payments.items)
    book_cash_rounding(work)
    check_taxes(work)
    _documents(work)
    freed = bring_goods_to_level(work)
    if work.policy.payments == "read" and missing_payments(work) and not (read_back and order.payments is not None):
        work.needs.add("payments")
    announce_payments(work)
    announce_order(work)
    work.set(state=_state(work))
    if read_back and "read_back" in work.needs and _is_whole(order):
        _ask_unclear(work)
    work.settle_questions(all_checked=True)
    for item_id, place in sorted(freed):
        replenish_orders(work.plan, item_id, place)
    return bool(work.asked)


def _start(plan: Plan, external_id: str, header: Header, connection_id: int, rules: Rules) -> Row:
    party = take_party(plan, connection_id, header.party)
    business = vat_country(header.party.vat_number) is not None
    row: Row = {
        "connection_id": connection_id,
        "external_id": external_id,
        "ref": order_ref(connection_id, external_id),
        "party_id": party["id"],
        "state": "open",
        **header_values(header),
        "contact": contact_bytes(header),
        "data_key_id": None,
        "header_as_of": instant_of(header.as_of, "header.as_of"),
        "header_hash": digest(header),
        "lines_as_of": None,
        "lines_hash": None,
        "payments_as_of": None,
        "payments_hash": None,
        "refunds_as_of": None,
        "refunds_hash": None,
        "fulfilments_as_of": None,
        "fulfilments_hash": None,
        "receivable": rules.receivable["business" if business else "consumer"],
        "rounding_booked": 0,
        "invoiced": False,
        "released_at": None,
        "withdrawn_at": None,
        "questions": "",
        "created_at": plan.now,
        "updated_at": plan.now,
    }
    plan.insert(SALES_ORDER, row)
    start_order(plan, row)
    return row


def _holds(work: Work, section: str, part: Any, content: str, read_back: bool) -> bool:
    """The section is newer than the booked one and is now the booked one."""
    as_of = instant_of(part.as_of, f"{section}.as_of")
    state = freshness(work.order, section, as_of, content, read_back=read_back)
    if state is Freshness.CONFLICT:
        work.needs.add("read_back")
    if state is not Freshness.NEW:
        return False
    stamp(work.plan, work.order, section, as_of, content)
    work.changed = True
    return True


def _take_header(work: Work, order: Order, read_back: bool) -> None:
    header = order.header
    if header is None or not header.complete or not _holds(work, "header", header, digest(header), read_back):
        return
    work.set(**header_values(header), contact=contact_bytes(header))
    party = take_party(work.plan, work.order["connection_id"], header.party)
    if work.order["party_id"] is None:
        work.set(party_id=party["id"])


def _take_sections(work: Work, order: Order, read_back: bool) -> None:
    plan, row = work.plan, work.order
    if order.lines is not None and order.lines.complete:
        values = lines_values(order.lines)
        if _holds(work, "lines", order.lines, lines_digest(values), read_back):
            take_lines(plan, row, values)
    if (
        order.refunds is not None
        and order.refunds.complete
        and _holds(work, "refunds", order.refunds, refunds_digest(order.refunds), read_back)
    ):
        for refund in take_refunds(plan, row, order.refunds):
            _ask_refund_changed(work, refund)
    if (
        order.fulfilments is not None
        and order.fulfilments.complete
        and _holds(work, "fulfilments", order.fulfilments, fulfilments_digest(order.fulfilments), read_back)
    ):
        take_fulfilments(plan, row, order.fulfilments)


def _payments_hold(work: Work, order: Order, read_back: bool) -> bool:
    """The payments are to be booked: a newer complete section, or single facts of an incomplete one."""
    payments = order.payments
    if payments is None:
        return False
    if not payments.complete:
        return True
    return _holds(work, "payments", payments, payments_digest(payments), read_back)


def _ask_refund_changed(work: Work, refund: Row) -> None:
    work.ask(
        "refund.changed",
        f"refund {refund['external_id']} of order {work.order['name']} has its credit note, and the shop now has other figures "
        "for it: what is booked stays",
        {"refund": refund["external_id"], "credited": str(Money(refund["total"], work.order["currency"]))},
    )


def _is_whole(order: Order) -> bool:
    """All that documents are made from, of one instant: reading it once more would tell nothing new."""
    sections = (order.header, order.lines, order.refunds)
    return all(part is not None and part.complete for part in sections) and (
        len({part.as_of for part in sections if part is not None}) == 1
    )


def _ask_unclear(work: Work) -> None:
    work.needs.discard("read_back")
    work.ask(
        "order.unclear",
        f"order {work.order['name']} was read from the shop, and its lines, refunds and units do not explain each other: what "
        "is booked stays, and nothing more is invoiced",
        {
            "lines": [
                {
                    "title": state.row["title"],
                    "ordered": state.row["quantity"],
                    "left": state.row["current_quantity"],
                }
                for state in work.lines
            ]
        },
    )


def _documents(work: Work) -> None:
    mark = work.plan.mark()
    needs, asked, changed = set(work.needs), dict(work.asked), work.changed
    try:
        work.set(invoiced=bring_documents_to_level(work))
    except UnmappedTax as error:
        work.plan.rollback(mark)
        work.needs, work.asked, work.changed = needs, asked, changed
        work.set(invoiced=False)
        work.ask(error.kind, f"order {work.order['name']}: {error}", error.details, *error.answers)


def _state(work: Work) -> str:
    """Closed: nothing is left to invoice, to be paid or to be sent."""
    order = work.order
    if order["cancelled_at"] is not None:
        return "cancelled"
    unsent = any(
        to_hold(state.row) for state in work.lines if state.row["kind"] == "product" and state.row["requires_shipping"]
    )
    return "closed" if order["invoiced"] and order["outstanding"] == 0 and not unsent else "open"
