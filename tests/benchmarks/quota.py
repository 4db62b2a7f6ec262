"""`python -m tests.benchmarks.quota`: four processes on one quota, at systems that count strictly, through a real Valkey.

Prints, for each kind of limit, the answers 429 and the part of the quota that was used after the warm-up."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hub.connect.client import Client
from hub.connect.errors import NoQuota
from hub.connect.limits import Limits, turn
from hub.connect.manifest import parse_manifest

PROCESSES, THREADS = 4, 4
ROOT = Path(__file__).resolve().parents[2]
_BODY = (
    "{requested: cost.requested, actual: cost.actual, remaining: cost.left, limit: cost.size, restore: cost.restore}"
)
MODELS = {
    "window": "{model: window, requests: 60, per: 2}",
    "bucket": "{model: bucket, size: 30, restore: 30}",
    "cost": f"{{model: cost, size: 500, restore: 100, most: 100, body: {_BODY}}}",
}
#: what may be used a second
PACE = {"window": 30, "bucket": 30, "cost": 600}


@dataclass
class System:
    """One system that counts what arrives: a fixed window, a bucket of requests, or one of points as Shopify has it."""

    model: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: instant and units of what was done; instants of what was refused
    done: list[tuple[float, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)
    window: int = 0

    def work(self) -> tuple[int, Any]:
        with self.lock:
            now = time.monotonic()
            if self.model == "window":
                allowed = self._in_window(now, 60, 2)
                cost, size, rate = 1.0, 0.0, 0.0
            else:
                cost, size, rate = (40.0, 1_200.0, 600.0) if self.model == "cost" else (1.0, 30.0, 30.0)
                self.level = min(size, self.level + (now - self.at) * rate)
                self.at = now
                allowed = cost <= self.level
                self.level -= cost if allowed else 0
            if not allowed:
                self.refused.append(now)
            # half of what was asked for is given back
            used = cost / 2 if self.model == "cost" else cost
            if allowed:
                self.done.append((now, used))
                self.level = min(size, self.level + cost - used)
            points = {"requested": cost, "actual": used if allowed else None}
            told = {"cost": {**points, "left": int(self.level), "size": size, "restore": rate}}
            return 200 if allowed else 429, told

    def _in_window(self, now: float, most: int, seconds: int) -> bool:
        window = int(now // seconds)
        if window != self.window:
            self.window, self.level = window, 0.0
        self.level += 1
        return self.level <= most


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    systems: dict[str, System]

    def do_GET(self) -> None:
        status, told = self.systems[self.path.strip("/")].work()
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


def measure(redis_url: str, models: list[str], warm_s: float, seconds: float) -> dict[str, dict[str, float]]:
    """Lets the processes ask as fast as they are let, all models at once. Returns what came of it by model."""
    systems = {model: System(model) for model in models}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"systems": systems}))
    server.daemon_threads = True
    server.socket.listen(256)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    command = [sys.executable, "-m", "tests.benchmarks.quota", "--work", url, "--redis", redis_url, "--models", *models]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()  # it is ready
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(b"go\n")
            worker.stdin.flush()
        time.sleep(warm_s + seconds)
        end = time.monotonic()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        server.shutdown()
        server.server_close()
    return {model: _found(system, end - seconds, end) for model, system in systems.items()}


def _found(system: System, begin: float, end: float) -> dict[str, float]:
    used = sum(units for at, units in system.done if begin <= at < end)
    return {
        "refused_in_all": len(system.refused),
        "refused": len([at for at in system.refused if at >= begin]),
        "requests": len([at for at, _ in system.done if begin <= at < end]),
        "used": round(used / (PACE[system.model] * (end - begin)), 3),
    }


def work(url: str, redis_url: str, models: list[str]) -> None:
    """One process: real clients that ask again and again."""
    limits = Limits(redis_url)
    go = threading.Event()
    for number, model in enumerate(models):
        text = f"connector: quota\ntitle: Quota\nlimits: [{MODELS[model]}]\n"
        manifest = parse_manifest(text, "connector.yaml")
        gate = limits.gate(number)
        gate.declare(manifest, {})
        link: Any = SimpleNamespace(name=model, gate=gate, transport=None, settings={})
        client = Client(link)
        for _ in range(THREADS):
            threading.Thread(target=_ask, args=(client, f"{url}/{model}", go), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.readline()
    go.set()
    threading.Event().wait()


def _ask(client: Client, url: str, go: threading.Event) -> None:
    go.wait()
    while True:
        try:
            with turn("delivery"):
                client.send("GET", url, asks="Thing")
        except NoQuota as error:
            time.sleep(min(error.after_s, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm", type=float, default=4)
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--redis", default="")
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.redis, arguments.models)
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from valkey_server import ValkeyServer

    server = ValkeyServer()
    try:
        print(json.dumps(measure(server.url, arguments.models, arguments.warm, arguments.seconds), indent=2))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
