"""A run: one flow, one event, a scope that its steps fill, and the plan that they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from sqlalchemy.exc import DBAPIError

from hub.core.errors import CoreError
from hub.core.plan import Plan, PlanConflict
from hub.core.time import local_date
from hub.db.types import instant_text
from hub.flows.context import ConnectionInfo, Roles
from hub.inbox.fetches import Entry, Fetch
from hub.mapping import EvaluationError, Position
from hub.records.money import MoneyError

if TYPE_CHECKING:
    from hub.flows.definition import Flow


_log = structlog.get_logger("hub.flows")


class Stop(Exception):
    """A step ended the run in order; the reason is kept with it."""


class Parked(Exception):
    """A step found what a person has to decide. `kind` and the run's subject identify the question."""

    def __init__(
        self,
        kind: str,
        reason: str,
        *,
        details: dict[str, Any] | None = None,
        answers: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.details = details or {}
        self.answers = list(answers)


class FetchNeeded(Exception):
    """A run cannot go on before these reads are made."""

    def __init__(self, fetches: Sequence[Fetch]) -> None:
        super().__init__(f"{len(fetches)} reads are to be made first")
        self.fetches = list(fetches)


#: what a run may raise that is the input's fault: a question, never a crash
REFUSALS = (Parked, CoreError, EvaluationError, MoneyError)
#: what a step may raise: the end of its run, a refusal, or that the database did not go along, which the batch sees to
_EXPECTED = (Stop, FetchNeeded, *REFUSALS, DBAPIError, PlanConflict)


def question_of(error: Exception) -> tuple[str, str, dict[str, Any], Sequence[dict[str, Any]]]:
    """Kind, reason, details and answers of the question that a refusal becomes."""
    if isinstance(error, (Parked, CoreError)):
        return error.kind, str(error), dict(error.details), list(error.answers)
    if isinstance(error, EvaluationError):
        return "mapping.error", str(error), {"field": error.field, "expression": error.expression}, []
    if isinstance(error, MoneyError):
        return "record.money", str(error), {}, []
    path = getattr(error, "path", None)
    return "record.unreadable", str(error), {"path": path} if path else {}, []


@dataclass(frozen=True)
class Trigger:
    """What started a run: an inbox event, or a core event within one."""

    event_seq: int
    #: `shop.order` of a role, `invoice.issued` of the core, or the name of a manual trigger
    name: str
    subject: str
    ordering_key: str
    record: Any
    connection: ConnectionInfo | None = None
    core: bool = False
    #: the record was read from the system, and is how it stands now
    read: bool = False
    #: when the inbox event came in, UTC microseconds: the same in every run of it
    at: int = 0


@dataclass(frozen=True)
class Settings:
    """What the core needs to know from the outside."""

    roles: Roles
    rules: Any
    zone: str


@dataclass
class Run:
    """State of one run. `plan` is there from the first step that needs it."""

    flow: Flow
    trigger: Trigger
    settings: Settings
    scope: dict[str, Any]
    id: int = 0
    plan: Plan | None = None
    changed: list[str] = field(default_factory=list)
    #: records whose current state is to be read: (record kind, id)
    reads: list[tuple[str, str]] = field(default_factory=list)
    next_step: int = 0
    #: what is to be said of it beside what it changed: items of a loop that stopped
    notes: list[str] = field(default_factory=list)
    #: what the reads that it asked for answered
    answers: Mapping[str, Entry] = field(default_factory=dict)
    #: items that its loops have come to
    items: int = 0

    def bind(self, names: Iterable[str]) -> None:
        """Names that were bound on another way than the one taken are null."""
        for name in names:
            self.scope.setdefault(name, None)

    @property
    def book(self) -> Plan:
        """The plan; only steps of the apply phase may ask for it."""
        if self.plan is None:
            raise RuntimeError("this step needs the plan and ran in the prepare phase")
        return self.plan


@dataclass
class Wanted:
    """What runs are going to look for on the plan, to be read for a whole batch at once: deliveries by (connection,
    operation, key), bindings by (connection, kind, key). Only a hint."""

    deliveries: list[tuple[int, str, str]] = field(default_factory=list)
    bindings: list[tuple[int, str, str]] = field(default_factory=list)


class Step(ABC):
    """A compiled step. Those with `needs_plan` run while the book is held, the others before."""

    #: all that it changes on the plan are deliveries: its flow may run at the end of a batch
    only_delivers: ClassVar[bool] = False
    #: it reads from a system
    fetches: ClassVar[bool] = False
    needs_plan: bool
    #: where it stands in its file, for those that say so
    place: Position
    #: roles that it delivers to
    delivers_to: Sequence[str] = ()

    @abstractmethod
    def run(self, run: Run) -> None:
        """Raises: Stop, Parked, CoreError, EvaluationError."""

    def rehearse(self, run: Run, wanted: Wanted) -> None:
        """Adds what it is going to look for. Steps that need no plan are run, on a scope that is thrown away."""
        if not self.needs_plan:
            self.run(run)

    def parts(self) -> Sequence[Step]:
        """The steps inside."""
        return ()


_SHOWN = 400
#: what is done with each step that a block comes to
Do = Callable[[Step, "Run"], None]


class Block(Step):
    """A step that holds others: it says which are run, one after the other, with what in scope."""

    @abstractmethod
    def through(self, run: Run, do: Do) -> None:
        """Calls `do` for each step that is to be run, in order."""

    def run(self, run: Run) -> None:
        self.through(run, _run_step)

    def rehearse(self, run: Run, wanted: Wanted) -> None:
        self.through(run, lambda step, inner: step.rehearse(inner, wanted))


def _run_step(step: Step, run: Run) -> None:
    step.run(run)


def leaves(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps that hold no others, those inside blocks included, in order."""
    for step in steps:
        if isinstance(step, Block):
            yield from leaves(step.parts())
        else:
            yield step


def start(flow: Flow, trigger: Trigger, settings: Settings, answers: Mapping[str, Entry] | None = None) -> Run:
    """A run with the names its trigger brings: `record`, `event`, `connection`, and a core event's own records."""
    event = {"name": trigger.name, "subject": trigger.subject, "at": instant_text(trigger.at)}
    event["day"] = local_date(trigger.at, settings.zone).isoformat()
    scope: dict[str, Any] = {"record": trigger.record, "event": event}
    if trigger.connection is not None:
        scope["connection"] = trigger.connection.scope()
        scope["settings"] = dict(trigger.connection.settings)
    if trigger.core:
        subject = trigger.name.partition(".")[0]
        if isinstance(trigger.record, dict) and subject in trigger.record:
            scope.update(trigger.record)
        else:
            scope[subject] = trigger.record
    return Run(flow, trigger, settings, scope, answers=answers or {})


def prepare(run: Run) -> None:
    """Runs the steps that need no plan, up to the first that does. Raises: Stop, FetchNeeded, Parked, EvaluationError."""
    if run.next_step == 0 and run.flow.when is not None and not run.flow.when.evaluate(run.scope):
        raise Stop("when")
    steps = run.flow.steps
    while run.next_step < len(steps) and not steps[run.next_step].needs_plan:
        _next(run)


def apply(run: Run, plan: Plan) -> None:
    """Runs the rest of the steps on the plan. Raises: Stop, Parked, CoreError, EvaluationError."""
    run.plan = plan
    while run.next_step < len(run.flow.steps):
        _next(run)


def _next(run: Run) -> None:
    """Runs the next step. A fault of ours in it is a question of this run, and no other event pays for it."""
    step = run.flow.steps[run.next_step]
    try:
        step.run(run)
    except _EXPECTED:
        raise
    except Exception as error:
        _log.exception("step failed", flow=run.flow.name, step=run.next_step + 1, event_seq=run.trigger.event_seq)
        reason = f"step {run.next_step + 1} of flow {run.flow.name} failed: {type(error).__name__}: {error}"
        raise Parked("step.failed", reason[:_SHOWN]) from error
    run.next_step += 1


def rehearse(run: Run, wanted: Wanted) -> None:
    """Adds what the rest of a run is going to look for on the plan."""
    rest = run.flow.steps[run.next_step :]
    inner = replace(run, scope=dict(run.scope), changed=[], reads=[], notes=[])
    try:
        for step in rest:
            step.rehearse(inner, wanted)
    except DBAPIError:
        raise
    except Exception:  # noqa: BLE001 - said when the step runs
        return


__all__ = [
    "REFUSALS",
    "Block",
    "CoreError",
    "Do",
    "FetchNeeded",
    "Parked",
    "Run",
    "Settings",
    "Step",
    "Stop",
    "Trigger",
    "Wanted",
    "apply",
    "leaves",
    "prepare",
    "question_of",
    "rehearse",
    "start",
]
