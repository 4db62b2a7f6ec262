"""What two versions of flows would do differently: their effects side by side, with the fields that differ."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from hub.connect import payload
from hub.core.time import given_instant
from hub.workers.effects import Effect
from hub.workers.recorded import HomeError, Window, World, read_world, refusal, window
from hub.workers.rerun import FlowsRefused, Rerun, Version, rerun
from hub.workers.simulate import Files, Simulation, effects_of, simulated

#: events from which on the two versions are worked by a process each: starting one takes a second
_WORTH_A_PROCESS = 500


@dataclass(frozen=True)
class Change:
    """A field that differs; null where one side has none."""

    path: str
    now: Any
    then: Any


@dataclass(frozen=True)
class Difference:
    """An effect that only one version has (`gone`, `new`), or that says something else (`changed`)."""

    about: str
    kind: str
    name: str
    how: str
    changes: tuple[Change, ...]


@dataclass
class EffectDiff:
    """All differences, in order. `counts`: kind of effect to how many are `same`, `changed`, `new` and `gone`."""

    current: str
    candidate: str
    events: int
    assumed: list[str]
    differences: list[Difference] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same as one document."""
        return {
            "current": self.current,
            "candidate": self.candidate,
            "events": self.events,
            "assumed": self.assumed,
            "counts": {kind: dict(sorted(self.counts[kind].items())) for kind in sorted(self.counts)},
            "differences": [
                {
                    "about": each.about,
                    "kind": each.kind,
                    "name": each.name,
                    "how": each.how,
                    "changes": [{"path": one.path, "now": one.now, "then": one.then} for one in each.changes],
                }
                for each in self.differences
            ],
        }


def of_files(files: Files, now: Version, then: Version, world: World) -> EffectDiff:
    """What two versions make of files. Raises: OSError, FlowsRefused, UnknownRecord."""
    before, came_in = effects_of(files, now, world)
    after, _ = effects_of(files, then, world)
    return compare(before, after, EffectDiff(now.name, then.name, came_in, []))


def of_inbox(
    url: str, now: Version, then: Version | None, *, since: str | None, until: str | None, skip_erased: bool
) -> Simulation | EffectDiff:
    """What two versions make of the recorded events of a hub; without a second, what the one makes of them. `since` and
    `until` are days in the book's zone or instants. Raises: FlowsRefused, HomeError, ValueError."""
    zone = read_world(url).zone
    begin, end = (given_instant(text, zone) if text is not None else None for text in (since, until))
    chosen = window(url, since=begin, until=end)
    if chosen.erased and not skip_erased:
        raise HomeError(refusal(chosen))
    world = read_world(url, since=begin or 0)
    if then is None:
        return simulated(now, world, url, chosen)
    made = EffectDiff(now.name, then.name, chosen.events, _assumed(chosen, since))
    before, after = rerun_both((now, then), world, url, chosen)
    if worse := [problem for problem in after.problems if problem not in before.problems]:
        raise FlowsRefused(worse)
    if before.problems:
        names = ", ".join(dict.fromkeys(problem.file for problem in before.problems))
        made.assumed.append(f"what does not load runs neither now nor then: {names}")
    return compare(before.effects, after.effects, made)


def _assumed(chosen: Window, since: str | None) -> list[str]:
    """What the hub's past does not tell."""
    found = []
    if since is not None:
        found.append(
            f"stock as it was on {since}, less what was reserved then; orders from before come in anew where they changed"
        )
    if chosen.erased:
        found.append(f"{len(chosen.erased)} events that were erased are left out")
    if chosen.unread:
        found.append(f"{chosen.unread} records that were not read yet are left out")
    return found


def rerun_both(versions: Sequence[Version], world: World, url: str, chosen: Window) -> list[Rerun]:
    """What each version makes of the events; many events are worked by a process for each. Raises: HomeError."""
    if chosen.events < _WORTH_A_PROCESS or len(versions) == 1:
        return [rerun(version, world, url, chosen) for version in versions]
    # a fresh process: one that was forked would have the locks and connections of this one
    with ProcessPoolExecutor(len(versions), mp_context=multiprocessing.get_context("spawn")) as pool:
        started = [pool.submit(rerun, version, world, url, chosen) for version in versions]
        return [each.result() for each in started]


def compare(now: Sequence[Effect], then: Sequence[Effect], made: EffectDiff) -> EffectDiff:
    """Adds the differences between two sorted lists of effects."""
    for before, after in _pairs(now, then):
        known = before or after
        assert known is not None
        counts = made.counts.setdefault(known.kind, Counter())
        if before is not None and after is not None:
            if before.text == after.text:
                counts["same"] += 1
                continue
            changes, how = tuple(_changes(_read(before), _read(after), "")), "changed"
        else:
            how = "new" if before is None else "gone"
            sides = ({}, _read(known)) if before is None else (_read(known), {})
            changes = tuple(_changes(*sides, ""))
        counts[how] += 1
        made.differences.append(Difference(known.about, known.kind, known.name, how, changes))
    return made


def _pairs(now: Sequence[Effect], then: Sequence[Effect]) -> Iterator[tuple[Effect | None, Effect | None]]:
    """Effects of one name on both sides; null where a side has none."""
    left, right = iter(now), iter(then)
    before, after = next(left, None), next(right, None)
    while before is not None or after is not None:
        order = _order(before, after)
        yield before if order <= 0 else None, after if order >= 0 else None
        if order <= 0:
            before = next(left, None)
        if order >= 0:
            after = next(right, None)


def _order(before: Effect | None, after: Effect | None) -> int:
    if before is None or after is None:
        return 1 if before is None else -1
    one, other = ((each.about, each.kind, each.name) for each in (before, after))
    return (one > other) - (one < other)


def _read(effect: Effect) -> dict[str, Any]:
    value = payload.decode(effect.text.encode())
    assert isinstance(value, dict)
    return value


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    if _are(dict, before, after):
        before, after = before or {}, after or {}
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif _are(list, before, after):
        before, after = before or [], after or []
        for place in range(max(len(before), len(after))):
            one, other = (each[place] if place < len(each) else None for each in (before, after))
            yield from _changes(one, other, f"{path}[{place}]")
    elif before != after or type(before) is not type(after):
        yield Change(path, before, after)


def _are(kind: type, before: Any, after: Any) -> bool:
    """Whether both are of a kind, or one is and the other is not there: then its parts are what differs."""
    return all(isinstance(each, kind) or each is None for each in (before, after)) and before is not after
