"""Wake-ups through a real Redis: what it refuses is said once and never ends the thread that rings."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis
from structlog.testing import capture_logs

from hub.workers.parts import Part
from hub.workers.wakeups import WakeUps

_WAIT_S = 20


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """A Redis that takes everything again afterwards."""
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory", 0)


def test_a_redis_that_refuses_is_said_once_and_rung_again_when_it_takes_what_is_sent(
    redis_url: str, server: redis.Redis
) -> None:
    drained = threading.Event()
    wakeups = WakeUps(redis_url, {Part.BOOKS: drained.set})
    with capture_logs() as logs:
        server.config_set("maxmemory", 1)  # every write is refused by now, every read is answered
        for _ in range(3):
            wakeups.ring([Part.BOOKS])
            assert wakeups._thread is not None
            wakeups._thread.join(0.3)
        assert wakeups._thread.is_alive()
        server.config_set("maxmemory", 0)
        try:
            wakeups.listen()
            wakeups.ring([Part.BOOKS])
            assert drained.wait(_WAIT_S)
        finally:
            wakeups.stop()
    assert [each["event"].partition(":")[0] for each in logs] == ["redis is away or refuses", "redis is back"]


def test_a_part_is_drained_though_redis_refuses_to_forget_that_it_was_rung(
    redis_url: str, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained: list[Part] = []
    wakeups = WakeUps(redis_url, {Part.BOOKS: lambda: drained.append(Part.BOOKS)})
    server.execute_command("ACL", "SETUSER", "narrow", "on", "nopass", "~*", "+@all", "-del")
    wakeups._client.execute_command("AUTH", "narrow", "x")
    try:
        with capture_logs() as logs:
            wakeups._actors[Part.BOOKS].fn()
    finally:
        server.execute_command("ACL", "DELUSER", "narrow")
        wakeups.stop()
    assert drained == [Part.BOOKS]
    assert [each["event"].partition(":")[0] for each in logs] == ["redis is away or refuses"]
