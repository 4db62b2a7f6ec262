"""The sealed secrets of a connection's row. Whoever changes them holds the row, so that nobody writes an older token back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection as DbConnection

from hub.connect import payload
from hub.connect.tables import Connection
from hub.connect.vault import Vault

TABLE = Connection.__table__  # type: ignore[attr-defined]
_HELD = sa.select(TABLE).where(TABLE.c.id == sa.bindparam("id", type_=sa.BigInteger)).with_for_update()
_CHANGE = TABLE.update().where(TABLE.c.id == sa.bindparam("_id", type_=sa.BigInteger))


def held(connection: DbConnection, connection_id: int) -> Mapping[str, Any] | None:
    """The row of a connection, held until the transaction ends."""
    row = connection.execute(_HELD, {"id": connection_id}).mappings().first()
    return None if row is None else dict(row)


def opened(connection: DbConnection, vault: Vault, row: Mapping[str, Any]) -> dict[str, str]:
    """The secrets of a row. Raises: VaultError, SecretErased."""
    if row["secrets"] is None:
        return {}
    place = {"table": "connection", "column": "secrets", "row": row["id"]}
    return dict(payload.decode(vault.open(connection, row["merchant_id"], row["secrets"], **place)))


def values(
    connection: DbConnection, vault: Vault, merchant_id: int, connection_id: int, secrets: Mapping[str, str] | None
) -> dict[str, Any]:
    """The columns that keep secrets, sealed anew; none for None. Call `ids.ensure(1)` before the transaction."""
    if secrets is None:
        return {}
    key = vault.data_key(connection, merchant_id, "vault")
    text = payload.encode(dict(secrets))
    sealed = vault.seal(key, text, table="connection", column="secrets", row=connection_id)
    return {"secrets": sealed, "secrets_key_id": key.id}


def later(now: int) -> sa.Case[int]:
    """The stamp of rows that a statement changes: it moves on, also where this machine's clock is behind another's. A
    process that has a link of the row would else not see that it changed."""
    return sa.case((TABLE.c.updated_at >= now, TABLE.c.updated_at + 1), else_=now)


def change(connection: DbConnection, row: Mapping[str, Any], now: int, **columns: Any) -> None:
    """Writes columns of a held row. Its stamp always moves on: see `later`."""
    columns["updated_at"] = max(now, row["updated_at"] + 1)
    connection.execute(_CHANGE, {"_id": row["id"], **columns})
