"""Changes sealed rows as an owner of the tables can: triggers and keys off, then the edit."""

from __future__ import annotations

import sqlite3

import psycopg
import sqlalchemy as sa


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
