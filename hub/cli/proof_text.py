"""A proof in words: what holds, what is open, what is wrong and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.cli.output import print_table

#: deliveries that need nothing more
_OVER = ("confirmed", "superseded", "observed")


def print_proof(result: Mapping[str, Any], checkpoints: int) -> None:
    """The proof of the hub's own rows."""
    effects, deliveries, events = result["effects"], result["deliveries"], result["events"]
    lines = [
        ("effects", f"{effects['count']} confirmed, each once, in a whole chain", ("effect", "head")),
        ("deliveries", _counted(deliveries, _OVER), ("delivery",)),
        ("events", _counted(events, ("done",)), ("event",)),
        ("documents", "numbers without gap; lines and entries agree", ("document", "order", "number")),
        ("books", "entries, chain and balances are right", ("entry", "chain", "balance", "posting")),
        ("stock", "levels are what the moves make", ("stock", "reservation")),
    ]
    if checkpoints:
        lines.append(("checkpoints", f"the logs begin with {checkpoints}", ("checkpoint",)))
    for name, text, checks in lines:
        count = sum(number for check, number in result["counts"].items() if check.split(".")[0] in checks)
        print(f"{name:<12} {'WRONG' if count else 'ok   '}  {_faults(count) if count else text}")
    if result["open"]:
        print("\nOpen:")
        print_table(result["open"], ["what", "state", "about", "reason", "question"])
    _print_faults(result)
    print("\nProven." if result["ok"] else f"\nNOT proven: {_in_all(result)}.")


def print_remote(result: Mapping[str, Any]) -> None:
    """The comparison with the connected systems."""
    print("\nCompared with the systems:")
    print_table(result["compared"], ["connection", "operation", "here", "there", "others"])
    for each in result["not_compared"]:
        print(f"not comparable: {each['connection']} {each['operation']}, {each['here']} confirmed: {each['why']}")
    _print_faults(result)
    print("\nThe systems agree." if result["ok"] else f"\nThe systems do NOT agree: {_in_all(result)}.")


def _print_faults(result: Mapping[str, Any]) -> None:
    if result["faults"]:
        print("\nFaults:")
        print_table(result["faults"], ["check", "seq", "delivery", "message"])
        hidden = sum(result["counts"].values()) - len(result["faults"])
        if hidden > 0:
            print(f"and {hidden} more of the same kinds")


def _counted(counts: Mapping[str, int], over: tuple[str, ...]) -> str:
    first = [f"{counts[state]} {state}" for state in over if counts.get(state)]
    rest = [f"{count} {state}" for state, count in sorted(counts.items()) if state not in over]
    return ", ".join(first + rest) or "none"


def _in_all(result: Mapping[str, Any]) -> str:
    return _faults(sum(result["counts"].values()))


def _faults(count: int) -> str:
    return "1 fault" if count == 1 else f"{count} faults"
