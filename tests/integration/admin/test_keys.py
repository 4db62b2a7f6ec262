"""`hub keys` on a hub that works: what was proven stays proven, what was signed ends with its key, old backups name theirs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from hub.cli import app
from hub.connect.rootkeys import VaultError
from hub.workers.admin import connections, keys, prove
from hub.workers.admin.backup import backup
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.events import trigger
from hub.workers.admin.restore import restore
from hub.workers.admin.verify import verify
from hub.workers.hub import Hub
from hub.workers.settings import Settings


def test_chains_checkpoints_and_work_go_on_over_a_rotation(desk, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/invoices", method="POST").respond_with_json({"id": 1}, status=201)
    trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 50}])
    desk.order(1001)
    before = prove.checkpoint(desk.hub)["file"]
    connections.set_secrets(desk.hub, "books", {"authorization": "Bearer s3cret"})

    done = keys.rotate(desk.hub)
    desk.order(1002)
    for each in done["old"]:
        keys.drop(desk.hub, each)
    desk.order(1003)

    assert (done["made"], done["refused"], done["values"]) == (True, [], 1)
    assert [each["state"] for each in keys.listed(desk.hub)["items"]] == ["seals", "dropped"]
    # a process that begins now has the new key only
    again = Hub.open(Settings(home=desk.home, database_url=str(desk.hub.database.url)))
    try:
        for hub in (desk.hub, again):
            assert verify(hub) == {"ok": True, "faults": []}
            found = prove.prove(hub, strict=True, checkpoints=[{"name": "before.json", "text": before}])
            assert (found["ok"], found["effects"]["count"]) == (True, 3)
            assert hub.links.open(desk.ids["books"]).secrets == {"authorization": "Bearer s3cret"}
    finally:
        again.stop()


def test_what_is_wrong_is_refused_with_what_to_do(desk) -> None:
    (only,) = keys.listed(desk.hub)["items"]
    with pytest.raises(AdminError, match="run `hub keys rotate` first"):
        keys.drop(desk.hub, only["id"])
    with pytest.raises(NotThere, match="hub keys list"):
        keys.drop(desk.hub, "nothing")


def test_backups_name_the_key_they_need_and_open_with_it_for_ever(
    new_hub: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A backup from before the rotation, restored with the new key, with both, and then rotated in its turn."""
    hub = Hub.open(new_hub)
    backup(new_hub, tmp_path / "before.hub")
    copy = tmp_path / "old.key"
    shutil.copy2(new_hub.home / "secret.key", copy)
    done = keys.rotate(hub)
    (old,) = done["old"]
    keys.drop(hub, old)
    backup(new_hub, tmp_path / "after.hub")
    hub.stop()
    home = tmp_path / "new"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, **(request.getfixturevalue("empty_postgres") if new_hub.database_url else {}))
    shutil.copy2(new_hub.home / "secret.key", home)

    with pytest.raises(VaultError, match=rf"sealed by root key {old}, .*`hub keys list` of that hub says when"):
        restore(settings, tmp_path / "before.hub")
    with (home / "secret.key").open("a") as file:
        file.write(copy.read_text())
    restore(settings, tmp_path / "before.hub")

    back = Hub.open(settings)
    try:
        assert {each["id"]: each["state"] for each in keys.listed(back)["items"]} == {
            done["id"]: "seals",
            old: "opens",
        }
        again = keys.rotate(back)
        assert (again["made"], again["id"], again["old"]) == (False, done["id"], [old])
        assert verify(back)["ok"]
    finally:
        back.stop()


@pytest.mark.parametrize("new_hub", ["sqlite"], indirect=True)
def test_the_command_with_keys_of_the_environment_says_what_to_set(
    new_hub: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (new_hub.home / "secret.key").read_text().strip()
    monkeypatch.setenv("HUB_SECRET_KEY", key)

    done = CliRunner().invoke(app, ["keys", "rotate", "--home", str(new_hub.home)])

    assert isinstance(done.exception, AdminError)
    assert "set HUB_SECRET_KEY=OLD,NEW for every process" in str(done.exception)
    assert key not in f"{done.exception} {done.output}"


@pytest.mark.parametrize("new_hub", ["sqlite"], indirect=True)
def test_a_command_that_opens_the_hub_prints_its_answer_and_no_log(
    new_hub: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    done = CliRunner().invoke(app, ["keys", "rotate", "--json", "--home", str(new_hub.home)])

    assert json.loads(done.stdout)["made"] is True
    assert "".join(capfd.readouterr()) == ""
