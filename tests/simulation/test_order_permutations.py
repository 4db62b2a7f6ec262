"""Whatever the order, the way and the number of times in which six events of an order arrive, all sides end alike.

200 cases in a short run; with HUB_TEST_FULL=1 ten thousand: every order of every story, more than once. A part that does not
hold prints the command that runs it again."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing import get_context
from typing import Any
from unittest import mock

import pytest

from hub.core.sales import sync
from hub.core.sales.snapshot import Freshness

from .permutations import Part, run
from .plants import PLANTS, Plant
from .stories import STORIES

FULL = bool(os.environ.get("HUB_TEST_FULL"))
#: parts of a story, cases of each; a read of an order costs as much as all else, so the short form makes few
PARTS, CASES, MOST_READ = (40, 50, 6) if FULL else (2, 20, 1)


@pytest.mark.parametrize("story", STORIES)
def test_every_order_of_arriving_ends_alike(story: str) -> None:
    parts = [Part(story, number, CASES, MOST_READ) for number in range(PARTS)]
    if FULL:
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            outcomes = list(pool.map(run, parts))
    else:
        outcomes = [run(part) for part in parts]
    failed = ["\n  ".join(outcome[:10]) for outcome in outcomes if outcome]
    assert not failed, "\n" + "\n".join(failed)


def _last_wins() -> AbstractContextManager[Any]:
    """What came last is taken for the newest, whatever its stamp."""
    return mock.patch.object(sync, "freshness", return_value=Freshness.NEW)


@pytest.mark.parametrize("plant", [PLANTS["absent-is-empty"], _last_wins])
def test_it_sees_a_planted_bug(plant: Plant) -> None:
    with plant():
        found = run(Part("shipped-by-hand", 0, 10, MOST_READ))
    assert any("told of as" in each for each in found), "it ends as if nothing were wrong"
