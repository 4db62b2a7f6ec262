"""Runs a hub that answers: its lock, its parts, its web server; and stops them in order."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import structlog
import uvicorn

from hub.web.access import RUN_SECONDS, Keys, used_up
from hub.web.app import create_app, local_url
from hub.web.listening import Gate, bound
from hub.workers import memory
from hub.workers.admin import setup
from hub.workers.admin.errors import AdminError
from hub.workers.admin.running import RunLock, Running, announce, withdraw
from hub.workers.hub import Hub
from hub.workers.parts import ALL, Part
from hub.workers.process import check_many, told
from hub.workers.settings import Settings

_log = structlog.get_logger("hub.server")
_GRACE_S = 10
_COMMAND_S = 10


class Server:
    """A hub that answers on its address. `start` and `stop`, or `run` until a signal comes. `parts`: what else it does.

    Raises: AlreadyRunning, AdminError, VaultError when it cannot start; nothing is left behind then."""

    def __init__(self, settings: Settings, *, parts: Collection[Part] = ALL) -> None:
        self.settings = settings
        #: a hub in one process: commands on this machine are told where it answers
        self._whole = frozenset(parts) == ALL
        if not self._whole:
            check_many(settings)
        setup.check_ready(settings)
        self._lock = RunLock(settings.home, many=settings.many)
        # a command that works with the hub is done soon
        self._lock.take(wait_s=_COMMAND_S)
        self._thread: threading.Thread | None = None
        self._up = False
        self._failed: BaseException | None = None
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            self._socket = bound(settings.bind)
            undo.callback(self._socket.close)
            self.port: int = self._socket.getsockname()[1]
            #: how a person on this machine reaches it
            self.url = local_url(settings.host, self.port)
            self.hub = Hub.open(settings, parts=parts)
            undo.callback(self.hub.stop)
            used = used_up(self.hub.database) if settings.many else None
            self._keys = Keys(self.hub.vault.roots, used)
            self.token = self._keys.api_token(RUN_SECONDS, boot=True)
            self._gate = Gate(create_app(self.hub, settings, port=self.port, keys=self._keys))
            self._server = web_server(self._gate)
            undo.pop_all()

    def login_url(self) -> str:
        """A link that signs a person in, once."""
        return f"{self.url}/login?token={self._keys.login_token()}"

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then stops in order. For the main thread."""
        # uvicorn raises the signal again when it is done: what is open is to be closed first
        before = {number: signal.signal(number, _ignored) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            opening = threading.Thread(target=self._open, name="open", daemon=True)
            self._up = True
            opening.start()
            self._server.run(sockets=[self._socket])
            opening.join()
            if self._failed is not None:
                raise self._failed
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self) -> None:
        """Serves in a thread; returns when it answers."""
        self._up = True
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()
        self._open()
        if self._failed is not None:
            self.stop()
            raise self._failed
        until = time.monotonic() + 30
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        if not self._server.started:
            self.stop()
            raise AdminError("the web server did not start: see the log")

    def stop(self) -> None:
        """Stops answering, then working; what is being sent is waited for."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_GRACE_S + 10)
            self._thread = None
        self._end()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()

    def _open(self) -> None:
        """Starts the workers, while what comes in is told to come again, then lets it in."""
        try:
            memory.tune()
            self.hub.start()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that serves
            self._failed = error
            self._server.should_exit = True
            return
        self._gate.is_open = True
        if self._whole:
            announce(self.settings.home, Running(self.url, self.token, os.getpid()))
        _log.info("hub is up", url=self.url, **told(self.hub))

    def _end(self) -> None:
        if not self._up:
            return
        self._up = False
        if self._whole:
            withdraw(self.settings.home, os.getpid())
        self._socket.close()
        self.hub.stop()
        self._lock.release()
        _log.info("hub is down")


def web_server(app: Any) -> uvicorn.Server:
    """The server of an application, as a hub runs it."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )


def _ignored(_number: int, _frame: object) -> None:
    """Keeps the process alive until it has stopped in order."""
