"""Pages of the documentation, run as a reader would: files are written, edits made, commands typed, in the page's order.

A fenced block is ```` ```console ```` (each `$ ` line is typed; the lines below it must be in what it prints, in that order; a line
`...` stands for any others; a command ends with 0 unless its output ends with `exit code N`), ```` ```LANGUAGE file=NAME ```` (the
file is written) or ```` ```diff file=NAME ```` (lines with `-` become those with `+`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)
_EXIT = re.compile(r"^exit code (\d+)$")


def shell_for(folder: Path) -> dict[str, str]:
    """An environment in which `hub` is this checkout, with a home of its own below `folder`."""
    (folder / "bin").mkdir()
    script = folder / "bin" / "hub"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hub "$@"\n')
    script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "GIT_"))}
    return {
        **kept,
        "PATH": f"{folder / 'bin'}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HUB_HOME": str(folder / "h"),
    }


def run_page(page: str, folder: Path, shell: dict[str, str]) -> int:
    """Runs a page of `docs/` in a folder. A command `cd` holds for those after it. Returns the number of commands."""
    ran = 0
    for kind, file, text in _BLOCK.findall((ROOT / "docs" / page).read_text("utf-8")):
        if file and kind == "diff":
            edit(folder / file, text)
        elif file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
        elif kind == "console":
            for command, expected in commands(text):
                if found := re.fullmatch(r"cd (\S+)", command):
                    folder = (folder / found[1]).resolve()
                    assert folder.is_dir(), f"{page}: {command}"
                else:
                    _run(page, command, expected, folder, shell)
                ran += 1
    return ran


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines below it."""
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


def edit(file: Path, difference: str) -> None:
    """Makes the edit of a `diff` block: its lines without `+` must stand in the file once."""
    lines = [line for line in difference.splitlines() if not line.startswith(("---", "+++", "@@"))]
    before = "\n".join(line[1:] for line in lines if line[:1] != "+")
    after = "\n".join(line[1:] for line in lines if line[:1] != "-")
    text = file.read_text("utf-8")
    assert text.count(before) == 1, f"{file.name}: these lines stand {text.count(before)} times in it:\n{before}"
    file.write_text(text.replace(before, after), "utf-8")


def _run(page: str, command: str, expected: list[str], folder: Path, shell: dict[str, str]) -> None:
    code = 0
    if expected and (ends := _EXIT.match(expected[-1])):
        code, expected = int(ends[1]), expected[:-1]
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=shell, capture_output=True, text=True, check=False, timeout=120
    )
    printed = done.stdout + done.stderr
    assert done.returncode == code, f"{page}: {command}: ended with {done.returncode}: {printed}"
    place = 0
    for line in expected:
        if line.strip() in ("", "..."):
            continue
        at = printed.find(line.strip(), place)
        assert at >= 0, f"{page}: {command}: {line!r} is not, or not there, in:\n{printed}"
        place = at + len(line.strip())
