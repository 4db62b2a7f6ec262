"""Coming to rest: the faults are over; webhooks that are left are delivered, polls find the others, until nothing moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .invariants import Broken
from .stage import POLLED

if TYPE_CHECKING:
    from .schedule import Schedule

_ROUNDS = 150
#: when something is due next that cannot be done now: a retry, or what a process left that is gone
_LATER = (
    "SELECT min(at) AS at FROM ("
    "SELECT next_attempt_at AS at FROM delivery WHERE state IN ('planned', 'retry') "
    "UNION ALL SELECT lease_until FROM delivery WHERE state = 'sending' "
    "UNION ALL SELECT next_attempt_at FROM inbox WHERE state IN ('retry', 'fetch') "
    "UNION ALL SELECT probe_at FROM connection WHERE down_since IS NOT NULL "
    "UNION ALL SELECT lane.until FROM lane JOIN inbox ON inbox.lane = lane.lane "
    "WHERE inbox.state = 'ready' AND lane.owner IS NOT NULL) WHERE at > :now"
)
_OPEN = (
    "SELECT 'event', CAST(seq AS TEXT), state, outcome FROM inbox WHERE state IN ('fetch', 'ready', 'retry') "
    "UNION ALL SELECT 'delivery', operation || ' ' || key, state, reason FROM delivery "
    "WHERE state IN ('planned', 'retry', 'sending')"
)


def come_to_rest(schedule: Schedule) -> None:
    """Raises: Broken when something never ends."""
    stage = schedule.stage
    schedule.note("rest")
    for round_ in range(_ROUNDS):
        if round_ == 1:
            schedule.note("paid", schedule.customers.pay_what_is_due())
        moved = _work(schedule)
        if round_ < 3:
            moved = True
            for role, record in POLLED:
                schedule.poll(schedule.chance.choice(stage.processes), role, record)
        [(later,)] = stage.rows(_LATER, now=stage.clock.now)
        if later is not None:
            stage.clock.now = max(stage.clock.now + 1_000_000, int(later))
        elif not moved:
            return
        else:
            stage.clock.now += 1_000_000
    raise Broken(f"it never comes to rest: {[tuple(row) for row in stage.rows(_OPEN)][:5]}")


def _work(schedule: Schedule) -> bool:
    """All that can be done now. Returns whether there was anything."""
    stage, moved = schedule.stage, False
    while True:
        did = bool(stage.wire.waiting)
        while stage.wire.waiting:
            process = schedule.chance.choice(stage.processes)
            schedule.note(f"{process.name} webhook", schedule.deliver(process))
        for process in stage.processes:
            for job, work in process.jobs().items():
                if job != "sweep":
                    did = bool(process.step(work)) or did
            process.step(process.hub.outbox.sweep)
            schedule.invariants.check()
        moved = moved or did
        if not did:
            return moved
