"""The examples of docs/operations.md, run in the order in which a reader meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the texts that its output must hold."""
    command, expected = "", []
    for line in block.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:], []
        else:
            expected.append(line)
    if command:
        yield command, expected


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `hub` is this checkout, with a home of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "hub"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hub "$@"\n')
    script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return {
        **kept,
        "PATH": f"{folder}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HUB_HOME": str(tmp_path / "h"),
    }


def test_the_examples_of_the_operators_page_work(tmp_path: Path, shell: dict[str, str]) -> None:
    ran = 0
    for kind, file, text in _BLOCK.findall((ROOT / "docs" / "operations.md").read_text("utf-8")):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
        if kind != "console":
            continue
        for command, expected in commands(text):
            done = subprocess.run(
                ["sh", "-c", command], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False, timeout=60
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            for part in expected:
                assert part in done.stdout, f"{command}: {part!r} is not in {done.stdout!r}"
            ran += 1
    assert ran > 10
