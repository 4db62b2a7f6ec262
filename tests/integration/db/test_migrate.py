"""The migrated schema is the schema of the models, on both engines, and the application can only use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgres_server import APP_ROLE, PostgresServer
from sqlmodel import SQLModel

from hub.db import migrate
from hub.db.engine import Database, admin_engine

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import freeze_schema  # noqa: E402


def test_the_first_migration_is_the_frozen_text_of_the_models() -> None:
    # in a process of its own: tests may have defined tables here
    script = "import freeze_schema, sys; sys.stdout.write(freeze_schema.written())"
    made = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "tools", capture_output=True, text=True, check=True
    ).stdout
    assert made == freeze_schema.TARGET.read_text(encoding="utf-8"), "run python tools/freeze_schema.py"


def test_the_migrated_schema_has_what_the_models_have(owner_url: str) -> None:
    list(freeze_schema.modules("tables"))
    with admin_engine(owner_url).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": SQLModel.metadata}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_migrated_database_is_at_the_head_and_migrating_again_changes_nothing(owner_url: str) -> None:
    assert migrate.current(owner_url) == migrate.head()
    migrate.upgrade(owner_url)
    assert migrate.current(owner_url) == migrate.head()


def test_an_empty_database_has_no_revision(tmp_path: Path) -> None:
    assert migrate.current(f"sqlite:///{tmp_path / 'new.db'}") is None


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    def fails(*_: Any) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("alembic.runtime.migration.HeadMaintainer.update_to_step", fails)
    with pytest.raises(RuntimeError, match="power cut"):
        migrate.upgrade(url)
    with admin_engine(url).connect() as connection:
        assert [name for name in sa.inspect(connection).get_table_names() if name != "alembic_version"] == []


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE setting",
        "ALTER TABLE setting ADD COLUMN note TEXT",
        "DROP TABLE setting",
        "ALTER TABLE posting DISABLE TRIGGER ALL",
        "DROP TRIGGER posting_append_only ON posting",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (id BIGINT)",
        "UPDATE alembic_version SET version_num = '9999'",
    ],
)
def test_the_application_role_may_not_change_the_schema(postgres_url: str, statement: str) -> None:
    database = Database(postgres_url)
    with (
        pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|must be owner"),
        database.write() as connection,
    ):
        connection.exec_driver_sql(statement)
    database.dispose()


def test_the_application_role_reads_and_writes_rows(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO setting (key, value) VALUES ('a', 'b')")
        connection.exec_driver_sql("UPDATE setting SET value = 'c'")
        assert connection.exec_driver_sql("DELETE FROM setting").rowcount == 1
    database.dispose()


def test_the_owner_is_refused_as_the_application_role(postgres_admin_url: str) -> None:
    with pytest.raises(ValueError, match="owns the tables"):
        migrate.grant(postgres_admin_url, "postgres")


def test_a_role_that_is_not_there_is_named(postgres_admin_url: str) -> None:
    with pytest.raises(ValueError, match="no role 'nobody_here'"):
        migrate.grant(postgres_admin_url, "nobody_here")


def test_the_planner_knows_that_a_merchant_selects_nothing_until_it_has_looked_itself(postgres_admin_url: str) -> None:
    known = sa.text(
        "SELECT tablename, n_distinct FROM pg_stats WHERE attname = 'merchant_id' AND schemaname = 'public'"
    )
    tables = sa.text("SELECT table_name FROM information_schema.columns WHERE column_name = 'merchant_id'")
    with admin_engine(postgres_admin_url).begin() as connection:
        told = dict(connection.execute(known).all())
        assert told == dict.fromkeys(connection.execute(tables).scalars(), 1.0)
        connection.exec_driver_sql(
            "INSERT INTO location SELECT n, n, 'main', 'warehouse' FROM generate_series(1, 500) n"
        )
        connection.exec_driver_sql("ANALYZE location")
        seen = dict(connection.execute(known).all())["location"]
        assert seen == -1.0, "as many merchants as rows"
    migrate.upgrade(postgres_admin_url)
    with admin_engine(postgres_admin_url).connect() as connection:
        assert dict(connection.execute(known).all())["location"] == seen


def test_rights_cover_tables_of_later_migrations(postgres_server: PostgresServer, postgres_admin_url: str) -> None:
    with admin_engine(postgres_admin_url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE later (id BIGINT)")
    migrate.grant(postgres_admin_url, APP_ROLE)
    database = Database(postgres_admin_url.replace("//postgres@", f"//{APP_ROLE}@"))
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO later VALUES (1)")
    database.dispose()
