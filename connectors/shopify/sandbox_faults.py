"""Faults on demand: an answer is replaced, delayed or never given, before or after the work was done.

`{"match": "InventorySet", "kind": "status_after", "status": 503, "times": 1}`; `match` is an operation name, or the
beginning of "METHOD /path". Kinds:

- `status`: answers `status` (with `headers`, `body`) without doing anything; `status_after`: does the work first
- `drop_before`, `drop_after`: cuts the connection without an answer, before or after the work
- `slow_before`, `slow_after`: waits `seconds` before or after the work, then answers
- `throttled`: THROTTLED at HTTP 200; `internal_error`, `internal_error_after`: INTERNAL_SERVER_ERROR at HTTP 200
- `user_error`: a mutation refuses with `{"code", "message", "field"}` and does nothing
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "status status_after drop_before drop_after slow_before slow_after throttled internal_error internal_error_after "
    "user_error"
).split()


@dataclass
class Fault:
    match: str
    kind: str
    times: int = 1
    status: int = 503
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    code: str | None = None
    message: str = "Refused by the sandbox"
    field: list[str] | None = None
    used: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of fault: {', '.join(KINDS)}")


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting: list[Fault] = []

    def add(self, spec: dict[str, Any]) -> Fault:
        fault = Fault(**spec)
        with self._lock:
            self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self.waiting.clear()

    def take(self, operation: str | None, request: str) -> Fault | None:
        """The first fault that fits, used up by one."""
        with self._lock:
            for fault in self.waiting:
                if fault.match == operation or request.startswith(fault.match):
                    fault.used += 1
                    if fault.used >= fault.times:
                        self.waiting.remove(fault)
                    return fault
        return None


async def cut(send: Any) -> None:
    """Ends the connection without an answer. uvicorn's `send` knows its transport; elsewhere an answer is begun with a
    length that it never reaches, which a client sees as a protocol error too."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.close()
        await asyncio.sleep(0.02)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
