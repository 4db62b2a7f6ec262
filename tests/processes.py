"""Real processes of one hub on PostgreSQL and Valkey: `hub web` and `hub worker`, any number of each, on a stage with the
sandboxes of the demo. Each can be killed, frozen and started again by itself, and they end by their own process id.

    with Fleet(folder, database=app_url, admin=owner_url, redis=url) as fleet:
        fleet.start_sandboxes(products)          # as on the demo's stage
        fleet.cli("init")
        web, worker = fleet.web(), fleet.worker()
        worker.kill()                            # SIGKILL; also freeze, thaw, stop (SIGTERM, waited for)
        worker.start()                           # again, under the same name and log
        fleet.hub("GET", "/api/status")          # the API, at the first web process
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from hub.cli.demo.stage import DemoFailed, Stage
from hub.connect.http import httpx
from hub.connect.rootkeys import KeyRing
from hub.web.access import Keys

_START_S = 60
_STOP_S = 40


class Process:
    """One process of a hub. Its log is JSON lines in `FOLDER/NAME.log`, kept over its starts."""

    def __init__(self, fleet: Fleet, name: str, arguments: list[str]) -> None:
        self.name = name
        self._fleet = fleet
        self._arguments = arguments
        self.log = fleet.folder / f"{name}.log"
        #: where its web server answers; of a worker: empty
        self.url = ""
        #: seconds that its last start took until it was up
        self.start_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Process:
        """Starts it, and waits until it says that it is up; a web process comes back under its address."""
        began = time.monotonic()
        bind = urlsplit(self.url).netloc or "127.0.0.1:0"
        with self.log.open("ab") as log:
            self._from = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hub", *self._arguments],
                env={**self._fleet.environment(), "HUB_BIND": bind},
                cwd=self._fleet.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        if wait:
            self.wait_until_up()
            self.start_s = time.monotonic() - began
        return self

    def wait_until_up(self, seconds: float = _START_S) -> None:
        """Raises: DemoFailed with what it said last."""
        until = time.monotonic() + seconds
        while self.running and time.monotonic() < until:
            for line in self.lines(since_start=True):
                if line["event"] == "hub is up":
                    self.url = line.get("url", "")
                    return
            time.sleep(0.02)
        raise DemoFailed(f"{self.name} is not up: {self.log.read_text(errors='replace')[-2000:]}")

    @property
    def up(self) -> bool:
        """Whether it runs, and said that it is up."""
        return self.running and any(line["event"] == "hub is up" for line in self.lines(since_start=True))

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM: it stops in order. Returns its exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: it does nothing any more, and holds what it holds."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def lines(self, *, since_start: bool = False) -> Iterator[dict[str, Any]]:
        """What it logged, as it is in the file."""
        text = self.log.read_bytes()[self._from if since_start else 0 :] if self.log.is_file() else b""
        for line in text.splitlines():
            if line.startswith(b"{") and line.endswith(b"}"):
                yield json.loads(line)

    def _end(self, number: int) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)  # a frozen process hears nothing else
            self._process.send_signal(number)
        return self._process.wait(_STOP_S)


class Fleet(Stage):
    """A hub of many processes. `database` is the application's role, `admin` the one that owns the tables."""

    def __init__(self, folder: Path, *, database: str, redis: str = "", admin: str = "", patience: float = 0) -> None:
        super().__init__(folder, patience=patience)
        self.variables = {"HUB_DATABASE_URL": database, "HUB_REDIS_URL": redis, "HUB_DATABASE_ADMIN_URL": admin}
        self.processes: dict[str, Process] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in reversed(self.processes.values()):
            if each.running:
                try:
                    each.stop()
                except subprocess.TimeoutExpired:
                    each.kill()
        super().__exit__(kind, error, at)

    def web(self, name: str = "", *, wait: bool = True) -> Process:
        """A `hub web`. The first one is where `hub()` asks and the vendors' webhooks go."""
        return self._add(name or f"web{self._count('web')}", ["web"], wait)

    def worker(self, name: str = "", *, wait: bool = True) -> Process:
        """A `hub worker`."""
        return self._add(name or f"worker{self._count('worker')}", ["worker"], wait)

    def start_hub(self, *, wait: bool = True) -> subprocess.Popen[str]:
        """One web process and two workers, in place of the `hub up` of a stage."""
        for name in ("web1", "worker1", "worker2"):
            self._add(name, [name[:-1]], wait=False)
        if wait:
            for each in self.processes.values():
                each.wait_until_up()
            self.reach(self.processes["web1"])
        return self.processes["web1"]._process  # type: ignore[return-value]

    def reach(self, web: Process) -> None:
        """Asks this web process from now on, with a token that is good at all of them."""
        self.hub_url = web.url
        self._token = Keys(KeyRing.of(self.home)).api_token(86_400)
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            try:
                if self.client.get(f"{web.url}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise DemoFailed(f"{web.name} does not answer at {web.url}")

    def ready(self) -> bool:
        """Whether all processes are up and the API answers from the database."""
        if not all(each.up for each in self.processes.values()):
            return False
        try:
            headers = {"authorization": f"Bearer {self._token}"}
            return self.client.get(f"{self.hub_url}/api/status", headers=headers, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def environment(self) -> dict[str, str]:
        """As of a stage, with the database and Redis."""
        return {**super().environment(), **{name: value for name, value in self.variables.items() if value}}

    def _count(self, kind: str) -> int:
        return 1 + sum(name.rstrip("0123456789") == kind for name in self.processes)

    def _add(self, name: str, arguments: list[str], wait: bool) -> Process:
        made = self.processes[name] = Process(self, name, arguments)
        made.start(wait=wait)
        if wait and arguments == ["web"] and not self.hub_url:
            self.reach(made)
        return made
