"""`python -m tests.simulation --seed N`: runs seeds, and shows the steps of one that does not hold."""

from __future__ import annotations

import argparse
import sys
import time

from .plants import PLANTS
from .run import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1, help="so many seeds from there on")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="with a bug planted")
    parser.add_argument("--trace", action="store_true", help="all steps, also where all is well")
    arguments = parser.parse_args()
    failed, began = 0, time.process_time()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        outcome = run(seed, arguments.plant)
        if arguments.trace or (outcome.wrong and arguments.count == 1):
            print("\n".join(outcome.trace))
        if outcome.wrong:
            failed += 1
            print(outcome)
    seconds = time.process_time() - began
    print(f"{arguments.count} seeds, {failed} failed, {seconds / arguments.count:.3f} s CPU each", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
