"""Brings a hub to this release: a backup, the migration, the rights, and a look at all its rows, or nothing at all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.rootkeys import load_root_keys
from hub.connect.vault import Vault
from hub.db import dump
from hub.db import migrate as migrations
from hub.db.engine import Database, admin_engine, parsed
from hub.db.tables import Merchant
from hub.workers.admin import setup
from hub.workers.admin.backup import backup
from hub.workers.admin.errors import AdminError
from hub.workers.admin.verify import faults_in
from hub.workers.settings import Settings

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
#: rows that a migration may change the number of
_OWN = ("alembic_version",)


def upgrade(settings: Settings, *, backup_file: Path | None = None, no_backup: bool = False) -> dict[str, Any]:
    """Migrates a hub that is not running. The rows are counted and verified within the migration's transaction: what is
    wrong then takes all of it back. A database of this release only has its rights given again.

    `no_backup`: somebody else made one. Raises: AdminError, VaultError; the database is as before."""
    setup.there(settings)
    owner = settings.database_admin_url or settings.url
    before, head = migrations.current(owner), migrations.head()
    if before is None:
        raise AdminError("the database has no tables: run `hub init`")
    if before not in migrations.revisions():
        raise AdminError(
            f"the database has revision {before}, which is of a later release than this one: run that release"
        )
    _refuse_connected(settings)
    roots = load_root_keys(settings.home)
    made: str | None = None
    if before != head and not no_backup:
        made = backup(settings, backup_file or _default(settings.home, before))["file"]
    counts = _counts(owner)
    database = Database(settings.url)
    vault = Vault(roots, database.ids)
    try:
        setup.migrate(settings, check=lambda connection: _check(connection, vault, counts))
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        raise AdminError(f"the migration failed, the database is as before: {reason}") from None
    finally:
        database.dispose()
    return {"before": before, "revision": head, "backup": made, "rows": sum(counts.values())}


def _default(home: Path, revision: str) -> Path:
    folder = home.absolute() / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"before-upgrade-{revision}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.hub"


def _refuse_connected(settings: Settings) -> None:
    """On PostgreSQL hubs on other machines hold no lock that is seen here; their sessions are."""
    if setup.sqlite_file(settings) is not None:
        return
    role = parsed(settings.url).username
    engine = admin_engine(settings.url)
    with engine.connect() as connection:
        others = connection.execute(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = :role"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ),
            {"role": role},
        ).scalar_one()
    if others:
        raise AdminError(
            f"{others} sessions of the role {role} use the database: stop the hub on every machine (`hub up`, `hub web`, "
            "`hub worker`) and run it again"
        )


def _counts(url: str) -> dict[str, int]:
    engine = admin_engine(url)
    with engine.connect() as connection:
        return dump.count_rows(connection)


def _check(connection: Connection, vault: Vault, before: dict[str, int]) -> None:
    """Raises: AdminError when rows are missing or what they say does not add up."""
    after = dump.count_rows(connection)
    wrong = [
        f"table {name} has {after.get(name)} rows, before it had {count}"
        for name, count in before.items()
        if name not in _OWN and after.get(name, 0) < count
    ]
    for merchant_id in connection.execute(sa.select(_MERCHANT.c.id)).scalars().all():
        wrong += [
            f"{each['check']}, {each['place']}: {each['message']}" for each in faults_in(connection, vault, merchant_id)
        ]
    if wrong:
        raise AdminError("the upgrade was taken back, the database is as before: it does not add up", wrong[:20])
