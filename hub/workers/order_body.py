"""One exported order as the body that the shop would have sent of it, or the question why it cannot be made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hub.records.money import Money
from hub.workers.order_cells import Cells, decimal_text
from hub.workers.order_columns import AddressColumns, Columns
from hub.workers.order_sums import Amounts, NotAdding, Reading, reading
from hub.workers.order_taxes import NotTold, OrderTax, Spread, Taxed, spread

_SETTLED = frozenset({"paid", "partially_refunded", "refunded"})


@dataclass(frozen=True)
class Ask:
    """A question in place of an order: nothing of it is booked."""

    kind: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Line:
    cells: Cells
    number: int
    quantity: int
    price: Money
    discount: Money
    taxable: bool | None

    @property
    def gross(self) -> int:
        return self.price.amount * self.quantity


@dataclass(frozen=True)
class _Head:
    """The amounts of an order as a whole."""

    total: Money
    shipping: Money
    tax: Money
    discount: Money
    refunded: Money
    duties: Money
    subtotal: Money | None
    outstanding: Money | None
    #: named taxes: (name, amount)
    taxes: list[tuple[str, Money]]


def body_of(
    head: Cells, rows: Sequence[Cells], external_id: str, columns: Columns
) -> tuple[dict[str, Any], Money, Ask | None] | None:
    """The body, the total and the question of an order; null where a cell cannot be used, which the cells tell."""
    currency = head.text(columns.order.currency) or ""
    amounts = _head(head, columns, currency)
    lines = [_line(row, number, columns, currency) for number, row in enumerate(rows, 1)]
    body = _plain(head, external_id, columns, currency)
    if amounts is None or any(line is None for line in lines):
        return None
    known = [line for line in lines if line is not None]
    name = head.text(columns.order.name)
    ask: Ask | None = None
    read, given = Reading(True, tuple(line.discount.amount for line in known)), None
    try:
        read = reading(_amounts(amounts, known), columns.prices_include_tax)
        given = _taxes(amounts, known, read, columns)
    except NotAdding as error:
        details = {"expected": str(amounts.total)}
        if error.found is not None:
            details["found"] = str(Money(error.found, currency))
        come_to = f"come to {details['found']}" if "found" in details else "are not clear"
        ask = Ask(
            "order.sums",
            f"the lines, shipping, discounts and taxes of order {name} {come_to}, and its total is {amounts.total} "
            f"({error}): nothing of it is booked",
            details,
        )
    except NotTold as error:
        taxes = [{"title": title, "amount": str(amount)} for title, amount in amounts.taxes]
        ask = Ask(
            "order.tax_detail",
            f"order {name} has {amounts.tax} of tax, and its export does not say on which lines: {error}. Nothing of it is "
            "booked; a hub that is connected to the shop reads the tax of each line",
            {"tax": str(amounts.tax), "taxes": taxes},
        )
    _fill(body, amounts, known, read, given, columns)
    return body, amounts.total, ask


def _head(head: Cells, columns: Columns, currency: str) -> _Head | None:
    order, zero = columns.order, Money(0, currency)
    total = head.money(order.total, currency)
    taxes = []
    for tax in columns.taxes:
        title, amount = head.text(tax.name), head.money(tax.amount, currency)
        if amount is not None and amount.amount:
            taxes.append((title or "", amount))
    named = sum((amount.amount for _, amount in taxes), 0)
    found = {
        each: head.money(getattr(order, each), currency)
        for each in ("shipping", "tax", "discount", "refunded", "duties", "subtotal", "outstanding")
    }
    if total is None:
        return None
    return _Head(
        total=total,
        shipping=found["shipping"] or zero,
        tax=found["tax"] or Money(named, currency),
        discount=found["discount"] or zero,
        refunded=found["refunded"] or zero,
        duties=found["duties"] or zero,
        subtotal=found["subtotal"],
        outstanding=found["outstanding"],
        taxes=taxes,
    )


def _line(row: Cells, number: int, columns: Columns, currency: str) -> _Line | None:
    quantity, price = row.whole(columns.line.quantity), row.money(columns.line.price, currency)
    discount = row.money(columns.line.discount, currency) or Money(0, currency)
    taxable = row.flag(columns.line.taxable)
    row.flag(columns.line.requires_shipping)
    if quantity is None or price is None:
        return None
    return _Line(row, number, quantity, price, discount, taxable)


def _amounts(head: _Head, lines: Sequence[_Line]) -> Amounts:
    return Amounts(
        lines=tuple(line.gross for line in lines),
        line_discounts=tuple(line.discount.amount for line in lines),
        shipping=head.shipping.amount,
        tax=head.tax.amount,
        discount=head.discount.amount,
        duties=head.duties.amount,
        total=head.total.amount,
        subtotal=head.subtotal.amount if head.subtotal is not None else None,
    )


def _taxes(head: _Head, lines: Sequence[_Line], read: Reading, columns: Columns) -> tuple[list[OrderTax], Spread]:
    """The taxes, and those of each line and of the shipping, which is last. Raises: NotTold."""
    if not head.tax.amount and not head.taxes:
        return [], [[] for _ in range(len(lines) + 1)]
    if not head.taxes:
        raise NotTold("it names no tax")
    named = Money(sum(amount.amount for _, amount in head.taxes), head.tax.currency)
    if named != head.tax:
        raise NotTold(f"the taxes that it names come to {named}")
    taxes = [OrderTax(title, _rate(title, columns), amount.amount) for title, amount in head.taxes]
    parts = [Taxed(line.gross - discount, line.taxable) for line, discount in zip(lines, read.discounts, strict=True)]
    return taxes, spread([*parts, Taxed(head.shipping.amount - read.shipping_discount)], taxes, read.included)


def _rate(title: str, columns: Columns) -> Decimal:
    found = re.search(columns.rate, title)
    if found is None:
        raise NotTold(f"the name of its tax {title!r} holds no rate (`rate` of the columns file says where it stands)")
    try:
        return Decimal(decimal_text(found[1], "," if "," in found[1] else ".")) / 100
    except ValueError:
        raise NotTold(f"{found[1]!r} in the name of its tax {title!r} is no rate") from None


def _plain(head: Cells, external_id: str, columns: Columns, currency: str) -> dict[str, Any]:
    """What is taken as it stands."""
    order = columns.order
    instants = [
        head.instant(each) for each in (order.created_at, order.paid_at, order.fulfilled_at, order.cancelled_at)
    ]
    return {
        "id": int(external_id),
        "name": head.text(order.name),
        "created_at": instants[0],
        "processed_at": instants[0],
        "updated_at": max((each for each in instants if each is not None), default=None),
        "cancelled_at": instants[3],
        "test": False,
        "currency": currency,
        "financial_status": (head.text(order.financial_status) or "").lower(),
        "email": head.text(order.email),
        "phone": head.text(order.phone),
        "note": head.text(order.note),
        "billing_address": _address(head, columns.billing),
        "shipping_address": _address(head, columns.shipping),
        "refunds": [],
        "fulfillments": [],
    }


def _address(head: Cells, columns: AddressColumns) -> dict[str, Any] | None:
    plain = {
        each: head.text(getattr(columns, each)) for each in ("company", "address1", "address2", "zip", "city", "phone")
    }
    found = {
        **plain,
        # the export has whole names
        "last_name": head.text(columns.name),
        # a spreadsheet keeps a postcode as text by an apostrophe before it
        "zip": (plain["zip"] or "").removeprefix("'") or None,
        "province_code": head.text(columns.province),
        "country_code": head.country(columns.country),
    }
    return found if any(found.values()) else None


def _fill(
    body: dict[str, Any],
    head: _Head,
    lines: Sequence[_Line],
    read: Reading,
    given: tuple[list[OrderTax], Spread] | None,
    columns: Columns,
) -> None:
    """Adds the amounts. Without `given` nobody knows the taxes of the lines."""
    taxes, spreads = given or ([], [[] for _ in range(len(lines) + 1)])
    currency = head.total.currency
    # without the column what is settled owes nothing, and all else owes its total
    owed = Money(0, currency) if body["financial_status"] in _SETTLED else head.total
    body.update(
        taxes_included=read.included,
        total_price=_text(head.total),
        total_tax=_text(head.tax),
        current_total_price=_text(head.total - head.refunded),
        # how much tax was in what was given back is not told
        current_total_tax=_text(head.tax) if not head.refunded.amount else None,
        total_outstanding=_text(head.outstanding if head.outstanding is not None else owed),
        line_items=[
            {
                "id": body["id"] * 1000 + line.number,
                "sku": line.cells.text(columns.line.sku),
                "title": line.cells.text(columns.line.title),
                "name": line.cells.text(columns.line.title),
                "quantity": line.quantity,
                "price": _text(line.price),
                "taxable": bool(line.taxable),
                "requires_shipping": line.cells.flag(columns.line.requires_shipping) is not False,
                "tax_lines": _tax_lines(taxes, spreads[line.number - 1], currency),
                "discount_allocations": _allocations(discount, currency),
            }
            for line, discount in zip(lines, read.discounts, strict=True)
        ],
        shipping_lines=[],
    )
    if head.duties.amount:
        body["original_total_duties_set"] = {"shop_money": {"amount": _text(head.duties), "currency_code": currency}}
    if head.shipping.amount:
        body["shipping_lines"] = [
            {
                "id": body["id"] * 1000,
                "title": lines[0].cells.text(columns.order.shipping_title),
                "price": _text(head.shipping),
                "tax_lines": _tax_lines(taxes, spreads[-1], currency),
                "discount_allocations": _allocations(read.shipping_discount, currency),
            }
        ]


def _tax_lines(taxes: Sequence[OrderTax], own: Sequence[tuple[int, int]], currency: str) -> list[dict[str, Any]]:
    return [
        {
            "title": taxes[number].title,
            "rate": format(taxes[number].rate, "f"),
            "price": _text(Money(amount, currency)),
        }
        for number, amount in own
    ]


def _allocations(discount: int, currency: str) -> list[dict[str, Any]]:
    return [{"amount": _text(Money(discount, currency)), "discount_application_index": 0}] if discount else []


def _text(amount: Money) -> str:
    return format(amount.decimal(), "f")
