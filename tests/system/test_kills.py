"""A hub that is killed again and again while it works ends where one that was never killed ends.

Ten kills in a short run; with HUB_TEST_FULL=1 twenty in each of three longer ones. The moments are those of the seed, what
the hub does at them is not: a failure may need more than one run to be seen again.
"""

from __future__ import annotations

import os
from pathlib import Path

import kills
import pytest

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

    # a mail that is not proven sent is a person's decision; everything else came to its end by itself
    unproven = [each for each in facts["deliveries"] if each["state"] not in ("confirmed", "superseded")]
    assert {(each["operation"], each["state"]) for each in unproven} <= {("message.send", "uncertain")}, f"seed {seed}"
    asked = [each["reason"] for each in facts["questions"] if each["kind"] == "delivery.uncertain"]
    assert len(asked) == len(unproven)
    assert all(any(each["key"] in reason for reason in asked) for each in unproven)
    mailed = [each["message_id"] for each in facts["mails"]]
    assert len(mailed) == len(set(mailed)), f"seed {seed}"
