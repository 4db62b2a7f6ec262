"""What an order must fulfil before anything of it is booked, and the check of its taxes."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hub.core.sales.composition import line_net, share
from hub.core.sales.context import Work
from hub.core.sales.invoicing import ordered_total
from hub.records.money import Money
from hub.records.order import Order


def currencies_fit(work: Work, order: Order, currency: str) -> bool:
    """All money is in the book's currency; else a question, and nothing is booked."""
    found = {work.order["currency"]}
    if order.header is not None:
        found.update(
            (order.header.total.currency, order.header.current_total.currency, order.header.outstanding.currency)
        )
    if order.lines is not None:
        found.update(line.gross.currency for line in order.lines.items)
    if order.refunds is not None:
        found.update(refund.total.currency for refund in order.refunds.items)
    if found == {currency}:
        return True
    other = ", ".join(sorted(found - {currency}))
    work.ask(
        "order.currency",
        f"order {work.order['name']} is in {other}, and the book in {currency}: nothing of it is booked",
        {"expected": currency, "found": other},
    )
    return False


def quantities_fit(work: Work) -> bool:
    """No line has fewer than no units: an exchange is a return and a new line, never one that is netted."""
    wrong = [state.row for state in work.lines if state.row["quantity"] < 0 or state.row["current_quantity"] < 0]
    if not wrong:
        return True
    work.ask(
        "order.quantity",
        f"order {work.order['name']} has a negative quantity ({wrong[0]['title']}: {wrong[0]['quantity']}): nothing of it is "
        "booked",
        {"lines": [{"title": row["title"], "quantity": row["quantity"]} for row in wrong]},
    )
    return False


def sums_fit(work: Work) -> bool:
    """The lines add up to the total of the header, as ordered or as left by edits, but for a unit of rounding a line.

    Sections of different instants that do not fit are to be read back; of the same instant they are a question."""
    order, included = work.order, work.order["prices_include_tax"]
    tolerance = max(1, sum(state.row["present"] for state in work.lines))
    found = ordered_total(work.lines, included)
    if abs(order["total"] - found) <= tolerance:
        return True
    if abs(order["total"] - _left_total(work)) <= tolerance:
        return True
    if not work.fresh("header", "lines"):
        work.needs.add("read_back")
        return False
    currency = order["currency"]
    work.ask(
        "order.sums",
        f"the lines of order {order['name']} add up to {Money(found, currency)}, and its total is "
        f"{Money(order['total'], currency)}: nothing of it is booked",
        {
            "expected": str(Money(order["total"], currency)),
            "found": str(Money(found, currency)),
            "difference": str(Money(order["total"] - found, currency)),
        },
    )
    return False


def _left_total(work: Work) -> int:
    """The sum of the lines as edits and refunds left them."""
    total = 0
    for state in work.lines:
        row = state.row
        if not row["present"] or not row["quantity"]:
            continue
        amount = line_net(state, work.order["prices_include_tax"]) + sum(tax[1] for tax in state.taxes)
        total += share(amount, min(row["current_quantity"], row["quantity"]), row["quantity"])
    return total


def check_taxes(work: Work) -> None:
    """Each tax line is its rate of the line, but for a unit of rounding (half a unit for each unit sold when the shop
    rounds them one by one). What differs is asked about, and booked as the shop has it."""
    wrong = []
    included = work.order["prices_include_tax"]
    for state in work.lines:
        if not state.taxes or not state.row["present"]:
            continue
        net = line_net(state, included)
        tolerance = max(1, (state.row["quantity"] + 1) // 2)
        for rate, amount, _, title in state.taxes:
            expected = int((Decimal(rate) * net).quantize(Decimal(1), ROUND_HALF_UP))
            if abs(expected - amount) > tolerance:
                wrong.append((state.row["title"], title, rate, expected, amount))
    if not wrong:
        return
    currency = work.order["currency"]
    work.ask(
        "order.tax",
        f"order {work.order['name']}: the tax {wrong[0][1]} of {wrong[0][0]!r} is {Money(wrong[0][4], currency)}, by its rate "
        f"{Money(wrong[0][3], currency)}: booked as the shop has it",
        {
            "lines": [
                {
                    "title": title,
                    "tax": tax,
                    "rate": rate,
                    "expected": str(Money(expected, currency)),
                    "found": str(Money(amount, currency)),
                }
                for title, tax, rate, expected, amount in wrong
            ]
        },
        {"answer": "accept", "needs": [], "text": "The shop's figure is right"},
    )
