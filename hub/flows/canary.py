"""Canaries: a version that a share of the ordering keys runs first, and the rule that withdraws it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.plan import Plan, Row, Source
from hub.flows.definition import Flow
from hub.flows.tables import FlowCanary, FlowStamp, Run
from hub.flows.versions import short
from hub.inbox.questions import raise_question

CANARY = FlowCanary.__table__  # type: ignore[attr-defined]
STAMP = FlowStamp.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
#: kind of the question that a withdrawn canary raises
WITHDRAWN = "flow.withdrawn"
_RULE = re.compile(r"errors\s*>\s*(\d{1,2}(?:\.\d{1,3})?)\s*%\s*of\s*(\d{1,4})")
_MOST_RUNS = 1000


@dataclass(frozen=True)
class Rule:
    """More than `percent` of the last `runs` runs were parked. It holds as soon as that is certain: the third error of
    `errors > 5% of 50` decides, however many runs there were."""

    percent: Decimal
    runs: int

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Raises: ValueError that says how a rule is written."""
        found = _RULE.fullmatch(text.strip())
        if found is None or not 1 <= int(found[2]) <= _MOST_RUNS:
            raise ValueError(f"{text!r} is not a rule: write `errors > 5% of 50`, of 1 to {_MOST_RUNS} runs")
        return cls(Decimal(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"errors > {self.percent}% of {self.runs}"

    def holds(self, recent: str) -> bool:
        """Whether the canary goes. `recent`: its runs in order, `x` for a parked one."""
        return recent[-self.runs :].count("x") * 100 > self.percent * self.runs


@dataclass(frozen=True)
class Canary:
    """A running canary. Of 100 ordering keys it takes `share`, always the same ones; a larger share takes more."""

    flow: Flow
    share: int
    rule: Rule | None

    def takes(self, key: str) -> bool:
        """Whether events of an ordering key (of a core event: its subject) run it."""
        digest = hashlib.blake2b(f"{self.flow.name}\n{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 100 < self.share


def _running(connection: Connection, merchant_id: int, flows: Sequence[str]) -> Mapping[Any, Row]:
    rows = connection.execute(
        sa.select(CANARY).where(
            CANARY.c.merchant_id == merchant_id,
            # the condition of the partial index, word for word
            sa.text("flow_canary.state = 'running'"),
            CANARY.c.flow.in_(list(flows)),
        )
    ).mappings()
    return {row["flow"]: dict(row) for row in rows}


def _stamps(connection: Connection, merchant_id: int, ids: Sequence[int]) -> Mapping[Any, Row]:
    rows = connection.execute(sa.select(STAMP).where(STAMP.c.id.in_(list(ids)))).mappings()
    return {row["id"]: dict(row) for row in rows}


#: running canaries by flow
RUNNING = Source("flow_canary", _running)
_STAMPS = Source("flow_stamp", _stamps)


def observe(plan: Plan, canaries: Mapping[str, Canary]) -> None:
    """Counts the runs of a batch, in its transaction, and withdraws each canary whose rule holds now: the version that is
    pinned runs from the next batch on. Costs nothing while there is no canary."""
    if not canaries:
        return
    by_flow: dict[str, list[Row]] = {}
    for run in plan.planned(_RUN):
        if run["flow"] in canaries:
            by_flow.setdefault(run["flow"], []).append(run)
    plan.preload(RUNNING, by_flow)
    for flow, runs in by_flow.items():
        canary, row = canaries[flow], plan.get(RUNNING, flow)
        if row is None or row["version_hash"] != canary.flow.version_hash:
            continue  # it was ended while the batch was prepared: its runs finish on their version
        _count(plan, row, runs, canary.rule)
        if canary.rule is not None and canary.rule.holds(row["recent"]):
            _withdraw(plan, row, canary)


def _count(plan: Plan, row: Row, runs: Sequence[Row], rule: Rule | None) -> None:
    own = ["x" if run["state"] == "parked" else "." for run in runs if run["version_hash"] == row["version_hash"]]
    others = [run["state"] == "parked" for run in runs if run["version_hash"] != row["version_hash"]]
    kept = (row["recent"] + "".join(own))[-(rule.runs if rule is not None else 1) :]
    plan.update(
        CANARY,
        row,
        recent=kept,
        runs=row["runs"] + len(own),
        parked=row["parked"] + own.count("x"),
        stable_runs=row["stable_runs"] + len(others),
        stable_parked=row["stable_parked"] + sum(others),
    )


def _withdraw(plan: Plan, row: Row, canary: Canary) -> None:
    plan.update(CANARY, row, state="withdrawn", ended_at=plan.now)
    plan.put(RUNNING, row["flow"], None)
    changed(plan)
    version, parked = short(row["version_hash"]), row["recent"].count("x")
    raise_question(
        plan,
        kind=WITHDRAWN,
        subject=f"flow:{row['flow']}:{version}",
        reason=(
            f"version {version} of flow {row['flow']} was withdrawn: {parked} of its last {len(row['recent'])} runs were "
            f"parked ({canary.rule}). The version that is pinned runs for all again; meanwhile it parked "
            f"{row['stable_parked']} of {row['stable_runs']} runs"
        ),
        details={
            "flow": row["flow"],
            "version": row["version_hash"],
            "rule": str(canary.rule),
            **{name: row[name] for name in ("share", "runs", "parked", "stable_runs", "stable_parked")},
        },
        answers=[
            {"answer": "replay", "text": "Work what it parked again, on the version that runs now"},
            {"answer": "close", "text": "It is seen to"},
        ],
    )


def changed(plan: Plan) -> None:
    """Has every process notice that something else runs now."""
    stamp = plan.get(_STAMPS, plan.merchant_id)
    if stamp is not None:
        plan.increment(STAMP, stamp, changes=1)
