"""The simulation: its seeds hold, each planted bug is found, and a seed does the same each time.

A few seeds in a short run; with HUB_TEST_FULL=1 two thousand. A seed that fails prints the command that runs it again."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from hub.core.plan import Plan
from hub.outbox import breaker

from .plants import PLANTS
from .run import Outcome, run

FULL = bool(os.environ.get("HUB_TEST_FULL"))
#: seeds within which a planted bug has to be found
MOST_TRIED = 100
SEEDS = 2_000 if FULL else 10
#: for each planted bug a seed that finds it; where the product has changed since, one of the first seeds has to
FOUND_BY = {
    "fence-not-checked": 10,
    "key-not-kept": 1,
    "refused-part-kept": 4,
    "dedup-too-wide": 3,
    "absent-is-empty": 9,
    "lease-not-renewed": 14,
    "state-not-merged": 1,
    "reference-not-awaited": 1,
}


@pytest.fixture(scope="module")
def sound() -> dict[int, Outcome]:
    """How the seeds ended without a planted bug."""
    seeds = range(1, SEEDS + 1)
    if not FULL:
        return {seed: run(seed) for seed in seeds}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return dict(zip(seeds, pool.map(run, seeds, chunksize=20), strict=True))


def test_every_seed_holds(sound: dict[int, Outcome]) -> None:
    failed = [str(outcome) for outcome in sound.values() if outcome.wrong]
    assert not failed, "\n" + "\n".join(failed)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str, sound: dict[int, Outcome]) -> None:
    tried = dict.fromkeys((FOUND_BY[plant], *range(1, MOST_TRIED)))
    found = next((seed for seed in tried if run(seed, plant).wrong), None)
    assert found is not None, f"{plant} is not found within {MOST_TRIED} seeds"
    assert not (sound.get(found) or run(found)).wrong, "it finds what is not there"


def test_seeds_hold_with_a_breaker_that_opens_at_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few seeds have five failures in a row; with two it opens in some of them."""
    monkeypatch.setattr(breaker, "FAILURES", 2)
    monkeypatch.setattr(breaker, "SUBJECTS", 1)
    opened, ended = [], []
    real_ask, real_close = breaker.raise_question, breaker.close

    def ask(plan: Plan, **said: Any) -> None:
        opened.append(said["subject"])
        real_ask(plan, **said)

    monkeypatch.setattr(breaker, "raise_question", ask)
    monkeypatch.setattr(
        breaker, "close", lambda *args: real_close(*args) and not ended.append(breaker.subject_of(args[2]))
    )
    seeds = range(100, 350) if FULL else (100, 103, 109, 112, *range(113, 130))
    for seed in seeds:
        outcome = run(seed)
        assert not outcome.wrong, str(outcome)
        if not FULL and len(opened) >= 4:
            break
    assert len(opened) >= 4
    assert sorted(opened) == sorted(ended)


def test_a_seed_does_the_same_each_time(sound: dict[int, Outcome]) -> None:
    assert run(4).trace == sound[4].trace
