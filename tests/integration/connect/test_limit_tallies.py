"""Limits: whatever the order of takes, arrivals and answers, the system never gets more than its quota, and all have a turn.

What runs here in memory runs in Redis too: the same plays, by the same clock, and the two agree."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.connect.limits.memory import Asked, Memory, Settled
from hub.connect.limits.rule import Rule
from hub.connect.limits.shared import Shared
from hub.connect.limits.tally import LEASE_US, Report
from hub.connect.limits.turns import WEIGHTS

SECOND = 1_000_000
START = 1_795_507_200 * SECOND
WINDOW = Rule("hub:limit:c7:0", "window", 10, per_us=SECOND)
BUCKET = Rule("hub:limit:c7:1", "bucket", 100, rate=50 / SECOND)
TWO_AT_ONCE = Rule("hub:limit:c7:2", "concurrent", 2)


class Clock:
    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


class InMemory:
    """A store that a test takes from."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Memory(self.clock, used=True)

    def take(self, asked: Asked) -> float:
        return self.store.take(asked)

    def settle(self, settled: Settled) -> None:
        self.store.settle(settled)


class InRedis:
    """The same in Redis, by the test's clock."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.store = Shared(url, "test")

    def take(self, asked: Asked) -> float:
        return self.store.take(asked, now=self.clock.now)[0]

    def settle(self, settled: Settled) -> None:
        self.store.settle(settled.connection_id, [settled], now=self.clock.now)


Store = InMemory | InRedis


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    return InMemory() if request.param == "memory" else InRedis(request.getfixturevalue("redis_url"))


def ask(permit: str, *rules: Rule, cost: float = 1, kind: str = "delivery", connection: int = 7) -> Asked:
    return Asked(connection, permit, kind, WEIGHTS[kind], rules, [cost] * len(rules))


def over(
    permit: str, *rules: Rule, actual: float | None = None, report: Report | None = None, pause: float = 0
) -> Settled:
    return Settled(7, permit, rules, [actual] * len(rules), [report] * len(rules), pause)


class StrictWindow:
    """A system that counts what arrives in any window."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.arrived, self.refused = rule, list[tuple[float, float]](), 0

    def arrive(self, now: float, cost: float) -> None:
        self.arrived = [(at, n) for at, n in self.arrived if at > now - self.rule.per_us]
        if sum(n for _, n in self.arrived) + cost > self.rule.size:
            self.refused += 1
        self.arrived.append((now, cost))


class StrictBucket:
    """A system with a bucket of its own, which begins as full as it is told."""

    def __init__(self, rule: Rule, level: float = 0) -> None:
        self.rule, self.level, self.at, self.refused = rule, level, float(START), 0

    def arrive(self, now: float, cost: float) -> None:
        self.level = min(self.rule.size, self.level + (now - self.at) * self.rule.rate)
        self.at = now
        if cost > self.level + 1e-6:
            self.refused += 1
        self.level -= cost

    def give_back(self, now: float, cost: float) -> None:
        self.arrive(now, 0)
        self.level = min(self.rule.size, self.level + cost)


def play(store: Store, rule: Rule, system: StrictWindow | StrictBucket, seed: int, steps: int) -> int:
    """Requests that are asked for, arrive and are answered in any order, each late by as much as it likes. Returns how
    many were refused."""
    random_ = random.Random(seed)
    on_way: dict[str, tuple[float, float]] = {}
    arrived: dict[str, tuple[float, float]] = {}
    for number in range(steps):
        store.clock.now += random_.choice([0, 1, 1_000, 20_000, 200_000, random_.randrange(2 * SECOND)])
        now = store.clock.now
        what = random_.random()
        if what < 0.5:
            cost = 1 if rule.model == "window" else random_.choice([1, 10, 60, 100])
            if store.take(ask(str(number), rule, cost=cost, kind=random_.choice(list(WEIGHTS)))) == 0:
                on_way[str(number)] = (cost, now)
        elif what < 0.75 and on_way:
            permit = random_.choice(list(on_way))
            cost, since = on_way.pop(permit)
            if now - since < LEASE_US:
                system.arrive(now, cost)
                arrived[permit] = (cost, now)
        elif arrived:
            permit = random_.choice(list(arrived))
            cost, since = arrived.pop(permit)
            actual = cost
            if isinstance(system, StrictBucket):
                actual = random_.choice([cost, cost / 2])
                system.give_back(now, cost - actual)
            store.settle(over(permit, rule, actual=actual))
    return system.refused


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), bucket=st.booleans())
def test_never_more_than_the_quota_in_memory(seed: int, bucket: bool) -> None:
    system = StrictBucket(BUCKET) if bucket else StrictWindow(WINDOW)
    assert play(InMemory(), BUCKET if bucket else WINDOW, system, seed, 400) == 0


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), bucket=st.booleans())
def test_never_more_than_the_quota_in_redis(redis_url: str, seed: int, bucket: bool) -> None:
    store = InRedis(redis_url)
    store.store._client.flushall()
    system = StrictBucket(BUCKET) if bucket else StrictWindow(WINDOW)
    assert play(store, BUCKET if bucket else WINDOW, system, seed, 150) == 0


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_memory_and_redis_say_the_same(redis_url: str, seed: int) -> None:
    memory, shared = InMemory(), InRedis(redis_url)
    shared.store._client.flushall()
    random_ = random.Random(seed)
    rules = (WINDOW, BUCKET, TWO_AT_ONCE)
    taken: list[str] = []
    for number in range(80):
        memory.clock.now += random_.choice([0, 1_000, 50_000, 500_000])
        shared.clock.now = memory.clock.now
        if taken and random_.random() < 0.45:
            left = random_.choice([None, Report(remaining=float(random_.randrange(12)))])
            settled = over(
                taken.pop(random_.randrange(len(taken))), *rules, actual=random_.choice([None, 1]), report=left
            )
            memory.settle(settled)
            shared.settle(settled)
            continue
        asked = ask(str(number), *rules, cost=random_.choice([1, 2]), kind=random_.choice(list(WEIGHTS)))
        ours, theirs = memory.take(asked), shared.take(asked)
        assert theirs == pytest.approx(ours, abs=2), number
        if ours == 0:
            taken.append(str(number))


def run(store: Store, rule: Rule, kinds: list[str], seconds: float, took_us: float = 20_000) -> Counter[str]:
    """All kinds ask again as soon as they are let, for so long. Returns what each got."""
    got: Counter[str] = Counter()
    due: list[tuple[float, int, str]] = [(store.clock.now, number, kind) for number, kind in enumerate(kinds)]
    ends: list[tuple[float, str]] = []
    until, number = store.clock.now + seconds * SECOND, len(kinds)
    while True:
        due.sort()
        ends.sort()
        at = min(due[0][0], ends[0][0]) if ends else due[0][0]
        if at > until:
            return got
        store.clock.now = max(store.clock.now, at)
        if ends and ends[0][0] <= at:
            store.settle(over(ends.pop(0)[1], rule))
            continue
        _, _, kind = due.pop(0)
        number += 1
        wait = store.take(ask(f"p{number}", rule, kind=kind))
        if wait == 0:
            got[kind] += 1
            ends.append((store.clock.now + took_us, f"p{number}"))
        due.append((store.clock.now + max(wait, 1), number, kind))


@pytest.mark.parametrize(("rule", "pace"), [(WINDOW, 10), (BUCKET, 50)], ids=["window", "bucket"])
def test_one_kind_alone_gets_all_of_the_quota(rule: Rule, pace: float, store: Store) -> None:
    run(store, rule, ["backfill"] * 12, 2.5)
    assert sum(run(store, rule, ["backfill"] * 12, 5).values()) >= 0.93 * pace * 5


@pytest.mark.parametrize("rule", [WINDOW, BUCKET], ids=["window", "bucket"])
def test_a_backfill_starves_nobody_and_is_not_starved(rule: Rule, store: Store) -> None:
    run(store, rule, ["backfill"] * 20, 3)
    got = run(store, rule, ["backfill"] * 20 + ["delivery", "read", "poll"], 20 if isinstance(store, InMemory) else 6)
    total = sum(got.values())
    # by weight 10 of 17, 5 of 17, 1 of 17 and 1 of 17: what each gets at least, but for one request a turn
    assert got["delivery"] >= 0.5 * total, got
    assert got["read"] >= 0.22 * total, got
    assert got["poll"] >= 0.03 * total, got
    assert got["backfill"] >= 0.03 * total, got


def test_connections_of_one_app_have_equal_parts(store: Store) -> None:
    app = Rule("hub:limit:ashop:1", "bucket", 100, rate=50 / SECOND)
    got: Counter[int] = Counter()
    waits = {1: START, 2: START}
    for number in range(600):
        connection = min(waits, key=lambda each: (waits[each], each))
        store.clock.now = max(store.clock.now, waits[connection])
        wait = store.take(ask(f"p{number}", app, connection=connection, cost=5))
        got[connection] += wait == 0
        if wait == 0:
            store.settle(Settled(connection, f"p{number}", (app,), [None], [None]))
        waits[connection] = store.clock.now + max(wait, 1)
    assert abs(got[1] - got[2]) <= 2, got


def test_a_quota_that_is_new_to_us_counts_as_used(store: Store) -> None:
    assert store.take(ask("a", WINDOW)) == pytest.approx(SECOND / 10, rel=0.01)
    assert store.take(ask("b", BUCKET, cost=50)) == pytest.approx(SECOND, rel=0.01)


def test_what_the_system_says_counts_more_than_what_we_assumed(store: Store) -> None:
    store.clock.now += 0
    store.take(ask("a", BUCKET, cost=5))
    store.clock.now += SECOND / 10
    assert store.take(ask("a", BUCKET, cost=5)) == 0
    store.settle(over("a", BUCKET, report=Report(remaining=90, size=200)))
    assert store.take(ask("b", BUCKET, cost=90)) == 0, "it has more than we thought"
    store.settle(over("b", BUCKET, report=Report(remaining=0)))
    assert store.take(ask("c", BUCKET, cost=50)) == pytest.approx(SECOND, rel=0.01), "it has less"


def test_others_use_the_same_quota_and_the_answers_say_so(store: Store) -> None:
    store.clock.now += SECOND
    store.take(ask("none", WINDOW))
    store.settle(over("none", WINDOW))
    store.clock.now += 2 * SECOND
    assert store.take(ask("a", WINDOW)) == 0
    store.settle(over("a", WINDOW, report=Report(remaining=1)))
    assert store.take(ask("b", WINDOW)) == 0
    assert store.take(ask("c", WINDOW)) > 0, "9 of 10 are used, though we used one"


def test_a_pause_holds_the_connection_and_no_other(store: Store) -> None:
    assert store.take(ask("a")) == 0
    store.settle(over("a", pause=5 * SECOND))
    assert store.take(ask("b")) > 4 * SECOND
    assert store.take(ask("c", connection=8)) == 0


def test_a_request_whose_process_died_gives_its_place_back(store: Store) -> None:
    assert store.take(ask("a", TWO_AT_ONCE)) == store.take(ask("b", TWO_AT_ONCE)) == 0
    assert store.take(ask("c", TWO_AT_ONCE)) > 0
    store.clock.now += LEASE_US + 1
    assert store.take(ask("c", TWO_AT_ONCE)) == 0
