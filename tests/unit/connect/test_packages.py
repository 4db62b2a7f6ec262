"""Connectors of installed packages: found by entry point; a broken package is told, and stops nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.connect.registry import Registry, UnknownConnector

MANIFEST = "connector: {name}\ntitle: Acme\n"
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution into a folder on the path, as an installer does."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def put(dist: str, name: str, module: str, *, manifest: bool = True, code: str = "") -> Path:
        info = tmp_path / f"{dist}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[hub.connectors]\n{name} = {module}\n", "utf-8")
        folder = tmp_path.joinpath(*module.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / module.split(".")[0] / "__init__.py").write_text(code, "utf-8")
        if manifest:
            (folder / "connector.yaml").write_text(MANIFEST.format(name=name), "utf-8")
        return folder

    yield put
    for module in [name for name in sys.modules if name.startswith("hub_connector_")]:
        del sys.modules[module]


def only(registry: Registry) -> str:
    [problem] = registry.problems
    return str(problem)


def test_a_package_brings_its_connector(install: Install) -> None:
    folder = install("hub-connector-acme", "acme", "hub_connector_acme")

    registry = Registry.discover()

    assert registry.problems == ()
    assert registry.get("acme").folder == folder
    assert registry.get("acme").manifest.title == "Acme"


def test_one_whose_module_is_not_there_is_told(install: Install) -> None:
    folder = install("hub-connector-acme", "acme", "hub_connector_acme")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()

    registry = Registry.discover()

    assert "hub-connector-acme says that 'acme' is the package hub_connector_acme, which is not there" in only(registry)
    with pytest.raises(UnknownConnector, match="hub_connector_acme, which is not there"):
        registry.get("acme")
    assert "shopify" in registry.names()


def test_one_whose_code_fails_is_told(install: Install) -> None:
    install("hub-connector-acme", "acme", "hub_connector_acme.inner", code="raise RuntimeError('no licence')")

    registry = Registry.discover()

    assert "cannot be loaded: RuntimeError: no licence" in only(registry)
    assert "acme" not in registry.names()


def test_one_without_a_manifest_is_told(install: Install) -> None:
    install("hub-connector-acme", "acme", "hub_connector_acme", manifest=False)

    assert "which has no connector.yaml" in only(Registry.discover())


def test_two_packages_with_one_name_are_both_told_and_none_is_used(install: Install) -> None:
    install("hub-connector-acme", "acme", "hub_connector_acme")
    install("acme-for-hub", "acme", "hub_connector_other")

    registry = Registry.discover()

    assert "acme-for-hub and hub-connector-acme both bring 'acme': none of the two is used" in only(registry)
    assert "acme" not in registry.names()


def test_a_package_does_not_take_the_place_of_a_shipped_connector(install: Install) -> None:
    install("evil", "shopify", "hub_connector_evil")

    registry = Registry.discover()

    assert "evil may not bring 'shopify': the hub has it already" in only(registry)
    assert registry.get("shopify").manifest.title == "Shopify"


@pytest.mark.parametrize("name", ["shopify", "acme"])
def test_a_folder_of_the_home_takes_the_place_of_any(install: Install, tmp_path: Path, name: str) -> None:
    install("hub-connector-acme", "acme", "hub_connector_acme")
    own = tmp_path / "home" / "connectors" / name
    own.mkdir(parents=True)
    (own / "connector.yaml").write_text(MANIFEST.format(name=name), "utf-8")

    registry = Registry.discover(tmp_path / "home")

    assert registry.get(name).folder == own
    assert registry.problems == ()
