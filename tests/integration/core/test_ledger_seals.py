"""What the database refuses by itself, whoever writes: the eight attacks on a booked entry, on both engines.

The SQLite attacks come from a plain connection of the standard library, without the hub's pragmas but for foreign keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from booking import book_sales
from books import BookOfTest

Attack = Callable[..., Any]

_ENTRY = (
    "INSERT INTO entry (id, merchant_id, book_id, seq, ref, payload_hash, journal, kind, label, effective_date, recorded_at,"
    " encoding_version, data_key_id, prev_hash, hash)"
    " SELECT {id}, merchant_id, book_id, {seq}, {ref}, payload_hash, journal, kind, label, effective_date, recorded_at,"
    " encoding_version, data_key_id, prev_hash, hash FROM entry WHERE seq = 1"
)
_POSTING = (
    "INSERT INTO posting (id, merchant_id, entry_id, line, account_id, currency, amount)"
    " SELECT {id}, merchant_id, {entry}, {line}, account_id, {currency}, {amount} FROM posting"
    " WHERE line = 1 AND entry_id = (SELECT id FROM entry WHERE seq = 1)"
)
_FIRST = "(SELECT id FROM entry WHERE seq = 1)"
_SEAL = "INSERT INTO entry_seal (id, merchant_id) VALUES ({id}, 1)"


def _new_entry(*postings: str, seal: bool = True) -> list[str]:
    entry = _ENTRY.format(id=900001, seq=99, ref="'forged'")
    return [entry, *postings, *([_SEAL.format(id=900001)] if seal else [])]


def _line(number: int, amount: object, currency: str = "'EUR'", entry: str = "900001") -> str:
    return _POSTING.format(id=900100 + number, entry=entry, line=number, currency=currency, amount=amount)


ATTACKS: dict[str, list[str]] = {
    "update an amount": ["UPDATE posting SET amount = amount + 1 WHERE line = 1"],
    "update a date": ["UPDATE entry SET effective_date = '2020-01-01'"],
    "update a seal": ["UPDATE entry_seal SET merchant_id = 2"],
    "delete a posting": ["DELETE FROM posting WHERE line = 1"],
    "delete an entry with all of its rows": ["DELETE FROM posting", "DELETE FROM entry_seal", "DELETE FROM entry"],
    "late balanced pair": [_line(8, 5, entry=_FIRST), _line(9, -5, entry=_FIRST)],
    "empty entry": _new_entry(),
    "empty entry without a seal": _new_entry(seal=False),
    "entry of one posting": _new_entry(_line(1, 500)),
    "unbalanced entry": _new_entry(_line(1, 500), _line(2, -499)),
    "balanced entry without a seal": _new_entry(_line(1, 500), _line(2, -500), seal=False),
    "posting after the seal, in the same transaction": [
        *_new_entry(_line(1, 5), _line(2, -5)),
        _line(3, 1),
        _line(4, -1),
    ],
    "wrong currency": _new_entry(_line(1, 500, "'USD'"), _line(2, -500, "'USD'")),
    "two currencies that add up only together": _new_entry(_line(1, 500), _line(2, -500, "'USD'")),
    "zero amount": _new_entry(_line(1, 500), _line(2, -500), _line(3, 0)),
    "fraction of a cent": _new_entry(_line(1, "'0.5'"), _line(2, "'-0.5'")),
    "same ref again": [_ENTRY.format(id=900001, seq=99, ref="ref")],
    "same number again": [_ENTRY.format(id=900001, seq=1, ref="'forged'")],
    "posting of another merchant": _new_entry(
        _line(1, 5), _line(2, -5), _line(3, 7).replace("900103, merchant_id", "900103, 2")
    ),
    "account code": ["UPDATE account SET code = '999999' WHERE code = '707100'"],
    "account deleted": ["DELETE FROM balance WHERE id = 0", "DELETE FROM account WHERE code = '999000' OR 1 = 1"],
    "number taken back": ["UPDATE series SET next_number = next_number - 1"],
    "series deleted": ["DELETE FROM series"],
}
SQLITE_ONLY: dict[str, list[str]] = {
    "replace an entry": [_ENTRY.replace("INSERT", "INSERT OR REPLACE").format(id="id", seq="seq", ref="ref")],
    "replace an entry by its ref": [_ENTRY.replace("INSERT", "INSERT OR REPLACE").format(id=900001, seq=99, ref="ref")],
    "replace a posting": [
        "INSERT OR REPLACE INTO posting SELECT id, merchant_id, entry_id, line, account_id, currency, amount * 2, party_id,"
        " vat_code FROM posting"
    ],
    "move a posting to a new entry": [
        _ENTRY.format(id=900001, seq=99, ref="'forged'"),
        "INSERT OR REPLACE INTO posting SELECT id, merchant_id, 900001, line, account_id, currency, amount, party_id,"
        " vat_code FROM posting",
    ],
    "replace a seal": ["INSERT OR REPLACE INTO entry_seal SELECT id, merchant_id FROM entry_seal"],
    "replace an account": [
        "INSERT OR REPLACE INTO account SELECT id, merchant_id, book_id, '999999', name, currency FROM account"
    ],
    "upsert": [
        _ENTRY.format(id="id", seq="seq", ref="ref") + " AND true ON CONFLICT (id) DO UPDATE SET label = 'forged'",
    ],
    "upsert a posting": [
        _line(1, 500, entry=_FIRST).replace("900101", "id") + " ON CONFLICT (id) DO UPDATE SET amount = 500",
    ],
}
POSTGRES_ONLY: dict[str, list[str]] = {
    "truncate postings": ["TRUNCATE posting"],
    "truncate everything": ["TRUNCATE entry, posting, entry_seal CASCADE"],
    "upsert": [
        _ENTRY.format(id="id", seq="seq", ref="ref") + " ON CONFLICT (id) DO UPDATE SET label = 'forged'",
    ],
    "upsert a posting": [
        _line(1, 500, entry=_FIRST).replace("900101", "id") + " ON CONFLICT (id) DO UPDATE SET amount = 500",
    ],
    "postponed constraints": ["SET CONSTRAINTS ALL DEFERRED", *_new_entry(_line(1, 500), _line(2, -499))],
}


@pytest.fixture
def attack(book: BookOfTest, owner_url: str) -> Iterator[Attack]:
    """Runs the statements of an attack in one transaction, on a connection of the driver. On PostgreSQL as the owner of the
    tables: the triggers hold for it as well."""
    book_sales(book, 1)
    url = sa.make_url(owner_url)
    connection: Any
    if book.database.sqlite:
        connection = sqlite3.connect(str(url.database), isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection = psycopg.connect(dbname=url.database, user=url.username, host=str(url.query["host"]))

    def run(statements: list[str]) -> None:
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")

    yield run
    connection.close()


def _dump(book: BookOfTest) -> list[Any]:
    with book.database.read() as connection:
        return [
            connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY id")).all()
            for table in ("entry", "posting", "entry_seal", "account", "series")
        ]


def _refused(book: BookOfTest, attack: Attack, statements: list[str]) -> None:
    before = _dump(book)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError, psycopg.DataError)):
        attack(statements)
    assert _dump(book) == before


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_on_both_engines(book: BookOfTest, attack: Attack, name: str) -> None:
    _refused(book, attack, ATTACKS[name])


@pytest.mark.parametrize("name", SQLITE_ONLY)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_attack_with_means_of_sqlite_is_refused(book: BookOfTest, attack: Attack, name: str) -> None:
    _refused(book, attack, SQLITE_ONLY[name])


@pytest.mark.parametrize("name", POSTGRES_ONLY)
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_an_attack_with_means_of_postgresql_is_refused(book: BookOfTest, attack: Attack, name: str) -> None:
    _refused(book, attack, POSTGRES_ONLY[name])


def test_the_attacks_would_succeed_with_what_is_right(book: BookOfTest, attack: Attack) -> None:
    """The forged entries above are refused for their fault and not for another reason."""
    attack(_new_entry(_line(1, 500), _line(2, -500)))
    with book.database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM entry")).scalar_one() == 2
