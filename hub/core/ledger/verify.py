"""Verifies a book from its rows: content and chain of each entry, sums, balances, reversals and numbers.

Nothing here is trusted but the chain keys: what was changed by somebody who got past the seals is found and located.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.faults import Fault
from hub.core.ledger import chain
from hub.core.ledger.numbers import number_text
from hub.core.ledger.tables import ACCOUNT, BALANCE, BOOK, ENTRY, ENTRY_SEAL, POSTING, SERIES
from hub.core.plan import Row

_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id")
_ENTRIES = (
    sa.select(ENTRY, ENTRY_SEAL.c.id.label("seal_id"))
    .outerjoin(ENTRY_SEAL, ENTRY_SEAL.c.id == ENTRY.c.id)
    .where(ENTRY.c.merchant_id == _MERCHANT, ENTRY.c.book_id == sa.bindparam("book_id"))
    .order_by(ENTRY.c.seq, ENTRY.c.id)
)
_POSTINGS = (
    sa.select(
        POSTING.c.entry_id,
        POSTING.c.line,
        ACCOUNT.c.code,
        POSTING.c.amount,
        POSTING.c.currency,
        POSTING.c.party_id,
        POSTING.c.vat_code,
    )
    .outerjoin(ACCOUNT, ACCOUNT.c.id == POSTING.c.account_id)
    .join(ENTRY, ENTRY.c.id == POSTING.c.entry_id)
    .where(ENTRY.c.merchant_id == _MERCHANT, ENTRY.c.book_id == sa.bindparam("book_id"))
    .order_by(ENTRY.c.seq, ENTRY.c.id, POSTING.c.line)
)
_LOST = (
    sa.select(POSTING.c.id, POSTING.c.entry_id)
    .outerjoin(ENTRY, ENTRY.c.id == POSTING.c.entry_id)
    .where(POSTING.c.merchant_id == _MERCHANT, ENTRY.c.id.is_(None))
    .order_by(POSTING.c.id)
)
_SUMS = (
    sa.select(
        ACCOUNT.c.code, ACCOUNT.c.currency, BALANCE.c.amount, BALANCE.c.min_balance, sa.func.sum(POSTING.c.amount)
    )
    .select_from(ACCOUNT)
    .outerjoin(BALANCE, BALANCE.c.id == ACCOUNT.c.id)
    .outerjoin(POSTING, sa.and_(POSTING.c.merchant_id == ACCOUNT.c.merchant_id, POSTING.c.account_id == ACCOUNT.c.id))
    .where(ACCOUNT.c.merchant_id == _MERCHANT)
    .group_by(ACCOUNT.c.code, ACCOUNT.c.currency, BALANCE.c.amount, BALANCE.c.min_balance)
    .order_by(ACCOUNT.c.code, ACCOUNT.c.currency)
)

Keys = Callable[[int], bytes]


def verify_ledger(connection: Connection, merchant_id: int, keys: Keys) -> list[Fault]:
    """All faults of a merchant's book, in the order of its entries; none when it has no book.

    `keys` gives the bytes of a chain key by its id, retired ones too. Entries are read one after the other, so that a book
    of any size can be verified."""
    values = {"merchant_id": merchant_id}
    book = connection.execute(sa.select(BOOK).where(BOOK.c.merchant_id == _MERCHANT), values).mappings().one_or_none()
    if book is None:
        return []
    faults = list(_verify_entries(connection, dict(book), keys))
    for posting_id, entry_id in connection.execute(_LOST, values):
        faults.append(Fault("posting.entry", f"posting {posting_id}", f"its entry {entry_id} is missing"))
    for code, currency, amount, floor, summed in connection.execute(_SUMS, values):
        place, expected = f"balance {code} {currency}", int(summed or 0)
        if amount is None:
            faults.append(Fault("balance.row", place, f"it is missing; the postings add up to {expected}"))
        elif amount != expected:
            faults.append(Fault("balance.amount", place, f"it is {amount}; the postings add up to {expected}"))
        elif floor is not None and amount < floor:
            faults.append(Fault("balance.floor", place, f"it is {amount}, below its floor {floor}"))
    return faults


def verify_numbers(connection: Connection, merchant_id: int, issued: Iterable[str]) -> list[Fault]:
    """Gaps, repeats and strangers among the numbers of issued documents, compared with the merchant's series.

    `issued`: the numbers of all documents, whichever their series."""
    counts = Counter(issued)
    faults = [Fault("number.twice", f"number {text}", f"it is on {n} documents") for text, n in counts.items() if n > 1]
    left = set(counts)
    statement = sa.select(SERIES).where(SERIES.c.merchant_id == _MERCHANT).order_by(SERIES.c.code)
    for series in connection.execute(statement, {"merchant_id": merchant_id}).mappings():
        for number in range(1, series["next_number"]):
            text = number_text(series["prefix"], number)
            if text not in counts:
                faults.append(
                    Fault("number.gap", f"number {text}", f"series {series['code']} issued it; no document bears it")
                )
            left.discard(text)
    faults += [Fault("number.unknown", f"number {text}", "no series issued it") for text in sorted(left)]
    return faults


def _verify_entries(connection: Connection, book: Row, keys: Keys) -> Iterator[Fault]:
    previous, expected_seq = chain.GENESIS, 1
    reversed_by: dict[int, str] = {}
    for entry, lines in _entries(connection, book):
        place = f"entry {entry['seq']} ({entry['ref']})"
        if entry["seq"] > expected_seq:
            yield _missing(expected_seq, entry["seq"] - 1)
        elif entry["seq"] < expected_seq:
            yield Fault("entry.order", place, f"its number is there twice, or is not one: {expected_seq} comes next")
        elif entry["prev_hash"] != previous:
            yield Fault("chain.link", place, "it is not chained to the entry before it")
        yield from _verify_entry(entry, lines, keys, place)
        if entry["reverses_id"] is not None:
            if entry["reverses_id"] in reversed_by:
                yield Fault("entry.reversal", place, f"{reversed_by[entry['reverses_id']]} reverses the same entry")
            reversed_by[entry["reverses_id"]] = place
        previous, expected_seq = entry["hash"], entry["seq"] + 1
    if book["next_seq"] > expected_seq:
        yield _missing(expected_seq, book["next_seq"] - 1)
    elif book["next_seq"] < expected_seq:
        yield Fault(
            "chain.count", f"book {book['id']}", f"it counts {book['next_seq'] - 1} entries of {expected_seq - 1}"
        )
    elif book["head_hash"] != previous:
        yield Fault(
            "chain.head", f"book {book['id']}", f"its head is not the hash of its last entry {expected_seq - 1}"
        )


def _missing(first: int, last: int) -> Fault:
    if first == last:
        return Fault("entry.missing", f"entry {first}", "it is missing")
    return Fault("entry.missing", f"entries {first} to {last}", "they are missing")


def _verify_entry(entry: Row, lines: Sequence[Row], keys: Keys, place: str) -> Iterator[Fault]:
    if entry["seal_id"] is None:
        yield Fault("entry.seal", place, "it has no seal")
    if entry["encoding_version"] != chain.ENCODING_VERSION:
        yield Fault("entry.version", place, f"encoding {entry['encoding_version']} is unknown to this release")
        return
    sums: Counter[str] = Counter()
    for line in lines:
        sums[line["currency"]] += line["amount"]
    if len(lines) < 2 or any(sums.values()):
        yield Fault("entry.balance", place, f"{len(lines)} postings add up to {dict(sums)}")
    numbers = [line["line"] for line in lines]
    if numbers != list(range(1, len(lines) + 1)):
        yield Fault("entry.lines", place, f"its lines are {numbers}: one is missing")
    if chain.payload_hash(_content(entry, lines)) != entry["payload_hash"]:
        yield Fault("entry.content", place, "its date, text, accounts, amounts, VAT codes or parties were changed")
    header = chain.header(
        merchant_id=entry["merchant_id"],
        book_id=entry["book_id"],
        entry_id=entry["id"],
        seq=entry["seq"],
        effective_date=entry["effective_date"],
        origin_date=entry["origin_date"],
        recorded_at=entry["recorded_at"],
        data_key_id=entry["data_key_id"],
        payload=entry["payload_hash"],
        previous=entry["prev_hash"],
    )
    if chain.chain_hash(keys(entry["data_key_id"]), header) != entry["hash"]:
        yield Fault("chain.hash", place, "its number, dates, content hash or link were changed")


def _content(entry: Row, lines: Sequence[Row]) -> bytes:
    return chain.content(
        ref=entry["ref"],
        journal=entry["journal"],
        kind=entry["kind"],
        label=entry["label"],
        fact_date=entry["origin_date"] or entry["effective_date"],
        document_ref=entry["document_ref"],
        party_id=entry["party_id"],
        reverses_id=entry["reverses_id"],
        corrects_id=entry["corrects_id"],
        lines=[
            (line["code"] or "", line["amount"], line["currency"], line["party_id"], line["vat_code"]) for line in lines
        ],
    )


def _entries(connection: Connection, book: Row) -> Iterator[tuple[Row, list[Row]]]:
    """Entries in order, each with its postings: two ordered reads merged."""
    values = {"merchant_id": book["merchant_id"], "book_id": book["id"]}
    # the second read gets a cursor of its own on the same connection
    postings = groupby(_stream(connection, _POSTINGS, values), key=lambda line: line["entry_id"])
    waiting: tuple[int, list[Row]] | None = None
    for entry in _stream(connection, _ENTRIES, values):
        if waiting is None:
            entry_id, lines = next(postings, (None, iter(())))
            waiting = None if entry_id is None else (entry_id, list(lines))
        if waiting is not None and waiting[0] == entry["id"]:
            yield entry, waiting[1]
            waiting = None
        else:
            yield entry, []


def _stream(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> Iterator[Row]:
    result = connection.execute(statement, values, execution_options={"yield_per": 1000})
    for row in result.mappings():
        yield dict(row)
