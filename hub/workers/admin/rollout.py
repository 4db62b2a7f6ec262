"""Which version of a flow runs: looking, comparing, activating for all or for a share, and going back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.types import instant_text
from hub.flows import activation, versions
from hub.flows.activation import Candidates
from hub.flows.active import Active
from hub.flows.canary import Rule
from hub.flows.definition import Flow
from hub.flows.tables import Run
from hub.flows.versions import Stored, VersionRefused, short
from hub.workers.admin.core import change
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.paging import instant
from hub.workers.hub import Hub

_RUN = Run.__table__  # type: ignore[attr-defined]
_DAY_US = 86_400_000_000
#: words for versions beside their hashes
WORDS = ("active", "before", "canary", "files")


@dataclass(frozen=True)
class _Place:
    """A flow of one merchant: what runs, what is in the files, and what there was."""

    merchant_id: int
    flow: str
    active: Active
    files: Candidates
    row: Any
    canary: Any
    known: Mapping[str, Stored]

    def hash_of(self, word: str) -> str:
        """The version that a word or a part of a hash names. Raises: AdminError, NotThere."""
        found = {
            "active": self.row and self.row.version_hash,
            "before": self.row and self.row.before_hash,
            "canary": self.canary and self.canary.version_hash,
        }
        if word == "files":
            return self.candidate().version_hash
        if word in found:
            if found[word] is None:
                raise AdminError(f"flow {self.flow} has no version {word!r}")
            return str(found[word])
        candidate = self.files.get(self.flow)
        hashes = [*self.known, *([candidate.version_hash] if candidate is not None else [])]
        try:
            return versions.named(hashes, word, self.flow)
        except LookupError as error:
            raise NotThere(str(error)) from None

    def candidate(self) -> Flow:
        """The flow of the files. Raises: AdminError with what is wrong with it, NotThere."""
        found = self.files.get(self.flow)
        if found is None:
            problems = [str(problem) for problem in self.files.loaded.problems]
            if self.row is not None and self.files.broken(self.known[self.row.version_hash]):
                raise AdminError(f"flow {self.flow} does not lint: what runs goes on", problems)
            raise NotThere(f"no file has the flow {self.flow!r}")
        return found

    def text_of(self, word: str) -> tuple[str, str]:
        """The hash and the texts of a version."""
        version = self.hash_of(word)
        candidate = self.files.get(self.flow)
        if candidate is not None and candidate.version_hash == version:
            return version, candidate.version_text
        return version, self.known[version].text

    def runnable(self, version: str) -> Flow:
        """A version, ready to run. Raises: AdminError when it does not run any more."""
        candidate = self.files.get(self.flow)
        if candidate is not None and candidate.version_hash == version:
            return candidate
        try:
            return activation.runnable(self.known[version], self.active.settings.roles, self.files)
        except VersionRefused as refused:
            raise AdminError(f"{refused}. What runs goes on") from None


# -- looking ----------------------------------------------------------------------------------------------------


def listed(hub: Hub, *, merchant: int | None = None) -> dict[str, Any]:
    """The flows of all merchants or of one: what runs, since when and by whom, what the files say, the canary, and the runs
    of each version in the last day."""
    hub.notice()
    items: list[dict[str, Any]] = []
    for merchant_id in _merchants(hub, merchant):
        active = hub.as_activated(merchant_id)
        files = hub.flow_source.files(active.settings.roles)
        with hub.database.read() as connection:
            rows = activation.rows_of(connection, merchant_id)
            canaries = activation.running_canaries(connection, merchant_id)
            stored = versions.stored(connection, [row.version_hash for row in rows.values()])
            runs = _runs(connection, merchant_id, hub.clock() - _DAY_US)
        for flow in sorted({*rows, *(flow.name for flow in files.loaded.flows)}):
            row = rows.get(flow)
            items.append(
                {
                    "flow": flow,
                    "merchant": str(merchant_id),
                    "version": row and row.version_hash,
                    "since": instant(row and row.activated_at),
                    "by": row and row.activated_by,
                    "pinned": bool(row and row.pinned),
                    "before": row and row.before_hash,
                    "files": _in_files(files, flow, row and stored[row.version_hash]),
                    "canary": _canary(canaries.get(flow)),
                    "runs": runs.get(flow, []),
                }
            )
    return {"items": items, "problems": [str(problem) for problem in hub.problems]}


def _in_files(files: Candidates, flow: str, version: Stored | None) -> dict[str, Any]:
    """What the files have: the same version, another, one that does not lint, or none."""
    candidate = files.get(flow)
    if candidate is None:
        return {"state": "broken" if version is not None and files.broken(version) else "none", "version": None}
    same = version is not None and version.hash == candidate.version_hash
    return {"state": "same" if same else "differs", "version": candidate.version_hash}


def _canary(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "version": row.version_hash,
        "share": row.share,
        "rollback_if": row.rule,
        "since": instant_text(row.started_at),
        "by": row.started_by,
        **{name: getattr(row, name) for name in ("runs", "parked", "stable_runs", "stable_parked")},
    }


def _runs(connection: Connection, merchant_id: int, since: int) -> dict[str, list[dict[str, Any]]]:
    parked = sa.func.sum(sa.case((_RUN.c.state == "parked", 1), else_=0))
    rows = connection.execute(
        sa.select(_RUN.c.flow, _RUN.c.version_hash, sa.func.count(), parked)
        .where(_RUN.c.merchant_id == merchant_id, _RUN.c.started_at >= since)
        .group_by(_RUN.c.flow, _RUN.c.version_hash)
        .order_by(_RUN.c.flow, sa.func.max(_RUN.c.started_at).desc())
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for flow, version, count, errors in rows:
        found.setdefault(flow, []).append({"version": version, "runs": count, "parked": int(errors)})
    return found


def diff(
    hub: Hub, flow: str, *, a: str | None = None, b: str | None = None, merchant: int | None = None
) -> dict[str, Any]:
    """How two versions of a flow differ in all their texts. `a` alone is compared with what runs; without both what runs is
    compared with the files. Raises: AdminError, NotThere."""
    hub.notice()
    place = _place(hub, _merchants(hub, merchant)[0], flow)
    one, other = (a, b or "active") if a else ("active", b or "files")
    (before, old), (after, new) = place.text_of(one), place.text_of(other)
    return {
        "flow": flow,
        "a": before,
        "b": after,
        "diff": versions.difference(old, new, names=(short(before), short(after))),
    }


# -- changing ---------------------------------------------------------------------------------------------------


def activate(
    hub: Hub,
    flow: str,
    *,
    version: str | None = None,
    files: bool = False,
    share: int | None = None,
    rollback_if: str | None = None,
    merchant: int | None = None,
    by: str = "",
) -> dict[str, Any]:
    """Pins a version of a flow for all merchants or for one: by default the canary where one runs, else the one of the
    files. `share`, of 100, or `rollback_if`: as a canary, beside the active version, which is pinned. `files`: what the
    files say runs, now and from now on. Nothing is changed unless it can be for all. Raises: AdminError, NotThere."""
    rule = _rule(rollback_if)
    as_canary = share is not None or rule is not None
    if share is not None and not 1 <= share <= 100:
        raise AdminError(f"{share} % is no share: give 1 to 100")
    if files and (as_canary or version is not None):
        raise AdminError("`files` goes without a version, a share or a rule")
    hub.notice()
    places = list(_places(hub, merchant, flow))
    now = hub.clock()
    writes: list[Callable[[Connection], None]] = []
    for place in places:
        if files:
            writes.append(partial(_follow, place=place, flow=place.files.get(flow), now=now))
            continue
        word = version or ("canary" if place.canary is not None and not as_canary else "files")
        made = place.runnable(place.hash_of(word))
        if as_canary:
            _may_be_canary(place, made)
            writes.append(partial(_begin, hub=hub, place=place, flow=made, share=share or 100, rule=rule, by=by))
        else:
            writes.append(partial(_pin, place=place, flow=made, by=by, now=now))
    _write(hub, places, writes)
    return _told(hub, flow, places)


def rollback(hub: Hub, flow: str, *, merchant: int | None = None, by: str = "") -> dict[str, Any]:
    """Takes back the last activation: a canary ends, else the version that ran before runs again and is pinned. For all
    merchants the canaries go first: where any runs, only they end. Raises: AdminError, NotThere."""
    hub.notice()
    places = list(_places(hub, merchant, flow))
    with_canary = [place for place in places if place.canary is not None]
    now = hub.clock()
    if with_canary:
        _write(hub, with_canary, [partial(_end, place=place, now=now) for place in with_canary])
        return _told(hub, flow, with_canary)
    made = [place.runnable(place.hash_of("before")) for place in places]
    _write(
        hub,
        places,
        [partial(_pin, place=place, flow=earlier, by=by, now=now) for place, earlier in zip(places, made, strict=True)],
    )
    return _told(hub, flow, places)


def _write(hub: Hub, places: Sequence[_Place], writes: Sequence[Callable[[Connection], None]]) -> None:
    """Each under the lock of its merchant's book: no batch counts for a canary meanwhile."""
    for place, write in zip(places, writes, strict=True):
        with change(hub, place.merchant_id) as changing:
            changing.then(write)


def _rule(text: str | None) -> Rule | None:
    try:
        return Rule.parse(text) if text is not None else None
    except ValueError as error:
        raise AdminError(str(error)) from None


def _may_be_canary(place: _Place, made: Flow) -> None:
    if place.row is None:
        raise AdminError(f"flow {place.flow} runs no version yet that the others could go on with: activate it for all")
    if made.version_hash == place.row.version_hash:
        raise AdminError(f"version {short(made.version_hash)} of flow {place.flow} runs already, for all")
    reason = activation.differs(made, place.runnable(place.row.version_hash))
    if reason is not None:
        raise AdminError(f"version {short(made.version_hash)} of flow {place.flow} cannot be a canary: {reason}")


def _pin(connection: Connection, place: _Place, flow: Flow, by: str, now: int) -> None:
    promoted = place.canary is not None and place.canary.version_hash == flow.version_hash
    activation.end_canary(connection, place.merchant_id, place.flow, "promoted" if promoted else "ended", now)
    versions.keep(connection, [flow], now)
    activation.put(connection, place.merchant_id, place.flow, flow.version_hash, by=by, pinned=True, now=now)
    activation.bump(connection, place.merchant_id)


def _begin(connection: Connection, hub: Hub, place: _Place, flow: Flow, share: int, rule: Rule | None, by: str) -> None:
    now = hub.clock()
    versions.keep(connection, [flow], now)
    activation.start_canary(
        connection,
        {
            "id": hub.database.ids.next(),
            "merchant_id": place.merchant_id,
            "flow": place.flow,
            "version_hash": flow.version_hash,
            "share": share,
            "rule": str(rule) if rule is not None else None,
            "recent": "",
            "started_at": now,
            "started_by": by,
        },
    )
    activation.bump(connection, place.merchant_id)


def _follow(connection: Connection, place: _Place, flow: Flow | None, now: int) -> None:
    activation.end_canary(connection, place.merchant_id, place.flow, "ended", now)
    if flow is not None:
        versions.keep(connection, [flow], now)
        who = activation.FILES
        activation.put(connection, place.merchant_id, place.flow, flow.version_hash, by=who, pinned=False, now=now)
    elif place.row is not None and place.files.broken(place.known[place.row.version_hash]):
        activation.unpin(connection, place.merchant_id, place.flow)
    else:
        activation.drop(connection, place.merchant_id, place.flow)
    activation.bump(connection, place.merchant_id)


def _end(connection: Connection, place: _Place, now: int) -> None:
    activation.end_canary(connection, place.merchant_id, place.flow, "ended", now)
    activation.bump(connection, place.merchant_id)


def _told(hub: Hub, flow: str, places: list[_Place]) -> dict[str, Any]:
    """What runs now, of the merchants that something was changed for. This process runs it at once."""
    hub.notice()
    changed = {str(place.merchant_id) for place in places}
    found = listed(hub)
    return {"items": [item for item in found["items"] if item["flow"] == flow and item["merchant"] in changed]}


# -- finding ----------------------------------------------------------------------------------------------------


def _merchants(hub: Hub, merchant: int | None) -> list[int]:
    there = hub.merchants()
    if merchant is None:
        return there
    if merchant not in there:
        raise NotThere(f"there is no merchant {merchant}: there are {', '.join(map(str, there))}")
    return [merchant]


def _places(hub: Hub, merchant: int | None, flow: str) -> Iterator[_Place]:
    for merchant_id in _merchants(hub, merchant):
        yield _place(hub, merchant_id, flow)


def _place(hub: Hub, merchant_id: int, flow: str) -> _Place:
    active = hub.as_activated(merchant_id)
    files = hub.flow_source.files(active.settings.roles)
    with hub.database.read() as connection:
        rows = activation.rows_of(connection, merchant_id)
        canaries = activation.running_canaries(connection, merchant_id)
        known = {version.hash: version for version in versions.of_flow(connection, flow)}
    if flow not in rows and not known and files.get(flow) is None:
        there = sorted({*rows, *(each.name for each in files.loaded.flows)})
        problems = [str(problem) for problem in files.loaded.problems]
        raise AdminError(f"there is no flow {flow!r} that lints: there are {', '.join(there) or 'none'}", problems)
    return _Place(merchant_id, flow, active, files, rows.get(flow), canaries.get(flow), known)
