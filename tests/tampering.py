"""Changes sealed rows as an owner of the tables can: triggers and keys off, then the edit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from hub.db.engine import Database, admin_engine


def tamper(owner_url: str, *statements: str) -> None:
    """Runs statements with every trigger and foreign key out of the way. Each must change at least one row."""
    url = sa.make_url(owner_url)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        lite = sqlite3.connect(url.database, isolation_level=None)
        triggers = [name for (name,) in lite.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in triggers:
            lite.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert lite.execute(statement).rowcount > 0, statement
        lite.close()
        return
    with psycopg.connect(dbname=url.database, user=url.username, host=str(url.query["host"])) as postgres:
        postgres.execute("SET session_replication_role = replica")
        for statement in statements:
            assert postgres.execute(statement.encode()).rowcount > 0, statement


@contextmanager
def unsealed(database: Database, owner_url: str) -> Iterator[sa.Connection]:
    """A transaction of an owner of the tables who took the seals off. Nothing of it stays."""
    engine = database.engine if database.sqlite else admin_engine(owner_url)
    with engine.connect() as connection, connection.begin() as transaction:
        if database.sqlite:
            names = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            for name in connection.exec_driver_sql(names).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        try:
            yield connection
        finally:
            transaction.rollback()
    if not database.sqlite:
        engine.dispose()
