"""Loads the connectors' sandboxes and serves them on loopback for tests."""

from __future__ import annotations

import importlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn

ROOT = Path(__file__).resolve().parents[2]
# Where the vendors' own specifications and samples lie, when somebody has them; they are not ours to publish.
SHARED = Path(os.environ.get("HUB_TEST_SHARED", ROOT.parent / "shared"))


def load(name: str, module: str = "sandbox") -> ModuleType:
    """The module `connectors/<name>/<module>.py`, loaded as every connector is: as `hub_connectors.<name>.<module>`."""
    if "hub_connectors" not in sys.modules:
        package = ModuleType("hub_connectors")
        package.__path__ = [str(ROOT / "connectors")]
        sys.modules["hub_connectors"] = package
    return importlib.import_module(f"hub_connectors.{name}.{module}")


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application by uvicorn on a free port; gives its base URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        # The socket listens only once the server has started; connecting earlier would be refused.
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            threading.Event().wait(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()


class Swap:
    """An ASGI application that stands for another one, so that a single server can serve a fresh sandbox to each test."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class Received:
    """One request that a Receiver got; header names are in lower case."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """A webhook endpoint on loopback; answers the statuses of `answers` in turn, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self._received: queue.Queue[Received] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver._received.put(Received({name.lower(): value for name, value in self.headers.items()}, body))

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def next(self) -> Received:
        """The next request, waited for up to five seconds."""
        return self._received.get(timeout=5)

    def nothing_more(self) -> bool:
        """True when no request is waiting to be looked at."""
        return self._received.empty()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait up to five seconds for something that another thread does."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("waited five seconds in vain")


def shared(*parts: str) -> Path:
    """A vendor's file; the test is skipped where nobody has it."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the vendors' files are not here; set HUB_TEST_SHARED to the folder that holds {'/'.join(parts)}")
    return path
