"""Upgrades: a backup, the migration and a check, all of it or nothing, on both engines."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.db import migrate
from hub.db.engine import Database
from hub.workers.admin import archive, setup
from hub.workers.admin.errors import AdminError
from hub.workers.admin.running import AlreadyRunning, RunLock
from hub.workers.admin.upgrade import upgrade
from hub.workers.settings import Settings

NEXT = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE TABLE later (id BIGINT)")
    op.execute("INSERT INTO setting (key, value) VALUES ('migrated', 'yes')")
    {more}
"""


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this code a release with one more migration."""

    def make(more: str = "") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrate._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "0002_later.py").write_text(NEXT.format(more=more))
        monkeypatch.setattr(migrate, "_FOLDER", folder)

    return make


def _state(new_hub: Settings) -> tuple[Any, bool, int]:
    """The revision, whether the new table is there, and the number of entries of the chart."""
    database = Database(new_hub.url)
    with database.read() as connection:
        found = (
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one(),
            sa.inspect(connection).has_table("later"),
            connection.exec_driver_sql("SELECT count(*) FROM account").scalar_one(),
        )
    database.dispose()
    return found


def test_it_backs_up_migrates_and_gives_rights(new_hub: Settings, next_release: Callable[..., None]) -> None:
    _, _, accounts = _state(new_hub)
    next_release()
    with pytest.raises(AdminError, match="stop the hub and run `hub upgrade`"):
        setup.check_ready(new_hub)
    with pytest.raises(AdminError, match="stop the hub and run `hub upgrade`"):
        setup.init(new_hub)

    result = upgrade(new_hub)

    assert (result["before"], result["revision"]) == ("0001", "0002")
    assert _state(new_hub) == ("0002", True, accounts)
    setup.check_ready(new_hub)
    with archive.opened(Path(result["backup"])) as (manifest, _):
        assert manifest.revision == "0001"
    assert Path(result["backup"]).parent.stat().st_mode & 0o777 == 0o700
    database = Database(new_hub.url)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO later VALUES (1)")
    database.dispose()
    assert upgrade(new_hub)["backup"] is None, "nothing to migrate, nothing to back up"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('op.execute("INSERT INTO nowhere VALUES (1)")', "the migration failed, the database is as before"),
        ('op.execute("DELETE FROM setting"); op.execute("DELETE FROM location")', "does not add up"),
    ],
)
def test_what_fails_leaves_the_database_as_before(
    new_hub: Settings, next_release: Callable[..., None], more: str, said: str
) -> None:
    before = _state(new_hub)
    next_release(more)
    with pytest.raises(AdminError, match=said):
        upgrade(new_hub)
    assert _state(new_hub) == before
    assert len(list((new_hub.home / "backups").iterdir())) == 1, "the backup stays"


def test_a_hub_that_runs_is_not_upgraded(new_hub: Settings, next_release: Callable[..., None]) -> None:
    from hub.cli import upgrade as command

    before = _state(new_hub)
    next_release()
    if not new_hub.database_url:
        lock = RunLock(new_hub.home)
        lock.take()
        with pytest.raises(AlreadyRunning):
            command.command(home=new_hub.home)
        lock.release()
    else:
        elsewhere = Database(new_hub.url)
        with elsewhere.read() as connection:
            connection.exec_driver_sql("SELECT 1")
            with pytest.raises(AdminError, match="sessions of the role hub_app use the database"):
                upgrade(new_hub)
        elsewhere.dispose()
    assert _state(new_hub) == before


def test_a_database_of_a_later_release_is_left_alone(new_hub: Settings) -> None:
    owner = Database(new_hub.database_admin_url or new_hub.url)
    with owner.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0042'")
    owner.dispose()
    with pytest.raises(AdminError, match="0042, which is of a later release"):
        upgrade(new_hub)
    with pytest.raises(AdminError, match="0042, which is of a later release"):
        setup.check_ready(new_hub)
