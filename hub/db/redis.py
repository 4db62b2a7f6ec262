"""The connection to Redis (or Valkey), which carries wake-ups and counters of the processes of one hub. Nothing in it is
needed to be kept: whoever finds it empty, or not there, goes on with the tables."""

from __future__ import annotations

import redis

#: what a Redis that is away or restarts raises; the hub goes on without
Unreachable = (redis.ConnectionError, redis.TimeoutError)
#: these, and what a Redis that is there refuses: a wrong password, a full memory
Refused = redis.RedisError
#: seconds; a hub waits no longer for what it can do without
_TIMEOUT_S = 2.0


def connect(url: str) -> redis.Redis:
    """A client with a pool of its own, safe to share between threads; it connects when it is first used.

    `url`: `redis://`, `rediss://` or `unix://`. Raises: ValueError for any other."""
    return redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=30
    )
