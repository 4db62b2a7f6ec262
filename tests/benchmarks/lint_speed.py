"""How long lint takes for a hundred flows: `python -m tests.benchmarks.lint_speed`. Copies of the shipped flows with other names."""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from dataclasses import replace

from hub.connect.registry import Registry
from hub.flows.active import flow_files
from hub.flows.context import MappingFolder
from hub.flows.lint import Project, lint
from hub.flows.source import FlowFile


def copies(count: int) -> list[FlowFile]:
    """Shipped flows again and again, each with a name and a file of its own. (They write the same: lint says so.)"""
    shipped = flow_files()
    made = []
    for number in range(count):
        file = shipped[number % len(shipped)]
        name = f"{file.name}-{number}"
        text = file.text.replace(f"flow: {file.name}\n", f"flow: {name}\n", 1)
        made.append(replace(file, name=name, file=f"flows/{name}.yaml", text=text))
    return made


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--flows", type=int, default=100)
    arguments.add_argument("--rounds", type=int, default=10)
    given = arguments.parse_args()
    registry = Registry.discover()
    for connector in registry:
        connector.check()
    taken, worked = [], []
    for _ in range(given.rounds):
        files = copies(given.flows)  # nothing that was read before is known
        start, busy = time.perf_counter(), time.process_time()
        findings = lint(Project(files, MappingFolder.standard(), registry))
        taken.append((time.perf_counter() - start) * 1_000)
        worked.append((time.process_time() - busy) * 1_000)
    # on a busy machine only the time of the processor says something
    spread = f"{min(taken):.0f} to {max(taken):.0f} in {given.rounds} rounds; {statistics.median(worked):.0f} ms of processor"
    rules = ", ".join(f"{count} {rule}" for rule, count in Counter(each.rule for each in findings).items())
    print(f"{given.flows} flows: {statistics.median(taken):.0f} ms ({spread}); findings: {rules}")


if __name__ == "__main__":
    main()
