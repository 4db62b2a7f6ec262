"""Totals of the ledger: what was posted on some days, by account and VAT code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.ledger.tables import ACCOUNT, ENTRY, POSTING
from hub.core.plan import Plan, Row, Source


@dataclass(frozen=True)
class Total:
    """Debit and credit of an account and VAT code, in minor units of the account's currency, both positive."""

    account: str
    name: str
    vat_code: str | None
    currency: str
    debit: int
    credit: int


_ACCOUNTS = sa.select(ACCOUNT.c.id, ACCOUNT.c.code, ACCOUNT.c.name).where(
    ACCOUNT.c.merchant_id == sa.bindparam("merchant_id")
)
_POSTED = (
    sa.select(
        POSTING.c.account_id,
        POSTING.c.currency,
        POSTING.c.vat_code,
        sa.func.sum(sa.case((POSTING.c.amount > 0, POSTING.c.amount), else_=0)).label("debit"),
        sa.func.sum(sa.case((POSTING.c.amount < 0, -POSTING.c.amount), else_=0)).label("credit"),
    )
    .join(ENTRY, ENTRY.c.id == POSTING.c.entry_id)
    .group_by(POSTING.c.account_id, POSTING.c.currency, POSTING.c.vat_code)
)


def _load(
    connection: Connection, merchant_id: int, keys: Sequence[tuple[date, date, tuple[str, ...]]]
) -> Mapping[Any, Row]:
    names = {row.id: (row.code, row.name) for row in connection.execute(_ACCOUNTS, {"merchant_id": merchant_id})}
    found: dict[Any, Row] = {}
    for first, last, journals in keys:
        which = [ENTRY.c.merchant_id == merchant_id, ENTRY.c.effective_date.between(first, last)]
        if journals:
            which.append(ENTRY.c.journal.in_(journals))
        rows = connection.execute(_POSTED.where(*which)).all()
        sums = {(row.account_id, row.currency, row.vat_code): (int(row.debit), int(row.credit)) for row in rows}
        found[(first, last, journals)] = {"sums": sums, "names": names}
    return found


#: sums as they are stored, by (first day, last day, journals): the book is held, so that they stay
_STORED = Source("ledger.totals", _load)


def totals(plan: Plan, first: date, last: date, journals: Sequence[str] = ()) -> list[Total]:
    """What was posted on the days from first to last, both included, by the effective date of the book's zone; what this
    plan has posted counts. No journals: all. In order of account, VAT code and currency."""
    wanted = tuple(sorted(set(journals)))
    stored = plan.get(_STORED, (first, last, wanted))
    assert stored is not None
    sums, names = dict(stored["sums"]), dict(stored["names"])
    names |= {row["id"]: (row["code"], row["name"]) for row in plan.planned(ACCOUNT)}
    entries = {
        row["id"]
        for row in plan.planned(ENTRY)
        if first <= row["effective_date"] <= last and (not wanted or row["journal"] in wanted)
    }
    for row in plan.planned(POSTING):
        if row["entry_id"] in entries:
            key = (row["account_id"], row["currency"], row["vat_code"])
            debit, credit = sums.get(key, (0, 0))
            sums[key] = (debit + max(row["amount"], 0), credit + max(-row["amount"], 0))
    made = [
        Total(names[account_id][0], names[account_id][1], vat_code, currency, debit, credit)
        for (account_id, currency, vat_code), (debit, credit) in sums.items()
    ]
    return sorted(made, key=lambda each: (each.account, each.vat_code or "", each.currency))
