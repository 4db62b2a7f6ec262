"""Plays the demo and prints what came of it."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hub.cli.demo.compare import Comparison, compare
from hub.cli.demo.plant import FAULTS, plant
from hub.cli.demo.play import Play
from hub.cli.demo.stage import DemoFailed, Stage

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def show(*, orders: int, keep: bool, fault: str | None) -> int:
    """Runs the demo. Returns 0 only if shop, hub and QuickBooks agree and the hub proves what it did."""
    if fault is not None and fault not in FAULTS:
        print(f"nothing is called {fault!r}: one of {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    # Ctrl-C, `kill` and a terminal that closes: the processes end in order, and the folder goes
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stopped)
    folder = Path(tempfile.mkdtemp(prefix="hub-demo-"))
    began = time.monotonic()
    failed = True
    try:
        with Stage(folder) as stage:
            play = Play(stage, orders, tell=_tell)
            try:
                play.run()
                if fault is not None:
                    plant(stage, fault)
                comparison = compare(stage)
                proven = stage.cli("prove", "--remote")
            except DemoFailed as error:
                print(f"\nThe demo failed: {error}", file=sys.stderr)
                _keep_logs(folder)
                return 1
            _print(play, comparison, proven, time.monotonic() - began)
            failed = bool(comparison.differences) or not proven["ok"]
            if keep:
                _wait(stage, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _stopped(number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # a second one must not leave half of it behind
    raise SystemExit(128 + number)


def _tell(text: str) -> None:
    print(f"  {text} ...", flush=True)


def _print(play: Play, comparison: Comparison, proven: dict[str, Any], seconds: float) -> None:
    print("\nWhat was done")
    _table(["step", "count", "seconds"], [(act.name, act.count, f"{act.seconds:.1f}") for act in play.acts])
    print("\nQuestions the hub asked (a person answers them; nothing was lost meanwhile)")
    _table(["kind", "about"], [(each["kind"], each["reason"]) for each in play.questions])
    print("\nShop, hub and books")
    _table(["", "shop", "hub", "QuickBooks"], comparison.rows)
    for difference in comparison.differences:
        print(f"  DIFFERENT: {difference}")
    remote = proven["remote"]
    faults = [*proven["faults"], *remote["faults"]]
    if not faults:
        compared = sum(each["here"] for each in remote["compared"])
        print(
            f"\nhub prove: {proven['effects']['count']} effects are confirmed, each once, in a whole log; {compared} records are "
            "in the systems' own lists, once and with the same figures."
        )
        for each in remote["not_compared"]:
            print(f"  not comparable: {each['here']} {each['operation']}: {each['why']}")
        print("hub verify: the ledger, the stock, the documents and the effect log are whole.")
    else:
        print("\nhub prove found faults:")
        for fault in faults:
            print(f"  {fault['check']}: {fault['message']}")
    agree = "agree to the cent" if not comparison.differences else "do NOT agree"
    print(f"Shop, hub and QuickBooks {agree}. {seconds:.0f} s in all.")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for number, line in enumerate(lines):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def _keep_logs(folder: Path) -> None:
    for file in sorted(folder.glob("*.log")):
        text = file.read_text(errors="replace").strip()
        if text:
            print(f"--- {file.name} (end)\n{text[-1500:]}", file=sys.stderr)


def _wait(stage: Stage, folder: Path) -> None:
    print(f"\nLeft running until you press Ctrl-C. Home: {folder / 'home'}")
    print(f"  hub          {stage.cli('login')['url']}")
    for name, address in stage.sandboxes.items():
        print(f"  {name:<12} {address}")
    try:
        signal.pause()
    except SystemExit:
        print()
