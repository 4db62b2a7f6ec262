"""Makes a hub from a backup, in a new home. It starts paused: see `hub.outbox.restored`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.rootkeys import ENVIRONMENT, NoSecretKey, RootKey, VaultError, load_root_keys
from hub.connect.tables import DataKey
from hub.connect.vault import Vault
from hub.core.ledger.numbers import number_text
from hub.core.ledger.tables import SERIES
from hub.db import dump
from hub.db import migrate as migrations
from hub.db.engine import Database
from hub.db.types import instant_text, now_us
from hub.outbox import restored
from hub.workers.admin import archive
from hub.workers.admin.errors import AdminError
from hub.workers.admin.setup import migrate, sqlite_file
from hub.workers.settings import Settings

_KEY = DataKey.__table__  # type: ignore[attr-defined]
_KEY_FILE = "secret.key"


def restore(settings: Settings, file: Path) -> dict[str, Any]:
    """Makes the hub of a backup in the home of `settings`, which is new or holds `secret.key` only. All is checked before
    anything is there: hashes, revision, and that the key opens every data key. Raises: AdminError, VaultError."""
    home = settings.home.absolute()
    if not file.is_file():
        raise AdminError(f"there is no file {file}")
    if home.exists() and (not home.is_dir() or any(each.name != _KEY_FILE for each in home.iterdir())):
        raise AdminError(f"{home} is not empty: a backup is restored into a new home, give another with --home")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as folder:
        staging = Path(folder)
        with archive.opened(file) as (manifest, read):
            roots = _fits(manifest, settings)
            read(staging)
        (staging / "home").mkdir(mode=0o700, exist_ok=True)
        result = _fill(settings, staging, manifest, roots)
        _move(staging / "home", home)
    made_at = instant_text(manifest.made_at)
    return {"home": str(home), "file": str(file), "made_at": made_at, "revision": migrations.head(), **result}


def _fits(manifest: archive.Manifest, settings: Settings) -> list[RootKey]:
    """The root keys, when the backup can be restored by this release, with them, into this database. Raises: AdminError,
    VaultError."""
    if manifest.revision not in migrations.revisions():
        raise AdminError(
            f"the backup has revision {manifest.revision}, this release knows revisions up to {migrations.head()}: "
            f"restore it with the release that made it ({manifest.hub}) or a later one"
        )
    place = sqlite_file(settings)
    if (place is not None) != (manifest.engine == "sqlite"):
        wanted = "HUB_DATABASE_URL of an empty PostgreSQL database" if place is not None else "no HUB_DATABASE_URL"
        raise AdminError(f"the backup is of {manifest.engine}: restore it with {wanted}")
    if place is not None and place.exists():
        raise AdminError(f"there is a database already: {place}")
    if place is None:
        _refuse_filled(settings.database_admin_url or settings.url)
    try:
        roots = load_root_keys(settings.home)
    except NoSecretKey:
        put = f"mkdir -m 700 {settings.home} && cp -p OLD_HOME/{_KEY_FILE} {settings.home}/"
        raise NoSecretKey(f"a backup holds no key: set {ENVIRONMENT}, or put the hub's key there: {put}") from None
    missing = sorted(set(manifest.root_keys) - {root.id for root in roots})
    if missing:
        raise VaultError(
            f"the backup is sealed by root key {', '.join(missing)}, the key given is {', '.join(r.id for r in roots)}: "
            f"give the key that the hub had then, after the other one in {_KEY_FILE} or {ENVIRONMENT}; `hub keys list` of that hub "
            "says when each was made and dropped"
        )
    return roots


def _refuse_filled(url: str) -> None:
    database = Database(url)
    try:
        with database.read() as connection:
            tables = sa.inspect(connection).get_table_names()
    finally:
        database.dispose()
    if tables:
        raise AdminError(
            f"the database is not empty, it has {len(tables)} tables: restore into one that was just created"
        )


def _fill(settings: Settings, staging: Path, manifest: archive.Manifest, roots: list[RootKey]) -> dict[str, Any]:
    """Fills the database, brings it up to date and marks it. On SQLite it is moved to its place only then."""
    place = sqlite_file(settings)
    copied = staging / archive.DATABASE
    if place is None:
        filled = settings
    else:
        filled = settings.model_copy(update={"database_url": f"sqlite:///{copied}", "database_admin_url": ""})
    try:
        if place is None:
            dump.load(copied, settings.database_admin_url or settings.url)
        result = _make_restored(filled, manifest, roots)
    except dump.DumpError as error:
        raise AdminError(str(error)) from None
    except (AdminError, VaultError, sa.exc.SQLAlchemyError) as error:
        if place is not None:
            raise
        raise AdminError(f"{error}. The database is half restored: drop it, create it anew and restore again") from None
    if place is not None:
        in_home = settings.home.absolute() in place.absolute().parents
        target = staging / "home" / place.absolute().relative_to(settings.home.absolute()) if in_home else place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.move(copied, target)
    return result


def _make_restored(settings: Settings, manifest: archive.Manifest, roots: list[RootKey]) -> dict[str, Any]:
    database = Database(settings.database_admin_url or settings.url)
    try:
        with database.read() as connection:
            _compare(dump.count_rows(connection), manifest.counts)
            _open_all(connection, Vault(roots, database.ids))
        migrate(settings)
        now = now_us()
        with database.write() as connection:
            unsure = restored.mark(connection, backed_up_at=manifest.made_at, now=now)
        with database.read() as connection:
            return {
                "connections": _waiting(connection),
                "maybe_sent": unsure,
                "next_numbers": next_numbers(connection),
            }
    finally:
        if database.sqlite:
            with database.engine.connect() as connection:
                # one file, which can be moved
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.dispose()


def _compare(found: dict[str, int], expected: dict[str, int]) -> None:
    differing = sorted(name for name in found | expected if found.get(name) != expected.get(name))
    if differing:
        name = differing[0]
        raise AdminError(f"table {name} has {found.get(name)} rows, the backup had {expected.get(name)}: it is damaged")


def _open_all(connection: Connection, vault: Vault) -> None:
    """Raises: VaultError when a data key does not open."""
    for row in connection.execute(sa.select(_KEY.c.merchant_id, _KEY.c.id)).all():
        vault.key(connection, row.merchant_id, row.id)


def _waiting(connection: Connection) -> list[dict[str, Any]]:
    merchants = connection.execute(sa.select(restored.RESTORED.c.merchant_id).distinct()).scalars().all()
    return [
        {"name": row.name, "mode_when_released": row.mode}
        for merchant_id in sorted(merchants)
        for row in restored.waiting(connection, merchant_id)
    ]


def next_numbers(connection: Connection, merchant_id: int | None = None) -> list[dict[str, str]]:
    """The number that each series gives next. Documents with it or a later one may exist outside."""
    mine = SERIES.c.merchant_id == merchant_id if merchant_id is not None else sa.true()
    rows = connection.execute(sa.select(SERIES).where(mine).order_by(SERIES.c.merchant_id, SERIES.c.code))
    return [{"series": row.code, "next": number_text(row.prefix, row.next_number)} for row in rows]


def _move(staged: Path, home: Path) -> None:
    """Puts a home in its place: whole, or when it holds the key already, the database last."""
    if not home.exists():
        os.rename(staged, home)
        return
    for path in sorted(staged.iterdir(), key=lambda each: each.name.startswith("hub.sqlite")):
        os.rename(path, home / path.name)
