"""Posts entries: checked, booked once under their ref, numbered and chained, all in the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.ledger import chain
from hub.core.ledger.book import ACCOUNTS, book_of
from hub.core.ledger.tables import ACCOUNT, BALANCE, BOOK, ENTRY, ENTRY_SEAL, POSTING
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in


class Posting(msgspec.Struct, frozen=True):
    """One line: `amount` in minor units, debit positive, credit negative."""

    account: str
    amount: int
    currency: str
    party_id: int | None = None
    vat_code: str | None = None


class EntryDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be booked. `ref` names the fact: the same ref is booked once. `origin_date`: the day it happened, when
    `effective_date` is another one."""

    ref: str
    journal: str
    kind: str
    label: str
    effective_date: date
    postings: Sequence[Posting]
    document_ref: str | None = None
    party_id: int | None = None
    origin_date: date | None = None
    reverses_id: int | None = None
    corrects_id: int | None = None


class Posted(msgspec.Struct, frozen=True):
    """The entry that holds the fact; `replayed`: it was there before."""

    entry_id: int
    seq: int
    replayed: bool


class RefConflict(CoreError):
    """A ref that is booked with another content."""

    kind = "entry.conflict"


class Unbalanced(CoreError):
    """Postings that are no entry: fewer than two, a zero, or a sum that is not zero."""

    kind = "entry.unbalanced"


class UnknownAccount(CoreError):
    """An account that the book does not have in this currency."""

    kind = "account.unknown"


class BalanceTooLow(CoreError):
    """An account with a floor that would fall below it."""

    kind = "balance.low"


class AlreadyReversed(CoreError):
    """An entry that has a reversal."""

    kind = "entry.reversed"


_BY_REF = sa.select(ENTRY.c.ref, ENTRY.c.id, ENTRY.c.seq, ENTRY.c.payload_hash).where(
    ENTRY.c.merchant_id == sa.bindparam("merchant_id"), among(ENTRY.c.ref)
)
_REVERSALS = sa.select(ENTRY.c.reverses_id, ENTRY.c.id, ENTRY.c.ref).where(
    ENTRY.c.merchant_id == sa.bindparam("merchant_id"), among(ENTRY.c.reverses_id)
)
_ENTRIES = sa.select(ENTRY).where(ENTRY.c.merchant_id == sa.bindparam("merchant_id"), among(ENTRY.c.id))
_LINES = (
    sa.select(
        POSTING.c.entry_id,
        ACCOUNT.c.code,
        POSTING.c.amount,
        POSTING.c.currency,
        POSTING.c.party_id,
        POSTING.c.vat_code,
    )
    .join(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
    .where(POSTING.c.merchant_id == sa.bindparam("merchant_id"), among(POSTING.c.entry_id))
    .order_by(POSTING.c.entry_id, POSTING.c.line)
)


def _load_by_ref(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["ref"]: row for row in rows_in(connection, _BY_REF, keys, merchant_id=merchant_id)}


def _load_reversals(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["reverses_id"]: row for row in rows_in(connection, _REVERSALS, keys, merchant_id=merchant_id)}


def _load_entries(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    found = {row["id"]: row for row in rows_in(connection, _ENTRIES, keys, merchant_id=merchant_id)}
    for row in found.values():
        row["postings"] = []
    for line in rows_in(connection, _LINES, keys, merchant_id=merchant_id):
        entry_id = line.pop("entry_id")
        found[entry_id]["postings"].append(Posting(line.pop("code"), **line))
    return found


#: id, seq and payload hash of an entry, keyed by its ref: preload the refs of a batch
ENTRY_BY_REF = Source("ledger.entry_by_ref", _load_by_ref)
#: the reversal of an entry, keyed by the id of the entry reversed
REVERSAL_OF = Source("ledger.reversal_of", _load_reversals)
#: a whole entry with `postings`, keyed by its id
ENTRIES = Source("ledger.entry", _load_entries)


def post(plan: Plan, draft: EntryDraft) -> Posted:
    """Books an entry, or finds it booked.

    Raises: Unbalanced, RefConflict, UnknownAccount, BalanceTooLow, AlreadyReversed; nothing is planned then."""
    postings = draft.postings
    _check_balanced(draft)
    body = chain.content(
        ref=draft.ref,
        journal=draft.journal,
        kind=draft.kind,
        label=draft.label,
        fact_date=draft.origin_date or draft.effective_date,
        document_ref=draft.document_ref,
        party_id=draft.party_id,
        reverses_id=draft.reverses_id,
        corrects_id=draft.corrects_id,
        lines=[(p.account, p.amount, p.currency, p.party_id, p.vat_code) for p in postings],
    )
    payload = chain.payload_hash(body)
    known = plan.get(ENTRY_BY_REF, draft.ref)
    if known is not None:
        if known["payload_hash"] != payload:
            raise RefConflict(
                f"{draft.ref} is booked as entry {known['seq']} with another content: a changed fact needs its own ref",
                subject=f"entry:{known['id']}",
                details={"ref": draft.ref, "seq": known["seq"]},
            )
        return Posted(known["id"], known["seq"], True)
    if draft.reverses_id is not None:
        _check_not_reversed(plan, draft.reverses_id)
    accounts = _accounts(plan, draft)
    return _book(plan, draft, payload, accounts)


def reverse(plan: Plan, entry_id: int, *, ref: str, label: str, effective_date: date) -> Posted:
    """Books the opposite of an entry, once: every amount with the other sign."""
    entry = plan.get(ENTRIES, entry_id)
    if entry is None:
        raise CoreError(f"there is no entry {entry_id} to reverse", kind="entry.unknown", subject=f"entry:{entry_id}")
    return post(
        plan,
        EntryDraft(
            ref=ref,
            journal=entry["journal"],
            kind="reversal",
            label=label,
            effective_date=effective_date,
            postings=[Posting(p.account, -p.amount, p.currency, p.party_id, p.vat_code) for p in entry["postings"]],
            document_ref=entry["document_ref"],
            party_id=entry["party_id"],
            reverses_id=entry_id,
        ),
    )


def _check_balanced(draft: EntryDraft) -> None:
    sums: dict[str, int] = {}
    for posting in draft.postings:
        if not posting.amount:
            raise Unbalanced(f"{draft.ref}: a posting on {posting.account} is zero: leave it out", subject=draft.ref)
        sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount
    if len(draft.postings) < 2 or any(sums.values()):
        raise Unbalanced(
            f"{draft.ref}: {len(draft.postings)} postings with sums {sums}: an entry has at least two, and each "
            "currency adds up to zero",
            subject=draft.ref,
            details={"ref": draft.ref, "sums": sums},
        )


def _check_not_reversed(plan: Plan, entry_id: int) -> None:
    before = plan.get(REVERSAL_OF, entry_id)
    if before is not None:
        raise AlreadyReversed(
            f"entry {entry_id} was reversed by {before['ref']}: an entry is reversed once",
            subject=f"entry:{entry_id}",
            details={"ref": before["ref"]},
        )


def _accounts(plan: Plan, draft: EntryDraft) -> list[Row]:
    accounts: list[Row] = []
    deltas: dict[int, int] = {}
    floors = False
    for posting in draft.postings:
        account = plan.get(ACCOUNTS, (posting.account, posting.currency))
        if account is None:
            raise UnknownAccount(
                f"{draft.ref}: the book has no account {posting.account} in {posting.currency}: add it to the chart",
                subject=f"account:{posting.account}",
                details={"account": posting.account, "currency": posting.currency},
            )
        accounts.append(account)
        if account["min_balance"] is not None:
            floors = True
            deltas[account["id"]] = deltas.get(account["id"], 0) + posting.amount
    if floors:
        for account in accounts:
            delta = deltas.get(account["id"], 0)
            if delta < 0 and account["amount"] + delta < account["min_balance"]:
                raise BalanceTooLow(
                    f"{draft.ref}: {account['code']} has {account['amount']} and would fall below "
                    f"{account['min_balance']} {account['currency']} (minor units)",
                    subject=f"account:{account['code']}",
                    details={"account": account["code"], "amount": account["amount"], "change": delta},
                )
    return accounts


_FLOOR = (("amount", "min_balance"),)


def _book(plan: Plan, draft: EntryDraft, payload: bytes, accounts: list[Row]) -> Posted:
    if plan.chain_key is None:
        raise RuntimeError("the plan has no chain key: set plan.chain_key before entries are posted")
    key_id, key = plan.chain_key
    book = book_of(plan)
    effective, origin = draft.effective_date, draft.origin_date
    closed = book["closed_through"]
    if closed is not None and effective <= closed:
        # a closed period is not written to: booked on the first day after it, with its own date (PCG art. 1031-4)
        effective, origin = closed + timedelta(days=1), origin or effective
    entry_id, seq, previous = plan.next_id(), book["next_seq"], book["head_hash"]
    linked = chain.chain_hash(
        key,
        chain.header(
            merchant_id=plan.merchant_id,
            book_id=book["id"],
            entry_id=entry_id,
            seq=seq,
            effective_date=effective,
            origin_date=origin,
            recorded_at=plan.now,
            data_key_id=key_id,
            payload=payload,
            previous=previous,
        ),
    )
    plan.insert(
        ENTRY,
        {
            "id": entry_id,
            "book_id": book["id"],
            "seq": seq,
            "ref": draft.ref,
            "payload_hash": payload,
            "journal": draft.journal,
            "kind": draft.kind,
            "label": draft.label,
            "document_ref": draft.document_ref,
            "party_id": draft.party_id,
            "effective_date": effective,
            "origin_date": origin,
            "recorded_at": plan.now,
            "reverses_id": draft.reverses_id,
            "corrects_id": draft.corrects_id,
            "encoding_version": chain.ENCODING_VERSION,
            "data_key_id": key_id,
            "prev_hash": previous,
            "hash": linked,
        },
    )
    for line, (posting, account) in enumerate(zip(draft.postings, accounts, strict=True), 1):
        plan.insert(
            POSTING,
            {
                "entry_id": entry_id,
                "line": line,
                "account_id": account["id"],
                "currency": posting.currency,
                "amount": posting.amount,
                "party_id": posting.party_id,
                "vat_code": posting.vat_code,
            },
        )
        plan.increment(BALANCE, account, guard=() if account["min_balance"] is None else _FLOOR, amount=posting.amount)
    plan.insert(ENTRY_SEAL, {"id": entry_id})
    plan.update(BOOK, book, next_seq=seq + 1, head_hash=linked)
    found = {"ref": draft.ref, "id": entry_id, "seq": seq, "payload_hash": payload}
    plan.put(ENTRY_BY_REF, draft.ref, found)
    if draft.reverses_id is not None:
        plan.put(REVERSAL_OF, draft.reverses_id, {"id": entry_id, "ref": draft.ref})
    return Posted(entry_id, seq, False)
