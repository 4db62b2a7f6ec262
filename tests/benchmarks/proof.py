"""`python -m tests.benchmarks.proof [COUNT]`: seconds to prove a log of so many effects, on SQLite and PostgreSQL.

Prints one JSON document. The log is written in bulk and proven by what `hub prove` runs, in one process."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from effect_bulk import fill
from postgres_server import APP_ROLE, PostgresServer

from hub.db import migrate
from hub.workers.admin import prove, setup
from hub.workers.hub import Hub
from hub.workers.settings import Settings


def measure(home: Path, url: str, count: int) -> dict[str, Any]:
    """Seconds to write and to prove, and how much the process grew meanwhile."""
    settings = Settings(home=home, database_url=url)
    setup.init(settings)
    hub = Hub.open(settings)
    try:
        with hub.database.write() as connection:
            key = hub.vault.data_key(connection, 1, "chain")
        began = time.perf_counter()
        fill(hub.database, count, (key.id, key.key))
        written = time.perf_counter() - began
        before, began, cpu = _peak_mb(), time.perf_counter(), time.process_time()
        found = prove.prove(hub)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        if not found["ok"] or found["effects"]["count"] != count:
            raise SystemExit(f"the proof failed: {found['faults'][:5]}")
        return {
            "written_s": round(written, 1),
            "proven_s": round(seconds, 1),
            "cpu_s": round(cpu, 1),
            "grew_mb": round(_peak_mb() - before),
        }
    finally:
        hub.stop()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    result: dict[str, Any] = {"effects": count}
    with tempfile.TemporaryDirectory(prefix="hub-proof-") as folder:
        home = Path(folder)
        result["sqlite"] = measure(home / "sqlite", f"sqlite:///{home / 'hub.sqlite'}", count)
        server = PostgresServer()
        try:
            server.execute("CREATE DATABASE proof")
            url = server.url("proof")
            migrate.upgrade(url)
            migrate.grant(url, APP_ROLE)
            result["postgresql"] = measure(home / "postgres", server.url("proof", APP_ROLE), count)
        finally:
            server.stop()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
