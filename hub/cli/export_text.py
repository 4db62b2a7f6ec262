"""A simulated order export for merchants: the sums first, then what asks for an answer, then every order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

#: orders that are named behind a SKU
_NAMED = 5


def text(export: dict[str, Any], questions: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The report of an export, line by line."""
    summary = export["summary"]
    yield ""
    yield "In all"
    yield f"  orders: {summary['orders']}, together {_sums(summary['total'])}"
    if summary["left_out"]:
        yield f"  left out, as their rows cannot be read: {summary['left_out']}"
    yield f"  invoices: {summary['invoices']}, together {_sums(summary['invoiced'])}"
    yield "  " + ", ".join(f"{name}: {count}" for name, count in summary["results"].items())
    yield from _part("VAT of the invoices", (_vat(each) for each in summary["vat"]))
    yield from _part(
        "Stock short", (f"{each['units']} of {_sku(each)} wait: {_orders(each)}" for each in summary["stock_short"])
    )
    yield from _part("Unknown SKUs", (f"{_sku(each)}: {_orders(each)}" for each in summary["unknown_skus"]))
    for file in export["files"]:
        yield from _part(f"{file['file']} ({file['encoding']}, {file['delimiter']}s between cells)", _file(file))
    # what lacks of the catalogue and the stock is summed up above
    asked = [each for each in questions if each["kind"] not in ("sku.unknown", "stock.short")]
    yield from _part("Questions", (f"{each['kind']}: {each['reason']}" for each in asked))
    yield from _part("Orders", (_order(each) for each in export["orders"]))
    yield ""
    yield "Documents, entries, reservations and deliveries of each order: --json"


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = list(lines)
    if shown:
        yield ""
        yield title
        yield from (f"  {line}" for line in shown)


def _sums(sums: Iterable[dict[str, Any]]) -> str:
    return " and ".join(str(each["amount"]) for each in sums) or "0"


def _vat(each: dict[str, Any]) -> str:
    rate = f"{(Decimal(each['rate']) * 100).normalize():f} %" if each["rate"] else "none"
    return f"{each['vat_code']} {rate} of {each['base'].decimal()}: {each['tax']}"


def _sku(each: dict[str, Any]) -> str:
    return each["sku"] or f"(none) {each['title']}"


def _orders(each: dict[str, Any]) -> str:
    names = each["orders"]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _file(file: dict[str, Any]) -> Iterator[str]:
    if file["unknown_columns"]:
        yield f"columns that nothing is read from, as they are not known: {', '.join(file['unknown_columns'])}"
    if file["missing_columns"]:
        yield f"columns that it has not: {', '.join(file['missing_columns'])}"
    for refused in file["refused"]:
        yield f"refused: {refused['text']}"
    if file["left_out"]:
        yield f"orders left out: {', '.join(file['left_out'])}"


def _order(each: dict[str, Any]) -> str:
    why = f" ({', '.join(each['questions'])})" if each["questions"] else ""
    return f"{each['order']}: total {each['total']}, invoiced {each['invoiced'].decimal()}: {each['result']}{why}"
