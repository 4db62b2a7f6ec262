"""Makes a hub: its folder, its key, its database, a merchant with an open book and a warehouse. Does what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.registry import Registry
from hub.connect.rootkeys import ENVIRONMENT, create_secret_key, load_root_keys
from hub.connect.vault import Vault
from hub.core.ledger.setup import IDS_NEEDED, open_book
from hub.core.ledger.tables import BOOK
from hub.core.stock.setup import open_stock
from hub.core.stock.tables import LOCATION
from hub.db import migrate as migrations
from hub.db.engine import Database, parsed
from hub.db.tables import Merchant
from hub.db.types import now_us
from hub.flows.context import ConnectionInfo, load_roles
from hub.records.money import MoneyError, exponent
from hub.workers.admin.errors import AdminError
from hub.workers.settings import Settings

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
MERCHANT_ID = 1
LANES = 64


def init(
    settings: Settings, *, name: str = "My shop", currency: str = "EUR", zone: str = "Europe/Paris"
) -> dict[str, Any]:
    """Makes what is missing of a hub and says what it made; run again it changes nothing. A database of an earlier release
    is for `upgrade`. Raises: AdminError."""
    _check(currency, zone)
    made: list[str] = []
    home = settings.home
    if not home.is_dir():
        home.mkdir(mode=0o700, parents=True)
        made.append(f"folder {home}")
    if not os.environ.get(ENVIRONMENT, "").strip() and not (home / "secret.key").exists():
        made.append(f"key {create_secret_key(home)}")
    before = migrations.current(settings.database_admin_url or settings.url)
    if before not in (None, migrations.head()):
        raise AdminError(_outdated(before))
    result = migrate(settings)
    if before is None:
        made.append("database")
        if not settings.database_url:
            (home / "hub.sqlite").chmod(0o600)
    with _opened(settings) as (database, vault):
        made += _merchant(database, vault, name, currency, zone)
    return {
        "home": str(home.resolve()),
        "database": result["database"],
        "revision": result["revision"],
        "merchant": str(MERCHANT_ID),
        "made": made,
    }


def migrate(settings: Settings, check: Callable[[Connection], None] | None = None) -> dict[str, Any]:
    """Brings the database to the schema of this release, in one transaction in which `check` may refuse it. On PostgreSQL
    the role of `HUB_DATABASE_ADMIN_URL` does it, and that of `HUB_DATABASE_URL` gets its rights. Raises: AdminError."""
    owner = settings.database_admin_url or settings.url
    before = migrations.current(owner)
    migrations.upgrade(owner, check=check)
    if settings.database_admin_url and settings.database_url:
        role = parsed(settings.database_url).username
        if not role:
            raise AdminError("HUB_DATABASE_URL names no role: give the application one of its own, not the owner's")
        try:
            migrations.grant(settings.database_admin_url, role)
        except ValueError as error:
            raise AdminError(str(error)) from None
    return {
        "database": parsed(settings.url).render_as_string(hide_password=True),
        "before": before,
        "revision": migrations.head(),
    }


def sqlite_file(settings: Settings) -> Path | None:
    """The file of a SQLite database; None for any other."""
    url = parsed(settings.url)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def there(settings: Settings) -> None:
    """Refuses a hub that was not made yet; a database that is missing is not made by looking for it. Raises: AdminError."""
    file = sqlite_file(settings)
    if file is not None and not file.is_file():
        place = settings.home.resolve() if not settings.database_url else file
        raise AdminError(f"there is no hub in {place}: run `hub init`, or set HUB_HOME to where one is")


def check_ready(settings: Settings) -> None:
    """Refuses a hub that was not made yet, or whose database has another schema. Raises: AdminError."""
    there(settings)
    database = Database(settings.url)
    try:
        with database.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                raise AdminError("the database has no tables: run `hub init`")
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    finally:
        database.dispose()
    if found != migrations.head():
        raise AdminError(_outdated(found))


def _outdated(found: str | None) -> str:
    if found not in migrations.revisions():
        return f"the database has revision {found}, which is of a later release than this one: run that release"
    return (
        f"the database has revision {found}, this release needs {migrations.head()}: stop the hub and run `hub upgrade`"
    )


def bound(settings: Settings, registry: Registry, merchant_id: int = MERCHANT_ID) -> list[ConnectionInfo]:
    """The connections of a hub, running or not, without their secrets; none where there is no hub yet."""
    try:
        check_ready(settings)
    except (AdminError, sa.exc.SQLAlchemyError):
        return []  # no hub yet: the files stand for themselves
    database = Database(settings.url)
    try:
        with database.read() as connection:
            return list(load_roles(connection, merchant_id, registry).connections.values())
    finally:
        database.dispose()


def _check(currency: str, zone: str) -> None:
    try:
        exponent(currency)
        ZoneInfo(zone)
    except MoneyError as error:
        raise AdminError(str(error)) from None
    except (KeyError, ValueError, OSError):
        raise AdminError(f"{zone!r} is no time zone: give an IANA name such as Europe/Paris") from None


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Database, Vault]]:
    database = Database(settings.url)
    try:
        yield database, Vault(load_root_keys(settings.home), database.ids)
    finally:
        database.dispose()


def _merchant(database: Database, vault: Vault, name: str, currency: str, zone: str) -> list[str]:
    made: list[str] = []
    row: dict[str, Any]
    now = now_us()
    database.ids.ensure(IDS_NEEDED + 100)
    with database.write() as connection:
        found = connection.execute(sa.select(_MERCHANT).where(_MERCHANT.c.id == MERCHANT_ID)).mappings().one_or_none()
        row = dict(found or {})
        if found is None:
            row = {
                "id": MERCHANT_ID, "name": name, "zone": zone, "currency": currency, "lanes": LANES, "created_at": now
            }  # fmt: skip
            connection.execute(_MERCHANT.insert(), [row])
            made.append(f"merchant {name!r}, {currency}, {zone}")
        key = vault.data_key(connection, MERCHANT_ID, "chain")
        if not connection.execute(sa.select(BOOK.c.id).where(BOOK.c.merchant_id == MERCHANT_ID)).first():
            open_book(
                connection,
                MERCHANT_ID,
                database.ids,
                currency=row["currency"],
                zone=row["zone"],
                data_key_id=key.id,
                now=now,
            )
            made.append(f"book in {row['currency']}")
        if not connection.execute(sa.select(LOCATION.c.id).where(LOCATION.c.merchant_id == MERCHANT_ID)).first():
            open_stock(connection, MERCHANT_ID, database.ids)
            made.append("stock with the warehouse 'main'")
    return made
