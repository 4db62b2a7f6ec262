"""The CSV file that a shop's admin exports orders to, as orders of the shop. They become `shopify.order`, by the code that
reads a webhook's body, so that the flows and the mapping that run are the ones that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hub.connect import payload
from hub.connect.registry import Registry
from hub.records.money import Money, MoneyError, exponent
from hub.workers.order_body import Ask, body_of
from hub.workers.order_cells import Cells
from hub.workers.order_columns import Columns, ColumnsError, read_columns
from hub.workers.order_table import Refusal, Table, TableRow, read_table
from hub.workers.payloads import Given

#: the columns of the export of the Shopify admin, in the connector's folder
SHIPPED = "order_export.yaml"
_STATUSES = frozenset("authorized expired paid partially_paid partially_refunded pending refunded voided".split())


@dataclass(frozen=True)
class Exported:
    """An order of a file. `rows`: its first and last; `tax` and `total` as the file has them; `asked`: why nothing of it is
    booked."""

    name: str
    external_id: str
    rows: tuple[int, int]
    total: Money
    given: Given
    asked: str | None = None


@dataclass
class Export:
    """What a file holds. `unknown`: columns that the columns file does not name; `missing`: those that it names and the file
    has not; `refused`: cells and rows that cannot be used, whose orders were left out."""

    file: str
    encoding: str
    delimiter: str
    unknown: list[str]
    missing: list[str]
    orders: list[Exported] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_export(file: Path, registry: Registry, columns: Path | None = None) -> Export:
    """Reads a file. `columns`: a columns file in place of the shipped one. Raises: ColumnsError, OSError."""
    shop = registry.get("shopify")
    read = read_columns(columns) if columns is not None else read_columns(shop.folder / SHIPPED)
    named = dict(read.named())
    table = read_table(file, [*named.values(), *read.ignored])
    lacking = [column for column in read.needed().values() if column not in table.header]
    if lacking:
        raise ColumnsError(f"{file.name}:1: there is no column {', '.join(map(repr, lacking))}, and it is needed")
    known = {*named.values(), *read.ignored}
    export = Export(
        table.file,
        table.encoding,
        table.delimiter,
        [name for name in dict.fromkeys(table.header) if name and name not in known],
        [column for column in dict.fromkeys(named.values()) if column not in table.header],
        refused=list(table.refused),
    )
    records = shop.module("records")
    for name, rows in _grouped(table, read, export).items():
        _take(export, name, rows, read, records)
    export.refused.sort(key=lambda each: each.row)
    return export


def _grouped(table: Table, columns: Columns, export: Export) -> dict[str, list[TableRow]]:
    """The rows of each order: those with its name, and those without one after them."""
    found: dict[str, list[TableRow]] = {}
    last: list[TableRow] | None = None
    for row in table.rows:
        name = row.cells.get(columns.order.name)
        if name is not None:
            last = found.setdefault(name, [])
        if last is None:
            export.refused.append(Refusal(table.file, row.number, columns.order.name, "no order stands above this row"))
            continue
        last.append(row)
    return found


def _take(export: Export, name: str, rows: list[TableRow], columns: Columns, records: Any) -> None:
    refused: list[Refusal] = []
    cells = [Cells(row, export.file, columns, refused) for row in rows]
    head = cells[0]
    for meaning, column in columns.needed().items():
        for each in cells if meaning.startswith("line.") else [head]:
            if each.text(column) is None and (each is head or is_line(each)):
                each.refuse(column, "it is empty, and needed")
    external_id = str(head.whole(columns.order.id) or _number(name))
    same = next((each.name for each in export.orders if each.external_id == external_id), None)
    if same is not None:
        head.refuse(columns.order.id, f"order {same} has the same id")
    made: tuple[dict[str, Any], Money, Ask | None] | None = None
    if _check_head(cells, columns):  # what is wrong with the rest is told in one go
        made = body_of(head, [each for each in cells if is_line(each)], external_id, columns)
    if made is None or refused:
        export.refused += refused
        export.left_out.append(name)
        return
    body, total, ask = made
    span = (rows[0].number, rows[-1].number)
    given = Given([export.file], "shopify", "orders/updated", raw=payload.encode(body), instants=[body["updated_at"]])
    if ask is not None:
        given.fault = (f"row {span[0]}", ask.reason)
        given.kind, given.details = ask.kind, {"order": name, "row": span[0], **ask.details}
    else:
        given.read = _record(records, body)
    export.orders.append(Exported(name, external_id, span, total, given, ask.reason if ask else None))


def is_line(cells: Cells) -> bool:
    """Whether a row tells of a line: one without may tell of a second payment."""
    line = cells.columns.line
    return any(cells.text(column) is not None for column in (line.title, line.sku, line.quantity, line.price))


def _check_head(cells: list[Cells], columns: Columns) -> bool:
    """Checks that what the rows say of the order as a whole fits together; answers whether its amounts can be read."""
    head, order = cells[0], columns.order
    status, currency = head.text(order.financial_status), head.text(order.currency)
    if status is not None and status.lower() not in _STATUSES:
        head.refuse(order.financial_status, f"{status!r} is none of {', '.join(sorted(_STATUSES))}")
    if currency is not None and not _is_currency(currency):
        head.refuse(order.currency, f"unknown currency {currency!r}: an ISO 4217 code such as EUR is needed")
    for each in cells[1:]:
        for column in (order.id, order.total, order.created_at, order.currency):
            other = each.text(column)
            if other is not None and other != head.text(column):
                each.refuse(column, f"{other!r}, and row {head.row.number} of the same order has {head.text(column)!r}")
    if not any(is_line(each) for each in cells):
        head.refuse(columns.line.title, "the order has no line")
    return _is_currency(currency)


def _is_currency(currency: str | None) -> bool:
    try:
        exponent(currency or "")
    except MoneyError:
        return False
    return True


def _record(records: Any, body: Mapping[str, Any]) -> dict[str, Any]:
    """`shopify.order`, of which neither payments nor refunds nor shipments were told."""
    record: dict[str, Any] = records.order_from_webhook(body)
    for section, kept in (("refunds", "refunds"), ("fulfillments", "fulfillments")):
        record["sections"][section] = {"asOf": None, "complete": False}
        record[kept] = None if kept == "refunds" else []
    return record


def _number(name: str) -> int:
    """An id for an order whose export has none: the same for the same name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest())
