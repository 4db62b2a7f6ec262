"""Copies of a whole database while the hub works with it: SQLite's own online backup, PostgreSQL's `pg_dump`.

`pg_dump` and not a copy of ours: it is the one tool that follows each version of the server with all kinds of objects, and it
comes with every server. It reads the same snapshot that the rows are counted in.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection

from hub.db.engine import admin_engine, parsed
from hub.db.types import now_us

#: the options of the dump: owners and rights are those of where it is restored; what holds it is compressed as a whole
_DUMP = ("--format=custom", "--compress=0", "--no-owner", "--no-privileges")
_RESTORE = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")


class DumpError(Exception):
    """A database cannot be copied or filled: says why and what to do."""


@dataclass(frozen=True)
class Copy:
    """A copy of a database as it was at one instant."""

    engine: str
    #: before the snapshot was taken, UTC microseconds
    made_at: int
    revision: str | None
    #: rows by table
    counts: dict[str, int]
    #: ids of the root keys that its data keys are sealed by
    root_keys: list[str]


def dump(url: str, target: Path) -> Copy:
    """Copies a database into a file that is not there yet. Raises: DumpError."""
    made = parsed(url)
    if made.get_backend_name() == "sqlite":
        return _dump_sqlite(Path(made.database or ""), target)
    return _dump_postgres(made, target)


def load(file: Path, url: str) -> None:
    """Fills a database that has no tables yet from a copy of its engine; on PostgreSQL `url` is the role that is to own the
    tables. Raises: DumpError; nothing is there then."""
    made = parsed(url)
    if made.get_backend_name() == "sqlite":
        shutil.copyfile(file, made.database or "")
        return
    tool = _tool("pg_restore")
    _run([tool, *_RESTORE, f"--dbname={_conninfo(made)}", str(file)], made)


def count_rows(connection: Connection) -> dict[str, int]:
    """Rows by table."""
    quote = connection.dialect.identifier_preparer.quote
    tables = [name for name in sa.inspect(connection).get_table_names() if not name.startswith("sqlite_")]
    return {
        table: connection.exec_driver_sql(f"SELECT count(*) FROM {quote(table)}").scalar_one()  # noqa: S608 - its own names
        for table in sorted(tables)
    }


def _dump_sqlite(source: Path, target: Path) -> Copy:
    made_at = now_us()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(handle)
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.execute("PRAGMA busy_timeout=30000")
            reading.backup(writing)  # one snapshot; who writes meanwhile goes on in the WAL
            writing.execute("PRAGMA journal_mode=DELETE")  # one file
            wrong = [row[0] for row in writing.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
    except sqlite3.Error as error:
        raise DumpError(f"the database {source} cannot be copied: {error}") from None
    if wrong:
        raise DumpError(f"the database {source} is damaged, no backup was made: {'; '.join(wrong)}")
    engine = admin_engine(f"sqlite:///{target}")
    with engine.connect() as connection:
        return _described(connection, "sqlite", made_at)


def _dump_postgres(url: sa.URL, target: Path) -> Copy:
    tool = _tool("pg_dump")
    made_at = now_us()
    engine = admin_engine(url.render_as_string(hide_password=False))
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        arguments = [f"--snapshot={snapshot}", f"--file={target}", f"--dbname={_conninfo(url)}"]
        _run([tool, *_DUMP, *arguments], url)
        target.chmod(0o600)
        return _described(connection, "postgresql", made_at)


def _described(connection: Connection, engine: str, made_at: int) -> Copy:
    counts = count_rows(connection)
    if "alembic_version" not in counts:
        raise DumpError("the database has no tables: there is nothing to copy")
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    keys = connection.exec_driver_sql("SELECT DISTINCT sealed_by FROM data_key ORDER BY sealed_by").scalars()
    return Copy(engine, made_at, revision, counts, list(keys))


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise DumpError(
            f"{name} is not on the PATH: install PostgreSQL's client programs (Debian: apt install postgresql-client), of the "
            "server's version or a later one, or back the database up with what your provider offers"
        )
    return found


def _conninfo(url: sa.URL) -> str:
    """How the tools reach the database, without the password: what stands in arguments can be read by all."""
    dialect = url.set(drivername="postgresql+psycopg").get_dialect()()
    _, options = dialect.create_connect_args(url)
    return make_conninfo(**{name: value for name, value in options.items() if name != "password"})


def _run(command: list[str], url: sa.URL) -> None:
    password = {"PGPASSWORD": str(url.password)} if url.password is not None else {}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own tools
        command,
        env={**os.environ, **password, "PGCONNECT_TIMEOUT": "15", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise DumpError(f"{Path(command[0]).name} failed: {' '.join(said[-3:]) or f'exit code {done.returncode}'}")
