"""`ledger.totals`: stored entries, and those of the very plan that asks."""

from __future__ import annotations

import json

from lab_hub import Lab
from lab_orders import ORDER, ORDERS, order

SUMS = (
    "flow: sums\non: {event: invoice.issued}\nsteps:\n"
    "  - ledger.totals: {from: \"'2026-11-01'\", to: \"'2026-11-30'\", JOURNALSas: sums}\n"
    "  - deliver: {role: books, operation: invoice.create, key: invoice.number, body: \"{'sums': [[each.account, each.vat_code, "
    'each.debit.amount, each.credit.amount, each.balance.amount] for each in sums]}"}\n'
)


def booked(lab: Lab, *numbers: int) -> list[list[list[object]]]:
    """The totals that each invoice was told of."""
    lab.trigger("items", {"sku": "MUG", "title": "Mug"})
    lab.work()
    for number in numbers:
        lab.receive(order(number), topic="orders/changed", kind="order")
        lab.work()
    return [json.loads(row.body)["sums"] for row in lab.deliveries(operation="invoice.create")]


def test_what_was_stored_and_what_this_plan_posts_is_summed(lab: Lab) -> None:
    lab.write(orders=ORDERS, lab__order=ORDER, sums=SUMS.replace("JOURNALS", "journals: [VE], "))
    first, second = booked(lab, 1, 2)
    assert sum(row[4] for row in first) == 0, "debit equals credit"  # type: ignore[misc]
    assert max(row[2] for row in first) == 1200  # type: ignore[type-var]
    assert second == [
        [account, vat, debit * 2, credit * 2, balance * 2] for account, vat, debit, credit, balance in first
    ]  # type: ignore[operator]
    assert [row[0] for row in first] == sorted(row[0] for row in first)  # type: ignore[type-var]
    assert any(row[1] is not None for row in first)


def test_other_days_and_journals_do_not_count(lab: Lab) -> None:
    lab.write(orders=ORDERS, lab__order=ORDER, sums=SUMS.replace("JOURNALS", "journals: [XX], "))
    assert booked(lab, 1) == [[]]
    lab.write(sums=SUMS.replace("JOURNALS", "").replace("2026-11-", "2026-10-").replace("30'", "31'"))
    assert booked(lab, 2)[1] == []
    lab.write(sums=SUMS.replace("JOURNALS", "").replace("'2026-11-01'", "'no day'"))
    booked(lab, 3)
    assert "ledger.days" in [question.kind for question in lab.questions()]
