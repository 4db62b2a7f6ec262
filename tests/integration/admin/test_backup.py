"""Backups while the hub works, and the hubs that are made of them, on both engines."""

from __future__ import annotations

import errno
import gzip
import io
import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.connect.rootkeys import VaultError
from hub.db.engine import Database
from hub.outbox import restored
from hub.workers.admin import archive, connections, setup
from hub.workers.admin import restore as restoring
from hub.workers.admin.backup import backup
from hub.workers.admin.errors import AdminError
from hub.workers.admin.restore import restore
from hub.workers.admin.verify import verify
from hub.workers.hub import Hub
from hub.workers.settings import Settings

CONNECTIONS = """
connections:
  shop: {connector: http, mode: live, settings: {record: order}}
  books: {connector: http, mode: observe, settings: {url: "https://books.example.org"}}
roles: {shop: shop, books: books}
"""
ALERTS = "alerts:\n  - {alert: all, when: {questions: ['*']}, to: [ops@example.org]}\n"


@pytest.fixture
def settings(new_hub: Settings) -> Settings:
    """A hub with two connections and a flow, on each engine."""
    made, home = new_hub, new_hub.home
    (home / "flows").mkdir()
    (home / "flows" / "mine.yaml").write_text("flow: mine\non: {event: invoice.issued}\nsteps: [{stop: not yet}]\n")
    (home / "connections.yaml").write_text(CONNECTIONS)
    (home / "alerts.yaml").write_text(ALERTS)
    hub = Hub.open(made)
    connections.apply(hub, CONNECTIONS)
    connections.set_secrets(hub, "shop", {"authorization": "s3cret-of-the-shop"})
    hub.stop()
    return made


@pytest.fixture
def new_home(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A home with the key and an empty database."""
    home = tmp_path / "new"
    home.mkdir(mode=0o700)
    shutil.copy2(settings.home / "secret.key", home)
    return Settings(home=home, **(request.getfixturevalue("empty_postgres") if settings.database_url else {}))


def _rows(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    database = Database(settings.url)
    with database.read() as connection:
        tables = sa.inspect(connection).get_table_names()
        found = {
            name: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM "{name}"').all())) for name in tables
        }
    database.dispose()
    return found


def test_a_restored_hub_has_all_of_it_and_sends_nothing(settings: Settings, new_home: Settings, tmp_path: Path) -> None:
    before = _rows(settings)

    made = backup(settings, tmp_path / "b.hub")
    result = restore(new_home, tmp_path / "b.hub")

    after = _rows(new_home)
    assert {name for name in before if before[name] != after[name]} == {"connection", "restored", "id_counter"}
    assert made["counts"] == {name: len(rows) for name, rows in before.items() if not name.startswith("sqlite_")}
    assert result["connections"] == [
        {"name": "books", "mode_when_released": "observe"},
        {"name": "shop", "mode_when_released": "live"},
    ]
    assert (new_home.home / "flows" / "mine.yaml").read_text() == (settings.home / "flows" / "mine.yaml").read_text()
    assert (new_home.home / "connections.yaml").read_text() == CONNECTIONS
    assert (new_home.home / "alerts.yaml").read_text() == ALERTS, "who was told of trouble still is"
    hub = Hub.open(new_home)
    try:
        listed = {item["name"]: item for item in connections.listed(hub)["items"]}
        assert {name: item["mode"] for name, item in listed.items()} == {"shop": "paused", "books": "observe"}
        assert listed["shop"]["secrets"] == ["authorization"], "its sealed secrets open"
        assert verify(hub)["ok"]
    finally:
        hub.stop()


def test_live_is_the_mode_that_a_restored_connection_gets_when_it_is_released(
    settings: Settings, new_home: Settings, tmp_path: Path
) -> None:
    backup(settings, tmp_path / "b.hub")
    restore(new_home, tmp_path / "b.hub")
    hub = Hub.open(new_home)
    try:
        asked = connections.set_mode(hub, "books", "live")
        assert (asked["mode"], asked["waits"]) == ("paused", True)
        connections.apply(hub, CONNECTIONS)
        assert {item["name"]: item["mode"] for item in connections.listed(hub)["items"]} == {
            "shop": "paused",
            "books": "observe",
        }, "connections.yaml with `mode: live` does not go round the release"
    finally:
        hub.stop()


def test_a_backup_is_one_instant_of_a_hub_that_goes_on_writing(
    settings: Settings, new_home: Settings, tmp_path: Path
) -> None:
    database = Database(settings.url)
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            with database.write() as connection:
                # two rows that always come together
                connection.exec_driver_sql(
                    f"INSERT INTO setting (key, value) VALUES ('a{number}', '1'), ('b{number}', '1')"
                )
            if number == 20:
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        made = backup(settings, tmp_path / "b.hub")
    finally:
        stop.set()
        writer.join()
        database.dispose()

    restore(new_home, tmp_path / "b.hub")

    keys = {row for row in _rows(new_home)["setting"]}
    assert len(keys) == made["counts"]["setting"] >= 42
    assert {key.replace("'a", "'b") for key in keys} == {key.replace("'a", "'b") for key in keys if "'b" in key}
    assert len(keys) % 2 == 0


def test_the_key_is_never_in_it_and_only_the_owner_reads_it(settings: Settings, tmp_path: Path) -> None:
    key = (settings.home / "secret.key").read_bytes().strip()
    (settings.home / "flows" / "secret.key").write_bytes(key)
    (settings.home / "flows" / "linked.yaml").symlink_to(settings.home / "secret.key")

    made = backup(settings, tmp_path / "b.hub")

    content = gzip.decompress((tmp_path / "b.hub").read_bytes())
    assert key not in content
    assert b"s3cret-of-the-shop" not in content
    assert made["files"] == ["alerts.yaml", "connections.yaml", "flows/mine.yaml"]
    assert (tmp_path / "b.hub").stat().st_mode & 0o777 == 0o600
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")], "nothing is left beside it"


def test_a_backup_takes_the_place_of_no_other(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "b.hub").write_text("older")
    with pytest.raises(AdminError, match="exists already"):
        backup(settings, tmp_path / "b.hub")
    assert (tmp_path / "b.hub").read_text() == "older"


def test_without_pg_dump_it_says_what_to_do(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    if not settings.database_url:
        backup(settings, tmp_path / "b.hub")
        return
    with pytest.raises(AdminError, match="pg_dump is not on the PATH: install"):
        backup(settings, tmp_path / "b.hub")
    assert not (tmp_path / "b.hub").exists()


# -- what is not restored -----------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    """A hub on SQLite with a backup `b.hub` beside it."""
    settings = Settings(home=tmp_path / "home")
    setup.init(settings)
    backup(settings, tmp_path / "b.hub")
    return settings


def _rewritten(file: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    with tarfile.open(file) as tar:
        content = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    with tarfile.open(file, "w:gz") as tar:
        for name, data in change(content).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def _flip(content: dict[str, bytes]) -> dict[str, bytes]:
    data = bytearray(content["database"])
    data[5000] ^= 1
    return {**content, "database": bytes(data)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_flip, "database is not what was backed up"),
        (lambda content: {"manifest.json": content["manifest.json"]}, "cut off: database is missing"),
        (lambda content: {**content, "home/../../evil": b"x"}, "its manifest does not name"),
        (lambda content: {"database": content["database"]}, "no manifest in front"),
        (
            lambda content: {**content, "manifest.json": content["manifest.json"].replace(b'"0001"', b'"9999"')},
            "revision 9999, this release knows revisions up to",
        ),
        (
            lambda content: {
                **content,
                "manifest.json": content["manifest.json"].replace(b'"format":1', b'"format":2'),
            },
            "format 2, this release reads 1",
        ),
        (
            lambda content: {**content, "manifest.json": content["manifest.json"].replace(b'"book":1', b'"book":2')},
            "table book has 1 rows, the backup had 2",
        ),
    ],
)
def test_what_is_damaged_or_of_a_later_release_is_refused_and_nothing_is_left(
    made: Settings, tmp_path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]], said: str
) -> None:
    _rewritten(tmp_path / "b.hub", change)
    home = tmp_path / "new"
    home.mkdir()
    shutil.copy2(made.home / "secret.key", home)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(AdminError, match=said):
        restore(Settings(home=home), tmp_path / "b.hub")

    assert [each.name for each in home.iterdir()] == ["secret.key"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_cut_off_is_refused(made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_SECRET_KEY", (made.home / "secret.key").read_text().strip())
    whole = (tmp_path / "b.hub").read_bytes()
    (tmp_path / "b.hub").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AdminError, match=r"cannot be read as a backup|cut off|not what was"):
        restore(Settings(home=tmp_path / "new"), tmp_path / "b.hub")
    assert not (tmp_path / "new").exists()


def test_what_fails_on_the_new_home_is_not_blamed_on_the_backup(
    made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Settings(home=tmp_path / "new")
    new.home.mkdir()
    shutil.copy2(made.home / "secret.key", new.home)

    def full(file: Path) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archive, "_created", full)
        with pytest.raises(AdminError, match=r"^\S+ cannot be written: No space left on device$"):
            restore(new, tmp_path / "b.hub")
    with monkeypatch.context() as patched:
        patched.setattr(restoring, "load_root_keys", full)
        with pytest.raises(OSError, match="No space left"):
            restore(new, tmp_path / "b.hub")
    assert [path.name for path in new.home.iterdir()] == ["secret.key"]


def test_another_key_and_no_key_are_refused(made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VaultError, match="a backup holds no key"):
        restore(Settings(home=tmp_path / "new"), tmp_path / "b.hub")
    monkeypatch.setenv("HUB_SECRET_KEY", "A" * 43 + "=")
    with pytest.raises(VaultError, match="is sealed by root key"):
        restore(Settings(home=tmp_path / "new"), tmp_path / "b.hub")
    assert not (tmp_path / "new").exists()


def test_a_home_with_something_in_it_is_refused(made: Settings, tmp_path: Path) -> None:
    with pytest.raises(AdminError, match="is not empty"):
        restore(made, tmp_path / "b.hub")


def test_a_database_with_tables_is_refused(
    made: Settings, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_SECRET_KEY", (made.home / "secret.key").read_text().strip())
    with pytest.raises(AdminError, match="the backup is of sqlite"):
        restore(Settings(home=tmp_path / "new", database_url=postgres_url), tmp_path / "b.hub")
    _rewritten(
        tmp_path / "b.hub",
        lambda content: {
            **content,
            "manifest.json": content["manifest.json"].replace(b'"engine":"sqlite"', b'"engine":"postgresql"'),
        },
    )
    with pytest.raises(AdminError, match="the database is not empty"):
        restore(Settings(home=tmp_path / "new", database_url=postgres_url), tmp_path / "b.hub")


def test_a_backup_of_a_hub_that_waits_for_its_release_waits_for_the_same(made: Settings, tmp_path: Path) -> None:
    hub = Hub.open(made)
    connections.apply(hub, CONNECTIONS)
    hub.stop()
    backup(made, tmp_path / "first.hub")
    for source, target in ((made, "one"), (Settings(home=tmp_path / "one"), "two")):
        file = tmp_path / ("first.hub" if target == "one" else "second.hub")
        if target == "two":
            backup(source, file)
        (tmp_path / target).mkdir(mode=0o700)
        shutil.copy2(made.home / "secret.key", tmp_path / target)
        restore(Settings(home=tmp_path / target), file)
    database = Database(Settings(home=tmp_path / "two").url)
    with database.read() as connection:
        rows = {row.name: row for row in restored.waiting(connection, 1)}
        first = next(iter(rows.values())).backed_up_at
    database.dispose()
    assert {name: row.mode for name, row in rows.items()} == {"shop": "live", "books": "observe"}
    with archive.opened(tmp_path / "first.hub") as (manifest, _):
        assert first == manifest.made_at, "what was sent after the first backup is not known either"
