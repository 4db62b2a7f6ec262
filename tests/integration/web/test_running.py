"""`hub init` and `hub up`: one process a home, private files, an orderly end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import httpx2
import pytest
import sqlalchemy as sa
from web_signing import SECRET, signed

from hub.db.engine import Database
from hub.web.server import Server
from hub.workers.admin import running, setup
from hub.workers.admin.errors import AdminError
from hub.workers.admin.running import AlreadyRunning
from hub.workers.settings import Settings


def _mode(path):
    return path.stat().st_mode & 0o777


def test_init_makes_a_private_home_and_again_changes_nothing(tmp_path):
    settings = Settings(home=tmp_path / "new")

    first = setup.init(settings, name="Atelier")
    key = (settings.home / "secret.key").read_bytes()
    again = setup.init(settings, name="Another")

    assert len(first["made"]) == 6
    assert again["made"] == []
    assert (settings.home / "secret.key").read_bytes() == key
    assert _mode(settings.home) == 0o700
    assert _mode(settings.home / "secret.key") == 0o600
    assert _mode(settings.home / "hub.sqlite") == 0o600
    database = Database(settings.url)
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT name, currency, zone, lanes FROM merchant")).all() == [
            ("Atelier", "EUR", "Europe/Paris", 64)
        ]
        assert connection.execute(sa.text("SELECT count(*) FROM book")).scalar_one() == 1
        assert connection.execute(sa.text("SELECT code FROM location WHERE kind = 'warehouse'")).all() == [("main",)]
    database.dispose()


def test_init_with_a_key_in_the_environment_writes_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HUB_SECRET_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")

    setup.init(Settings(home=tmp_path / "new"))

    assert not (tmp_path / "new" / "secret.key").exists()


@pytest.mark.parametrize(("values", "says"), [({"currency": "EURO"}, "ISO 4217"), ({"zone": "Paris"}, "IANA")])
def test_init_refuses_what_cannot_be_kept(tmp_path, values, says):
    with pytest.raises(AdminError, match=says):
        setup.init(Settings(home=tmp_path / "new"), **values)
    assert not (tmp_path / "new").exists()


def test_a_home_without_a_hub_is_not_started(tmp_path):
    with pytest.raises(AdminError, match="hub init"):
        Server(Settings(home=tmp_path, bind="127.0.0.1:0"))


def test_a_second_hub_is_refused(server, settings):
    with pytest.raises(AlreadyRunning, match=server.url):
        Server(settings)
    assert httpx2.get(f"{server.url}/healthz", trust_env=False).status_code == 200


def test_a_hub_that_ended_leaves_its_home_free(settings):
    with Server(settings) as first:
        announced = running.read(settings.home)
        assert announced is not None
        assert (announced.url, announced.token, announced.pid) == (first.url, first.token, os.getpid())
        assert _mode(settings.home / "run" / "hub.json") == 0o600
        assert running.is_locked(settings.home)
    assert running.read(settings.home) is None
    assert not running.is_locked(settings.home)
    with Server(settings) as second:
        assert httpx2.get(f"{second.url}/healthz", trust_env=False).status_code == 200


def test_a_taken_address_is_said(server, settings, template_home, tmp_path):
    import shutil

    other = shutil.copytree(template_home, tmp_path / "other")
    with pytest.raises(AdminError, match="cannot listen"):
        Server(Settings(home=other, bind=f"127.0.0.1:{server.port}"))
    assert not running.is_locked(other)


@pytest.fixture
def process(home):
    """`hub up` as a process of its own, and where it answers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    started = subprocess.Popen(
        [sys.executable, "-m", "hub", "up", "--home", str(home), "--bind", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    until = time.monotonic() + 60
    while running.read(home) is None and started.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    yield started
    if started.poll() is None:
        started.kill()
    started.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(process, home, number):
    where = running.read(home)
    assert where is not None
    assert where.pid == process.pid
    headers = {"authorization": f"Bearer {where.token}"}
    assert httpx2.get(f"{where.url}/api/status", headers=headers, trust_env=False, timeout=20).json()["idle"]

    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert "/login?token=" in out
    events = [json.loads(line)["event"] for line in err.splitlines() if line.startswith("{")]
    assert events == ["hub is up", "hub is down"]
    assert running.read(home) is None


def test_a_second_hub_up_says_so_and_ends_with_2(process, home):
    assert running.read(home) is not None

    second = subprocess.run(
        [sys.executable, "-m", "hub", "up", "--home", str(home)], capture_output=True, text=True, timeout=60
    )

    assert second.returncode == 2
    assert "is running already" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_hub_that_was_killed_leaves_its_home_free(process, home):
    process.kill()
    process.communicate()

    assert not running.is_locked(home)
    with Server(Settings(home=home, bind="127.0.0.1:0")) as after:
        assert httpx2.get(f"{after.url}/healthz", trust_env=False).status_code == 200


def test_a_hub_on_postgresql_takes_webhooks_and_stops(home, postgres_url):
    settings = Settings(home=home, bind="127.0.0.1:0", database_url=postgres_url)
    setup.init(settings)
    with Server(settings) as server:
        headers = {"authorization": f"Bearer {server.token}"}
        with httpx2.Client(base_url=server.url, headers=headers, trust_env=False, timeout=20) as client:
            client.post("/api/connections/apply", json={"text": "connections: {desk: {connector: http}}"})
            client.put("/api/connections/desk/secrets", json={"secrets": {"webhook_secret": SECRET}})
            text = b'{"id": 17}'
            answers = [client.post("/webhooks/desk", content=text, headers=signed(text)) for _ in range(2)]
            stored = client.get("/api/inbox").json()["items"]
            verified = client.get("/api/verify").json()

    assert [answer.json() for answer in answers] == [
        {"received": True, "repeat": False},
        {"received": True, "repeat": True},
    ]
    assert [event["record_id"] for event in stored] == ["17"]
    assert verified == {"ok": True, "faults": []}


def test_the_session_of_a_hub_behind_tls_goes_over_tls_only(settings):
    settings.public_url = "https://hub.example.com"
    with Server(settings) as server, httpx2.Client(base_url=server.url, trust_env=False) as client:
        tokens = [server.login_url().partition("token=")[2] for _ in range(2)]

        local = client.get("/login", params={"token": tokens[0]})
        public = client.get("/login", params={"token": tokens[1]}, headers={"host": "hub.example.com"})

    assert "Secure" not in local.headers["set-cookie"]
    assert "Secure" in public.headers["set-cookie"]
