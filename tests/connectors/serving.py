"""Loads the connectors' sandboxes and serves them on loopback for tests."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

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
