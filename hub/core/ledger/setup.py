"""Opens the book of a merchant: its accounts, balances and number series."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.ledger.book import ACCOUNTS, BOOK_OF, book_of
from hub.core.ledger.chain import GENESIS
from hub.core.ledger.rules import load_rules
from hub.core.ledger.tables import ACCOUNT, BALANCE, BOOK, SERIES
from hub.core.plan import Plan, Row
from hub.db.engine import Ids

#: ids that opening a book may take: give it to `Ids.ensure` before the transaction
IDS_NEEDED = 500


def open_book(
    connection: Connection,
    merchant_id: int,
    ids: Ids,
    *,
    currency: str,
    zone: str,
    chart: str = "fr",
    data_key_id: int,
    now: int,
) -> int:
    """Opens the book of a merchant in a write transaction, and returns its id. Call `ids.ensure(IDS_NEEDED)` before it."""
    rules = load_rules(chart)
    book_id = ids.next()
    connection.execute(
        BOOK.insert(),
        [
            {
                "id": book_id,
                "merchant_id": merchant_id,
                "currency": currency,
                "zone": zone,
                "chart": chart,
                "next_seq": 1,
                "head_hash": GENESIS,
                "data_key_id": data_key_id,
                "closed_through": None,
                "created_at": now,
            }
        ],
    )
    accounts = [
        {
            "id": ids.next(),
            "merchant_id": merchant_id,
            "book_id": book_id,
            "code": account.code,
            "name": account.name,
            "currency": currency,
            "min_balance": account.min_balance,
        }
        for account in rules.accounts
    ]
    connection.execute(ACCOUNT.insert(), [{k: v for k, v in row.items() if k != "min_balance"} for row in accounts])
    connection.execute(
        BALANCE.insert(),
        [
            {"id": row["id"], "merchant_id": merchant_id, "amount": 0, "min_balance": row["min_balance"]}
            for row in accounts
        ],
    )
    connection.execute(
        SERIES.insert(),
        [
            {"id": ids.next(), "merchant_id": merchant_id, "code": code, "prefix": prefix, "next_number": 1}
            for code, prefix in rules.series.items()
        ],
    )
    return book_id


def add_account(
    plan: Plan, code: str, name: str, *, currency: str | None = None, min_balance: int | None = None
) -> Row:
    """The account of a code and currency (the book's by default), opened when it is not there."""
    book = book_of(plan)
    currency = currency or book["currency"]
    found = plan.get(ACCOUNTS, (code, currency))
    if found is not None:
        return found
    account = plan.insert(ACCOUNT, {"book_id": book["id"], "code": code, "name": name, "currency": currency})
    plan.insert(BALANCE, {"id": account["id"], "amount": 0, "min_balance": min_balance})
    row = {
        "id": account["id"],
        "book_id": book["id"],
        "code": code,
        "currency": currency,
        "amount": 0,
        "min_balance": min_balance,
    }
    plan.put(ACCOUNTS, (code, currency), row)
    return row


def close_through(plan: Plan, last_day: date) -> None:
    """Closes the periods up to a day: what happened on or before it is booked from now on the day after, with its own
    date kept. A period that is closed is not opened again."""
    book = plan.get(BOOK_OF, plan.merchant_id)
    if book is None or (book["closed_through"] is not None and last_day < book["closed_through"]):
        raise CoreError(
            f"the book of merchant {plan.merchant_id} cannot be closed through {last_day}: it is closed through "
            f"{book['closed_through'] if book else 'no day, there is none'}",
            kind="period.closed",
            subject=f"merchant:{plan.merchant_id}",
        )
    plan.update(BOOK, book, closed_through=last_day)
