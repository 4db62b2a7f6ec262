"""Brings a database to the schema of this release, all or nothing, and gives the application its rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.engine import Database, admin_engine, parsed

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is loaded where it is needed: it takes as long as a twelfth of all that a command loads, and most never need it.

_FOLDER = Path(__file__).parent / "migrations"
#: one migration at a time on a PostgreSQL server: a number of our own for its advisory lock
_LOCK = 0x687562
#: rows that SQLite takes a table for that it knows nothing of
_ROWS = 1_048_576


def upgrade(url: str, revision: str = "head", *, check: Callable[[Connection], None] | None = None) -> None:
    """Migrates a database up to a revision, in one transaction: all of it, or nothing when it fails or `check`, which looks
    at what came of it, raises. On PostgreSQL `url` is the role that owns the tables."""
    from alembic import command

    with _owner(url) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if connection.dialect.name == "postgresql":
            _tell_planner(connection)
        else:
            _tell_sqlite(connection)
        if check is not None:
            check(connection)


def current(url: str) -> str | None:
    """The revision of a database; None when it has no schema yet."""
    from alembic.runtime.migration import MigrationContext

    with _owner(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The revision of this release."""
    from alembic.script import ScriptDirectory

    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError(f"no migrations in {_FOLDER}")
    return revision


def revisions() -> list[str]:
    """All revisions that this release knows."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def grant(admin_url: str, app_role: str) -> None:
    """Lets the application's role on PostgreSQL read and write rows of all tables, and nothing else: not truncate, alter or
    disable, which only the owner may. Call it after each upgrade.

    Raises: ValueError when the role owns the tables or is a superuser, since nothing would be refused to it."""
    engine = admin_engine(admin_url)
    with engine.begin() as connection:
        _check_role(connection, app_role)
        role = connection.dialect.identifier_preparer.quote(app_role)
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
        ):
            connection.exec_driver_sql(statement)


def _check_role(connection: Connection, app_role: str) -> None:
    found = connection.execute(
        sa.text("SELECT rolsuper OR rolname = current_user FROM pg_roles WHERE rolname = :role"), {"role": app_role}
    ).scalar_one_or_none()
    if found is None:
        raise ValueError(f"PostgreSQL has no role {app_role!r}: create it, without superuser, for the application")
    if found:
        raise ValueError(
            f"the role {app_role!r} owns the tables or is a superuser: give the application a role of its own, so that "
            "the database can refuse it to change what is sealed"
        )


def _tell_planner(connection: Connection) -> None:
    """Tells PostgreSQL that a merchant's id selects nothing, for tables that it has not analysed yet.

    Without statistics it takes one id for one row in 200, and reads all rows of the merchant through any index that starts
    with it: posting fell from 1,600 to 360 entries a second within 25,000 entries. Its own statistics replace these with
    the first ANALYZE. Versions before 18 have no such function and learn it from the first automatic ANALYZE."""
    version = connection.dialect.server_version_info
    if version is None or version < (18,):
        return
    tables = connection.exec_driver_sql(
        "SELECT table_name FROM information_schema.columns c WHERE table_schema = 'public'"
        " AND column_name = 'merchant_id' AND NOT EXISTS (SELECT 1 FROM pg_stats s"
        " WHERE s.schemaname = 'public' AND s.tablename = c.table_name AND s.attname = 'merchant_id')"
    ).scalars()
    for table in tables.all():
        connection.execute(
            sa.text(
                "SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', CAST(:name AS text), 'attname',"
                " 'merchant_id', 'inherited', false, 'null_frac', CAST(0 AS real), 'avg_width', 8,"
                " 'n_distinct', CAST(1 AS real))"
            ),
            {"name": table},
        )


def _tell_sqlite(connection: Connection) -> None:
    """Tells SQLite that a merchant has many rows.

    Without statistics it takes any first column of an index for one that leaves ten rows, and looks for a few ids among
    all rows of their merchant. Never with `ANALYZE` of the rows: what is true of a new hub would be believed for ever."""
    connection.exec_driver_sql("ANALYZE sqlite_schema")  # makes the table of statistics
    known = set(connection.exec_driver_sql("SELECT idx FROM sqlite_stat1").scalars())
    indexes = connection.exec_driver_sql(
        'SELECT t.name, i.name, i."unique", count(*), max(c.name) FILTER (WHERE c.seqno = 0)'
        " FROM sqlite_schema t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c"
        " WHERE t.type = 'table' AND NOT i.partial GROUP BY t.name, i.name"
    ).all()
    for table, index, unique, columns, first in indexes:
        if first == "merchant_id" and index not in known and (columns > 1 or not unique):
            # what SQLite takes itself, but for the first column
            rows = [_ROWS, _ROWS // 64, *[10] * (columns - 1)]
            text = " ".join(map(str, [*rows[:-1], 1] if unique else rows))
            connection.exec_driver_sql(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", (table, index, text)
            )
    connection.exec_driver_sql("ANALYZE sqlite_schema")  # and has it read


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


@contextmanager
def _owner(url: str) -> Iterator[Connection]:
    if parsed(url).get_backend_name() == "sqlite":
        database = Database(url)
        try:
            with database.write() as connection:
                yield connection
        finally:
            database.dispose()
        return
    with admin_engine(url).begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        yield connection
