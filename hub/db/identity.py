"""Which hub this is: an id made once. A copy that is restored from a backup has the id of the hub it was taken of."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy import Connection

_NAME = {"key": "hub.id"}
_FOUND = sa.text("SELECT value FROM setting WHERE key = :key")
_MAKE = sa.text("INSERT INTO setting (key, value) VALUES (:key, :value) ON CONFLICT DO NOTHING")


def hub_id(connection: Connection) -> str:
    """The id of the hub of this database; made in this transaction, which writes, when there is none yet."""
    found = known_id(connection)
    if found is None:
        connection.execute(_MAKE, {**_NAME, "value": str(uuid.uuid4())})
        found = known_id(connection)
    return str(found)


def known_id(connection: Connection) -> str | None:
    """The same without making one."""
    found: str | None = connection.execute(_FOUND, _NAME).scalar_one_or_none()
    return found
