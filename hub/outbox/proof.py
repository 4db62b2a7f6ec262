"""The proof of the effect log: the chain is whole, each effect is there once, and each confirmed delivery has its own.

Rows are read page by page, so that a log of any length is proven in the same memory. Nothing is trusted but the chain keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.types import NullType

from hub.outbox.effects import ENCODING_VERSION, START, linked
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import DeliveryState, Effect, EffectHead

_EFFECT = Effect.__table__  # type: ignore[attr-defined]
_HEAD = EffectHead.__table__  # type: ignore[attr-defined]
_PAGE = 2_000
#: faults of one check that are kept; the others are counted
_KEPT = 200
_CONFIRMED = DeliveryState.CONFIRMED.value
_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_TEXT = ("operation", "key", "version", "external_id")


def _raw(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Bytes as the driver gives them: what was put there by force need not be bytes."""
    return sa.type_coerce(column, NullType())


_EFFECTS = (
    sa.select(
        _EFFECT.c.seq,
        _EFFECT.c.delivery_id,
        _EFFECT.c.connection_id,
        *(_EFFECT.c[name] for name in _TEXT),
        _EFFECT.c.confirmed_at,
        _EFFECT.c.encoding_version,
        _EFFECT.c.data_key_id,
        *(_raw(_EFFECT.c[name]) for name in ("body_hash", "prev_hash", "hash")),
        DELIVERY.c.merchant_id,
        DELIVERY.c.state,
        DELIVERY.c.connection_id,
        *(DELIVERY.c[name] for name in _TEXT),
        _raw(DELIVERY.c.frozen_body),
    )
    .select_from(_EFFECT.outerjoin(DELIVERY, DELIVERY.c.id == _EFFECT.c.delivery_id))
    .where(_EFFECT.c.merchant_id == _MERCHANT, _EFFECT.c.seq > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(_EFFECT.c.seq)
    .limit(_PAGE)
)
_LAST = sa.select(_HEAD.c.seq, _raw(_HEAD.c.hash)).where(_HEAD.c.merchant_id == _MERCHANT)
_KEY = (_EFFECT.c.connection_id, _EFFECT.c.operation, _EFFECT.c.key)
#: a fact has one effect a key, a state one a key and version
_VERSION = sa.case((DELIVERY.c.is_state, _EFFECT.c.version), else_=sa.literal_column("0"))
_TWICE = (
    sa.select(*_KEY, sa.func.count(), sa.func.min(_EFFECT.c.seq), sa.func.max(_EFFECT.c.seq))
    .select_from(_EFFECT.outerjoin(DELIVERY, DELIVERY.c.id == _EFFECT.c.delivery_id))
    .where(_EFFECT.c.merchant_id == _MERCHANT)
    .group_by(*_KEY, _VERSION)
    .having(sa.func.count() > 1)
    .order_by(sa.func.min(_EFFECT.c.seq))
)
_COUNT = sa.select(sa.func.count()).where(DELIVERY.c.merchant_id == _MERCHANT, DELIVERY.c.state == _CONFIRMED)
#: not as NOT IN or NOT EXISTS: one of the engines would look through the log for each delivery
_WITHOUT = (
    sa.select(DELIVERY.c.id)
    .where(DELIVERY.c.merchant_id == _MERCHANT, DELIVERY.c.state == _CONFIRMED)
    .except_(sa.select(_EFFECT.c.delivery_id).where(_EFFECT.c.merchant_id == _MERCHANT))
    .order_by(sa.literal_column("1"))
)
_NAMED = sa.select(DELIVERY.c.operation, DELIVERY.c.key).where(DELIVERY.c.id == sa.bindparam("id"))

ChainKey = Callable[[int], bytes]


class EffectFault(msgspec.Struct, frozen=True):
    """What is wrong in the effect log. `seq` is the effect, `delivery_id` the delivery, each where there is one."""

    check: str
    seq: int | None
    delivery_id: int | None
    message: str

    @property
    def place(self) -> str:
        parts = ["" if self.seq is None else f"effect {self.seq}"]
        parts += ["" if self.delivery_id is None else f"delivery {self.delivery_id}"]
        return ", ".join(part for part in parts if part) or "effect log"


@dataclass(kw_only=True)
class Faults:
    """Faults: the first of each check, and how many there are of all."""

    faults: list[EffectFault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, check: str, message: str, *, seq: int | None = None, delivery_id: int | None = None) -> None:
        self.take([EffectFault(check, seq, delivery_id, message)])

    def take(self, faults: Iterable[EffectFault]) -> None:
        for fault in faults:
            self.counts[fault.check] = self.counts.get(fault.check, 0) + 1
            if self.counts[fault.check] <= _KEPT:
                self.faults.append(fault)


@dataclass(kw_only=True)
class EffectProof(Faults):
    """What was proven: how many effects and confirmed deliveries, the hash at the end, and the faults."""

    effects: int = 0
    confirmed: int = 0
    hash: bytes = START


def prove_effects(connection: Connection, merchant_id: int, chain_key: ChainKey) -> EffectProof:
    """Proves the log of a merchant from its rows. `chain_key` gives the bytes of a key by its id, retired ones too;
    none (`b""`) when there is no such key."""
    proof = EffectProof()
    walk = _Walk(merchant_id, proof, _Keys(chain_key))
    for row in _effects(connection, merchant_id):
        walk.row(row)
    proof.effects, proof.hash = walk.expected - 1, walk.previous[0]
    _head(connection, merchant_id, proof, walk.previous)
    values = {"merchant_id": merchant_id}
    for _, operation, key, count, first, last in connection.execute(_TWICE, values):
        proof.add("effect.twice", f"{operation} {key} is confirmed {count} times, first by effect {first}", seq=last)
    proof.confirmed = int(connection.execute(_COUNT, values).scalar_one())
    if proof.confirmed != walk.sound or proof.counts:
        _without_effect(connection, merchant_id, proof)
    return proof


def _effects(connection: Connection, merchant_id: int) -> Iterator[Sequence[Any]]:
    after = -(2**62)
    while True:
        page = connection.execute(_EFFECTS, {"merchant_id": merchant_id, "after": after}).all()
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1][0]


class _Keys(dict[int, bytes]):
    """Chain keys by id, each asked for once."""

    def __init__(self, chain_key: ChainKey) -> None:
        super().__init__()
        self._chain_key = chain_key

    def __missing__(self, key_id: int) -> bytes:
        self[key_id] = key = self._chain_key(key_id)
        return key


class _Walk:
    """Goes from effect to effect: what must come next, and how many are bound to a confirmed delivery."""

    def __init__(self, merchant_id: int, proof: EffectProof, keys: _Keys) -> None:
        self.merchant_id = merchant_id
        self.proof = proof
        self.keys = keys
        self.expected = 1
        #: hashes that the next row may follow: the stored one, and the one that its content makes
        self.previous: tuple[bytes, bytes] = (START, START)
        self.sound = 0

    def row(self, row: Sequence[Any]) -> None:
        seq, delivery_id, connection_id, operation, key, version, external_id = row[:7]
        confirmed_at, encoding, key_id, body_hash, prev_hash, stored = row[7:13]
        if seq < self.expected:
            self._add("effect.number", f"effect {seq}: the log begins with 1", seq, delivery_id)
            return
        gap = seq > self.expected
        if gap:
            self._gap(self.expected, seq - 1)
        try:
            fields = (
                *(encoding, self.merchant_id, seq, delivery_id, connection_id, operation, key, version, external_id),
                *(body_hash.hex(), confirmed_at, key_id),
            )
            made = linked(fields, prev_hash, self.keys[key_id])
            whole = hmac.compare_digest(made, stored)
        except (TypeError, AttributeError):  # another type than the column's
            made, whole = b"", False
        if encoding != ENCODING_VERSION:
            self._add(
                "effect.version", f"effect {seq}: encoding {encoding} is unknown to this release", seq, delivery_id
            )
        elif not self.keys[key_id]:
            self._add("effect.key", f"effect {seq}: its chain key {key_id} is not there", seq, delivery_id)
        elif not whole:
            self._add("effect.changed", f"effect {seq} was changed", seq, delivery_id)
        elif not gap and prev_hash not in self.previous:
            self._add("effect.link", f"effect {seq} does not follow the one before it", seq, delivery_id)
        self._delivery(seq, delivery_id, (connection_id, operation, key, version, external_id), body_hash, row[13:])
        self.previous, self.expected = (stored, made), seq + 1

    def _gap(self, first: int, last: int) -> None:
        what = f"effect {first} is missing" if first == last else f"effects {first} to {last} are missing"
        self._add("effect.missing", what, first, None)

    def _delivery(
        self, seq: int, delivery_id: int, said: tuple[Any, ...], body_hash: Any, delivery: Sequence[Any]
    ) -> None:
        merchant_id, state, *its, frozen = delivery
        if merchant_id is None:
            self._add("delivery.missing", f"delivery {delivery_id} of effect {seq} is missing", seq, delivery_id)
            return
        if merchant_id != self.merchant_id:
            self._add("delivery.merchant", f"delivery {delivery_id} is another merchant's", seq, delivery_id)
        elif state != _CONFIRMED:
            self._add(
                "delivery.state", f"delivery {delivery_id} is {state}, effect {seq} confirms it", seq, delivery_id
            )
        else:
            self.sound += 1
        for name, logged, found in zip(("connection_id", *_TEXT), said, its, strict=True):
            if logged != found:
                message = f"{name} of delivery {delivery_id} is {found}, effect {seq} says {logged}"
                self._add(f"delivery.{name}", message, seq, delivery_id)
        # bodies are kept for a while only
        if frozen is not None and (not isinstance(frozen, bytes) or hashlib.sha256(frozen).digest() != body_hash):
            message = f"the body of delivery {delivery_id} is not the one that effect {seq} confirms"
            self._add("delivery.body", message, seq, delivery_id)

    def _add(self, check: str, message: str, seq: int, delivery_id: int | None) -> None:
        self.proof.add(check, message, seq=seq, delivery_id=delivery_id)


def _head(connection: Connection, merchant_id: int, proof: EffectProof, last: tuple[bytes, bytes]) -> None:
    head = connection.execute(_LAST, {"merchant_id": merchant_id}).one_or_none()
    length = proof.effects
    if head is None:
        if length:
            proof.add("head.missing", "the head of the effect log is missing", seq=length)
        return
    seq, stored = head
    if seq > length:
        message = f"the effect log ends at {length}, its head says {seq}: the tail was cut"
        proof.add("head.cut", message, seq=length + 1)
    elif seq < length:
        message = f"the effect log goes on after its head, which says {seq}"
        proof.add("head.behind", message, seq=seq + 1)
    elif stored not in last:
        proof.add("head.hash", f"the head is not the hash of the last effect {length}", seq=length)


def _without_effect(connection: Connection, merchant_id: int, proof: EffectProof) -> None:
    for (delivery_id,) in connection.execute(_WITHOUT, {"merchant_id": merchant_id}):
        message = f"delivery {delivery_id} is confirmed and has no effect"
        if proof.counts.get("delivery.effect", 0) < _KEPT:
            named = connection.execute(_NAMED, {"id": delivery_id}).one_or_none()
            message += "" if named is None else f": {named.operation} {named.key}"
        proof.add("delivery.effect", message, delivery_id=delivery_id)
