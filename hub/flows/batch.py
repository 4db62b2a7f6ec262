"""One batch: claimed events are prepared, worked one after the other on an in-memory plan, and written in one transaction.

An event or a subscriber that is refused drops its part of the plan. If the database refuses the batch, or anything
else in it fails, its events are done again in one transaction each, and only an event that fails alone is parked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from hub.connect import payload
from hub.core.ledger.book import BookLocks, lock_book
from hub.core.ledger.tables import WRITE_ORDER as LEDGER
from hub.core.plan import CoreEvent, Plan, PlanConflict
from hub.core.sales.tables import WRITE_ORDER as SALES
from hub.core.stock.tables import WRITE_ORDER as STOCK
from hub.db import refusals
from hub.db.engine import Database, Unavailable
from hub.flows import readback
from hub.flows.activation import kept_by, load_earlier
from hub.flows.active import Active
from hub.flows.canary import CANARY, STAMP, observe
from hub.flows.definition import Flow
from hub.flows.prepare import Prepared, prepare_event
from hub.flows.run import (
    REFUSALS,
    Parked,
    Run,
    Stop,
    Trigger,
    Wanted,
    apply,
    prepare,
    question_of,
    rehearse,
    start,
)
from hub.flows.tables import Run as RunTable
from hub.inbox import claim, fetches, lanes
from hub.inbox.arrivals import from_core
from hub.inbox.claim import Claim, Event
from hub.inbox.error_class import ErrorClass, class_of
from hub.inbox.questions import QUESTION, raise_question, resolve_question
from hub.inbox.receive import row_of
from hub.inbox.reconnect import CONNECTION, ask_to_reconnect
from hub.inbox.tables import READ_KINDS
from hub.observe import metrics, traces
from hub.observe.personal import without_people
from hub.observe.steps import step
from hub.outbox import plan as outbox_plan

_RUN = RunTable.__table__  # type: ignore[attr-defined]
_log = structlog.get_logger("hub.flows")
#: parents first
WRITE_ORDER = (
    *STOCK,
    *LEDGER,
    *SALES,
    _RUN,
    CANARY,
    STAMP,
    QUESTION,
    *outbox_plan.WRITE_ORDER,
    readback.INBOX,
    CONNECTION,
)
#: a subscriber that runs at the end of its batch: the flow, what it answers, the event behind it
Later = tuple[Flow, CoreEvent, Event]
#: core events that the subscribers of one event may cause, so that flows that feed each other end in a question
MAX_CHAIN = 200
#: how often an event is tried alone when what it read is changed under it
MAX_ALONE = 3


@dataclass(frozen=True)
class Outcome:
    """What came of an event: `done`, `parked`, `fetch` when something is to be read first, or `ready` when it has to wait
    for an earlier one; and why. `error_class`: of what it is parked for."""

    state: str
    reason: str | None
    error_class: str | None = None


@dataclass
class Held:
    """Ordering keys with an event that was parked, or that waits for a read, before others of the batch."""

    parked: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)

    def by(self, event: Event, active: Active) -> str | None:
        """Why an event has to wait."""
        if event.ordering_key in self.waiting:
            return "an earlier event of its key waits for a read"
        if event.ordering_key in self.parked and (event.connection_id or 0, event.record) in active.strict:
            return "an earlier event of its key is parked"
        return None

    def after(self, event: Event, outcome: Outcome) -> None:
        """Remembers what came of an event."""
        if outcome.state == "parked":
            self.parked.add(event.ordering_key)
        elif outcome.state == "fetch":
            self.waiting.add(event.ordering_key)


class Batch:
    """Works claimed events of one merchant."""

    def __init__(self, database: Database, locks: BookLocks, clock: Callable[[], int]) -> None:
        self._database = database
        self._locks = locks
        self._clock = clock

    def work(self, claimed: Claim, active: Active) -> list[Outcome]:
        """Prepares, applies and writes a batch. Raises: LeaseLost when another worker took over, Unavailable when the
        database cannot be reached; nothing is written then, or only some events, each as a whole."""
        began, began_ns = time.perf_counter(), traces.now_ns()
        outcomes = self._work(claimed, active)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - began)
        metrics.BATCH_EVENTS.observe(len(outcomes))
        metrics.count(metrics.EVENTS, [(outcome.state,) for outcome in outcomes])
        for event, outcome in zip(claimed.events, outcomes, strict=True):
            parked = outcome.state == "parked"
            step(_log, "event worked", warn=parked, state=outcome.state, **_ids(event))
            traces.worked("work", began_ns, failed="parked" if parked else "", state=outcome.state, **_ids(event))
        return outcomes

    def _work(self, claimed: Claim, active: Active) -> list[Outcome]:
        try:
            load_earlier(self._database, active, kept_by(claimed.events))
            return self._transaction(claimed, [prepare_event(event, active) for event in claimed.events], active)
        except (*Unavailable, lanes.LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one event makes fail, the others of its batch go on
            _log.warning(
                "batch refused, one by one",
                merchant_id=claimed.merchant_id,
                events=len(claimed.events),
                reason=refusals.said(error),
            )
        outcomes: list[Outcome] = []
        held = Held()
        for event in claimed.events:
            alone = Claim(claimed.merchant_id, claimed.owner, {event.lane: claimed.fences[event.lane]}, [event])
            outcomes.append(self._work_alone(alone, active, held))
            held.after(event, outcomes[-1])
        return outcomes

    def _work_alone(self, claimed: Claim, active: Active, held: Held) -> Outcome:
        """One event in a transaction of its own; parked when even that fails."""
        for attempt in range(1, MAX_ALONE + 1):
            try:
                return self._transaction(claimed, [prepare_event(claimed.events[0], active)], active, held)[0]
            except (*Unavailable, lanes.LeaseLost):
                raise
            except PlanConflict as error:
                # what was read was changed meanwhile: by now it is read anew
                refused: Exception = error
                if attempt == MAX_ALONE:
                    break
            except Exception as error:  # noqa: BLE001 - a question, and in the log with where it failed
                refused = error
                break
        return self._transaction(claimed, [Prepared(claimed.events[0], refusal=_failing(claimed, refused))], active)[0]

    # -- apply: the book is held --------------------------------------------------------------------------------

    def _transaction(
        self, claimed: Claim, prepared: Sequence[Prepared], active: Active, held: Held | None = None
    ) -> list[Outcome]:
        self._database.ids.ensure(_ids_for(claimed.events))
        with ExitStack() as stack:
            if self._database.sqlite:
                # planned outside the writers' lock: the book's own lock keeps its state still
                stack.enter_context(self._locks.hold(claimed.merchant_id))
                with self._database.read() as connection:
                    plan = self._plan(connection, claimed, prepared, active)
                    outcomes = self._apply_all(prepared, plan, active, held or Held())
                connection = stack.enter_context(self._database.write())
                lanes.check_fences(connection, claimed.merchant_id, claimed.fences, claimed.owner)
            else:
                connection = stack.enter_context(self._database.write())
                lock_book(connection, claimed.merchant_id)
                # before the plan: its rows stay locked, nobody takes the lanes over until the commit
                lanes.check_fences(connection, claimed.merchant_id, claimed.fences, claimed.owner)
                plan = self._plan(connection, claimed, prepared, active)
                outcomes = self._apply_all(prepared, plan, active, held or Held())
            plan.write(connection, WRITE_ORDER)
            outbox_plan.settle(connection, plan)
            claim.finish(connection, claimed.events, [(o.state, o.reason, o.error_class) for o in outcomes], plan.now)
            for one, outcome in zip(prepared, outcomes, strict=True):
                if outcome.state == "fetch":
                    claim.fetch_first(connection, one.event, fetches.asked(one.event.fetched, one.needs))
        metrics.count(metrics.RUNS, [(run["flow"], run["state"]) for run in plan.planned(_RUN)])
        return outcomes

    def _plan(self, connection: Any, claimed: Claim, prepared: Sequence[Prepared], active: Active) -> Plan:
        # the instant at which the book is held: what is planned later is later
        plan = Plan(claimed.merchant_id, connection, self._database.ids, self._clock())
        plan.chain_key = active.chain_key
        active.preload(plan, [run for one in prepared for run in one.runs])
        events = [one.event for one in prepared if one.event.connection_id is not None]
        plan.preload(readback.WAITING_READS, [(event.connection_id, event.record, event.record_id) for event in events])
        return plan

    def _apply_all(self, prepared: Sequence[Prepared], plan: Plan, active: Active, before: Held) -> list[Outcome]:
        later: list[Later] = []
        outcomes: list[Outcome] = []
        held = Held(set(before.parked), set(before.waiting))
        for one in prepared:
            waits = held.by(one.event, active)
            if waits is not None:
                outcomes.append(Outcome("ready", waits))
                continue
            outcomes.append(self._apply(one, plan, active, later))
            held.after(one.event, outcomes[-1])
        self.deliver(later, plan, active)
        observe(plan, active.canaries)
        return outcomes

    def _apply(self, one: Prepared, plan: Plan, active: Active, later: list[Later]) -> Outcome:
        mark = plan.mark()
        if one.refusal is not None:
            return self._parked(one, plan, one.refusal, one.refused)
        if one.needs:
            return Outcome("fetch", f"{len(one.needs)} to read first")
        if one.hint is not None:
            readback.schedule(plan, one.event, *one.hint, active.lanes)
        if one.disconnect:
            reason = "the system ended it"
            ask_to_reconnect(plan, one.event.connection_id or 0, reason, event_seq=one.event.seq)
        changed: list[str] = []
        for run in one.runs:
            first_event = len(plan.events)
            try:
                self._run(run, plan)
            except REFUSALS as error:
                plan.rollback(mark)
                return self._parked(one, plan, error, run)
            changed += run.changed
            for record, record_id in run.reads:
                if one.event.kind not in READ_KINDS:
                    readback.schedule(plan, one.event, record, record_id, active.lanes)
            self.dispatch(plan, first_event, one.event, active, later)
        return Outcome("done", one.outcome or ", ".join(changed)[:400] or None)

    def _run(self, run: Run, plan: Plan) -> None:
        run.id = plan.next_id()
        state, reason = "done", None
        if run.next_step < 0:
            state, reason = "stopped", str(run.scope["stopped"])
        else:
            try:
                apply(run, plan)
            except Stop as stop:
                state, reason = "stopped", str(stop)
            else:
                reason = "; ".join(run.notes)[:400] or None
        self._record(run, plan, state, reason)

    def _record(
        self, run: Run, plan: Plan, state: str, reason: str | None, error_class: ErrorClass | None = None
    ) -> None:
        if state == "stopped" and reason == "when":
            return  # a flow that this event was never meant for leaves no run
        plan.insert(
            _RUN,
            {
                "id": run.id,
                "event_seq": run.trigger.event_seq,
                "flow": run.flow.name,
                "version_hash": run.flow.version_hash,
                "trigger": run.trigger.name if run.trigger.core else None,
                "subject": run.trigger.subject if run.trigger.core else None,
                "state": state,
                "reason": reason,
                "error_class": error_class.value if error_class is not None else None,
                "changed": ", ".join(run.changed),
                # a core event is told once: what a person lets run again needs its record
                "scope": payload.encode(run.trigger.record) if state == "parked" and run.trigger.core else None,
                "started_at": plan.now,
            },
        )

    # -- core events --------------------------------------------------------------------------------------------

    def dispatch(self, plan: Plan, first: int, event: Event, active: Active, later: list[Later]) -> None:
        """Hands core events to their subscribers, those that subscribers cause included. Flows that only deliver are put
        on `later`."""
        index, own = first, len(plan.events)
        while index < len(plan.events):
            happened = plan.events[index]
            index += 1
            if index - own > MAX_CHAIN:
                raise_question(
                    plan,
                    kind="flow.loop",
                    subject=f"event:{event.seq}",
                    reason=f"one event caused more than {MAX_CHAIN} others through flows: they feed each other",
                    event_seq=event.seq,
                )
                return
            if happened.name == "question.raised":
                self._raise(plan, happened, event)
            elif happened.name == "question.resolved":
                resolve_question(plan, kind=happened.record["kind"], subject=happened.subject)
            else:
                for flow in active.subscribers(happened.name):
                    if self._is_deferred(flow, happened, event, active):
                        self._defer(flow, happened, plan, event, active)
                    elif active.postpones and not event.versions:
                        later.append((flow, happened, event))
                        plan.on_rollback(later.pop)
                    else:
                        self.answer(flow, happened, plan, event, active)

    def answer(self, flow: Flow, happened: CoreEvent, plan: Plan, event: Event, active: Active) -> bool:
        """Runs one subscriber for one core event, outside a batch. Returns whether it was not refused."""
        if self._is_deferred(flow, happened, event, active):
            self._defer(flow, happened, plan, event, active)
            return True
        return self._subscriber(*self._started(flow, happened, event, active), plan)

    @staticmethod
    def _is_deferred(flow: Flow, happened: CoreEvent, event: Event, active: Active) -> bool:
        """Whether the version of a subscriber that is to run reads from a system."""
        if not event.versions and flow.name not in active.canaries:
            return flow.deferred
        try:
            return active.version_for(flow, happened.subject, event).deferred
        except Parked:
            return False  # said by its run

    @staticmethod
    def _defer(flow: Flow, happened: CoreEvent, plan: Plan, event: Event, active: Active) -> None:
        """A subscriber that reads from a system runs after this transaction, as an event of its own."""
        received = from_core(
            happened.name,
            happened.subject,
            happened.record,
            flow=flow.name,
            merchant_id=plan.merchant_id,
            lanes=active.lanes,
            parent_seq=event.seq or None,
        )
        plan.insert(readback.INBOX, row_of(received, plan.now))

    def deliver(self, later: Sequence[Later], plan: Plan, active: Active) -> None:
        """Runs the postponed subscribers of a whole batch: what they look for is read at once."""
        started = [self._started(flow, happened, event, active) for flow, happened, event in _merged(later)]
        wanted = Wanted()
        for run, refused in started:
            if refused is None and run.next_step >= 0:
                rehearse(run, wanted)
        plan.preload(outbox_plan.DELIVERIES, wanted.deliveries)
        plan.preload(outbox_plan.BINDINGS, wanted.bindings)
        for run, refused in started:
            self._subscriber(run, refused, plan)

    @staticmethod
    def _started(flow: Flow, happened: CoreEvent, event: Event, active: Active) -> tuple[Run, Exception | None]:
        """A subscriber's run after the steps that need no plan, and what refused it there."""
        name, subject, at = happened.name, happened.subject, event.received_at
        trigger = Trigger(event.seq, name, subject, subject, happened.record, core=True, at=at)
        try:
            run = start(active.version_for(flow, happened.subject, event), trigger, active.settings)
        except Parked as error:
            return start(flow, trigger, active.settings), error
        try:
            prepare(run)
        except Stop as stop:
            run.next_step, run.scope["stopped"] = -1, str(stop)
        except REFUSALS as error:
            return run, error
        return run, None

    def _subscriber(self, run: Run, refused: Exception | None, plan: Plan) -> bool:
        """A subscriber that is refused drops its own part only; the books of the event commit."""
        mark = plan.mark()
        try:
            if refused is not None:
                raise refused
            self._run(run, plan)
        except REFUSALS as error:
            plan.rollback(mark)
            run.id = plan.next_id()
            kind, reason, details, answers = question_of(error)
            reason = without_people(reason, run.trigger.record)
            self._record(run, plan, "parked", reason, class_of(kind))
            step(
                _log,
                "run parked",
                warn=True,
                merchant_id=plan.merchant_id,
                event_seq=run.trigger.event_seq,
                run_id=run.id,
                flow=run.flow.name,
                kind=kind,
            )
            raise_question(
                plan,
                kind=kind,
                subject=f"{run.trigger.subject}:{run.flow.name}",
                reason=f"flow {run.flow.name}: {reason}",
                details=details,
                answers=answers or [{"answer": "replay", "text": "Run it again"}],
                event_seq=run.trigger.event_seq,
                run_id=run.id,
            )
            return False
        return True

    @staticmethod
    def _raise(plan: Plan, happened: CoreEvent, event: Event) -> None:
        raise_question(
            plan,
            kind=happened.record["kind"],
            subject=happened.subject,
            reason=happened.record["reason"],
            details=happened.record.get("details"),
            answers=happened.record.get("answers", ()),
            event_seq=event.seq,
        )

    # -- refusals -----------------------------------------------------------------------------------------------

    def _parked(self, one: Prepared, plan: Plan, error: Exception, run: Run | None) -> Outcome:
        event = one.event
        kind, reason, details, answers = question_of(error)
        reason = without_people(reason, *([] if run is None else [run.trigger.record]))
        if run is not None:
            run.id = plan.next_id()
            self._record(run, plan, "parked", reason, class_of(kind))
        question = raise_question(
            plan,
            kind=kind,
            subject=event.ordering_key,
            reason=reason,
            details={**details, "event": event.seq, "topic": event.topic, "record": event.record_id},
            answers=answers or [{"answer": "replay", "text": "Work it again"}, {"answer": "drop", "text": "Let it be"}],
            event_seq=event.seq,
            run_id=run.id if run is not None else None,
        )
        return Outcome("parked", f"question {question}: {reason}"[:400], class_of(kind).value)

    def park_crashing(self, claimed: Claim, active: Active) -> list[Outcome]:
        """Parks an event that stopped its worker again and again while it was worked alone."""
        event = claimed.events[0]
        reason = f"it stopped its worker {event.claims} times"
        return self._transaction(claimed, [Prepared(event, refusal=Parked("event.crashes", reason))], active)


def _failing(claimed: Claim, error: Exception) -> Parked:
    """The question of an event that fails even alone: the database refuses it, or the hub itself fails."""
    [event] = claimed.events
    of = {"merchant_id": claimed.merchant_id, "event_seq": event.seq}
    if isinstance(error, (DBAPIError, PlanConflict)):
        _log.error("event refused by the database", reason=refusals.said(error), **of)
        return Parked("event.refused", f"the database refused it: {refusals.said(error)}")
    _log.error("event failed", exc_info=error, **of)
    record = payload.decode_or_none(event.reads or event.body or b"")
    return Parked("event.failed", f"the hub failed while working it: {without_people(refusals.said(error), record)}")


def _ids_for(events: Sequence[Event]) -> int:
    """Enough ids for all that a batch may insert: a line of an order takes about ten and 500 bytes or more."""
    return sum(400 + (len(event.body or b"") + len(event.reads or b"")) // 50 for event in events)


def _merged(later: Sequence[Later]) -> list[Later]:
    """A stock level that changed several times in a batch is told once, as it is in the end."""
    last: dict[tuple[str, str], int] = {}
    for index, (flow, happened, _) in enumerate(later):
        if happened.name == "stock.changed":
            last[(flow.name, happened.subject)] = index
    return [
        each
        for index, each in enumerate(later)
        if each[1].name != "stock.changed" or last[(each[0].name, each[1].subject)] == index
    ]


def _ids(event: Event) -> dict[str, Any]:
    """What a line of the log names of an event."""
    return {"merchant_id": event.merchant_id, "connection_id": event.connection_id, "event_seq": event.seq}
