"""Checkpoints: where a log stood at an instant, signed so that anybody can check it without a secret of the hub.

Kept outside the hub they show what its own rows cannot: that a log was cut and written on, even with the chain keys.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection

from hub.core.ledger.tables import BOOK, ENTRY
from hub.db.types import instant_text
from hub.outbox.proof import EffectFault
from hub.outbox.tables import Effect

FORMAT = "hub-checkpoint-1"
_EFFECT = Effect.__table__  # type: ignore[attr-defined]
_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_HASH = sa.select(_EFFECT.c.hash).where(_EFFECT.c.merchant_id == _MERCHANT, _EFFECT.c.seq == sa.bindparam("seq"))
_LEDGER = sa.select(BOOK.c.next_seq, BOOK.c.head_hash).where(BOOK.c.merchant_id == _MERCHANT)
_ENTRY_HASH = (
    sa.select(ENTRY.c.hash)
    .join(BOOK, BOOK.c.id == ENTRY.c.book_id)
    .where(BOOK.c.merchant_id == _MERCHANT, ENTRY.c.seq == sa.bindparam("seq"))
)


class CheckpointError(ValueError):
    """A file that is no checkpoint, or whose signature does not fit."""


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed: the log of a merchant had `effects` rows, the last with this hash, and its ledger `entries`.

    Hashes are hex; `at` is an instant of UTC."""

    format: str
    hub: str
    merchant: int
    effects: int
    effects_hash: str
    entries: int
    entries_hash: str
    at: str

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is of: JSON with sorted keys and no spaces, in ASCII."""
        return json.dumps(msgspec.to_builtins(self), sort_keys=True, separators=(",", ":")).encode("ascii")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    statement: Statement
    public_key: str
    signature: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose signature was checked. `public_key` is the raw Ed25519 key, in base64."""

    statement: Statement
    public_key: str


def state(connection: Connection, merchant_id: int, *, hub: str, effects: int, last: bytes, now: int) -> Statement:
    """Where the logs of a merchant stand; `effects` and `last` are what the proof found."""
    book = connection.execute(_LEDGER, {"merchant_id": merchant_id}).one_or_none()
    return Statement(
        format=FORMAT,
        hub=hub,
        merchant=merchant_id,
        effects=effects,
        effects_hash=last.hex(),
        entries=0 if book is None else book.next_seq - 1,
        entries_hash="" if book is None else bytes(book.head_hash).hex(),
        at=instant_text(now),
    )


def sign(statement: Statement, seed: bytes) -> str:
    """The text of a checkpoint file."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    signature = base64.b64encode(private.sign(statement.signed)).decode()
    made = {"statement": msgspec.to_builtins(statement), "public_key": public_key(seed), "signature": signature}
    return json.dumps(made, indent=2) + "\n"


def public_key(seed: bytes) -> str:
    """The public key of a signing key, in base64: what others keep to know this hub by."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()


def opened(text: str | bytes) -> Checkpoint:
    """Reads a checkpoint file and checks its signature with the key that it holds; whose key that is, the reader compares
    with the one that he knows. Raises: CheckpointError."""
    try:
        file = msgspec.json.decode(text, type=_File)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(file.public_key, validate=True))
        signature = base64.b64decode(file.signature, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise CheckpointError(f"it is no checkpoint of a hub: {error}") from None
    if file.statement.format != FORMAT:
        raise CheckpointError(f"its format {file.statement.format!r} is unknown to this release")
    try:
        key.verify(signature, file.statement.signed)
    except InvalidSignature:
        raise CheckpointError("its signature does not fit: it was changed") from None
    return Checkpoint(file.statement, file.public_key)


def compare(
    connection: Connection,
    merchant_id: int,
    checkpoints: Sequence[Checkpoint],
    *,
    hub: str,
    ours: Sequence[str],
) -> Iterator[EffectFault]:
    """Where today's logs do not begin with what checkpoints say. Of several the first that does not fit is told, and the
    last that does: what was rewritten stands between them. `ours`: public keys of this hub.

    Only together with a proof of the chains: they bind each row to the hash that is compared here."""
    sound = {"effect": 0, "entry": 0}
    told: set[str] = set()
    for each in sorted(checkpoints, key=lambda one: (one.statement.effects, one.statement.entries)):
        said = each.statement
        if said.hub != hub or said.merchant != merchant_id or each.public_key not in ours:
            yield _fault(
                "checkpoint.hub", None, said, "is of another hub or merchant, or signed with a key that is not ours"
            )
            continue
        for what, count, hash_, statement in (
            ("effect", said.effects, said.effects_hash, _HASH),
            ("entry", said.entries, said.entries_hash, _ENTRY_HASH),
        ):
            if not count or what in told:
                continue
            found = connection.execute(statement, {"merchant_id": merchant_id, "seq": count}).scalar_one_or_none()
            if found is not None and bytes(found).hex() == hash_:
                sound[what] = count
                continue
            told.add(what)
            why = "is not there any more" if found is None else "is another than it was"
            between = f"what was changed is {what} {sound[what] + 1} or a later one up to {count}"
            seq = count if what == "effect" else None
            yield _fault(f"checkpoint.{what}", seq, said, f"does not fit: {what} {count} {why}; {between}")


def _fault(check: str, seq: int | None, said: Statement, message: str) -> EffectFault:
    return EffectFault(check, seq, None, f"the checkpoint of {said.at} ({said.effects} effects) {message}")
