"""Sealed values: root keys seal data keys, data keys seal values (AES-256-GCM).

A sealed value is `version (1) | data key id (8) | nonce (12) | ciphertext and tag`. Table, column and row id are bound to
it as associated data, so that a value copied to another row does not open. Root keys are changed by `hub.connect.rotation`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from hub.connect.rootkeys import KeyRing, RootKey, VaultError
from hub.connect.tables import DataKey as DataKeyRow
from hub.connect.tables import RootKey as RootKeyRow
from hub.db.engine import Ids
from hub.db.types import now_us

#: `chain` keys the hash chains, `signing` is the seed of the Ed25519 key that signs checkpoints
Purpose = Literal["vault", "chain", "signing", "personal"]

_VERSION = b"\x01"
_NONCE = 12
KEYS = DataKeyRow.__table__  # type: ignore[attr-defined]
_CURRENT = sa.select(KEYS.c.id).where(
    KEYS.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    KEYS.c.purpose == sa.bindparam("purpose"),
    KEYS.c.subject == sa.bindparam("subject"),
    KEYS.c.retired_at.is_(None),
)
ROOTS = RootKeyRow.__table__  # type: ignore[attr-defined]
#: held until the transaction ends: the key is not dropped before what it seals can be counted
_ROOT_HELD = sa.select(ROOTS.c.dropped_at).where(ROOTS.c.id == sa.bindparam("id")).with_for_update(read=True)
_ROOT_NEW = sa.text("INSERT INTO root_key (id, created_at) VALUES (:id, :created_at) ON CONFLICT DO NOTHING")


class SecretErased(VaultError):
    """The data key of a value is gone: the value was erased for good."""


@dataclass(frozen=True)
class DataKey:
    """An opened data key."""

    id: int
    purpose: str
    key: bytes = field(repr=False)


class Vault:
    """Opens and makes data keys, seals and opens values. Safe to share between threads.

    `ids` gives the ids of new data keys: call `ids.ensure(1)` before the transaction in which one may be made."""

    def __init__(self, roots: Sequence[RootKey] | KeyRing, ids: Ids) -> None:
        self.roots = roots if isinstance(roots, KeyRing) else KeyRing(roots)
        self._ids = ids
        self._lock = threading.Lock()
        self._opened: dict[tuple[int, int], DataKey] = {}

    # -- data keys ----------------------------------------------------------------------------------------------

    def data_key(
        self, connection: Connection, merchant_id: int, purpose: Purpose, subject: str | None = None
    ) -> DataKey:
        """The current data key of a purpose (and subject, for `personal`); made when there is none yet."""
        found = connection.execute(
            _CURRENT, {"merchant_id": merchant_id, "purpose": purpose, "subject": subject or ""}
        ).scalar()
        if found is not None:
            return self.key(connection, merchant_id, found)
        return self._make(connection, merchant_id, purpose, subject or "", now_us())

    def key(self, connection: Connection, merchant_id: int, key_id: int) -> DataKey:
        """A data key by its id, retired or not. Raises: SecretErased when it is gone."""
        with self._lock:
            opened = self._opened.get((merchant_id, key_id))
        if opened is not None:
            return opened
        query = sa.select(KEYS).where(KEYS.c.id == key_id, KEYS.c.merchant_id == merchant_id)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise SecretErased(f"data key {key_id} is not there: what it sealed was erased")
        key = DataKey(key_id, row["purpose"], self._unseal(row["sealed"], row["sealed_by"], key_id))
        # a personal key is read each time, so that erasing its row works at once and in all processes
        if key.purpose != "personal":
            with self._lock:
                self._opened[merchant_id, key_id] = key
        return key

    def all_keys(self, connection: Connection, merchant_id: int, purpose: Purpose) -> list[DataKey]:
        """Every key of a purpose, the retired ones too, in the order in which they were made."""
        found = connection.execute(
            sa.select(KEYS.c.id)
            .where(KEYS.c.merchant_id == merchant_id, KEYS.c.purpose == purpose)
            .order_by(KEYS.c.created_at, KEYS.c.id)
        ).scalars()
        return [self.key(connection, merchant_id, key_id) for key_id in found.all()]

    def retire(
        self,
        connection: Connection,
        merchant_id: int,
        purpose: Purpose,
        subject: str | None = None,
        *,
        at: int | None = None,
    ) -> DataKey:
        """Retires the current key of a purpose and makes the next one. What the old one sealed still opens."""
        now = now_us() if at is None else at
        connection.execute(
            KEYS.update()
            .where(
                KEYS.c.merchant_id == merchant_id,
                KEYS.c.purpose == purpose,
                KEYS.c.subject == (subject or ""),
                KEYS.c.retired_at.is_(None),
            )
            .values(retired_at=now)
        )
        return self._make(connection, merchant_id, purpose, subject or "", now)

    def erase(self, connection: Connection, merchant_id: int, subject: str) -> int:
        """Deletes all personal keys of a subject: what they sealed can never be read again. Answers how many."""
        return connection.execute(
            KEYS.delete().where(
                KEYS.c.merchant_id == merchant_id, KEYS.c.purpose == "personal", KEYS.c.subject == subject
            )
        ).rowcount

    def reseal(self, sealed: bytes, sealed_by: str, key_id: int, root: RootKey) -> bytes:
        """A data key as `root` seals it. Raises: VaultError when it does not open."""
        return seal_key(root, self._unseal(sealed, sealed_by, key_id), key_id)

    def _make(self, connection: Connection, merchant_id: int, purpose: Purpose, subject: str, now: int) -> DataKey:
        key = DataKey(self._ids.next(), purpose, secrets.token_bytes(32))
        root = self._sealing(connection)
        connection.execute(
            KEYS.insert(),
            {
                "id": key.id,
                "merchant_id": merchant_id,
                "purpose": purpose,
                "subject": subject,
                "sealed": seal_key(root, key.key, key.id),
                "sealed_by": root.id,
                "created_at": now,
                "retired_at": None,
            },
        )
        return key

    def _sealing(self, connection: Connection) -> RootKey:
        """The root key that seals now. Its row is held, so that nobody drops it before this transaction ends."""
        self.roots.look()
        root = self.roots.first
        row = connection.execute(_ROOT_HELD, {"id": root.id}).first()
        if row is None:
            connection.execute(_ROOT_NEW, {"id": root.id, "created_at": now_us()})
            row = connection.execute(_ROOT_HELD, {"id": root.id}).one()
        if row.dropped_at is not None:
            raise VaultError(
                f"root key {root.id}, the first of {self.roots.place}, was dropped: nothing is sealed by it any more."
                " Put the key first that `hub keys list` says seals now, and start this process again"
            )
        return root

    def _unseal(self, sealed: bytes, sealed_by: str, key_id: int) -> bytes:
        root = self.roots.get(sealed_by)
        if root is None:
            raise VaultError(
                f"data key {key_id} is sealed by root key {sealed_by}, which is not in {self.roots.place}:"
                " add it after the first one"
            )
        try:
            return AESGCM(root.key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _place("data_key", "sealed", key_id))
        except InvalidTag:
            raise VaultError(f"data key {key_id} does not open: its row was changed") from None

    # -- values -------------------------------------------------------------------------------------------------

    @staticmethod
    def seal(key: DataKey, value: bytes, *, table: str, column: str, row: int) -> bytes:
        """The value sealed for one place. The same value sealed twice gives different bytes."""
        nonce = secrets.token_bytes(_NONCE)
        head = _VERSION + key.id.to_bytes(8, "big")
        return head + nonce + AESGCM(key.key).encrypt(nonce, value, head + _place(table, column, row))

    def open(
        self, connection: Connection, merchant_id: int, sealed: bytes, *, table: str, column: str, row: int
    ) -> bytes:
        """The value of one place. Raises: SecretErased, VaultError."""
        head, nonce, rest = sealed[:9], sealed[9 : 9 + _NONCE], sealed[9 + _NONCE :]
        if len(head) < 9 or head[:1] != _VERSION:
            raise VaultError(f"{table}.{column} of row {row} is not a sealed value")
        key = self.key(connection, merchant_id, int.from_bytes(head[1:], "big"))
        try:
            return AESGCM(key.key).decrypt(nonce, rest, head + _place(table, column, row))
        except InvalidTag:
            raise VaultError(f"{table}.{column} of row {row} does not open: it was changed or moved") from None


def seal_key(root: RootKey, key: bytes, key_id: int) -> bytes:
    """A data key as a root key seals it, for its own row only."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(root.key).encrypt(nonce, key, _place("data_key", "sealed", key_id))


def _place(table: str, column: str, row: int) -> bytes:
    return f"{table}\x1f{column}\x1f{row}".encode()
