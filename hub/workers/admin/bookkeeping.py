"""What is booked: documents, stock, accounts and entries, with filters and page by page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from hub.connect.tables import Connection as ConnectionTable
from hub.core.ledger.tables import ACCOUNT, BALANCE, ENTRY, POSTING
from hub.core.sales.tables import DOCUMENT, SALES_ORDER
from hub.core.stock.tables import CHANNEL_LEVEL, ITEM, LOCATION, STOCK_LEVEL
from hub.db.types import instant_text
from hub.records.money import Money
from hub.workers.admin.paging import page, size_of
from hub.workers.hub import Hub

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]


def orders(
    hub: Hub,
    *,
    name: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Orders with what the shop says they come to now and what was invoiced for them, credit notes taken off."""
    wanted = [SALES_ORDER.c.merchant_id == merchant_id]
    if name:
        wanted.append(SALES_ORDER.c.name == name)
    if state:
        wanted.append(SALES_ORDER.c.state == state)
    sign = sa.case((DOCUMENT.c.kind == "invoice", 1), else_=-1)
    invoiced = (
        sa.select(sa.func.coalesce(sa.func.sum(DOCUMENT.c.total * sign), 0))
        .where(DOCUMENT.c.order_id == SALES_ORDER.c.id)
        .scalar_subquery()
        .label("invoiced")
    )
    names = ("id", "connection_id", "external_id", "name", "state", "financial_status", "currency", "current_total")

    def shown(row: Mapping[str, Any], connections: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "connection": connections.get(row["connection_id"]),
            "external_id": row["external_id"],
            "name": row["name"],
            "state": row["state"],
            "financial_status": row["financial_status"],
            "current_total": str(Money(row["current_total"], row["currency"])),
            "invoiced": str(Money(row["invoiced"], row["currency"])),
        }

    columns = [*(SALES_ORDER.c[each] for each in names), invoiced]
    return page(hub, SALES_ORDER.c.id, columns, wanted, shown, before, limit, merchant_id)


def documents(
    hub: Hub,
    *,
    kind: str | None = None,
    number: str | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Invoices and credit notes, without the names on them."""
    wanted = [DOCUMENT.c.merchant_id == merchant_id]
    if kind:
        wanted.append(DOCUMENT.c.kind == kind)
    if number:
        wanted.append(DOCUMENT.c.number == number)

    def shown(row: Mapping[str, Any], _names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "kind": row["kind"],
            "number": row["number"],
            "order_id": str(row["order_id"]),
            "date": row["effective_date"].isoformat(),
            "net": str(Money(row["total_net"], row["currency"])),
            "tax": str(Money(row["total_tax"], row["currency"])),
            "total": str(Money(row["total"], row["currency"])),
            "issued_at": instant_text(row["issued_at"]),
        }

    columns = [DOCUMENT.c[name] for name in DOCUMENT.c.keys() if name not in ("content", "content_hash")]  # noqa: SIM118
    return page(hub, DOCUMENT.c.id, columns, wanted, shown, before, limit, merchant_id)


def stock(
    hub: Hub, *, sku: str | None = None, after: str | None = None, limit: int = 200, merchant_id: int = 1
) -> dict[str, Any]:
    """Warehouse levels by SKU, and what each channel is believed to show. `next` is the `after` of the following page."""
    with hub.database.read() as connection:
        items = connection.execute(
            sa.select(ITEM)
            .where(
                ITEM.c.merchant_id == merchant_id,
                ITEM.c.sku == sku if sku else sa.true(),
                ITEM.c.sku > after if after else sa.true(),
            )
            .order_by(ITEM.c.sku)
            .limit(size_of(limit) + 1)
        ).mappings()
        found = [dict(row) for row in items]
        more, found = len(found) > size_of(limit), found[: size_of(limit)]
        ids = [row["id"] for row in found]
        levels: dict[int, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(STOCK_LEVEL, LOCATION.c.code)
            .join(LOCATION, LOCATION.c.id == STOCK_LEVEL.c.location_id)
            .where(
                STOCK_LEVEL.c.merchant_id == merchant_id,
                STOCK_LEVEL.c.item_id.in_(ids),
                LOCATION.c.kind == "warehouse",
            )
            .order_by(LOCATION.c.code)
        ).mappings():
            levels.setdefault(row["item_id"], []).append(
                {
                    "location": row["code"],
                    "on_hand": row["on_hand"],
                    "held": row["held"],
                    "waiting": row["waiting"],
                    "available": row["on_hand"] - row["held"] - row["waiting"],
                }
            )
        channels: dict[int, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(CHANNEL_LEVEL, _CONNECTION.c.name)
            .join(_CONNECTION, _CONNECTION.c.id == CHANNEL_LEVEL.c.connection_id)
            .where(CHANNEL_LEVEL.c.merchant_id == merchant_id, CHANNEL_LEVEL.c.item_id.in_(ids))
            .order_by(_CONNECTION.c.name)
        ).mappings():
            channels.setdefault(row["item_id"], []).append(
                {"connection": row["name"], "expected": row["expected"], "acknowledged": row["acknowledged"]}
            )
    return {
        "items": [
            {
                "sku": row["sku"],
                "title": row["title"],
                "tracked": row["tracked"],
                "levels": levels.get(row["id"], []),
                "channels": channels.get(row["id"], []),
            }
            for row in found
        ],
        "next": found[-1]["sku"] if more else None,
    }


def ledger(hub: Hub, *, all: bool = False, merchant_id: int = 1) -> dict[str, Any]:
    """Accounts with their balances, debit positive; `all`: also those that nothing was booked on."""
    with hub.database.read() as connection:
        rows = connection.execute(
            sa.select(ACCOUNT.c.code, ACCOUNT.c.name, ACCOUNT.c.currency, BALANCE.c.amount)
            .join(BALANCE, BALANCE.c.id == ACCOUNT.c.id)
            .where(
                ACCOUNT.c.merchant_id == merchant_id,
                sa.true()
                if all
                else sa.exists().where(
                    POSTING.c.merchant_id == ACCOUNT.c.merchant_id, POSTING.c.account_id == ACCOUNT.c.id
                ),
            )
            .order_by(ACCOUNT.c.code, ACCOUNT.c.currency)
        ).all()
    return {
        "accounts": [
            {"code": row.code, "name": row.name, "balance": str(Money(row.amount, row.currency)), "minor": row.amount}
            for row in rows
        ]
    }


def entries(
    hub: Hub,
    *,
    account: str | None = None,
    document: str | None = None,
    since: date | None = None,
    until: date | None = None,
    before: int | None = None,
    limit: int = 50,
    merchant_id: int = 1,
) -> dict[str, Any]:
    """Entries with their postings, the last first; `since` and `until` are days of booking."""
    wanted = [ENTRY.c.merchant_id == merchant_id]
    if document:
        wanted.append(ENTRY.c.document_ref == document)
    if since:
        wanted.append(ENTRY.c.effective_date >= since)
    if until:
        wanted.append(ENTRY.c.effective_date <= until)
    if account:
        wanted.append(
            sa.exists()
            .where(POSTING.c.entry_id == ENTRY.c.id, POSTING.c.account_id == ACCOUNT.c.id, ACCOUNT.c.code == account)
            .correlate(ENTRY)
        )

    def shown(row: Mapping[str, Any], _names: Mapping[int, str]) -> dict[str, Any]:
        return {
            "id": str(row["id"]),
            "seq": row["seq"],
            "ref": row["ref"],
            "journal": row["journal"],
            "kind": row["kind"],
            "label": row["label"],
            "document": row["document_ref"],
            "date": row["effective_date"].isoformat(),
            "origin_date": row["origin_date"].isoformat() if row["origin_date"] else None,
            "recorded_at": instant_text(row["recorded_at"]),
            "hash": row["hash"].hex(),
        }

    result = page(hub, ENTRY.c.seq, list(ENTRY.c), wanted, shown, before, limit, merchant_id)
    with hub.database.read() as connection:
        lines: dict[str, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(POSTING.c.entry_id, ACCOUNT.c.code, POSTING.c.amount, POSTING.c.currency, POSTING.c.vat_code)
            .join(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
            .where(
                POSTING.c.merchant_id == merchant_id, POSTING.c.entry_id.in_([int(e["id"]) for e in result["items"]])
            )
            .order_by(POSTING.c.entry_id, POSTING.c.line)
        ):
            lines.setdefault(str(row.entry_id), []).append(
                {
                    "account": row.code,
                    "amount": str(Money(row.amount, row.currency)),
                    "minor": row.amount,
                    "vat_code": row.vat_code,
                }
            )
    for entry in result["items"]:
        entry["postings"] = lines.get(entry["id"], [])
    return result
