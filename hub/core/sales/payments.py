"""Books money that moved, once by the shop's id, and announces it when the order has an invoice to name."""

from __future__ import annotations

from collections.abc import Sequence

from hub.core.ledger.posting import EntryDraft, Posting, post
from hub.core.plan import Row
from hub.core.sales.context import PAID, Work
from hub.core.sales.documents import summary
from hub.core.sales.snapshot import contact_of
from hub.core.sales.sources import DOCUMENTS, PAYMENTS, add_row, rows_of
from hub.core.sales.tables import PAYMENT
from hub.core.time import instant_of
from hub.db.types import instant_text
from hub.records.money import Money
from hub.records.order import Payment

_LABELS = {"payment": "Encaissement", "refund": "Remboursement"}


def book_payments(work: Work, items: Sequence[Payment]) -> None:
    """Books each payment that is new: what the provider owes us against the customer, and its fee apart (a net amount is
    never booked)."""
    known = {row["external_id"]: row for row in rows_of(work.plan, PAYMENTS, work.order["id"])}
    for payment in items:
        row = known.get(payment.external_id)
        if row is None:
            _book(work, payment)
        elif row["amount"] != payment.amount.amount or row["kind"] != payment.kind:
            _ask_changed(work, row, payment)
        elif row["fee"] is None and payment.fee is not None:
            work.plan.update(PAYMENT, row, fee=payment.fee.amount)
            _post_fee(work, row)


def _book(work: Work, payment: Payment) -> None:
    plan, order = work.plan, work.order
    if payment.amount.currency != order["currency"] or payment.amount.amount < 0:
        _ask_unbookable(work, payment)
        return
    paid_at = instant_of(payment.paid_at, f"payments[{payment.external_id}].paid_at")
    row: Row = {
        "id": plan.next_id(),
        "connection_id": order["connection_id"],
        "order_id": order["id"],
        "external_id": payment.external_id,
        "kind": payment.kind,
        "gateway": payment.gateway,
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "fee": payment.fee.amount if payment.fee is not None else None,
        "paid_at": paid_at,
        "effective_date": work.date(paid_at),
        "entry_id": None,
        "announced": False,
        "created_at": plan.now,
    }
    if row["amount"]:
        row["entry_id"] = _post(work, row)
    add_row(plan, PAYMENTS, order["id"], plan.insert(PAYMENT, row))
    _post_fee(work, row)
    work.changed = True


def _post(work: Work, row: Row) -> int:
    order = work.order
    amount = row["amount"] if row["kind"] == "payment" else -row["amount"]
    posted = post(
        work.plan,
        EntryDraft(
            ref=f"payment:{row['connection_id']}:{row['external_id']}",
            journal=work.rules.journals[row["kind"]],
            kind=row["kind"],
            label=f"{_LABELS[row['kind']]} {row['gateway']} {order['name']}",
            effective_date=row["effective_date"],
            postings=[
                Posting(work.rules.clearing(row["gateway"]), amount, row["currency"]),
                Posting(order["receivable"], -amount, row["currency"], order["party_id"]),
            ],
            document_ref=order["name"],
            party_id=order["party_id"],
        ),
    )
    return posted.entry_id


def _post_fee(work: Work, row: Row) -> None:
    fee = row["fee"]
    if not fee:
        return
    work.changed = True
    post(
        work.plan,
        EntryDraft(
            ref=f"fee:{row['connection_id']}:{row['external_id']}",
            journal=work.rules.journals[row["kind"]],
            kind="fee",
            label=f"Commission {row['gateway']} {work.order['name']}",
            effective_date=row["effective_date"],
            postings=[
                Posting(work.rules.fees, fee, row["currency"]),
                Posting(work.rules.clearing(row["gateway"]), -fee, row["currency"]),
            ],
            document_ref=work.order["name"],
        ),
    )


def book_cash_rounding(work: Work) -> None:
    """Books what the till rounded off a paid order, as a level: customers against the rounding accounts."""
    order = work.order
    target, before = order["rounding"], order["rounding_booked"]
    if target == before or not work.paid:
        return
    amounts: dict[str, int] = {order["receivable"]: target - before}
    for sign, amount in ((-1, target), (1, before)):
        if amount:
            account = work.rules.rounding(-amount)
            amounts[account] = amounts.get(account, 0) + sign * amount
    post(
        work.plan,
        EntryDraft(
            ref=f"rounding:{order['id']}:{order['header_as_of']}",
            journal=work.rules.journals["other"],
            kind="rounding",
            label=f"Arrondi de caisse {order['name']}",
            effective_date=work.today,
            postings=[
                Posting(
                    account, amount, order["currency"], order["party_id"] if account == order["receivable"] else None
                )
                for account, amount in amounts.items()
                if amount
            ],
            document_ref=order["name"],
            party_id=order["party_id"],
        ),
    )
    work.set(rounding_booked=target)


def missing_payments(work: Work) -> bool:
    """The header tells of money that no payment booked so far explains, and the payments were not read since. What came and
    went back whole adds up to nothing, and was there all the same."""
    order = work.order
    if order["financial_status"] not in PAID | {"PARTIALLY_PAID"}:
        return False
    if order["payments_as_of"] is not None and order["payments_as_of"] >= order["header_as_of"]:
        return False
    rows = rows_of(work.plan, PAYMENTS, order["id"])
    booked = sum(row["amount"] if row["kind"] == "payment" else -row["amount"] for row in rows)
    expected: int = order["current_total"] - order["outstanding"] + order["rounding"]
    return bool(booked != expected) or (order["financial_status"] == "REFUNDED" and not rows)


def announce_payments(work: Work) -> None:
    """Tells of payments that have not been told, once the order has an invoice that they pay: the oldest payment pays the
    oldest invoice first. A refund is told with the first invoice, and so is money for which no invoice is left: what was
    paid again after some was given back."""
    plan, order = work.plan, work.order
    waiting = [row for row in rows_of(plan, PAYMENTS, order["id"]) if not row["announced"]]
    if not waiting:
        return
    invoices = [row for row in rows_of(plan, DOCUMENTS, order["id"]) if row["kind"] == "invoice"]
    if not invoices:
        return
    paid = _allocated(rows_of(plan, PAYMENTS, order["id"]), invoices)
    party = contact_of(order).party if order["contact"] else None
    unallocated = [(invoices[0], 0)]
    all_invoiced = order["invoiced"] and order["outstanding"] <= 0
    for row in waiting:
        over = unallocated if all_invoiced and row["amount"] else []
        parts = paid.get(row["id"], over) if row["kind"] == "payment" else unallocated
        if not parts:
            continue  # what it pays is not invoiced yet
        plan.emit(
            "payment.received" if row["kind"] == "payment" else "payment.refunded",
            work.subject,
            {
                "payment": {
                    "id": row["id"],
                    "external_id": row["external_id"],
                    "kind": row["kind"],
                    "gateway": row["gateway"],
                    "amount": Money(row["amount"], row["currency"]),
                    "fee": Money(row["fee"], row["currency"]) if row["fee"] is not None else None,
                    "paid_at": instant_text(row["paid_at"]),
                    "effective_date": row["effective_date"].isoformat(),
                },
                "invoice": summary(parts[0][0]),
                "allocations": [
                    {"invoice": summary(invoice), "amount": Money(part, row["currency"])}
                    for invoice, part in parts
                    if part
                ],
                "order_id": order["id"],
                "order_name": order["name"],
                "connection_id": order["connection_id"],
                "party": {
                    "id": order["party_id"],
                    "external_id": party.external_id if party else None,
                    "name": party.name if party else None,
                    "email": party.email if party else None,
                },
            },
        )
        plan.update(PAYMENT, row, announced=True)


def _allocated(payments: list[Row], invoices: list[Row]) -> dict[int, list[tuple[Row, int]]]:
    """Which invoices each payment pays, and how much of each. Those that were told of keep what they paid."""
    open_ones = [[invoice, invoice["total"]] for invoice in invoices if invoice["total"] > 0]
    result: dict[int, list[tuple[Row, int]]] = {}
    for row in sorted(payments, key=lambda each: (not each["announced"], each["paid_at"], each["id"])):
        left = row["amount"] if row["kind"] == "payment" else 0
        for part in open_ones:
            taken = min(left, part[1])
            if taken > 0:
                result.setdefault(row["id"], []).append((part[0], taken))
                part[1] -= taken
                left -= taken
    return result


def _ask_changed(work: Work, row: Row, payment: Payment) -> None:
    work.ask(
        "payment.changed",
        f"payment {payment.external_id} of order {work.order['name']} is booked with {Money(row['amount'], row['currency'])}, "
        f"and the shop now says {payment.kind} of {payment.amount}: what is booked stays",
        {
            "payment": payment.external_id,
            "booked": str(Money(row["amount"], row["currency"])),
            "found": str(payment.amount),
        },
    )


def _ask_unbookable(work: Work, payment: Payment) -> None:
    work.ask(
        "payment.currency",
        f"payment {payment.external_id} of order {work.order['name']} is {payment.amount}: payments are positive amounts in "
        f"{work.order['currency']}",
        {"payment": payment.external_id, "found": str(payment.amount), "expected": work.order["currency"]},
    )
