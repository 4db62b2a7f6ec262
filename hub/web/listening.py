"""The socket of an address, and what answers on it before the hub can."""

from __future__ import annotations

import socket

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.workers.admin.errors import AdminError

_STARTING = {"retry-after": "2"}


class Gate:
    """Stands before an application until it can serve: webhooks are answered 503, to be sent again, and never 2xx."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.is_open = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_open or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        alive = scope["path"] == "/healthz"
        answer = JSONResponse({"status": "starting"}, 200 if alive else 503, headers=None if alive else _STARTING)
        await answer(scope, receive, send)


def bound(bind: str, setting: str = "HUB_BIND") -> socket.socket:
    """A socket that listens on host:port. Raises: AdminError, naming the setting to change."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
        made.listen(1024)
    except OSError as error:
        made.close()
        raise AdminError(f"cannot listen on {bind}: {error.strerror}: stop what does, or set {setting}") from None
    made.set_inheritable(False)
    return made
