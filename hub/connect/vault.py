"""Sealed values: root keys seal data keys, data keys seal values (AES-256-GCM).

A sealed value is `version (1) | data key id (8) | nonce (12) | ciphertext and tag`. Table, column and row id are bound to
it as associated data, so that a value copied to another row does not open. Rotating the root key reseals only data keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from hub.connect.tables import DataKey as DataKeyRow
from hub.db.engine import Ids
from hub.db.types import now_us

#: `chain` keys the hash chains, `signing` is the seed of the Ed25519 key that signs checkpoints
Purpose = Literal["vault", "chain", "signing", "personal"]

ENVIRONMENT = "HUB_SECRET_KEY"
_VERSION = b"\x01"
_NONCE = 12
_KEYS = DataKeyRow.__table__  # type: ignore[attr-defined]
_CURRENT = sa.select(_KEYS.c.id).where(
    _KEYS.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
    _KEYS.c.purpose == sa.bindparam("purpose"),
    _KEYS.c.subject == sa.bindparam("subject"),
    _KEYS.c.retired_at.is_(None),
)


class VaultError(Exception):
    """A key is missing or wrong, or a sealed value does not open."""


class NoSecretKey(VaultError):
    """The hub has no secret key: it does not start."""


class SecretErased(VaultError):
    """The data key of a value is gone: the value was erased for good."""


@dataclass(frozen=True)
class RootKey:
    id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class DataKey:
    """An opened data key."""

    id: int
    purpose: str
    key: bytes = field(repr=False)


def root_key(key: bytes) -> RootKey:
    """A root key with its id, which tells nothing about it."""
    return RootKey(hashlib.sha256(b"hub root key" + key).hexdigest()[:16], key)


def load_root_keys(home: Path, environment: Mapping[str, str] = os.environ) -> list[RootKey]:
    """The root keys, the sealing one first: from `HUB_SECRET_KEY`, else from `HUB_HOME/secret.key`.

    Raises: NoSecretKey, VaultError."""
    text = environment.get(ENVIRONMENT, "").strip()
    file = home / "secret.key"
    if not text:
        if not file.is_file():
            raise NoSecretKey(
                f"no secret key: set {ENVIRONMENT} (base64 of 32 bytes) or run `hub init`, which writes {file}"
            )
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise VaultError(f"{file} can be read by others: run `chmod 600 {file}`")
        text = file.read_text("ascii").strip()
    place = ENVIRONMENT if environment.get(ENVIRONMENT, "").strip() else str(file)
    return [_parse(part, place, number) for number, part in enumerate(text.split(","), 1)]


def _parse(text: str, place: str, number: int) -> RootKey:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise VaultError(f"key {number} of {place} is not base64") from None
    if len(key) != 32:
        raise VaultError(f"key {number} of {place} has {len(key)} bytes: 32 are needed")
    return root_key(key)


def create_secret_key(home: Path) -> Path:
    """Writes a new `HUB_HOME/secret.key`, readable by its owner only. An existing one is kept."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "secret.key"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return file


class Vault:
    """Opens and makes data keys, seals and opens values. Safe to share between threads.

    `ids` gives the ids of new data keys: call `ids.ensure(1)` before the transaction in which one may be made."""

    def __init__(self, roots: list[RootKey], ids: Ids) -> None:
        if not roots:
            raise NoSecretKey(f"no secret key: set {ENVIRONMENT}")
        self._roots = {root.id: root for root in roots}
        self._sealing = roots[0]
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
        return self._make(connection, merchant_id, purpose, subject or "")

    def key(self, connection: Connection, merchant_id: int, key_id: int) -> DataKey:
        """A data key by its id, retired or not. Raises: SecretErased when it is gone."""
        with self._lock:
            opened = self._opened.get((merchant_id, key_id))
        if opened is not None:
            return opened
        query = sa.select(_KEYS).where(_KEYS.c.id == key_id, _KEYS.c.merchant_id == merchant_id)
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
            sa.select(_KEYS.c.id)
            .where(_KEYS.c.merchant_id == merchant_id, _KEYS.c.purpose == purpose)
            .order_by(_KEYS.c.created_at, _KEYS.c.id)
        ).scalars()
        return [self.key(connection, merchant_id, key_id) for key_id in found.all()]

    def retire(self, connection: Connection, merchant_id: int, purpose: Purpose, subject: str | None = None) -> DataKey:
        """Retires the current key of a purpose and makes the next one. What the old one sealed still opens."""
        connection.execute(
            _KEYS.update()
            .where(
                _KEYS.c.merchant_id == merchant_id,
                _KEYS.c.purpose == purpose,
                _KEYS.c.subject == (subject or ""),
                _KEYS.c.retired_at.is_(None),
            )
            .values(retired_at=now_us())
        )
        return self._make(connection, merchant_id, purpose, subject or "")

    def erase(self, connection: Connection, merchant_id: int, subject: str) -> int:
        """Deletes all personal keys of a subject: what they sealed can never be read again. Answers how many."""
        return connection.execute(
            _KEYS.delete().where(
                _KEYS.c.merchant_id == merchant_id, _KEYS.c.purpose == "personal", _KEYS.c.subject == subject
            )
        ).rowcount

    def rotate(self, connection: Connection) -> int:
        """Reseals every data key that another root key than the first seals. Answers how many."""
        rows = connection.execute(sa.select(_KEYS).where(_KEYS.c.sealed_by != self._sealing.id)).mappings().all()
        for row in rows:
            key = self._unseal(row["sealed"], row["sealed_by"], row["id"])
            connection.execute(
                _KEYS.update()
                .where(_KEYS.c.id == row["id"])
                .values(sealed=self._seal_key(key, row["id"]), sealed_by=self._sealing.id)
            )
        return len(rows)

    def _make(self, connection: Connection, merchant_id: int, purpose: Purpose, subject: str) -> DataKey:
        key = DataKey(self._ids.next(), purpose, secrets.token_bytes(32))
        connection.execute(
            _KEYS.insert(),
            {
                "id": key.id,
                "merchant_id": merchant_id,
                "purpose": purpose,
                "subject": subject,
                "sealed": self._seal_key(key.key, key.id),
                "sealed_by": self._sealing.id,
                "created_at": now_us(),
                "retired_at": None,
            },
        )
        return key

    def _seal_key(self, key: bytes, key_id: int) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._sealing.key).encrypt(nonce, key, _place("data_key", "sealed", key_id))

    def _unseal(self, sealed: bytes, sealed_by: str, key_id: int) -> bytes:
        root = self._roots.get(sealed_by)
        if root is None:
            raise VaultError(
                f"data key {key_id} is sealed by root key {sealed_by}, which is not in {ENVIRONMENT} or secret.key:"
                " add the old key after the new one"
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


def _place(table: str, column: str, row: int) -> bytes:
    return f"{table}\x1f{column}\x1f{row}".encode()
