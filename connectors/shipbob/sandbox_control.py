"""What a sandbox offers beside the vendor's routes: planted faults, a log of requests, a dump of its state.

A connector folder stands alone (it can be copied to another hub), so the folders that need this file each hold a copy of it; a
test keeps the copies equal.

Routes, answered to loopback only and without credentials:
    GET    /_sandbox/state                   what `dump` returns
    GET    /_sandbox/faults, POST, DELETE    the planted faults still waiting; plant one; drop them all
    GET    /_sandbox/requests, DELETE        `{"requests": [...], "counts": {"POST /path": n}}`; forget them
    POST   /_sandbox/<name>                  the sandbox's own actions
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from threading import Lock
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Action = Callable[[dict[str, Any]], tuple[int, Any]]

# Money leaves as the digits it came in: Decimal is written as a JSON number, never through a float.
encode = msgspec.json.Encoder(decimal_format="number").encode

LOOPBACK = ("127.", "::1", "::ffff:127.")


class Fault(BaseModel):
    """One planted fault. `match` is `METHOD path`, where `*` stands for anything; a path with `?` is compared with its query too."""

    model_config = ConfigDict(extra="forbid")

    match: str = Field(pattern=r"^\S+ \S+$")
    # status: answer without doing the work; status_after: do the work, then answer this status; drop_before and drop_after:
    # cut the connection without an answer, before or after the work; slow_after: do the work, answer after `seconds`.
    kind: Literal["status", "status_after", "drop_before", "drop_after", "slow_after"]
    status: int = Field(default=503, ge=100, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    times: int | None = Field(default=1, ge=1)  # None: until deleted
    seconds: float = Field(default=0, ge=0, le=600)

    def hits(self, method: str, path: str, query: str) -> bool:
        """True when this fault is meant for the request."""
        target = f"{path}?{query}" if "?" in self.match else path
        pattern = ".*".join(re.escape(part) for part in self.match.split("*"))
        return re.fullmatch(pattern, f"{method} {target}") is not None

    def answer(self) -> Answer:
        """The answer of the kinds that name a status."""
        if isinstance(self.body, str):
            return Answer(
                self.status, self.body.encode(), {"content-type": "text/plain; charset=utf-8", **self.headers}
            )
        body = b"" if self.body is None else encode(self.body)
        return Answer(self.status, body, {"content-type": "application/json", **self.headers})


class Answer:
    """A complete HTTP answer; `headers` is a mapping or the raw pairs of ASGI."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str] | list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.body = body
        if isinstance(headers, list):
            self.headers = headers
        else:
            pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            self.headers = [*pairs, (b"content-length", str(len(body)).encode())]

    async def send(self, send: Send) -> None:
        """Write it to the client."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json_answer(status: int, value: Any) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, encode(value), {"content-type": "application/json"})


class Controlled:
    """The ASGI application of a sandbox: the vendor's routes with faults and a log around them."""

    def __init__(
        self, vendor: Starlette, sandbox: object, dump: Callable[[], Any], actions: Mapping[str, Action] | None = None
    ) -> None:
        self.vendor = vendor
        self.state = vendor.state
        self.state.sandbox = sandbox
        self._dump = dump
        self._actions = dict(actions or {})
        self._lock = Lock()
        self._faults: list[Fault] = []
        self._requests: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.vendor(scope, receive, send)
            return
        body = await _read(receive)
        if scope["path"].startswith("/_sandbox/"):
            await (await self._control(scope, body)).send(send)
            return
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
        fault = self._take(method, path, query)
        kind = fault.kind if fault else None
        entry: dict[str, Any] = {"method": method, "path": path, "query": query, "status": None, "fault": kind}
        with self._lock:
            self._requests.append(entry)
        if fault and kind == "status":
            answer = fault.answer()
        elif kind == "drop_before":
            await _cut(receive, send)
            return
        else:
            entry["status"] = 500  # should the sandbox itself fail
            answer = await self._work(scope, body)
            entry["status"] = None
            if fault and kind == "status_after":
                answer = fault.answer()
            elif kind == "drop_after":
                await _cut(receive, send)
                return
            elif fault and kind == "slow_after":
                await asyncio.sleep(fault.seconds)
        entry["status"] = answer.status
        await answer.send(send)

    def _take(self, method: str, path: str, query: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.hits(method, path, query):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None

    async def _work(self, scope: Scope, body: bytes) -> Answer:
        status, headers, parts = 500, [], []

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def collect(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", []))
            else:
                parts.append(message.get("body", b""))

        await self.vendor(scope, replay, collect)
        return Answer(status, b"".join(parts), headers)

    async def _control(self, scope: Scope, body: bytes) -> Answer:
        client = scope.get("client")
        if client and not str(client[0]).startswith(LOOPBACK):
            return json_answer(403, {"error": "the control routes answer to loopback only"})
        method, name = scope["method"], scope["path"].removeprefix("/_sandbox/")
        match (method, name):
            case ("GET", "state"):
                return json_answer(200, self._dump())
            case ("GET", "requests"):
                with self._lock:
                    counts = Counter(f"{entry['method']} {entry['path']}" for entry in self._requests)
                    return json_answer(200, {"requests": self._requests, "counts": counts})
            case ("DELETE", "requests"):
                with self._lock:
                    self._requests.clear()
                return json_answer(200, {})
            case ("GET", "faults"):
                with self._lock:
                    return json_answer(200, {"faults": [fault.model_dump() for fault in self._faults]})
            case ("DELETE", "faults"):
                with self._lock:
                    self._faults.clear()
                return json_answer(200, {})
        try:
            value = msgspec.json.decode(body) if body.strip() else {}
        except msgspec.DecodeError as error:
            return json_answer(400, {"error": f"the body is not JSON: {error}"})
        if not isinstance(value, dict):
            return json_answer(400, {"error": "the body must be a JSON object"})
        if (method, name) == ("POST", "faults"):
            try:
                fault = Fault.model_validate(value)
            except ValidationError as error:
                return json_answer(400, {"error": str(error)})
            with self._lock:
                self._faults.append(fault)
            return json_answer(201, fault.model_dump())
        action = self._actions.get(name)
        if method != "POST" or action is None:
            known = sorted(["state", "faults", "requests", *self._actions])
            return json_answer(404, {"error": f"no {method} /_sandbox/{name}; known: {', '.join(known)}"})
        # In a thread: an action may call out (a webhook), and the loop must go on answering.
        status, answer = await asyncio.to_thread(action, value)
        return json_answer(status, answer)


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _cut(receive: Receive, send: Send) -> None:
    """Close the connection with no byte of an answer.

    ASGI has no word for this. Under uvicorn `send` is a method of the object that holds the transport, so it can be closed; the
    request was read to its end before, so the client sees an orderly close. Under any other server the answer is begun with a
    length it never reaches, which the server has to end by closing.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        headers = [(b"content-length", b"1000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        return
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
