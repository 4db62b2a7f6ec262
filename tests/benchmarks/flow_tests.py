"""How long `hub test` takes for 1,000 tests: `python -m tests.benchmarks.flow_tests`. The shipped tests again and again in
files of their own, and small ones: an order that is paid, invoiced and sent to the books. The whole command is measured,
its start included."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hub.connect.registry import shipped

_FEW = 50
_HEAD = """flows: [shop-orders, invoices-to-books]
roles: {shop: shopify, books: quickbooks}
clock: 2026-11-24T18:00:00+01:00
stock: {MUG-01: 10, THE-01: 10}
tests:
"""
_SMALL = """  - name: paid order %d is invoiced once
    given: [{webhook: orders/paid, file: payloads/1001-paid.json}, {repeat: 0}]
    expect:
      invoices: [{total: 44.60 EUR}]
      deliveries: [{operation: invoice.create, state: confirmed}]
      questions: []
"""


def shipped_again(home: Path, count: int) -> None:
    """Files with the shipped tests, until there are so many tests."""
    flows = home / "flows"
    shutil.copytree(shipped("flows"), flows, ignore=shutil.ignore_patterns("*.yaml"))
    files = [(file.name, file.read_text("utf-8")) for file in sorted(shipped("flows").glob("*.test.yaml"))]
    written = round_ = 0
    while written < count:
        for name, text in files:
            (flows / f"{round_:03}-{name}").write_text(text, "utf-8")
            written += text.count("\n  - name: ")
        round_ += 1


def small(home: Path, count: int) -> None:
    """Files of small tests."""
    flows = home / "flows"
    shutil.copytree(shipped("flows") / "payloads", flows / "payloads")
    for first in range(0, count, _FEW):
        tests = "\n".join(_SMALL % number for number in range(first, min(first + _FEW, count)))
        (flows / f"small-{first:04}.test.yaml").write_text(_HEAD + tests, "utf-8")


def measure(home: Path) -> dict[str, float | int]:
    """Runs the command. Raises: RuntimeError when a test fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "hub", "test", "--json", str(home)]
    ran = subprocess.run(command, capture_output=True, env={**os.environ, "HUB_HOME": str(home)}, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode != 0:
        raise RuntimeError((ran.stderr + ran.stdout)[-2000:].decode())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tests = json.loads(ran.stdout)["passed"]
    return {
        "tests": tests,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "cpu_ms_a_test": round(cpu / tests * 1_000, 1),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tests", type=int, default=1_000)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}")
    for name, write in {"shipped": shipped_again, "small": small}.items():
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
            write(Path(folder), given.tests)
            for _ in range(given.rounds):
                print(name, json.dumps(measure(Path(folder))), f"load {os.getloadavg()[0]:.2f}", flush=True)


if __name__ == "__main__":
    main()
