"""How the state of sales is read: one query a table for a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from hub.core.ledger.book import preload_accounts
from hub.core.ledger.posting import ENTRY_BY_REF
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in
from hub.core.sales.tables import (
    DOCUMENT,
    DOCUMENT_LINE,
    FULFILMENT,
    ITEM_ALIAS,
    ORDER_LINE,
    PARTY,
    PAYMENT,
    REFUND,
    SALES_ORDER,
)
from hub.core.stock.channels import CHANNEL_LEVELS
from hub.core.stock.items import ITEM_BY_ID, ITEM_BY_SKU, LEVELS, LOCATIONS
from hub.core.stock.reservations import OF_ORDER, preload_orders
from hub.records.order import Order, Party

_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_CONNECTION: sa.BindParameter[int] = sa.bindparam("connection_id", type_=sa.BigInteger)

Load = Callable[[Connection, int, Sequence[Any]], Mapping[Any, Row]]


def _by_connection(table: Table, column: str) -> Load:
    """Rows keyed by (connection_id, column)."""
    statement = sa.select(table).where(
        table.c.merchant_id == _MERCHANT, table.c.connection_id == _CONNECTION, among(table.c[column])
    )

    def load(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
        by_connection: dict[int, list[Any]] = {}
        for connection_id, key in keys:
            by_connection.setdefault(connection_id, []).append(key)
        found: dict[Any, Row] = {}
        # one connection at a time: the unique index of the table begins with it
        for connection_id, wanted in by_connection.items():
            fixed = {"merchant_id": merchant_id, "connection_id": connection_id}
            for row in rows_in(connection, statement, wanted, **fixed):
                found[(connection_id, row[column])] = row
        return found

    return load


def _by_order(table: Table, *order_by: str, without: Sequence[str] = ()) -> Load:
    """Lists of rows keyed by order_id, as {"rows": [...]}."""
    columns = [column for column in table.c if column.name not in without]
    statement = (
        sa.select(*columns)
        .where(table.c.merchant_id == _MERCHANT, among(table.c.order_id))
        .order_by(*(table.c[name] for name in order_by))
    )

    def load(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
        found: dict[Any, Row] = {key: {"rows": []} for key in keys}
        for row in rows_in(connection, statement, keys, merchant_id=merchant_id):
            found[row["order_id"]]["rows"].append(row)
        return found

    return load


def _load_keys(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["id"]: row for row in rows_in(connection, _KEYS, keys, merchant_id=merchant_id)}


def _load_refs(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["ref"]: row for row in rows_in(connection, _REFS, keys, merchant_id=merchant_id)}


_KEYS = sa.select(SALES_ORDER.c.id, SALES_ORDER.c.connection_id, SALES_ORDER.c.external_id).where(
    SALES_ORDER.c.merchant_id == _MERCHANT, among(SALES_ORDER.c.id)
)
_REFS = sa.select(SALES_ORDER.c.ref, SALES_ORDER.c.id).where(
    SALES_ORDER.c.merchant_id == _MERCHANT, among(SALES_ORDER.c.ref)
)

#: an order, keyed by (connection_id, external_id)
ORDERS = Source("sales.order", _by_connection(SALES_ORDER, "external_id"))
#: connection and external id of an order, keyed by its id
ORDER_KEYS = Source("sales.order_key", _load_keys)
#: the id of an order, keyed by what warehouses call it
ORDER_REFS = Source("sales.order_ref", _load_refs)
#: rows of an order, keyed by its id
LINES = Source("sales.line", _by_order(ORDER_LINE, "position", "id"))
#: oldest first; ids tell nothing: each process takes its own
DOCUMENTS = Source("sales.document", _by_order(DOCUMENT, "issued_at", "kind", "ordinal", without=("content",)))
DOCUMENT_LINES = Source("sales.document_line", _by_order(DOCUMENT_LINE, "document_id", "line"))
PAYMENTS = Source("sales.payment", _by_order(PAYMENT, "id"))
REFUNDS = Source("sales.refund", _by_order(REFUND, "refunded_at", "external_id"))
FULFILMENTS = Source("sales.fulfilment", _by_order(FULFILMENT, "id"))
#: a customer, keyed by (connection_id, key)
PARTIES = Source("sales.party", _by_connection(PARTY, "key"))
#: an answer to an unknown SKU, keyed by (connection_id, key)
ALIASES = Source("sales.alias", _by_connection(ITEM_ALIAS, "key"))

_OF_ORDER = (LINES, DOCUMENTS, DOCUMENT_LINES, PAYMENTS, REFUNDS, FULFILMENTS)


def rows_of(plan: Plan, source: Source, order_id: int) -> list[Row]:
    """The rows of an order as the plan sees them."""
    found = plan.get(source, order_id)
    return found["rows"] if found is not None else []


def add_row(plan: Plan, source: Source, order_id: int, row: Row) -> None:
    """Makes a new row of an order visible to the rest of the batch."""
    plan.put(source, order_id, {"rows": [*rows_of(plan, source, order_id), row]})


def start_order(plan: Plan, order: Row) -> None:
    """Makes a new order visible, with no rows: nothing of it needs to be read."""
    plan.put(ORDERS, (order["connection_id"], order["external_id"]), order)
    plan.put(ORDER_KEYS, order["id"], order)
    plan.put(ORDER_REFS, order["ref"], order)
    for source in _OF_ORDER:
        plan.put(source, order["id"], {"rows": []})
    plan.put(OF_ORDER, order["id"], None)


def order_by_id(plan: Plan, order_id: int) -> Row | None:
    """The row of an order by our id: the same row that a sync of the batch works on."""
    key = plan.get(ORDER_KEYS, order_id)
    return None if key is None else plan.get(ORDERS, (key["connection_id"], key["external_id"]))


def alias_keys(variant_id: str | None, sku: str | None) -> list[str]:
    """Keys under which an answer to an unknown SKU may be kept, the surest first."""
    keys = [f"variant:{variant_id}"] if variant_id else []
    return [*keys, f"sku:{sku}"] if sku else keys


def party_key(party: Party) -> str:
    """The key a customer is found by: exact, never by likeness of a name or an e-mail."""
    if party.external_id:
        return party.external_id
    if party.vat_number:
        return f"vat:{''.join(party.vat_number.split()).upper()}"
    return "guest"


def preload(plan: Plan, orders: Iterable[tuple[int, Order]]) -> None:
    """Reads what the syncs of a batch will look at, one query a table. `orders`: (connection id, snapshot)."""
    batch = list(orders)
    preload_accounts(plan, ())
    plan.preload(ORDERS, [(connection_id, order.external_id) for connection_id, order in batch])
    known = [row for cid, order in batch if (row := plan.get(ORDERS, (cid, order.external_id))) is not None]
    for source in _OF_ORDER:
        plan.preload(source, [row["id"] for row in known])
    preload_orders(plan, [row["id"] for row in known])
    plan.preload(
        PARTIES,
        [(connection_id, party_key(order.header.party)) for connection_id, order in batch if order.header is not None],
    )
    lines = [
        (connection_id, line)
        for connection_id, order in batch
        if order.lines is not None
        for line in order.lines.items
        if line.kind == "product" and line.requires_shipping
    ]
    plan.preload(ITEM_BY_SKU, list(dict.fromkeys(line.sku for _, line in lines if line.sku)))
    plan.preload(
        ALIASES,
        [(connection_id, key) for connection_id, line in lines for key in alias_keys(line.variant_id, line.sku)],
    )
    items = list(
        dict.fromkeys(
            row["id"] for _, line in lines if line.sku and (row := plan.get(ITEM_BY_SKU, line.sku)) is not None
        )
    )
    plan.preload(ITEM_BY_ID, items)
    connections = dict.fromkeys(connection_id for connection_id, _ in batch)
    plan.preload(CHANNEL_LEVELS, [(connection_id, item) for connection_id in connections for item in items])
    plan.preload(LOCATIONS, ["customer"])
    # all levels of an item come with any one of them
    plan.preload(
        ENTRY_BY_REF,
        [
            f"{kind}:{connection_id}:{payment.external_id}"
            for connection_id, order in batch
            if order.payments is not None
            for payment in order.payments.items
            for kind in ("payment", "fee")
        ],
    )
    customer = plan.get(LOCATIONS, "customer")
    if customer is not None:
        plan.preload(LEVELS, [(item, customer["id"]) for item in items])
