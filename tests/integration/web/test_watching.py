"""What watches a hub from outside: it is alive, it can store webhooks, and how much waits."""

from __future__ import annotations

import sqlite3
import threading
import time

import httpx2
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families as parsed
from starlette.testclient import TestClient

from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.vault import Vault
from hub.db.engine import Database
from hub.web import watching
from hub.web.access import Keys
from hub.web.server import Server
from hub.web.watching import Watch
from hub.workers.hub import Hub


@pytest.fixture
def quick(monkeypatch):
    """Looks again each time, and waits a moment only."""
    for name, value in {"_GOOD_S": 0.0, "_BAD_S": 0.0, "_PROOF_S": 0.3}.items():
        monkeypatch.setattr(watching, name, value)


def _metrics(client, **more):
    answer = client.get("/metrics", **more)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parsed(answer.text)
        for sample in family.samples
    }


def test_a_running_hub_is_alive_and_ready_for_everybody(anyone):
    assert anyone.get("/healthz").json() == {"status": "ok"}
    assert anyone.get("/readyz").json() == {"status": "ready"}


def test_it_is_not_ready_while_the_database_is_locked_and_is_again_after(quick, anyone, settings):
    with sqlite3.connect(settings.home / "hub.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = anyone.get("/readyz")
        other.execute("ROLLBACK")

    assert (locked.status_code, locked.headers["retry-after"]) == (503, "5")
    assert "did not answer" in locked.json()["reason"]
    assert anyone.get("/healthz").status_code == 200
    until = time.monotonic() + 10
    while anyone.get("/readyz").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_it_is_not_ready_when_the_disk_is_nearly_full(quick, anyone, monkeypatch):
    monkeypatch.setattr(watching, "MIN_FREE", 2**62)

    answer = anyone.get("/readyz")

    assert (answer.status_code, "free on the disk" in answer.json()["reason"]) == (503, True)


def test_it_is_not_ready_when_the_folder_of_the_database_is_gone(quick, anyone, monkeypatch):
    def gone(_folder):
        raise FileNotFoundError

    monkeypatch.setattr(watching.shutil, "disk_usage", gone)

    answer = anyone.get("/readyz")

    assert (answer.status_code, "FileNotFoundError" in answer.json()["reason"]) == (503, True)


def test_it_is_not_ready_with_the_schema_of_another_release(quick, anyone, server):
    with server.hub.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000_other'"))

    assert "0000_other" in anyone.get("/readyz").json()["reason"]


def test_it_is_not_ready_when_the_intake_has_ended(anyone, server):
    server.hub.intake.close()

    assert anyone.get("/readyz").status_code == 503


def test_asking_often_writes_once(anyone, server, monkeypatch):
    monkeypatch.setattr(watching, "_GOOD_S", 3_600.0)
    for _ in range(20):
        assert anyone.get("/readyz").status_code == 200
    with server.hub.database.read() as connection:
        first = connection.execute(sa.text("SELECT value FROM setting WHERE key = 'intake.proved_at'")).scalar_one()
    anyone.get("/readyz")
    with server.hub.database.read() as connection:
        assert (
            connection.execute(sa.text("SELECT value FROM setting WHERE key = 'intake.proved_at'")).scalar_one()
            == first
        )


def test_on_postgresql_it_is_ready_until_the_database_lets_nobody_in(quick, postgres_server, postgres_url, tmp_path):
    database = Database(postgres_url)
    hub = Hub(database, Vault([root_key(bytes(32))], database.ids), Registry.discover(tmp_path), homes=[tmp_path])
    name = database.url.database
    try:
        with TestClient(watching.Starlette(routes=watching.routes(hub))) as client:
            assert client.get("/readyz").status_code == 200
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            gone = client.get("/readyz")
            told = _metrics(client)
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert (gone.status_code, gone.json()["reason"]) == (503, "the database cannot store: OperationalError")
            assert name not in gone.text
            assert told[("hub_database_up",)] == 0
            assert client.get("/readyz").status_code == 200
    finally:
        hub.stop()


def test_while_it_starts_webhooks_are_told_to_come_again(settings, monkeypatch):
    starting, go_on = threading.Event(), threading.Event()
    start = Hub.start

    def slow(hub):
        starting.set()
        assert go_on.wait(20)
        start(hub)

    monkeypatch.setattr(Hub, "start", slow)
    server = Server(settings)
    thread = threading.Thread(target=server.start)
    thread.start()
    try:
        assert starting.wait(20)
        with httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as client:
            hook, ready, alive = (
                client.post("/webhooks/desk", content=b"{}"),
                client.get("/readyz"),
                client.get("/healthz"),
            )
            go_on.set()
            thread.join(20)
            after = client.get("/readyz")
    finally:
        go_on.set()
        thread.join(20)
        server.stop()

    assert [each.status_code for each in (hook, ready, alive, after)] == [503, 503, 200, 200]
    assert hook.headers["retry-after"] == ready.headers["retry-after"] == "2"


def test_a_hub_that_cannot_start_says_why_and_answers_no_more(settings, monkeypatch):
    def broken(_hub):
        raise RuntimeError("no")

    monkeypatch.setattr(Hub, "start", broken)
    server = Server(settings)

    with pytest.raises(RuntimeError, match="no"):
        server.start()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{server.url}/healthz", trust_env=False)


def test_a_webhook_that_cannot_be_looked_up_is_to_be_sent_again(anyone, server):
    with server.hub.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE merchant RENAME TO elsewhere"))

    answer = anyone.post("/webhooks/desk", content=b"{}")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_metrics_are_closed_and_open_to_a_token_that_opens_nothing_else(anyone, admin, server):
    token = {"authorization": f"Bearer {server._keys.metrics_token(60)}"}

    assert anyone.get("/metrics").status_code == 401
    assert _metrics(anyone, headers=token)[("hub_database_up",)] == 1
    assert _metrics(admin)
    assert anyone.get("/api/status", headers=token).status_code == 401
    assert anyone.get("/metrics", headers={"authorization": f"Bearer {server._keys.session()}"}).status_code == 401


def test_metrics_tell_of_webhooks_events_and_connections(send, admin, stored):
    before = _metrics(admin)

    assert send({"id": 4711, "name": "a"}).status_code == 200
    assert send({"id": 4711}, **{"webhook-signature": "wrong"}).status_code == 401
    until = time.monotonic() + 10
    while stored()[0]["state"] != "done":
        assert time.monotonic() < until
        time.sleep(0.02)
    after = _metrics(admin)

    def grown(*key):
        return after.get(key, 0) - before.get(key, 0)

    assert grown("hub_webhook_answer_seconds_count", ("status", "200")) == 1
    assert grown("hub_webhook_answer_seconds_count", ("status", "401")) == 1
    assert grown("hub_events_total", ("state", "done")) == 1
    assert grown("hub_batch_events_sum") == 1
    assert grown("hub_write_wait_seconds_count", ("writer", "intake")) >= 1
    named = (("connection", "desk"), ("connector", "http"), ("merchant", "1"))
    assert after[("hub_connection", *named, ("status", "connected"))] == 1
    assert after[("hub_events_open", ("state", "ready"))] == 0
    assert not any("4711" in str(key) for key in after)


def test_a_process_of_its_own_is_watched_on_an_address_of_its_own(server):
    keys = Keys(server.hub.vault.roots)
    token = {"authorization": f"Bearer {keys.metrics_token(60)}"}
    with (
        Watch(server.hub, "127.0.0.1:0", keys) as watch,
        httpx2.Client(base_url=f"http://127.0.0.1:{watch.port}", trust_env=False, timeout=10) as client,
    ):
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 401
        assert _metrics(client, headers=token)
        # it takes no webhooks: whether they can be stored is another process's to say
        assert client.get("/readyz").status_code == 404
