"""What watches a hub from outside asks: `/healthz` (the process answers), `/readyz` (a webhook can be stored), `/metrics`."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from functools import cache
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.db import migrate
from hub.observe import metrics
from hub.web.access import Door, Hosts, Keys
from hub.web.listening import bound
from hub.workers.gauges import Gauges
from hub.workers.hub import Hub

RETRY_S = 5
#: seconds for which an answer of `/readyz` stands: however many ask, no more is written than one row in that time
_GOOD_S, _BAD_S = 5.0, 1.0
_PROOF_S = 3.0
#: bytes that have to be free where SQLite writes: below, a commit may fail at any moment
MIN_FREE = 64 * 1024 * 1024
_REVISION = sa.text("SELECT version_num FROM alembic_version")
_log = structlog.get_logger("hub.web")


def routes(hub: Hub, *, receives: bool = True) -> list[Route]:
    """The routes of a process. `receives`: webhooks come in here, so that it says whether they can be stored."""
    found = [Route("/healthz", _health), Route("/metrics", _Metrics(hub).answer)]
    return [*found, Route("/readyz", Readiness(hub).answer)] if receives else found


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


class Readiness:
    """Whether a webhook can be stored: asked of the intake itself, which commits one row as it would an event."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._asking = asyncio.Lock()
        self._until = 0.0
        self._problem: str | None = None

    async def answer(self, _request: Request) -> Response:
        """200, or 503 with what is wrong, in words that are for everybody: no address, no name."""
        async with self._asking:
            if time.monotonic() >= self._until or not self._hub.intake.alive:
                before, self._problem = self._problem, await self._look()
                self._until = time.monotonic() + (_GOOD_S if self._problem is None else _BAD_S)
                if self._problem != before:
                    _log.warning("not ready", reason=self._problem) if self._problem else _log.info("ready again")
        if self._problem is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": self._problem}, 503, {"retry-after": str(RETRY_S)})

    async def _look(self) -> str | None:
        intake, database = self._hub.intake, self._hub.database
        if not intake.alive:
            return "the intake is stopped"
        try:
            if database.sqlite and shutil.disk_usage(Path(str(database.url.database)).parent).free < MIN_FREE:
                return f"less than {MIN_FREE // 1024**2} MiB are free on the disk"
            revision = await asyncio.wait_for(run_in_threadpool(self._revision), _PROOF_S)
            if revision != _needed():
                return f"the database has revision {revision}, this release needs {_needed()}"
            recent = intake.stored_at is not None and time.monotonic() - intake.stored_at < _GOOD_S
            if not recent:
                await asyncio.wait_for(asyncio.wrap_future(intake.prove()), _PROOF_S)
        except TimeoutError:
            return f"the database did not answer within {_PROOF_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be stored
            return f"the database cannot store: {type(error).__name__}"
        return None

    def _revision(self) -> str | None:
        with self._hub.database.read() as connection:
            return connection.execute(_REVISION).scalar_one_or_none()


@cache
def _needed() -> str:
    """The revision of this release. Asking for it loads Alembic."""
    return migrate.head()


class _Metrics:
    def __init__(self, hub: Hub) -> None:
        self._gauges = Gauges(hub.database, hub.registry, hub.clock)

    async def answer(self, _request: Request) -> Response:
        text, kind = await run_in_threadpool(metrics.exposed, self._gauges)
        return Response(text, media_type=kind)


class Watch:
    """`/healthz` and `/metrics` of a process that serves nothing else, such as a worker, on an address of its own."""

    def __init__(self, hub: Hub, bind: str, keys: Keys) -> None:
        self._socket = bound(bind, "HUB_METRICS_BIND")
        host, port = bind.rpartition(":")[0], self._socket.getsockname()[1]
        self.port: int = port
        app = Door(Starlette(routes=routes(hub, receives=False)), keys=keys, hosts=Hosts(host, port), refused_page="")
        self._server = uvicorn.Server(
            uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False)
        )
        # signals are the process's own: uvicorn takes them in the main thread only
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="watch", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()
