"""What a merchant reads before he commits: his exported orders beside what the hub would invoice, and all of it in sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hub.records.money import Money
from hub.workers.order_export import Export
from hub.workers.outcome import Item, Outcome


def report(exports: Sequence[Export], outcome: Outcome) -> Item:
    """`files`: how each was read; `orders`: one each, total beside invoice; `summary`: all of them."""
    orders = [each for export in exports for each in _orders(export, outcome)]
    return {
        "files": [_file(export) for export in exports],
        "orders": orders,
        "summary": _summary(exports, orders, outcome),
    }


def _file(export: Export) -> Item:
    return {
        "file": export.file,
        "encoding": export.encoding,
        "delimiter": export.delimiter,
        "unknown_columns": export.unknown,
        "missing_columns": export.missing,
        "refused": [
            {"row": each.row, "column": each.column, "reason": each.reason, "text": str(each)}
            for each in export.refused
        ],
        "left_out": export.left_out,
    }


def _orders(export: Export, outcome: Outcome) -> Iterator[Item]:
    known = {order["external_id"]: order for order in outcome["orders"]}
    invoiced: dict[int, int] = {}
    for document in outcome["invoices"]:
        invoiced[document["order_id"]] = invoiced.get(document["order_id"], 0) + document["total"].amount
    for each in export.orders:
        order = known.get(each.external_id, {})
        check = order.get("check", {"result": "question" if each.asked else "not booked"})
        amount = Money(invoiced.get(order.get("id", 0), 0), each.total.currency)
        yield {
            "file": export.file,
            "row": each.rows[0],
            "order": each.name,
            "currency": each.total.currency,
            "total": each.total,
            "invoiced": amount,
            "difference": each.total - amount,
            # the payments that a connected hub reads explain no difference of an invoice
            "result": "difference" if check["result"] == "incomplete" else check["result"],
            "questions": [each.given.kind] if each.asked else check.get("questions", []),
        }


def _summary(exports: Sequence[Export], orders: Sequence[Item], outcome: Outcome) -> Item:
    documents = outcome["invoices"]
    questions = [question for question in outcome["questions"] if question["state"] == "open"]
    return {
        "orders": len(orders),
        "left_out": sum(len(export.left_out) for export in exports),
        "results": dict(sorted(Counter(order["result"] for order in orders).items())),
        "total": _sums(order["total"] for order in orders),
        "invoices": len(documents),
        "invoiced": _sums(document["total"] for document in documents),
        "vat": _vat(documents),
        "questions": dict(sorted(Counter(question["kind"] for question in questions).items())),
        "stock_short": _skus(questions, "stock.short"),
        "unknown_skus": _skus(questions, "sku.unknown"),
    }


def _sums(amounts: Iterable[Money]) -> list[Item]:
    """The sum of each currency."""
    found: dict[str, Money] = {}
    for amount in amounts:
        found[amount.currency] = found.get(amount.currency, Money(0, amount.currency)) + amount
    return [{"currency": currency, "amount": found[currency]} for currency in sorted(found)]


def _vat(documents: Iterable[Item]) -> list[Item]:
    """Base and tax of each VAT code and rate."""
    found: dict[tuple[str, str, str], tuple[Money, Money]] = {}
    for document in documents:
        for tax in document.get("taxes", ()):
            currency = document["currency"]
            key = (tax["vat_code"] or "", tax["rate"] or "", currency)
            base, amount = found.get(key, (Money(0, currency), Money(0, currency)))
            found[key] = (base + tax["base"], amount + tax["tax"])
    return [
        {"vat_code": code, "rate": rate or None, "currency": currency, "base": base, "tax": tax}
        for (code, rate, currency), (base, tax) in sorted(found.items())
    ]


def _skus(questions: Iterable[Item], kind: str) -> list[Item]:
    """The SKUs that questions of a kind are about, and in which orders."""
    found: dict[str, Item] = {}
    for question in questions:
        if question["kind"] != kind:
            continue
        for line in question["details"]["lines"]:
            sku = line.get("sku") or line.get("title") or ""
            known = found.setdefault(
                sku, {"sku": line.get("sku"), "title": line.get("title"), "units": 0, "orders": []}
            )
            known["units"] += line.get("missing", 0)
            if question["about"] not in known["orders"]:
                known["orders"].append(question["about"])
    return [found[sku] for sku in sorted(found)]
