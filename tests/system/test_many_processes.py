"""`hub web` and `hub worker` as real processes on PostgreSQL and Valkey: nothing lost, nothing twice, whatever ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import Fleet


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_hub_on_sqlite_is_one_process(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub", command, "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "a hub on SQLite is one process: run `hub up`" in done.stderr


def test_processes_start_and_stop_in_order(
    postgres_url: str, postgres_admin_url: str, redis_url: str, tmp_path: Path
) -> None:
    with Fleet(tmp_path, database=postgres_url, admin=postgres_admin_url, redis=redis_url) as fleet:
        fleet.cli("init")
        web, worker = fleet.web(), fleet.worker()
        up = {each.name: next(each.lines()) for each in (web, worker)}
        assert fleet.hub("GET", "/api/status")["idle"]

        codes = [each.stop() for each in (worker, web)]

    assert codes == [0, 0]
    assert up["web1"]["parts"] == ["web"]
    assert up["worker1"]["parts"] == ["books", "fetch", "outbox", "poll", "schedule", "sweep"]
    for each in (web, worker):
        assert [line["event"] for line in each.lines()] == ["hub is up", "hub is down"]
