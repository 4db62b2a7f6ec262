"""The databases that are measured: SQLite in the hub's folder, and a PostgreSQL of its own that writes to disk before it
commits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hub.workers.settings import Settings
from tests.benchmarks import raw
from tests.postgres_server import APP_ROLE, PostgresServer

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("sqlite", "postgres")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Engine:
    """Where hubs of one benchmark keep their rows. `server` is null for SQLite."""

    name: str
    folder: Path
    server: PostgresServer | None = None
    _made: list[str] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        """The settings of a new hub's database, as variables of its environment."""
        if self.server is None:
            return {}
        database = f"hub_{len(self._made)}"
        self._made.append(database)
        self.server.execute(f"CREATE DATABASE {database}")
        return {
            "HUB_DATABASE_URL": self.server.url(database, APP_ROLE),
            "HUB_DATABASE_ADMIN_URL": self.server.url(database),
        }

    def raw(self, orders: int, body: bytes) -> float:
        """The raw limit in orders a second: see `raw`."""
        if self.server is None:
            return raw.measure(self.folder, orders, body)
        database = f"raw_{len(self._made)}"
        self._made.append(database)
        self.server.execute(f"CREATE DATABASE {database}")
        try:
            return raw.measure_postgres(self.server.url(database).replace("+psycopg", ""), orders, body)
        finally:
            self.server.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def cpu(self) -> float:
        """CPU seconds of the database server so far."""
        return 0.0 if self.server is None else tree_cpu(self.server.pid)


@contextmanager
def engine(name: str, folder: Path) -> Iterator[Engine]:
    """An engine, and its server while it is measured."""
    if name == "sqlite":
        yield Engine(name, folder)
        return
    server = PostgresServer(durable=True)
    try:
        yield Engine(name, folder, server)
    finally:
        server.stop()


def settings(home: Path, variables: dict[str, str]) -> Settings:
    """The settings of a hub in this process."""
    named = {name.removeprefix("HUB_").lower(): value for name, value in variables.items()}
    return Settings(home=home, **named)  # type: ignore[arg-type]


def environment(home: Path, variables: dict[str, str]) -> dict[str, str]:
    """The environment of a hub's process: nothing of the caller's hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return {**kept, "PYTHONPATH": str(ROOT), "HUB_HOME": str(home), "HUB_BIND": "127.0.0.1:0", **variables}


def tree(pid: int) -> list[int]:
    """A process and those that it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def tree_cpu(pid: int) -> float:
    """CPU seconds of a process tree so far, with those of its children that ended."""
    total = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / _TICK
