"""`verify` finds and locates what was changed behind the seals: twelve corruptions, on both engines."""

from __future__ import annotations

import pytest
from booking import DAY, batch, book_sales, receive, sale
from books import BookOfTest
from tampering import tamper

from hub.core.faults import Fault
from hub.core.ledger.numbers import take_number
from hub.core.ledger.posting import post, reverse
from hub.core.ledger.verify import verify_ledger, verify_numbers
from hub.core.stock.reservations import reserve, ship
from hub.core.stock.verify import verify_stock

ENTRIES = 6
_OF = "(SELECT id FROM entry WHERE seq = {})"
_DROP = [
    f"DELETE FROM posting WHERE entry_id = {_OF.format('{0}')}",
    f"DELETE FROM entry_seal WHERE id = {_OF.format('{0}')}",
    "DELETE FROM entry WHERE seq = {0}",
]


def _drop(seq: int) -> list[str]:
    return [statement.format(seq) for statement in _DROP]


#: name -> statements, and the faults (check, place) that must be found
CORRUPTIONS: dict[str, tuple[list[str], set[tuple[str, str]]]] = {
    "amounts of a balanced pair": (
        [
            f"UPDATE posting SET amount = amount + 100 WHERE line = 1 AND entry_id = {_OF.format(3)}",
            f"UPDATE posting SET amount = amount - 100 WHERE line = 2 AND entry_id = {_OF.format(3)}",
        ],
        {
            ("entry.content", "entry 3 (sale:3:1)"),
            ("balance.amount", "balance 411900 EUR"),
            ("balance.amount", "balance 707100 EUR"),
        },
    ),
    "amount of one posting": (
        [f"UPDATE posting SET amount = amount + 1 WHERE line = 3 AND entry_id = {_OF.format(2)}"],
        {
            ("entry.balance", "entry 2 (sale:2:1)"),
            ("entry.content", "entry 2 (sale:2:1)"),
            ("balance.amount", "balance 445711 EUR"),
        },
    ),
    "date": (
        ["UPDATE entry SET effective_date = '2026-12-01' WHERE seq = 4"],
        {("entry.content", "entry 4 (sale:4:1)"), ("chain.hash", "entry 4 (sale:4:1)")},
    ),
    "instant": (["UPDATE entry SET recorded_at = 0 WHERE seq = 4"], {("chain.hash", "entry 4 (sale:4:1)")}),
    "account": (
        [
            "UPDATE posting SET account_id = (SELECT id FROM account WHERE code = '707200')"
            f" WHERE line = 2 AND entry_id = {_OF.format(5)}"
        ],
        {
            ("entry.content", "entry 5 (sale:5:1)"),
            ("balance.amount", "balance 707100 EUR"),
            ("balance.amount", "balance 707200 EUR"),
        },
    ),
    "account code for all of its entries": (
        ["UPDATE account SET code = '707999' WHERE code = '707100'"],
        {("entry.content", f"entry {n} (sale:{n}:1)") for n in range(1, ENTRIES + 1)},
    ),
    "VAT code": (
        [f"UPDATE posting SET vat_code = 'EXPORT' WHERE line = 2 AND entry_id = {_OF.format(1)}"],
        {("entry.content", "entry 1 (sale:1:1)")},
    ),
    "party": (["UPDATE entry SET party_id = 1 WHERE seq = 6"], {("entry.content", "entry 6 (sale:6:1)")}),
    "document": (
        ["UPDATE entry SET document_ref = 'F2026-999999' WHERE seq = 6"],
        {("entry.content", "entry 6 (sale:6:1)")},
    ),
    "order of two entries": (
        [
            "UPDATE entry SET seq = 99 WHERE seq = 2",
            "UPDATE entry SET seq = 2 WHERE seq = 3",
            "UPDATE entry SET seq = 3 WHERE seq = 99",
        ],
        {
            ("chain.link", "entry 2 (sale:3:1)"),
            ("chain.hash", "entry 2 (sale:3:1)"),
            ("chain.link", "entry 3 (sale:2:1)"),
            ("chain.hash", "entry 3 (sale:2:1)"),
            ("chain.link", "entry 4 (sale:4:1)"),
        },
    ),
    "missing posting": (
        [f"DELETE FROM posting WHERE line = 2 AND entry_id = {_OF.format(3)}"],
        {
            ("entry.balance", "entry 3 (sale:3:1)"),
            ("entry.lines", "entry 3 (sale:3:1)"),
            ("entry.content", "entry 3 (sale:3:1)"),
            ("balance.amount", "balance 707100 EUR"),
        },
    ),
    "missing entry": (
        [*_drop(3)],
        {
            ("entry.missing", "entry 3"),
            *(("balance.amount", f"balance {a} EUR") for a in ("411900", "445711", "707100")),
        },
    ),
    "missing entry, its number closed up": (
        [*_drop(5), "UPDATE entry SET seq = 5 WHERE seq = 6", "UPDATE book SET next_seq = 6"],
        {
            ("chain.link", "entry 5 (sale:6:1)"),
            ("chain.hash", "entry 5 (sale:6:1)"),
            *(("balance.amount", f"balance {a} EUR") for a in ("411900", "445711", "707100")),
        },
    ),
    "chain cut and forged without the key": (
        ["UPDATE entry SET prev_hash = payload_hash WHERE seq = 4"],
        {("chain.link", "entry 4 (sale:4:1)"), ("chain.hash", "entry 4 (sale:4:1)")},
    ),
    "content and payload hash both": (
        [
            "UPDATE entry SET label = 'x' WHERE seq = 2",
            "UPDATE entry SET payload_hash = (SELECT payload_hash FROM entry WHERE seq = 1) WHERE seq = 2",
        ],
        {("entry.content", "entry 2 (sale:2:1)"), ("chain.hash", "entry 2 (sale:2:1)")},
    ),
    "tail cut": (
        [*_drop(6), *_drop(5)],
        {
            ("entry.missing", "entries 5 to 6"),
            *(("balance.amount", f"balance {a} EUR") for a in ("411900", "445711", "707100")),
        },
    ),
    "tail cut and count lowered": (
        [*_drop(6), "UPDATE book SET next_seq = 6"],
        {
            ("chain.head", "book {book_id}"),
            *(("balance.amount", f"balance {a} EUR") for a in ("411900", "445711", "707100")),
        },
    ),
    "entry without its seal": (
        [f"DELETE FROM entry_seal WHERE id = {_OF.format(1)}"],
        {("entry.seal", "entry 1 (sale:1:1)")},
    ),
    "balance row": (
        ["UPDATE balance SET amount = amount + 1 WHERE id = (SELECT id FROM account WHERE code = '445711')"],
        {("balance.amount", "balance 445711 EUR")},
    ),
    "missing balance row": (
        ["DELETE FROM balance WHERE id = (SELECT id FROM account WHERE code = '445711')"],
        {("balance.row", "balance 445711 EUR")},
    ),
}


def _found(faults: list[Fault]) -> set[tuple[str, str]]:
    return {(fault.check, fault.place) for fault in faults}


@pytest.fixture
def filled(book: BookOfTest) -> BookOfTest:
    book_sales(book, ENTRIES)
    return book


def _ledger(book: BookOfTest) -> list[Fault]:
    with book.database.read() as connection:
        return verify_ledger(connection, book.merchant_id, book.key)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_of_the_ledger_is_found_and_located(filled: BookOfTest, owner_url: str, name: str) -> None:
    statements, expected = CORRUPTIONS[name]
    assert _ledger(filled) == []
    tamper(owner_url, *statements)
    assert _found(_ledger(filled)) >= {(check, place.format(book_id=filled.book_id)) for check, place in expected}
    allowed = {place.format(book_id=filled.book_id) for _, place in expected}
    if name != "account code for all of its entries":
        assert {place for _, place in _found(_ledger(filled))} <= allowed, "only what was touched is named"


def test_a_whole_book_has_no_fault(filled: BookOfTest) -> None:
    with batch(filled) as plan:
        first = post(plan, sale(1))
        reverse(plan, first.entry_id, ref="reversal:1", label="Annulation", effective_date=DAY)
    assert _ledger(filled) == []


def test_a_book_chained_with_another_key_fails_at_every_entry(filled: BookOfTest) -> None:
    with filled.database.read() as connection:
        faults = verify_ledger(connection, filled.merchant_id, lambda _: bytes(32))
    assert [fault.check for fault in faults] == ["chain.hash"] * ENTRIES


def test_an_empty_book_and_no_book_have_no_fault(book: BookOfTest) -> None:
    assert _ledger(book) == []
    with book.database.read() as connection:
        assert verify_ledger(connection, 2, book.key) == []


def test_numbers_without_documents_and_documents_without_numbers_are_named(book: BookOfTest) -> None:
    with batch(book) as plan:
        issued = [take_number(plan, "invoice", 2026) for _ in range(4)] + [take_number(plan, "credit_note", 2026)]
    with book.database.read() as connection:
        assert verify_numbers(connection, 1, issued) == []
        issued.remove("F2026-000002")
        faults = verify_numbers(connection, 1, [*issued, "F2026-000004", "F2026-000009"])
    assert _found(faults) == {
        ("number.gap", "number F2026-000002"),
        ("number.twice", "number F2026-000004"),
        ("number.unknown", "number F2026-000009"),
    }


STOCK: dict[str, tuple[list[str], set[tuple[str, str]]]] = {
    "on hand": (
        ["UPDATE stock_level SET on_hand = on_hand + 1 WHERE guarded"],
        {("stock.on_hand", "stock of MUG at main")},
    ),
    "held": (["UPDATE stock_level SET held = held - 1 WHERE guarded"], {("stock.held", "stock of MUG at main")}),
    "waiting": (["UPDATE stock_level SET waiting = 1 WHERE guarded"], {("stock.waiting", "stock of MUG at main")}),
    "missing row": (["DELETE FROM stock_level WHERE guarded"], {("stock.row", "stock of MUG at main")}),
    "move": (
        ["UPDATE move SET quantity = 11 WHERE kind = 'receipt'"],
        {("stock.on_hand", "stock of MUG at main"), ("stock.on_hand", "stock of MUG at supplier")},
    ),
    "missing shipment": (
        ["DELETE FROM move WHERE kind = 'shipment'"],
        {
            ("stock.on_hand", "stock of MUG at main"),
            ("stock.on_hand", "stock of MUG at customer"),
            ("reservation.shipped", "reservation {reservation} of order 1"),
        },
    ),
}


@pytest.mark.parametrize("name", STOCK)
def test_a_corruption_of_the_stock_is_found_and_located(book: BookOfTest, owner_url: str, name: str) -> None:
    item = receive(book, "MUG", 10)
    with batch(book) as plan:
        main = book.locations["main"]
        held = reserve(plan, item_id=item["id"], location_id=main, order_id=1, order_line_id=1, quantity=3)
        ship(plan, held, 1, "ship:1", DAY)
    statements, expected = STOCK[name]
    with book.database.read() as connection:
        assert verify_stock(connection, 1) == []
    tamper(owner_url, *statements)
    with book.database.read() as connection:
        found = _found(verify_stock(connection, 1))
    assert found == {(check, place.format(reservation=held["id"])) for check, place in expected}
