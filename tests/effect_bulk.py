"""Writes many confirmed deliveries with their effects at once, chained as the hub chains them: what `hub prove` accepts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.engine import Database
from hub.outbox.effects import ENCODING_VERSION, START, linked

#: an instant in 2026
_FIRST_AT = 1_790_000_000_000_000
_BLOCK = 10_000
_DELIVERY = (
    "id, merchant_id, connection_id, operation, key, version, ladder, is_state, is_ensure, ordering_key, body, body_hash,"
    " frozen_body, frozen_key, state, attempts, maybe_sent, first_sent_at, stale, next_attempt_at, lease_until, external_id,"
    " event_seq, created_at, finished_at"
)
_EFFECT = (
    "merchant_id, seq, delivery_id, connection_id, operation, key, version, external_id, body_hash, confirmed_at,"
    " encoding_version, data_key_id, prev_hash, hash"
)


def fill(
    database: Database, count: int, key: tuple[int, bytes], *, merchant_id: int = 1, connection_id: int = 7
) -> None:
    """An empty log gets `count` effects: invoices of a shop, and every tenth a stock level with versions of its own.
    `key`: id and bytes of the chain key."""
    database.ids.ensure(count)
    first_id = _ids(database, count)
    previous, seq = START, 0
    with database.write() as connection:
        for start in range(1, count + 1, _BLOCK):
            deliveries, effects = [], []
            for seq in range(start, min(start + _BLOCK, count + 1)):
                delivery, effect = _rows(seq, first_id + seq, merchant_id, connection_id, key, previous)
                previous = effect[-1]
                deliveries.append(delivery)
                effects.append(effect)
            _write(connection, "delivery", _DELIVERY, deliveries)
            _write(connection, "effect_log", _EFFECT, effects)
        connection.execute(
            sa.text("INSERT INTO effect_head (merchant_id, seq, hash) VALUES (:merchant, :seq, :hash)"),
            {"merchant": merchant_id, "seq": seq, "hash": previous},
        )


def _rows(
    seq: int, delivery_id: int, merchant_id: int, connection_id: int, key: tuple[int, bytes], previous: bytes
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    state = seq % 10 == 0
    if state:
        operation, name, version, external_id = "stock.set", f"item:{seq // 10 % 500}", seq // 5_000, None
        body = f'{{"from":{seq % 40},"item_ref":"i{seq // 10 % 500}","quantity":{seq % 39}}}'.encode()
    else:
        operation, name, version, external_id = "invoice.create", f"F2026-{seq:07}", 0, f"i{seq}"
        lines = ",".join(f'{{"amount":{seq % 90 + line}.90,"sku":"MUG-{line:02}"}}' for line in range(6))
        body = f'{{"lines":[{lines}],"number":"{name}","reference":"SO{delivery_id}"}}'.encode()
    digest, at = hashlib.sha256(body).digest(), _FIRST_AT + seq
    fields = (
        *(ENCODING_VERSION, merchant_id, seq, delivery_id, connection_id, operation, name, version, external_id),
        *(digest.hex(), at, key[0]),
    )
    made = linked(fields, previous, key[1])
    ladder = "compare_and_set" if state else "native_key"
    delivery = (
        *(delivery_id, merchant_id, connection_id, operation, name, version, ladder, state, False, name),
        *(None if state else body, None if state else digest, body, digest.hex()[:40], "confirmed", 1, False, at),
        *(0, 0, 0, external_id, seq, at, at),
    )
    effect = (
        *(merchant_id, seq, delivery_id, connection_id, operation, name, version, external_id, digest, at),
        *(ENCODING_VERSION, key[0], previous, made),
    )
    return delivery, effect


def _ids(database: Database, count: int) -> int:
    """The number before `count` ids that are ours from now on."""
    with database.write() as connection:
        taken = sa.text("UPDATE id_counter SET next = next + :count WHERE id = 1 RETURNING next")
        end = connection.execute(taken, {"count": count + 1}).scalar_one()
    return int(end) - count - 1


def _write(connection: Connection, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(rows[0]))
        connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        return
    raw = connection.connection.driver_connection
    assert raw is not None
    with raw.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        copy.write("".join(_lines(rows)))


def _lines(rows: list[tuple[Any, ...]]) -> Iterator[str]:
    for row in rows:
        yield "\t".join([_cell(value) for value in row]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    return "\\\\x" + value.hex() if isinstance(value, bytes) else str(value)
