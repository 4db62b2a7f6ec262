"""The effect log: one row per confirmed external effect, chained with an HMAC so that no row can be changed, added, taken
out or cut off unseen."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.inserts import insert_rows
from hub.outbox.tables import Effect, EffectHead

_EFFECT = Effect.__table__  # type: ignore[attr-defined]
_HEAD = EffectHead.__table__  # type: ignore[attr-defined]
ENCODING_VERSION = 1
#: hash before the first effect
START = bytes(32)
_encode = msgspec.json.Encoder().encode
_LOCK_HEAD = (
    sa.select(_HEAD.c.seq, _HEAD.c.hash)
    .where(_HEAD.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger))
    .with_for_update()  # says nothing on SQLite
)
_MOVE_HEAD = _HEAD.update().where(_HEAD.c.merchant_id == sa.bindparam("_merchant"))
#: the first effect of a merchant: of two processes that confirm it at once one waits for the other
_NEW_HEAD = sa.text(
    "INSERT INTO effect_head (merchant_id, seq, hash) VALUES (:merchant_id, 0, :hash) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True)
class Confirmed:
    """A delivery that the other system has confirmed."""

    delivery_id: int
    connection_id: int
    operation: str
    key: str
    version: int
    external_id: str | None
    body_hash: bytes


def append(
    connection: Connection, merchant_id: int, effects: Sequence[Confirmed], *, key: tuple[int, bytes], now: int
) -> None:
    """Adds effects to the log in the transaction that confirms their deliveries."""
    head = connection.execute(_LOCK_HEAD, {"merchant_id": merchant_id}).one_or_none()
    if head is None:
        connection.execute(_NEW_HEAD, {"merchant_id": merchant_id, "hash": START})
        head = connection.execute(_LOCK_HEAD, {"merchant_id": merchant_id}).one()
    seq, previous = head.seq, bytes(head.hash)
    rows: list[dict[str, Any]] = []
    for effect in effects:
        seq += 1
        row = {
            "merchant_id": merchant_id,
            "seq": seq,
            "delivery_id": effect.delivery_id,
            "connection_id": effect.connection_id,
            "operation": effect.operation,
            "key": effect.key,
            "version": effect.version,
            "external_id": effect.external_id,
            "body_hash": effect.body_hash,
            "confirmed_at": now,
            "encoding_version": ENCODING_VERSION,
            "data_key_id": key[0],
            "prev_hash": previous,
        }
        previous = row["hash"] = link(row, key[1])
        rows.append(row)
    if rows:
        insert_rows(connection, _EFFECT, rows)
        connection.execute(_MOVE_HEAD, {"_merchant": merchant_id, "seq": seq, "hash": previous})


def link(row: Any, key: bytes) -> bytes:
    """The hash of one row: HMAC-SHA256 over the previous hash and the row's canonical bytes (encoding version 1)."""
    return linked(
        (
            row["encoding_version"],
            row["merchant_id"],
            row["seq"],
            row["delivery_id"],
            row["connection_id"],
            row["operation"],
            row["key"],
            row["version"],
            row["external_id"],
            row["body_hash"].hex(),
            row["confirmed_at"],
            row["data_key_id"],
        ),
        row["prev_hash"],
        key,
    )


def linked(fields: tuple[Any, ...], previous: bytes, key: bytes) -> bytes:
    """The same of the fields in the order of the encoding."""
    return hmac.digest(key, previous + _encode(fields), hashlib.sha256)
