"""Sandboxes without sockets: the very ASGI applications that uvicorn would serve, called by the HTTP client's transport.

Their time stands still: where one waits, its loop's clock leaps ahead, and a wait that is longer than the client's read
time-out is a time-out, at once. What they do besides is the same as over loopback, and a test holds that."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import structlog

from hub.connect.http import httpx

_log = structlog.get_logger("hub.connect.inprocess")


class Inline(ThreadPoolExecutor):
    """Does what it is given at once, in the thread that gives it: nothing is a race, and nothing waits for a thread."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            done.set_exception(error)
        return done


class _LeapingSelector(selectors.DefaultSelector):
    """Never waits for a time to come: it is `leap`ed to."""

    def __init__(self, leap: Callable[[float], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:  # something from outside is waited for
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._leap(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only by what is waited for."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_LeapingSelector(self._forward))

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Does it at once: what waits for it need not wait for the loop."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            done.set_exception(error)
        return done

    def time(self) -> float:
        return self._seconds

    def _forward(self, seconds: float) -> None:
        self._seconds += seconds


class InProcess(httpx.BaseTransport):
    """A transport to applications in this process; it reaches nothing else. Safe to share between threads."""

    def __init__(self) -> None:
        self._apps: dict[str, Any] = {}
        self._loop = _Loop()
        self._lock = threading.RLock()

    def serve(self, name: str, app: Any) -> str:
        """Puts an application behind an address, which is returned."""
        host = f"{name}.sandbox.invalid".lower()
        self._apps[host] = app
        return f"http://{host}"

    def handle_request(self, request: Any) -> Any:
        """One request and its whole answer. Raises the errors that a network would: ConnectError, RemoteProtocolError,
        ReadTimeout."""
        app = self._apps.get(request.url.host)
        if app is None:
            raise httpx.ConnectError(f"no sandbox is called {request.url.host}", request=request)
        exchange = _Exchange(request.read())
        with self._lock:
            began = self._loop.time()
            try:
                self._loop.run_until_complete(app(_scope(request), exchange.receive, exchange.send))
            except Exception:  # noqa: BLE001 - a server answers 500 and logs, and so does this
                _log.exception("the sandbox failed", host=request.url.host, path=request.url.path)
                if exchange.status is None:
                    exchange.fail()
            took = self._loop.time() - began
        limit = (request.extensions.get("timeout") or {}).get("read")
        if limit is not None and took > limit:
            raise httpx.ReadTimeout("timed out", request=request)
        if exchange.status is None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if not exchange.whole:
            raise httpx.RemoteProtocolError("peer closed connection without sending a whole body", request=request)
        return httpx.Response(exchange.status, headers=exchange.headers, content=exchange.body, request=request)

    def close(self) -> None:
        """Nothing: a client that is closed leaves the transport to the others."""

    def end(self) -> None:
        """Closes the loop; nothing can be sent after that."""
        self._loop.close()


class _Exchange:
    """The two halves of one request, as ASGI sees them."""

    def __init__(self, body: bytes) -> None:
        self._sent: bytes | None = body
        self._parts: list[bytes] = []
        self._ended = False
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []

    async def receive(self) -> dict[str, Any]:
        if self._sent is None:
            return {"type": "http.disconnect"}
        body, self._sent = self._sent, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self._parts.append(bytes(message.get("body", b"")))
            self._ended = not message.get("more_body", False)

    def fail(self) -> None:
        self.status, self._parts, self._ended = 500, [b"Internal Server Error"], True
        self.headers = [(b"content-type", b"text/plain; charset=utf-8")]

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    @property
    def whole(self) -> bool:
        """Whether the answer was sent to its end, and is as long as it says."""
        told = next((value for name, value in self.headers if name.lower() == b"content-length"), None)
        return self._ended and (told is None or int(told) == len(self.body))


def _scope(request: Any) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": unquote(url.raw_path.partition(b"?")[0].decode("ascii")),
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (url.host, url.port or 80),
        "state": {},
    }
