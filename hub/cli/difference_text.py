"""What two versions of flows do differently, for people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub.workers.effect_diff import Change, Difference, EffectDiff

#: orders and fields of one effect that are shown; `--json` has all
_ORDERS, _FIELDS, _WIDTH = 50, 12, 100
_SIGNS = {"new": "+", "gone": "-", "changed": "~"}


def text(made: EffectDiff) -> Iterator[str]:
    """An effect diff, line by line: whose, which, and what it says now and would say then."""
    yield f"{made.events} events: now by {made.current}, then by {made.candidate}. Nothing was booked or sent."
    for line in made.assumed:
        yield f"Assumed: {line}"
    if not made.differences:
        same = sum(counts["same"] for counts in made.counts.values())
        yield f"No difference in {same} effects."
        return
    groups = [(about, list(group)) for about, group in groupby(made.differences, key=lambda each: each.about)]
    for about, group in groups[:_ORDERS]:
        yield ""
        yield about
        for each in group:
            yield from _difference(each)
    if len(groups) > _ORDERS:
        yield ""
        yield f"and {len(groups) - _ORDERS} more: --json shows all"
    yield ""
    yield "In all"
    for kind in sorted(made.counts):
        counts = made.counts[kind]
        yield f"  {kind}: " + ", ".join(
            f"{counts[how]} {how}" for how in ("changed", "new", "gone", "same") if counts[how]
        )


def _difference(each: Difference) -> Iterator[str]:
    yield f"  {_SIGNS[each.how]} {each.name}"
    for change in each.changes[:_FIELDS]:
        yield f"      {_change(change, each.how)}"
    if len(each.changes) > _FIELDS:
        yield f"      and {len(each.changes) - _FIELDS} more fields"


def _change(change: Change, how: str) -> str:
    if how == "changed":
        return f"{change.path}: {_short(change.now)} -> {_short(change.then)}"
    return f"{change.path}: {_short(change.then if how == 'new' else change.now)}"


def _short(value: Any) -> str:
    from hub.connect import payload

    shown = value if isinstance(value, str) else payload.canonical(value)
    shown = " ".join(shown.split())
    return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 1]}…"
