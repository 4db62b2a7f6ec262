"""The doctor: each thing that can be wrong is one line with its state and a way to mend it, whatever else is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from postgres_server import PostgresServer

from hub.cli.doctor import command
from hub.connect.rootkeys import KeyRing
from hub.connect.tables import Connection
from hub.db.engine import Database, admin_engine
from hub.db.types import now_us
from hub.web.server import Server
from hub.workers.admin import connections, setup
from hub.workers.admin.running import RunLock, Running, announce
from hub.workers.doctor.examine import CHECKS, examine
from hub.workers.doctor.findings import Check
from hub.workers.hub import Hub
from hub.workers.settings import Settings

CONNECTION = Connection.__table__  # type: ignore[attr-defined]
CONNECTIONS = """
connections:
  shop: {connector: shopify, settings: {shop: b.myshopify.com, base_url: "http://127.0.0.1:9", client_id: a}}
  mail: {connector: smtp, settings: {host: mail.example.org, sender: "B <b@example.org>"}}
roles: {shop: shop, mail: mail}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A hub on SQLite with two connections."""
    made = Settings(home=tmp_path / "home", bind="127.0.0.1:0", public_url="https://hub.example.org")
    setup.init(made)
    hub = Hub.open(made)
    connections.apply(hub, CONNECTIONS)
    hub.stop()
    return made


#: all but the slow one, which compiles every flow
QUICK = {name: check for name, check in CHECKS.items() if name != "flows"}


def _said(
    settings: Settings, *, online: bool = False, checks: Mapping[str, Check] = QUICK
) -> dict[str, list[tuple[str, str]]]:
    """State and text of each line by its check; what is wrong has a way to mend it."""
    found: dict[str, list[tuple[str, str]]] = {}
    result = examine(settings, online=online, checks=checks)
    for each in result["findings"]:
        assert bool(each["mend"]) == (each["state"] != "ok"), each
        found.setdefault(each["check"], []).append((each["state"], each["text"]))
    assert result["ok"] == (not any(state == "fault" for lines in found.values() for state, _ in lines))
    return found


def _the(said: dict[str, list[tuple[str, str]]], check: str, state: str) -> str:
    """The text of the one line of a check that has this state."""
    [text] = [text for found, text in said[check] if found == state]
    return text


def _execute(settings: Settings, *statements: Any) -> None:
    database = Database(settings.url)
    with database.write() as connection:
        for statement in statements:
            connection.execute(statement)
    database.dispose()


def test_a_hub_that_is_well_has_no_fault(settings: Settings) -> None:
    said = _said(settings, checks=CHECKS)
    assert {state for lines in said.values() for state, _ in lines} == {"ok", "warning"}
    assert said["connections"] == [("warning", "shop was never connected"), ("ok", "1 of 2 are well")]
    assert _the(said, "key", "ok") == "secret.key opens 1 data keys"


def test_it_changes_nothing(settings: Settings) -> None:
    announce(settings.home, Running("http://127.0.0.1:9", "token-of-the-hub", 2**22 + 1))
    before = {path: path.stat().st_mode for path in settings.home.rglob("*")}
    content = (settings.home / "hub.sqlite").read_bytes()
    assert "was killed" in _the(_said(settings), "process", "warning")
    assert {path: path.stat().st_mode for path in settings.home.rglob("*")} == before
    assert (settings.home / "hub.sqlite").read_bytes() == content


# -- what it stands on ---------------------------------------------------------------------------------------------


def test_no_home_no_key_and_no_database(tmp_path: Path) -> None:
    said = _said(Settings(home=tmp_path / "nothing"))
    assert "there is no folder" in _the(said, "home", "fault")
    assert "there is no database" in _the(said, "database", "fault")
    assert "no secret key" in _the(said, "key", "fault")
    assert not (tmp_path / "nothing").exists()


def test_a_home_and_a_key_that_others_can_read(settings: Settings) -> None:
    settings.home.chmod(0o755)
    (settings.home / "secret.key").chmod(0o644)
    said = _said(settings)
    assert str(settings.home) in _the(said, "home", "warning")
    assert "can be read by others" in _the(said, "key", "fault")


def test_a_key_that_opens_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_SECRET_KEY", "A" * 43 + "=")
    said = _said(settings)
    assert "is sealed by root key" in _the(said, "key", "fault")
    assert "AAAA" not in json.dumps(said)


def test_a_rotation_that_is_not_done(settings: Settings) -> None:
    KeyRing.of(settings.home).add()
    said = _said(settings)
    assert _the(said, "key", "ok") == "secret.key opens 1 data keys"
    assert "1 of them are sealed by an older root key" in _the(said, "key", "warning")


def test_a_running_hub_answers_and_one_that_does_not_is_a_fault(settings: Settings) -> None:
    with Server(settings) as server:
        assert f"a hub runs at {server.url}" in _the(_said(settings), "process", "ok")
    lock = RunLock(settings.home)
    lock.take()
    try:
        assert "a command works" in _the(_said(settings), "process", "ok")
        announce(settings.home, Running("http://127.0.0.1:9", "token", os.getpid()))
        assert "does not answer" in _the(_said(settings), "process", "fault")
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        announce(settings.home, Running("http://127.0.0.1:9", "token", gone.pid))
        assert f"process {gone.pid} of the hub is gone" in _the(_said(settings), "process", "fault")
    finally:
        lock.release()


def test_redis_answers_or_not(settings: Settings, redis_url: str) -> None:
    assert "redis" not in _said(settings)
    assert "answers in" in _the(_said(settings.model_copy(update={"redis_url": redis_url})), "redis", "ok")
    away = settings.model_copy(update={"redis_url": "redis://:pass-of-redis@127.0.0.1:9/0"})
    assert "does not answer" in _the(_said(away), "redis", "fault")
    wrong = settings.model_copy(update={"redis_url": "redis:/:pass-of-redis@127.0.0.1"})
    assert "pass-of-redis" not in json.dumps(_said(wrong))


def test_the_disk_is_full(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(settings.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=50_000_000))
    assert _the(_said(settings), "disk", "fault").startswith("0.1 GB free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=900_000_000))
    with (settings.home / "hub.sqlite-wal").open("wb") as wal:
        wal.truncate(300_000_000)
    warned = [text for state, text in _said(settings)["disk"] if state == "warning"]
    assert [text.split()[0] for text in warned] == ["0.9", "hub.sqlite-wal"]


@pytest.fixture
def system() -> Iterator[tuple[str, dict[str, float]]]:
    """A system outside, with a clock of its own, that answers /healthz as a hub does."""
    off = {"seconds": 0.0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok"}')

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + off["seconds"], usegmt=True)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", off
    server.shutdown()
    server.server_close()


def test_online_it_compares_clocks_and_calls_the_public_address(
    settings: Settings, system: tuple[str, dict[str, float]]
) -> None:
    url, off = system
    text = json.dumps({"shop": "b.myshopify.com", "base_url": url, "client_id": "a"})
    _execute(settings, CONNECTION.update().where(CONNECTION.c.name == "shop").values(status="connected", settings=text))
    there = settings.model_copy(update={"public_url": url})
    said = _said(there, online=True)
    assert _the(said, "clock", "ok") == "within 5 s: shop"
    assert _the(said, "address", "ok") == f"{url} leads to a hub"
    assert "is not https" in _the(said, "address", "warning")
    off["seconds"] = -90
    assert "shop is 90 s behind" in _the(_said(there, online=True), "clock", "warning").replace("89", "90")
    nowhere = settings.model_copy(update={"public_url": "http://127.0.0.1:9"})
    assert "cannot be reached" in _the(_said(nowhere, online=True), "address", "fault")


# -- what is in it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("revision", "said"), [("9999", "later release"), (None, "has no tables")])
def test_a_database_of_another_release(settings: Settings, revision: str | None, said: str) -> None:
    change = f"UPDATE alembic_version SET version_num = '{revision}'" if revision else "DELETE FROM alembic_version"
    _execute(settings, sa.text(change))
    found = _said(settings)
    assert said in _the(found, "database", "fault")
    assert "connections" not in found, "tables of another release are not read"


def test_a_database_that_is_none(settings: Settings) -> None:
    for name in ("hub.sqlite-wal", "hub.sqlite-shm"):
        (settings.home / name).unlink(missing_ok=True)
    (settings.home / "hub.sqlite").write_bytes(b"no database" * 1000)
    assert "does not answer: file is not a database" in _the(_said(settings), "database", "fault")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hub:pass-of-hub@127.0.0.1:9/hub",
        "postgresql//hub:pass-of-hub@127.0.0.1/hub",
        "mysql://h:pass-of-hub@h/h",
    ],
)
def test_a_wrong_database_url_is_told_without_its_password(settings: Settings, url: str) -> None:
    said = _said(settings.model_copy(update={"database_url": url, "database_admin_url": url}))
    assert _the(said, "database", "fault")
    assert "pass-of-hub" not in json.dumps(said)


def test_connections_that_cannot_work(settings: Settings) -> None:
    _execute(
        settings,
        CONNECTION.update()
        .where(CONNECTION.c.name == "shop")
        .values(status="reconnect_needed", settings='{"shop": 7}'),
        CONNECTION.update().where(CONNECTION.c.name == "mail").values(connector="gone"),
    )
    faults = [text for state, text in _said(settings)["connections"] if state == "fault"]
    assert [text.partition(":")[0] for text in faults] == [
        "mail",
        "shop",
        "shop no longer lets the hub in",
    ]
    assert "there is no connector gone" in faults[0]
    assert "its settings do not fit: 'shop' must be of type text" in faults[1]


def test_a_connection_that_is_down(settings: Settings) -> None:
    down = {"status": "connected", "down_since": 0, "down_reason": "503", "probe_at": 5_000_000}
    _execute(settings, CONNECTION.update().where(CONNECTION.c.name == "shop").values(down))
    warned = [text for state, text in _said(settings)["connections"] if state == "warning" and "down" in text]
    assert warned == [
        "shop has been down since 1970-01-01T00:00:00.000000Z (503): its deliveries and reads wait, the hub asks it again at "
        "1970-01-01T00:00:05.000000Z"
    ]


def test_flows_that_are_refused(settings: Settings) -> None:
    (settings.home / "flows").mkdir()
    (settings.home / "flows" / "mine.yaml").write_text("flow: mine\non: {event: invoice.issued}\nsteps: [{dance: 1}]\n")
    said = _said(settings, checks=CHECKS)
    assert "flows/mine.yaml:3:" in _the(said, "flows", "fault")


def test_alerts_that_reach_nobody(settings: Settings) -> None:
    assert _said(settings)["alerts"] == [("ok", "5 rules")]
    (settings.home / "alerts.yaml").write_text("alerts:\n  - {alert: late, when: {queue: soon}, to: [webhook]}\n")
    assert "alerts.yaml:2:33" in _the(_said(settings), "alerts", "fault")


def test_questions_and_old_events(settings: Settings) -> None:
    hour = 3_600_000_000
    _execute(
        settings,
        sa.text(
            "INSERT INTO question (id, merchant_id, kind, subject, reason, details, answers, state, created_at)"
            " VALUES (900, 1, 'sku.unknown', 's', 'r', '{}', '[]', 'open', 1)"
        ),
        sa.text(
            "INSERT INTO inbox (merchant_id, kind, topic, record, record_id, ordering_key, lane, priority, state, claims,"
            " attempts, next_attempt_at, received_at) VALUES (1, 'manual', 't', 'r', '1', 'k', 1, 0, 'ready', 0, 0, 0,"
            f" {now_us() - hour})"
        ),
    )
    said = _said(settings)
    assert _the(said, "questions", "warning") == "1 wait for a person: 1 sku.unknown"
    assert _the(said, "events", "warning") == "some wait for 60 min, and no hub runs"


# -- PostgreSQL ----------------------------------------------------------------------------------------------------


def test_the_role_of_the_application_is_tried(tmp_path: Path, postgres_url: str, postgres_admin_url: str) -> None:
    settings = Settings(home=tmp_path / "home", database_url=postgres_url, database_admin_url=postgres_admin_url)
    setup.init(settings)
    said = _said(settings)
    assert "truncates and alters nothing" in _the(said, "rights", "ok")
    assert _the(said, "clock", "ok") == "within 5 s: the database server"

    with admin_engine(postgres_admin_url).begin() as connection:
        connection.exec_driver_sql("REVOKE INSERT ON entry FROM hub_app")
    assert "lacks rights on entry" in _the(_said(settings), "rights", "fault")
    with admin_engine(postgres_admin_url).begin() as connection:
        connection.exec_driver_sql("GRANT INSERT, TRUNCATE ON entry TO hub_app")
    assert "can lift seals (TRUNCATE TABLE entry" in _the(_said(settings), "rights", "fault")
    owner = settings.model_copy(update={"database_url": postgres_admin_url})
    assert "can lift seals" in _the(_said(owner), "rights", "fault")


def test_a_server_that_is_gone(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = f"postgresql://hub:pass-of-hub@/gone?host={postgres_server.folder}"
    said = _said(Settings(home=tmp_path, database_url=url))
    assert "does not answer" in _the(said, "database", "fault")


def test_the_command_ends_with_1_on_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        command(home=tmp_path / "none")
    assert ended.value.exit_code == 1
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"ok", "warning", "fault"}
