"""Real processes on PostgreSQL and Valkey that are killed, frozen and cut off lose nothing and do nothing twice.

A few faults in a short run; `make chaos` runs 200 kills, 20 kills of Valkey and 20 stops of PostgreSQL. The faults are those
of the seed, what the hub does at those moments is not: a failure may need more than one run to be seen again.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import chaos
from endings import assert_only_mails_are_unproven, doubles

FULL = bool(os.environ.get("HUB_TEST_FULL"))
SEED = int(os.environ.get("HUB_TEST_SEED", "20261124"))
ORDERS = 160 if FULL else 20
COUNTS = chaos.FULL if FULL else chaos.SHORT


def test_faults_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    played = chaos.play(tmp_path / "hub", ORDERS, seed=SEED, counts=COUNTS)
    waits = {kind: f"{statistics.median(each):.2f}/{max(each):.2f}" for kind, each in played.chaos.waits.items()}
    print(
        f"seed {SEED}: {played.chaos.done} faults, {played.acknowledged} webhooks; ready again (median/max s): {waits}"
    )
    print(f"settled {played.settled_s:.1f} s after the last fault")

    assert played.chaos.done == sum(COUNTS.values())
    assert played.acknowledged > ORDERS
    assert played.lost == [], f"seed {SEED}"
    assert played.open_events == 0, f"seed {SEED}"
    assert played.settled_s < chaos.SETTLED_S
    assert played.comparison.differences == [], f"seed {SEED}"
    assert played.verify == {"ok": True, "faults": []}, f"seed {SEED}"
    assert doubles(each["reference_id"] for each in played.warehouse) == [], f"seed {SEED}"

    assert_only_mails_are_unproven(played.deliveries, played.questions, played.mails, SEED)
