"""The web application of a hub."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from hub.web import api, connect, pages, watching
from hub.web.access import Door, Hosts, Keys
from hub.web.site import Site, render
from hub.web.webhooks import Webhooks
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.hub import Hub
from hub.workers.settings import Settings

_log = structlog.get_logger("hub.web")


def create_app(hub: Hub, settings: Settings, *, port: int | None = None, keys: Keys | None = None) -> FastAPI:
    """The application. `port`: where it listens, when that is not `settings.port`. Raises: VaultError without a key."""
    keys = keys or Keys(hub.vault.roots)
    port = settings.port if port is None else port
    site = Site(hub, settings.public_url or local_url(settings.host, port), keys)
    app = FastAPI(title="Hub", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.site = site
    app.include_router(connect.router(site))
    app.include_router(pages.router(site))
    app.include_router(api.router(site))
    app.routes.extend(watching.routes(hub))
    app.add_exception_handler(AdminError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)
    refused = render(
        "message.html",
        title="Sign in",
        texts=["This page is closed. Open the link that `hub up` printed, or that `hub login` prints."],
        home=False,
    )
    hosts = Hosts(settings.host, port, settings.public_url)
    app.add_middleware(Door, webhooks=Webhooks(hub), keys=keys, hosts=hosts, refused_page=refused)
    return app


def local_url(host: str, port: int) -> str:
    """The address of a hub on this machine."""
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::', '[::]') else host}:{port}"  # noqa: S104 - compared


async def _refused(_request: Request, error: Exception) -> Response:
    problems = error.problems if isinstance(error, AdminError) else []
    status = 404 if isinstance(error, NotThere) else 400
    return JSONResponse({"error": str(error), "problems": problems}, status)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return JSONResponse({"error": "the request does not fit", "problems": problems}, 422)


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("request failed", path=_route(request), reason=type(error).__name__, exc_info=error)
    return JSONResponse({"error": "the hub failed: see its log", "problems": []}, 500)


def _route(request: Request) -> Any:
    route = request.scope.get("route")
    return getattr(route, "path", "")
