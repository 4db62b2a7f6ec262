"""No network: while it holds, connecting a socket anywhere in the process raises."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_EVENTS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"})
_holding = 0
_installed = False


class NetworkRefused(RuntimeError):
    """Something wanted the network where there is none."""


@contextmanager
def offline() -> Iterator[None]:
    """Refuses connections while it holds. An audit hook sees those of C code too; it cannot be taken out again."""
    global _holding, _installed
    if not _installed:
        sys.addaudithook(_refuse)
        _installed = True
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _holding and event in _EVENTS:
        raise NetworkRefused(f"no network here: {event}")
