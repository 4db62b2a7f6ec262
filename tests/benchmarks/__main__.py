"""`make bench`: measures the books beside a raw limit, the whole way of an order, and growth. Prints one JSON document.

What is compared is measured alternately in one run: absolute figures depend on the machine and its load, ratios less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import intake
from tests.benchmarks.books import Books
from tests.benchmarks.end_to_end import EndToEnd
from tests.benchmarks.engines import NAMES, Engine, engine, settings
from tests.benchmarks.hub_home import bodies

PARTS = ("books", "intake", "growth", "end", "saturated")


def books(folder: Path, on: Engine, orders: int, rounds: int) -> dict[str, Any]:
    """Events in the inbox to committed books, beside the raw limit."""
    body = next(bodies(1))
    measured = Books.open(folder / "books", settings(folder / "books", on.variables()))
    try:
        measured.fill(200)
        measured.work()
        results = []
        for _ in range(rounds):
            limit = on.raw(orders, body)
            measured.fill(orders)
            server = on.cpu()
            wall, cpu = measured.work()
            cpu += on.cpu() - server
            results.append(
                {
                    "raw_orders_per_s": round(limit),
                    "orders_per_s": round(orders / wall),
                    "ratio": round(orders / wall / limit, 3),
                    "cpu_us_per_order": round(cpu * 1e6 / orders),
                }
            )
            _tell(f"books: {results[-1]}")
        return {"orders": orders, "rounds": results, "ratio": statistics.median(each["ratio"] for each in results)}
    finally:
        measured.close()


def growth(folder: Path, on: Engine, steps: tuple[int, ...], orders: int) -> dict[str, Any]:
    """CPU of one order with few and with many orders in the books."""
    measured = Books.open(folder / "growth", settings(folder / "growth", on.variables()))
    try:
        results: dict[str, float] = {}
        for target in steps:
            while measured.next_order + orders < target:
                measured.fill(min(1000, target - orders - measured.next_order))
                measured.work()
            measured.fill(orders)
            server = on.cpu()
            cpu = measured.work()[1] + on.cpu() - server
            results[f"at_{target}"] = round(cpu * 1e6 / orders)
            _tell(f"growth: {target} orders: {results[f'at_{target}']} us an order")
        values = list(results.values())
        return {"cpu_us_per_order": results, "change": round(values[-1] / values[0] - 1, 3)}
    finally:
        measured.close()


def end_to_end(folder: Path, on: Engine, orders: int, rounds: int) -> dict[str, Any]:
    """Webhooks in, two deliveries an order out."""
    measured = EndToEnd(folder / "end", on)
    try:
        measured.flat_out(100)
        flat = [measured.flat_out(orders) for _ in range(rounds)]
        _tell(f"end to end: {flat}")
        steady = {f"at_{rate}_per_s": measured.steady(rate, 10) for rate in (50, 100)}
        _tell(f"answers: {steady}")
        standing = measured.standing()
        _tell(f"standing: {standing}")
        return {"orders": orders, "rounds": flat, "answer": steady, "standing": standing}
    finally:
        measured.close()


def saturated(folder: Path, on: Engine, waiting: int) -> dict[str, Any]:
    """How long senders wait for their answer while workers have more to do than they can."""
    measured = EndToEnd(folder / "saturated", on)
    try:
        measured.stop()
        measured.pile_up(waiting)
        measured.start()
        found = measured.steady(200, 20, settle=False)
        _tell(f"answers at 200/s with {waiting} events waiting: {found}")
        return {"waiting": waiting, **found}
    finally:
        measured.close()


def _intake(folder: Path, on: Engine, orders: int, rounds: int) -> dict[str, Any]:
    found = intake.measure(folder / "intake", on, orders, rounds)
    _tell(f"intake: {found}")
    return found


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--waiting", type=int, default=20_000, help="events that wait while answers are measured")
    parser.add_argument("--growth", type=int, action="append", help="orders in the books at which one is measured")
    parser.add_argument("--database", choices=NAMES, action="append")
    arguments = parser.parse_args()
    wanted = arguments.only or list(PARTS)
    folder = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    result: dict[str, Any] = {
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "load": os.getloadavg()[0],
        }
    }
    try:
        for name in arguments.database or NAMES:
            place = folder / name
            for part in PARTS:
                (place / part).mkdir(parents=True)
            with engine(name, place) as on:
                found: dict[str, Any] = {}
                result[name] = found
                if "books" in wanted:
                    found["books"] = books(place, on, arguments.orders, arguments.rounds)
                if "intake" in wanted:
                    found["intake"] = _intake(place, on, 2 * arguments.orders, arguments.rounds)
                if "growth" in wanted:
                    found["growth"] = growth(
                        place, on, tuple(arguments.growth or (1_000, 10_000)), arguments.orders // 2
                    )
                if "saturated" in wanted:
                    found["saturated"] = saturated(place, on, arguments.waiting)
                if "end" in wanted:
                    found["end_to_end"] = end_to_end(place, on, arguments.orders, arguments.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
