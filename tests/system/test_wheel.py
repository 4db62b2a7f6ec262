"""The wheel: all that a hub needs is in it, it works where nothing else of the checkout is, and connectors join it as packages."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from doc_pages import run_page

ROOT = Path(__file__).resolve().parents[2]
FULL = bool(os.environ.get("HUB_TEST_FULL"))
SHIPPED = ("connectors", "flows", "mappings")


@dataclass(frozen=True)
class Place:
    """A Python of its own, with nothing of the checkout on its path."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def shell(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("HUB_", "PYTHON", "VIRTUAL_ENV"))
        }
        return {**kept, "PATH": f"{self.folder / 'bin'}{os.pathsep}{kept['PATH']}"}

    def installer(self) -> list[str]:
        """The command that installs into it, with whatever there is: `.ci/venv` asks for uv or a Python with venv."""
        if importlib.util.find_spec("pip"):
            return [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        if uv := shutil.which("uv"):
            return [uv, "pip", "install", "--quiet", "--python", str(self.python)]
        ran(self, self.folder, str(self.python), "-m", "ensurepip")
        return [str(self.python), "-m", "pip", "install", "--quiet"]

    def install(self, *arguments: str) -> None:
        ran(self, self.folder, *self.installer(), *arguments)


def ran(place: Place, folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=place.shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = folder.glob("*.whl")
    return made


def empty(folder: Path) -> Place:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return Place(folder)


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The wheel beside the libraries of this environment. The checkout, which a `.pth` of it names, is not on the path."""
    made = empty(tmp_path_factory.mktemp("venv"))
    [site] = made.folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    made.install("--no-deps", "--no-index", str(wheel))
    where = ran(made, made.folder, "python", "-c", "import hub; print(hub.__file__)")
    assert Path(where.strip()).is_relative_to(made.folder), "it is the wheel that is tried"
    # what a reader of a page types: `pip install WHEEL`
    pip = made.folder / "bin" / "pip"
    command = shlex.join([*made.installer(), "--no-deps", "--no-index"])
    pip.write_text(f'#!/bin/sh\nshift\nexec {command} "$@"\n', "utf-8")
    pip.chmod(0o755)
    return made


def test_all_that_a_hub_needs_is_in_it_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"hub/shipped/{name}" for name in files(*SHIPPED)} | files("hub")

    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {"hub/shipped/connectors/shopify/sandbox.graphql", "hub/core/ledger/charts/fr.yaml"} <= wanted
    assert "hub/templates/example/.github/workflows/check.yml" in wanted


def files(*folders: str) -> set[str]:
    return {
        file.relative_to(ROOT).as_posix()
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }


def test_a_connector_becomes_a_package_as_the_page_says(place: Place, tmp_path: Path) -> None:
    assert run_page("connectors.md", tmp_path, place.shell) > 10


@pytest.mark.skipif(not FULL, reason="installs every library and plays the demo: HUB_TEST_FULL=1")
def test_an_empty_environment_and_an_empty_folder_are_enough(wheel: Path, tmp_path: Path) -> None:
    made = empty(tmp_path / "venv")
    made.install("--require-hashes", "-r", str(ROOT / "requirements" / "core.txt"))
    made.install("--no-deps", "--no-index", str(wheel))

    assert "agree to the cent" in ran(made, tmp_path, "hub", "demo")
    ran(made, tmp_path, "hub", "init", "--example", "x")
    assert "No problem in" in ran(made, tmp_path / "x", "hub", "lint")
    assert "3 passed, 0 failed" in ran(made, tmp_path / "x", "hub", "test")
    assert "large-orders" in ran(made, tmp_path / "x", "hub", "graph", "--format", "mermaid")
    assert ran(made, tmp_path / "x", "hub", "init").startswith("made key secret.key")
