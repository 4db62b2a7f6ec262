"""The effect log: one row per confirmed external effect, chained with an HMAC so that no row can be changed, added, taken
out or cut off unseen."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
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
_START = bytes(32)
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


@dataclass(frozen=True)
class EffectFault:
    """What is wrong in the effect log, and where."""

    seq: int
    message: str


def append(
    connection: Connection, merchant_id: int, effects: Sequence[Confirmed], *, key: tuple[int, bytes], now: int
) -> None:
    """Adds effects to the log in the transaction that confirms their deliveries."""
    head = connection.execute(_LOCK_HEAD, {"merchant_id": merchant_id}).one_or_none()
    if head is None:
        connection.execute(_NEW_HEAD, {"merchant_id": merchant_id, "hash": _START})
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
    fields = [
        row["encoding_version"],
        row["merchant_id"],
        row["seq"],
        row["delivery_id"],
        row["connection_id"],
        row["operation"],
        row["key"],
        row["version"],
        row["external_id"],
        bytes(row["body_hash"]).hex(),
        row["confirmed_at"],
        row["data_key_id"],
    ]
    return hmac.digest(key, bytes(row["prev_hash"]) + msgspec.json.encode(fields), hashlib.sha256)


def verify_effects(
    connection: Connection, merchant_id: int, chain_key: Callable[[int], bytes], confirmed: int | None = None
) -> list[EffectFault]:
    """Walks the log from its start: numbers without gap, each hash, the head, and (when given) the number of confirmed
    deliveries. Returns what is wrong, each with its place."""
    faults: list[EffectFault] = []
    previous, expected = _START, 1
    keys: dict[int, bytes] = {}
    rows = connection.execute(
        sa.select(_EFFECT).where(_EFFECT.c.merchant_id == merchant_id).order_by(_EFFECT.c.seq)
    ).mappings()
    for row in rows:
        if row["seq"] != expected:
            faults.append(EffectFault(expected, f"effect {expected} is missing: the next one is {row['seq']}"))
            expected = row["seq"]
        if row["data_key_id"] not in keys:
            keys[row["data_key_id"]] = chain_key(row["data_key_id"])
        if bytes(row["prev_hash"]) != previous:
            faults.append(EffectFault(row["seq"], f"effect {row['seq']} does not follow the one before it"))
        if not hmac.compare_digest(link(row, keys[row["data_key_id"]]), bytes(row["hash"])):
            faults.append(EffectFault(row["seq"], f"effect {row['seq']} was changed"))
        previous, expected = bytes(row["hash"]), expected + 1
    head = connection.execute(sa.select(_HEAD).where(_HEAD.c.merchant_id == merchant_id)).one_or_none()
    length = expected - 1
    if head is None:
        if length:
            faults.append(EffectFault(length, "the head of the effect log is missing"))
    elif head.seq != length or bytes(head.hash) != previous:
        faults.append(
            EffectFault(length, f"the effect log ends at {length}, its head says {head.seq}: the tail was cut")
        )
    if confirmed is not None and confirmed != length:
        faults.append(EffectFault(length, f"{confirmed} deliveries are confirmed, the effect log has {length}"))
    return faults
