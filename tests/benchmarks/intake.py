"""Intake: webhooks until they are answered, beside a bare Starlette route that makes the same durable insert.

`python -m tests.benchmarks.intake hub|bare`, with the variables of a hub that was made, serves one of the two and prints its
address; neither works what comes in.
"""

from __future__ import annotations

import asyncio
import queue
import statistics
import subprocess
import sys
import threading
from asyncio import Future
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.db.engine import Database
from hub.db.inserts import insert_rows
from hub.inbox.receive import Received, row_of
from hub.inbox.tables import Inbox
from hub.web.app import create_app
from hub.web.listening import bound
from hub.web.server import web_server
from hub.workers import memory
from hub.workers.hub import Hub
from hub.workers.settings import Settings
from tests.benchmarks import load
from tests.benchmarks.books import Books
from tests.benchmarks.engines import ROOT, Engine, environment, settings, tree_cpu
from tests.benchmarks.hub_home import bodies

_INBOX = Inbox.__table__  # type: ignore[attr-defined]


class Bare:
    """The least that keeps a body before it answers: one route, one writer that commits what is queued together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[tuple[dict[str, Any], Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()
        self.app = Starlette(routes=[Route("/webhooks/{connection}", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        event = Received(
            merchant_id=1, connection_id=1, kind="webhook", topic="orders/create", record="order", record_id="1",
            ordering_key="1:order:1", lanes=64, body=body,
        )  # fmt: skip
        stored: Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((row_of(event, 0), stored))
        await stored
        return JSONResponse({"received": True})

    def _write(self) -> None:
        while True:
            taken = [self._queue.get()]
            while len(taken) < 200 and not self._queue.empty():
                taken.append(self._queue.get())
            with self._database.write() as connection:
                insert_rows(connection, _INBOX, [row for row, _ in taken])
            for _, stored in taken:
                stored.get_loop().call_soon_threadsafe(stored.set_result, None)


def measure(folder: Path, on: Engine, orders: int, rounds: int) -> dict[str, Any]:
    """Answers a second of both, alternately; and the CPU of an answer of the hub."""
    urls, servers = {}, {}
    variables = on.variables()
    home = folder / "home"
    Books.open(home, settings(home, variables)).close()
    try:
        for kind in ("bare", "hub"):
            servers[kind] = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.intake", kind],
                env=environment(home, variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
            )  # fmt: skip
            assert servers[kind].stdout is not None
            urls[kind] = f"{servers[kind].stdout.readline().strip()}/webhooks/shop"
        first, results = 1, []
        for number in range(rounds + 1):
            found = {}
            for kind, url in urls.items():
                made = load.requests(url, list(bodies(orders, first=first)), first)
                first += orders
                cpu = tree_cpu(servers[kind].pid)
                answers = load.send(url, made)
                if answers.refused:
                    raise RuntimeError(f"{answers.refused} of {orders} webhooks were refused")
                found[f"{kind}_per_s"] = round(orders / answers.wall)
                found[f"{kind}_cpu_us"] = round((tree_cpu(servers[kind].pid) - cpu) * 1e6 / orders)
            if number:  # the first warms up
                results.append({**found, "ratio": round(found["hub_per_s"] / found["bare_per_s"], 3)})
        return {"orders": orders, "rounds": results, "ratio": statistics.median(each["ratio"] for each in results)}
    finally:
        for server in servers.values():
            server.kill()
            server.wait()


def main() -> None:
    """Serves until it is killed."""
    made = Settings(bind="127.0.0.1:0")
    hub = Hub.open(made)
    memory.tune()
    socket = bound(made.bind)
    port = socket.getsockname()[1]
    app = create_app(hub, made, port=port) if sys.argv[1] == "hub" else Bare(hub.database).app
    print(f"http://127.0.0.1:{port}", flush=True)
    web_server(app).run(sockets=[socket])


if __name__ == "__main__":
    main()
