"""End to end: signed webhooks into `hub up`, two deliveries an order out to a fast sink on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hub.connect.http import httpx
from hub.workers.admin import running, setup
from hub.workers.hub import Hub
from tests.benchmarks import load
from tests.benchmarks.books import Books
from tests.benchmarks.engines import ROOT, Engine, environment, settings, tree, tree_cpu
from tests.benchmarks.hub_home import SECRET, SKUS, bodies, connections, write_home


class EndToEnd:
    """The hub process and the sink process."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.home = folder / "home"
        self.next_order = 1
        self._folder = folder
        self._engine = engine
        self._variables = engine.variables()
        setup.init(settings(self.home, self._variables))
        write_home(self.home)
        self.sink = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.sink"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )  # fmt: skip
        assert self.sink.stdout is not None
        self.sink_url = f"http://127.0.0.1:{int(self.sink.stdout.readline())}"
        self.client = httpx.Client(timeout=60)
        self.start()
        self._prepare()

    def start(self) -> float:
        """Starts the hub. Returns the seconds until it answered."""
        began = time.perf_counter()
        self.hub = subprocess.Popen(
            [sys.executable, "-m", "hub", "up"],
            env=environment(self.home, self._variables),
            stdout=subprocess.DEVNULL, stderr=(self._folder / "hub.log").open("a"),
        )  # fmt: skip
        while self.hub.poll() is None:
            there = running.read(self.home)
            if there is not None and there.pid == self.hub.pid:
                self.url = there.url
                self.client.headers["authorization"] = f"Bearer {there.token}"
                with contextlib.suppress(httpx.TransportError):
                    if self.client.get(f"{self.url}/healthz").status_code == 200:
                        return time.perf_counter() - began
            time.sleep(0.01)
        raise RuntimeError("the hub did not start")

    def stop(self) -> None:
        """Stops the hub in order."""
        self.hub.terminate()
        self.hub.wait(60)

    def pile_up(self, count: int) -> None:
        """Puts so many order events into the inbox of a hub that does not run."""
        filled = Books(Hub.open(settings(self.home, self._variables)), self.next_order)
        try:
            for _ in range(0, count, 1_000):
                filled.fill(min(1_000, count))
        finally:
            filled.close()
        self.next_order = filled.next_order

    def standing(self) -> dict[str, float]:
        """What a hub takes that does nothing: seconds to start, megabytes once it is idle, seconds until it is ready again
        after a kill under load."""
        self.stop()
        start = self.start()
        time.sleep(5)
        idle = self.memory()
        made = self._made(300)
        sending = threading.Thread(target=load.send, args=(f"{self.url}/webhooks/shop", made), daemon=True)
        sending.start()
        time.sleep(0.5)
        self.hub.kill()
        self.hub.wait()
        again = self.start()
        self.wait_idle()
        return {"start_s": round(start, 2), "idle_mb": round(idle, 1), "again_after_kill_s": round(again, 2)}

    def _prepare(self) -> None:
        text = json.dumps(connections(self.sink_url))
        self._call("POST", "/api/connections/apply", {"text": text, "file": "connections.yaml"})
        self._call("PUT", "/api/connections/shop/secrets", {"secrets": {"client_secret": SECRET}})
        self._call("POST", "/api/flows/reload", None)
        records = [{"sku": sku, "title": f"Item {sku}", "quantity": 10**8} for sku in SKUS]
        self._call("POST", "/api/events/items", {"records": records})
        self.wait_idle()

    def _call(self, method: str, path: str, body: Any) -> Any:
        answer = self.client.request(method, self.url + path, json=body)
        answer.raise_for_status()
        return answer.json()

    def wait_idle(self) -> None:
        while not self._call("GET", "/api/status", None)["idle"]:
            time.sleep(0.1)

    def received(self) -> int:
        """POSTs that the sink got."""
        return int(self.client.get(self.sink_url + "/count").text)

    def _made(self, count: int) -> list[bytes]:
        some = list(bodies(count, first=self.next_order))
        made = load.requests(f"{self.url}/webhooks/shop", some, self.next_order)
        self.next_order += count
        return made

    def flat_out(self, count: int) -> dict[str, float]:
        """As many orders as 8 connections bring, until both deliveries of the last one arrived."""
        made = self._made(count)
        before, cpu = self.received(), self.cpu()
        began = time.perf_counter()
        answers = load.send(f"{self.url}/webhooks/shop", made)
        if answers.refused:
            raise RuntimeError(f"{answers.refused} webhooks were refused")
        while self.received() - before < 2 * count:
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        return {
            "orders_per_s": round(count / seconds, 1),
            "cpu_ms_per_order": round((self.cpu() - cpu) * 1000 / count, 2),
            "memory_mb": round(self.memory(), 1),
        }

    def steady(self, per_second: float, seconds: float, *, settle: bool = True) -> dict[str, float]:
        """Latency of the answer at a steady rate. `settle`: until all is worked."""
        made = self._made(int(per_second * seconds))
        answers = load.send(f"{self.url}/webhooks/shop", made, connections=16, per_second=per_second)
        if settle:
            self.wait_idle()
        return {
            "p50_ms": round(answers.percentile(0.50) * 1000, 2),
            "p99_ms": round(answers.percentile(0.99) * 1000, 2),
            "refused": answers.refused,
        }

    def cpu(self) -> float:
        """CPU seconds of the hub and its database server so far."""
        return tree_cpu(self.hub.pid) + self._engine.cpu()

    def memory(self) -> float:
        """Resident memory of the tree in MB."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in tree(self.hub.pid))
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def close(self) -> None:
        self.client.close()
        self.stop()
        assert self.sink.stdin is not None
        self.sink.stdin.close()
        self.sink.wait(10)
