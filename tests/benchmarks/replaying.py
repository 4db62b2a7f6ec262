"""`python -m tests.benchmarks.replaying [ORDERS]`: recorded orders through two versions of flows, and their effect diff."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from hub.workers.effect_diff import EffectDiff, of_inbox
from hub.workers.rerun import Version
from tests.benchmarks.books import Books


def measure(orders: int) -> None:
    """Fills an inbox, replays it by the shipped flows and by an edited mapping, and prints one line."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        home, candidate = Path(folder) / "home", Path(folder) / "candidate"
        books = Books.open(home)
        for start in range(0, orders, 1000):
            books.fill(min(1000, orders - start))
        books.close()
        mapping = candidate / "mappings" / "http" / "invoice.yaml"
        mapping.parent.mkdir(parents=True)
        text = (home / "mappings" / "http" / "invoice.yaml").read_text("utf-8")
        mapping.write_text(text.replace("quantity: line.quantity", "quantity: line.quantity + 1"), "utf-8")
        for kind, name in (
            ("mappings", "http/order.yaml"),
            *(("flows", file.name) for file in (home / "flows").iterdir()),
        ):
            (candidate / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (candidate / kind / name).write_text((home / kind / name).read_text("utf-8"), "utf-8")
        began, cpu = time.perf_counter(), _processor()
        made = of_inbox(
            f"sqlite:///{home / 'hub.sqlite'}",
            Version("now", home),
            Version("then", candidate),
            since=None,
            until=None,
            skip_erased=False,
        )
        assert isinstance(made, EffectDiff)
        wall, cpu = time.perf_counter() - began, _processor() - cpu
        counts = {kind: dict(each) for kind, each in made.counts.items()}
        print(f"{orders} orders, two versions: {wall:.1f} s by the clock, {cpu:.1f} s of processor; {counts}")
        assert made.counts["deliveries"]["changed"] == orders


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
