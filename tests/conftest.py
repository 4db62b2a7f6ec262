"""Databases for the tests: migrated once, copied for each test, and used as the application uses them."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
import structlog
from books import CHAIN_KEY, MERCHANT, NOW, BookOfTest
from postgres_server import APP_ROLE, PostgresServer
from valkey_server import ValkeyServer

from hub.core.ledger.setup import IDS_NEEDED, open_book
from hub.core.stock.setup import open_stock
from hub.db import migrate
from hub.db.engine import Database


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """No test logs where another one said: commands that run in this process set up logging."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database: copy it, never write to it."""
    path = tmp_path_factory.mktemp("template") / "hub.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run, started when the first test asks for it."""
    server = PostgresServer()
    try:
        server.execute("CREATE DATABASE hub_template")
        migrate.upgrade(server.url("hub_template"))
        migrate.grant(server.url("hub_template"), APP_ROLE)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    yield server
    server.stop()


@pytest.fixture
def redis_url(_valkey: ValkeyServer) -> str:
    """An empty Valkey."""
    with redis.Redis.from_url(_valkey.url) as client:
        client.flushall()
    return _valkey.url


_numbers = itertools.count(1)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test."""
    path = tmp_path / "hub.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_admin_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated PostgreSQL database of this test, as the role that owns its tables."""
    name = f"hub_{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE hub_template")
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_admin_url: str) -> str:
    """The same database as the application's role, which owns nothing."""
    return postgres_admin_url.replace("//postgres@", f"//{APP_ROLE}@")


@pytest.fixture
def postgres_tools(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pg_dump` and `pg_restore` of the server are on the PATH."""
    monkeypatch.setenv("PATH", f"{postgres_server.tools}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def empty_postgres(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """A PostgreSQL database without tables, as the settings of a hub name it."""
    name = f"empty_{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    yield {"database_url": postgres_server.url(name, APP_ROLE), "database_admin_url": postgres_server.url(name)}
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test, on each engine, as the application uses it."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def owner_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """The database of `database_url` as the owner of its tables, who can drop triggers."""
    if database_url.startswith("sqlite"):
        return database_url
    url: str = request.getfixturevalue("postgres_admin_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The hub's database, on each engine."""
    made = Database(database_url)
    yield made
    made.dispose()


@pytest.fixture
def open_book_in() -> Callable[[Database], BookOfTest]:
    """Opens the book of merchant 1 in a database."""
    return _open


@pytest.fixture
def book(database: Database) -> BookOfTest:
    """Merchant 1 with an open book, on each engine."""
    return _open(database)


def _open(database: Database) -> BookOfTest:
    database.ids.ensure(IDS_NEEDED + 10)
    with database.write() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO merchant (id, name, zone, currency, lanes, created_at) "
                "VALUES (:id, 'Atelier', 'Europe/Paris', 'EUR', 16, :now)"
            ),
            {"id": MERCHANT, "now": NOW},
        )
        book_id = open_book(
            connection,
            MERCHANT,
            database.ids,
            currency="EUR",
            zone="Europe/Paris",
            data_key_id=CHAIN_KEY[0],
            now=NOW,
        )
        locations = open_stock(connection, MERCHANT, database.ids)
    return BookOfTest(database, book_id, locations)
