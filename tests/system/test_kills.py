"""A hub that is killed again and again while it works ends where one that was never killed ends.

Ten kills in a short run; with HUB_TEST_FULL=1 twenty in each of three longer ones. The moments are those of the seed, what
the hub does at them is not: a failure may need more than one run to be seen again.
"""

from __future__ import annotations

import os
from pathlib import Path

import kills
import pytest
from endings import assert_only_mails_are_unproven

FULL = bool(os.environ.get("HUB_TEST_FULL"))
ORDERS = 50 if FULL else 20
SEEDS = (1, 2, 3) if FULL else (1,)
KILLS = kills.TWENTY if FULL else kills.TEN
#: what is looked at by itself
_APART = ("deliveries", "mails", "questions", "verify")


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What every side has after a demo without kills."""
    facts, comparison = kills.play(tmp_path_factory.mktemp("unharmed") / "demo", ORDERS)
    assert comparison.differences == []
    return facts


@pytest.mark.parametrize("seed", SEEDS)
def test_kills_change_nothing_and_double_nothing(seed: int, unharmed: dict[str, object], tmp_path: Path) -> None:
    facts, comparison = kills.play(tmp_path / "demo", ORDERS, kills=KILLS, seed=seed)

    for what in unharmed.keys() - set(_APART):
        assert facts[what] == unharmed[what], f"{what}, seed {seed}"
    assert comparison.differences == [], f"seed {seed}"
    assert facts["verify"] == {"ok": True, "faults": []}, f"seed {seed}"

    assert_only_mails_are_unproven(facts["deliveries"], facts["questions"], facts["mails"], seed)
