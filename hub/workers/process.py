"""A process that works and does not answer: `hub worker`; and what all processes of a hub have in common."""

from __future__ import annotations

import signal
import threading
from typing import Any

import structlog

from hub.workers import memory
from hub.workers.admin import setup
from hub.workers.admin.errors import AdminError
from hub.workers.hub import Hub
from hub.workers.parts import WORKER
from hub.workers.settings import Settings

_log = structlog.get_logger("hub.server")
#: seconds between looks whether all parts still run
_LOOK_S = 5.0


def check_many(settings: Settings) -> None:
    """Refuses a hub that only one process may work with. Raises: AdminError."""
    if not settings.many:
        raise AdminError(
            "a hub on SQLite is one process: run `hub up`, or set HUB_DATABASE_URL to a PostgreSQL database for more"
        )


def told(hub: Hub) -> dict[str, Any]:
    """What the log says of a process that begins."""
    return {"parts": sorted(hub.parts), "database": hub.database.url.get_backend_name(), "owner": hub.owner}


class WorkerProcess:
    """The worker of a hub. Raises: AdminError, VaultError when it cannot start; nothing is left behind then."""

    def __init__(self, settings: Settings) -> None:
        check_many(settings)
        setup.check_ready(settings)
        self.hub = Hub.open(settings, parts=WORKER)
        self._stop = threading.Event()

    def run(self) -> None:
        """Works until SIGTERM or SIGINT, then stops in order; what is being sent is waited for. For the main thread.

        Raises: AdminError when a part ended by itself: whoever started the process is to start it again."""
        before = {
            number: signal.signal(number, lambda *_: self._stop.set()) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            memory.tune()
            self.hub.start()
            _log.info("hub is up", **told(self.hub))
            while not self._stop.wait(_LOOK_S):
                if self.hub.dead:
                    raise AdminError(f"{', '.join(self.hub.dead)} ended by itself: see the log")
        finally:
            self.hub.stop()
            _log.info("hub is down")
            for number, handler in before.items():
                signal.signal(number, handler)
