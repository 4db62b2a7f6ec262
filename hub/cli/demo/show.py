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

from hub.cli.demo.compare import Comparison, compare
from hub.cli.demo.play import Play
from hub.cli.demo.stage import DemoFailed, Stage

#: what `--plant` spoils: (sandbox, control action, its settings)
PLANTS = {
    "cent": ("quickbooks", "tamper", {"entity": "invoice", "id": "3", "action": "add_cent"}),
    "deleted": ("quickbooks", "tamper", {"entity": "invoice", "id": "3", "action": "delete"}),
    "doubled": ("quickbooks", "tamper", {"entity": "invoice", "id": "3", "action": "duplicate"}),
    "unit": ("shopify", "inventory", {"sku": "BOL-01", "delta": 1}),
}


def show(*, orders: int, keep: bool, plant: str | None) -> int:
    """Runs the demo. Returns 0 only if shop, hub and QuickBooks agree and the books verify."""
    if plant is not None and plant not in PLANTS:
        print(f"nothing is called {plant!r}: one of {', '.join(PLANTS)}", file=sys.stderr)
        return 2
    # a terminal that closes or a `kill` ends the processes in order, too
    signal.signal(signal.SIGTERM, _stopped)
    folder = Path(tempfile.mkdtemp(prefix="hub-demo-"))
    began = time.monotonic()
    failed = True
    try:
        with Stage(folder) as stage:
            play = Play(stage, orders, tell=_tell)
            try:
                play.run()
                if plant is not None:
                    sandbox, action, settings = PLANTS[plant]
                    if plant == "unit":
                        stage.hub("POST", "/api/connections/shop/mode", json={"mode": "paused"})
                    stage.sandbox(sandbox, action, settings)
                comparison = compare(stage)
                verified = stage.cli("verify")
            except DemoFailed as error:
                print(f"\nThe demo failed: {error}", file=sys.stderr)
                _keep_logs(folder)
                return 1
            _print(play, comparison, verified, time.monotonic() - began)
            failed = bool(comparison.differences) or not verified["ok"]
            if keep:
                _wait(stage, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _stopped(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


def _tell(text: str) -> None:
    print(f"  {text} ...", flush=True)


def _print(play: Play, comparison: Comparison, verified: dict[str, object], seconds: float) -> None:
    print("\nWhat was done")
    _table(["step", "count", "seconds"], [(act.name, act.count, f"{act.seconds:.1f}") for act in play.acts])
    print("\nQuestions the hub asked (a person answers them; nothing was lost meanwhile)")
    _table(["kind", "about"], [(each["kind"], each["reason"]) for each in play.questions])
    print("\nShop, hub and books")
    _table(["", "shop", "hub", "QuickBooks"], comparison.rows)
    for difference in comparison.differences:
        print(f"  DIFFERENT: {difference}")
    faults = verified["faults"]
    assert isinstance(faults, list)
    if verified["ok"]:
        print("\nhub verify: the ledger, the stock, the documents and the effect log are whole.")
    else:
        print("\nhub verify found faults:")
        for fault in faults:
            print(f"  {fault['check']}: {fault['place']}: {fault['message']}")
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
    print(f"  hub         {stage.cli('login')['url']}")
    for name, address in stage.sandboxes.items():
        print(f"  {name:<11} {address}")
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()
