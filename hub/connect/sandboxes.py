"""Runs a connector's `sandbox.py`, its imitation of the vendor, on a free port of loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hub.connect.registry import BrokenConnector, Registry


@dataclass(frozen=True)
class Running:
    """A sandbox that runs. `url` is its address (`smtp://host:port` for mail); `state` its own object, for looking into."""

    url: str
    stop: Callable[[], None] = field(repr=False)
    state: Any = field(repr=False)

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].partition(":")[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def start(registry: Registry, name: str, *, port: int = 0, **settings: Any) -> Running:
    """Starts the sandbox of a connector: `create(**settings)` gives an ASGI application with its state at
    `app.state.sandbox`, or `serve(host, port, **settings)` a server with `port` and `close()`.

    Raises: BrokenConnector when the connector has none."""
    module = registry.get(name).module("sandbox")
    if serve := getattr(module, "serve", None):
        server = serve("127.0.0.1", port, **settings)
        return Running(f"{name}://127.0.0.1:{server.port}", server.close, server)
    create = getattr(module, "create", None)
    if create is None:
        raise BrokenConnector(f"connectors/{name}/sandbox.py has neither create nor serve")
    return serve_app(create(**settings), port)


def serve_app(app: Any, port: int = 0) -> Running:
    """Serves an ASGI application that has its state at `app.state.sandbox`."""
    import uvicorn  # a hub that runs no sandbox does not load it here

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
    thread.start()
    # the socket listens only once the server has started
    while not server.started:
        if not thread.is_alive():
            listener.close()
            raise RuntimeError("the sandbox did not start")
        threading.Event().wait(0.005)

    def stop() -> None:
        server.should_exit = True
        thread.join(5)
        listener.close()

    return Running(f"http://127.0.0.1:{listener.getsockname()[1]}", stop, app.state.sandbox)
