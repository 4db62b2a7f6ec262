"""The raw limit: the rows of one order's whole transaction, written by hand, without triggers or any of our code; on
PostgreSQL pipelined, so that no statement waits for the answer to the one before.

27 statements an order: inserts 1 inbox, 1 order, 3 lines, 3 moves, 1 invoice, 4 lines, 1 entry, 6 postings, 2 outbox rows with
bodies of 1-3 KB, 1 run; updates 3 guarded stock rows, 1 inbox row. 50 orders a transaction, `synchronous=FULL`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

ORDERS_A_TRANSACTION = 50
_TABLES = """
CREATE TABLE inbox(id INTEGER PRIMARY KEY, key TEXT UNIQUE, state TEXT, body BLOB);
CREATE TABLE orders(id INTEGER PRIMARY KEY, ext TEXT UNIQUE, name TEXT, total INTEGER, currency TEXT, at INTEGER);
CREATE TABLE line(id INTEGER PRIMARY KEY, order_id INTEGER, sku TEXT, qty INTEGER, net INTEGER, tax INTEGER);
CREATE TABLE move(id INTEGER PRIMARY KEY, item INTEGER, qty INTEGER, src INTEGER, dst INTEGER, ref TEXT UNIQUE);
CREATE TABLE invoice(id INTEGER PRIMARY KEY, number TEXT UNIQUE, order_id INTEGER, total INTEGER, content BLOB);
CREATE TABLE invoice_line(id INTEGER PRIMARY KEY, invoice_id INTEGER, title TEXT, net INTEGER, tax INTEGER);
CREATE TABLE entry(id INTEGER PRIMARY KEY, ref TEXT UNIQUE, hash BLOB, label TEXT, at INTEGER);
CREATE TABLE posting(id INTEGER PRIMARY KEY, entry_id INTEGER, account INTEGER, amount INTEGER, currency TEXT);
CREATE TABLE outbox(id INTEGER PRIMARY KEY, key TEXT UNIQUE, state TEXT, body BLOB);
CREATE TABLE run(id INTEGER PRIMARY KEY, inbox_id INTEGER, flow TEXT, outcome TEXT);
CREATE TABLE stock(id INTEGER PRIMARY KEY, on_hand INTEGER);
"""


def measure(folder: Path, orders: int, body: bytes) -> float:
    """Orders a second."""
    path = folder / f"raw-{time.monotonic_ns()}.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.executescript(_TABLES)
    database.executemany("INSERT INTO stock VALUES(?, ?)", [(item, 10**9) for item in range(24)])
    began = time.perf_counter()
    for first in range(0, orders, ORDERS_A_TRANSACTION):
        database.execute("BEGIN IMMEDIATE")
        for n in range(first, min(first + ORDERS_A_TRANSACTION, orders)):
            _order(database.execute, n, body)
        database.execute("COMMIT")
    seconds = time.perf_counter() - began
    database.close()
    path.unlink()
    return orders / seconds


def measure_postgres(url: str, orders: int, body: bytes) -> float:
    """Orders a second. `url` as libpq takes it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES.replace("BLOB", "BYTEA").replace("INTEGER", "BIGINT").encode())
        connection.cursor().executemany("INSERT INTO stock VALUES(%s, %s)", [(item, 10**9) for item in range(24)])
        cursor = connection.cursor()

        def execute(statement: str, values: tuple[Any, ...]) -> object:
            return cursor.execute(statement.replace("?", "%s").encode(), values, prepare=True)

        began = time.perf_counter()
        for first in range(0, orders, ORDERS_A_TRANSACTION):
            with connection.transaction(), connection.pipeline():
                for n in range(first, min(first + ORDERS_A_TRANSACTION, orders)):
                    _order(execute, n, body)
        return orders / (time.perf_counter() - began)


def _order(execute: Callable[[str, tuple[Any, ...]], object], n: int, body: bytes) -> None:
    """The rows of one order."""
    small, large = body[:1024], body[:3072]
    execute("INSERT INTO inbox VALUES(?, ?, 'ready', ?)", (n, f"key-{n}", body))
    execute("INSERT INTO orders VALUES(?, ?, ?, ?, 'EUR', ?)", (n, f"gid-{n}", f"#{n}", 3710, n))
    for k in range(3):
        execute("INSERT INTO line VALUES(?, ?, ?, 1, 900, 180)", (n * 10 + k, n, f"SKU-{k}"))
        execute("INSERT INTO move VALUES(?, ?, 1, 1, 2, ?)", (n * 10 + k, k, f"move-{n}-{k}"))
    execute("INSERT INTO invoice VALUES(?, ?, ?, 3710, ?)", (n, f"F-{n}", n, small))
    for k in range(4):
        execute("INSERT INTO invoice_line VALUES(?, ?, 'Title', 900, 180)", (n * 10 + k, n))
    execute("INSERT INTO entry VALUES(?, ?, ?, 'Facture', ?)", (n, f"invoice:{n}", bytes(32), n))
    for k in range(6):
        execute("INSERT INTO posting VALUES(?, ?, ?, ?, 'EUR')", (n * 10 + k, n, k, 100 * k))
    execute("INSERT INTO outbox VALUES(?, ?, 'planned', ?)", (2 * n, f"books-{n}", large))
    execute("INSERT INTO outbox VALUES(?, ?, 'planned', ?)", (2 * n + 1, f"warehouse-{n}", small))
    execute("INSERT INTO run VALUES(?, ?, 'shop-orders', 'done')", (n, n))
    for k in range(3):
        execute("UPDATE stock SET on_hand = on_hand - 1 WHERE id = ? AND on_hand >= 1", ((n + k) % 24,))
    execute("UPDATE inbox SET state = 'done' WHERE id = ?", (n,))
