"""The simulation: seeds hold, and a seed does the same each time."""

from __future__ import annotations

from .run import run


def test_a_seed_does_the_same_each_time() -> None:
    assert run(1).trace == run(1).trace
