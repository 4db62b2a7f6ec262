"""Sealed values and keys, in a database of each engine."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.connect.rootkeys import NoSecretKey, VaultError, create_secret_key, load_root_keys, root_key
from hub.connect.tables import DataKey as Row
from hub.connect.vault import SecretErased, Vault
from hub.db.engine import Database

OLD, NEW = (root_key(bytes([number]) * 32) for number in (1, 2))
PLACE = {"table": "connection", "column": "secrets", "row": 7}


@pytest.fixture
def vault(database: Database) -> Vault:
    database.ids.ensure(50)
    return Vault([OLD], database.ids)


def test_a_value_opens_in_its_place_and_nowhere_else(database: Database, vault: Vault) -> None:
    with database.write() as connection:
        key = vault.data_key(connection, 1, "vault")
        sealed = vault.seal(key, b"token", **PLACE)
        again = vault.seal(key, b"token", **PLACE)

        assert vault.open(connection, 1, sealed, **PLACE) == b"token"
        assert sealed != again
        assert b"token" not in sealed
        for moved in ({"row": 8}, {"column": "other"}, {"table": "party"}):
            with pytest.raises(VaultError):
                vault.open(connection, 1, sealed, **(PLACE | moved))
        for changed in (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"\x02" + sealed[1:], b"", sealed[:20]):
            with pytest.raises(VaultError):
                vault.open(connection, 1, changed, **PLACE)
        with pytest.raises(SecretErased):  # another merchant has other keys
            vault.open(connection, 2, sealed, **PLACE)


def test_a_merchant_has_one_current_key_a_purpose(database: Database, vault: Vault) -> None:
    with database.write() as connection:
        first = vault.data_key(connection, 1, "chain")
        assert vault.data_key(connection, 1, "chain").id == first.id
        others = {vault.data_key(connection, 1, "vault").id, vault.data_key(connection, 2, "chain").id}
        later = vault.retire(connection, 1, "chain")

        assert vault.data_key(connection, 1, "chain").id == later.id
        assert vault.key(connection, 1, first.id).key == first.key
        assert len({first.id, later.id, *others}) == 4
        assert repr(first.key) not in repr(first)


def test_what_is_personal_is_gone_when_its_key_is(database: Database, vault: Vault) -> None:
    other_process = Vault([OLD], database.ids)
    with database.write() as connection:
        key = vault.data_key(connection, 1, "personal", "party:12")
        sealed = vault.seal(key, b"Ada", **PLACE)
        assert other_process.open(connection, 1, sealed, **PLACE) == b"Ada"

        assert vault.erase(connection, 1, "party:12") == 1

        for each in (vault, other_process):
            with pytest.raises(SecretErased):
                each.open(connection, 1, sealed, **PLACE)


def test_a_sealed_key_moved_to_another_row_does_not_open(database: Database, vault: Vault) -> None:
    table = Row.__table__  # type: ignore[attr-defined]
    with database.write() as connection:
        mine, theirs = vault.data_key(connection, 1, "vault"), vault.data_key(connection, 2, "vault")
        stolen = connection.execute(sa.select(table.c.sealed).where(table.c.id == theirs.id)).scalar_one()
        connection.execute(table.update().where(table.c.id == mine.id).values(sealed=stolen))

        with pytest.raises(VaultError, match="does not open"):
            Vault([OLD], database.ids).key(connection, 1, mine.id)


def test_the_database_keeps_no_key_in_clear(database: Database, vault: Vault) -> None:
    with database.write() as connection:
        key = vault.data_key(connection, 1, "vault")
        row = connection.execute(sa.select(Row.__table__)).mappings().one()  # type: ignore[attr-defined]

    assert key.key not in bytes(row["sealed"])
    assert row["sealed_by"] == OLD.id
    assert OLD.key.hex()[:16] != OLD.id


def test_keys_come_from_the_environment_then_from_a_file_of_the_owner_only(tmp_path: Path) -> None:
    with pytest.raises(NoSecretKey, match="hub init"):
        load_root_keys(tmp_path, {})
    file = create_secret_key(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    (made,) = load_root_keys(tmp_path, {})
    create_secret_key(tmp_path)
    assert load_root_keys(tmp_path, {}) == [made]

    first, second = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    assert len(load_root_keys(tmp_path, {"HUB_SECRET_KEY": f"{first}, {second}"})) == 2
    for bad in ("not base64!", base64.b64encode(b"short").decode(), f"{first},"):
        with pytest.raises(VaultError) as caught:
            load_root_keys(tmp_path, {"HUB_SECRET_KEY": bad})
        assert bad not in str(caught.value) or bad == f"{first},"
    if os.name == "posix":
        file.chmod(0o644)
        with pytest.raises(VaultError, match="chmod 600"):
            load_root_keys(tmp_path, {})
