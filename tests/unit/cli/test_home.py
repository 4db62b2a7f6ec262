"""Which folder is a hub's where none is named: one rule for all commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.connect.registry import shipped
from hub.workers.settings import Settings

HERE, BELOW = Path(), Path("hub-home")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUB_HOME", raising=False)
    return tmp_path


def test_a_folder_with_flows_is_a_hubs(here: Path) -> None:
    (here / "flows").mkdir()

    assert Settings().home == HERE


def test_a_folder_with_a_database_is_a_hubs(here: Path) -> None:
    (here / "hub.sqlite").touch()

    assert Settings().home == HERE


def test_any_other_folder_has_one_below_it(here: Path) -> None:
    (here / "mappings").mkdir()
    (here / "flows.yaml").touch()

    assert Settings().home == BELOW


def test_the_checkout_is_no_hubs_though_it_holds_the_shipped_flows(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shipped("flows").parent)

    assert Settings().home == BELOW


def test_what_is_named_counts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "flows").mkdir()
    monkeypatch.setenv("HUB_HOME", "/srv/hub")

    assert Settings().home == Path("/srv/hub")
    assert Settings(home=Path("/srv/other")).home == Path("/srv/other")
