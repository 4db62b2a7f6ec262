"""A setting that cannot be used is one line that names it, and never shows a password."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def _run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return subprocess.run(
        [sys.executable, "-m", "hub", *arguments],
        env={**kept, "HUB_HOME": str(tmp_path), **variables},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "it is no URL of a database"),
        ("mysql://hub:opensesame@host/db", "'mysql' is not supported"),
        ("postgresql://hub:opensesame@host:abc/db", "it is no URL of a database"),
    ],
)
def test_a_url_of_no_database_is_refused(tmp_path: Path, url: str, said: str) -> None:
    found = _run(tmp_path, "up", HUB_DATABASE_URL=url)
    assert (found.returncode, found.stdout) == (1, "")
    [line] = found.stderr.splitlines()
    assert line.startswith("hub: HUB_DATABASE_URL or HUB_DATABASE_ADMIN_URL cannot be used: ")
    assert said in line
    assert "opensesame" not in line


@pytest.mark.parametrize("name", ["HUB_BIND", "HUB_METRICS_BIND"])
@pytest.mark.parametrize("bind", ["127.0.0.1:99999", "8484", "127.0.0.1:"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, name: str, bind: str) -> None:
    found = _run(tmp_path, "status", **{name: bind})
    assert found.returncode == 2
    assert found.stderr == f"hub: {name}: it is host:port, for example 127.0.0.1:8484\n"
