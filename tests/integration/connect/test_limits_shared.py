"""Limits of several processes: one quota through Redis, each its part while Redis is away, and carefully when it is back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from valkey_server import ValkeyServer

from hub.connect.client import Answer
from hub.connect.errors import NoQuota
from hub.connect.limits import Limits, turn
from hub.connect.manifest import ManifestError, parse_manifest
from hub.observe import metrics
from tests.benchmarks import quota

DECLARED = "connector: quota\ntitle: Quota\nlimits: [{model: window, requests: 20, per: 3600}]\n"


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    yield server
    server.stop()


def _limits(url: str, clock: Any = None) -> Limits:
    made = Limits(url, sleep=None) if clock is None else Limits(url, sleep=None, clock=clock)
    made.gate(1).declare(parse_manifest(DECLARED, "connector.yaml"), {})
    return made


def _get(limits: Limits, status: int = 200, headers: dict[str, str] | None = None) -> bool:
    try:
        permit = limits.gate(1).enter()
    except NoQuota:
        return False
    permit.answered(Answer(status, headers or {}, b""))
    return True


def test_four_processes_use_one_quota_and_are_never_refused(redis_url: str) -> None:
    seconds = 20.0 if os.environ.get("HUB_TEST_FULL") else 3.0
    found = quota.measure(redis_url, list(quota.MODELS), 2.0, seconds)
    for model, figures in found.items():
        assert figures["refused"] == 0, (model, figures)
        if seconds > 10:  # in less, a busy machine decides how much is used
            assert figures["used"] >= 0.9, (model, figures)


def test_while_redis_is_away_each_process_keeps_to_its_part(valkey: ValkeyServer) -> None:
    now = [0.0]
    processes = [_limits(valkey.url, lambda: now[0]) for _ in range(4)]
    for limits in (*processes, *processes):
        _get(limits)  # they know of each other
    valkey.kill()
    got = 0
    for _ in range(3600):
        now[0] += 1_000_000
        got += sum(_get(limits) for limits in processes)
    assert all(limits.away for limits in processes)
    assert 12 <= got <= 20, "as much as all of them may have in an hour, and no burst"
    valkey.start()
    until = time.monotonic() + 5
    while any(limits.away for limits in processes) and time.monotonic() < until:
        assert not any(_get(limits) for limits in processes), "nobody knows what was used: nothing goes out at once"
    assert not any(limits.away for limits in processes)
    for limits in processes:
        limits.close()


def test_a_flushed_redis_is_not_a_full_quota(redis_url: str) -> None:
    import redis

    limits = _limits(redis_url)
    assert not _get(limits)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert not _get(limits)
    limits.close()


def test_what_one_process_is_told_to_wait_all_wait(redis_url: str) -> None:
    one, other = (Limits(redis_url, sleep=None) for _ in range(2))
    for limits in (one, other):
        limits.gate(1).declare(parse_manifest("connector: free\ntitle: Free\n", "connector.yaml"), {})
    assert _get(one, 429, {"retry-after": "30"})
    one.close()  # tells what is over
    with pytest.raises(NoQuota) as caught:
        other.gate(1).enter()
    assert 25 < caught.value.after_s <= 30
    other.close()


def test_a_thread_waits_for_a_moment_and_no_longer(redis_url: str) -> None:
    limits = Limits(redis_url)
    waits = ("hub_limit_waits_total", {"connector": "quick", "asked": "before"})
    before = metrics.REGISTRY.get_sample_value(*waits) or 0
    for number, restore in ((1, 10), (2, 0.1)):
        text = f"connector: quick\ntitle: Quick\nlimits: [{{model: bucket, size: 1, restore: {restore}}}]\n"
        limits.gate(number).declare(parse_manifest(text, "connector.yaml"), {})
    with turn("delivery"):
        limits.gate(1).enter().lost()
        limits.gate(2).enter().lost()
    with turn("delivery"):
        limits.gate(1).enter().lost()
    with pytest.raises(NoQuota) as caught, turn("delivery"):
        limits.gate(2).enter()
    assert 1 < caught.value.after_s < 11
    assert (metrics.REGISTRY.get_sample_value(*waits) or 0) > before
    limits.close()


def test_what_ends_while_redis_is_away_is_told_once_it_is_back(valkey: ValkeyServer) -> None:
    limits = Limits(valkey.url, sleep=None)
    text = "connector: two\ntitle: Two\nlimits: [{model: concurrent, at_once: 2}]\n"
    limits.gate(1).declare(parse_manifest(text, "connector.yaml"), {})
    permit = limits.gate(1).enter()
    limits._away = True
    permit.answered(Answer(200, {}, b""))
    limits._told.set()
    until = time.monotonic() + 5
    while limits._told.is_set() and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.05)  # it has looked
    limits._away = False
    for _ in range(2):  # both places are free again
        limits.gate(1).enter()
    limits.close()


def test_only_what_was_sent_and_may_write_makes_an_attempt_of_a_turn() -> None:
    gate = Limits(sleep=None).gate(1)
    with turn("delivery") as made:
        gate.enter(writes=True).unsent()
        gate.enter().answered(Answer(200, {}, b""))
        assert (made.begun, made.wrote) == (True, False)
        gate.enter(writes=True).lost()
        assert made.wrote


def test_a_quota_of_an_app_has_one_number() -> None:
    text = (
        "connector: two\ntitle: Two\nsettings: {pace: {type: int, default: 5}}\n"
        "auth: {type: oauth2, authorize_url: 'https://example.org/a', token_url: 'https://example.org/t'}\n"
        "limits: [{model: window, requests: 10, per: 1, scope: app, setting: pace}]\n"
    )
    with pytest.raises(ManifestError, match="one for all its connections"):
        parse_manifest(text, "connector.yaml")
