"""A run: one flow, one event, a scope that its steps fill, and the plan that they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hub.core.errors import CoreError
from hub.core.plan import Plan
from hub.flows.context import ConnectionInfo, Roles

if TYPE_CHECKING:
    from hub.flows.definition import Flow


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

    @property
    def book(self) -> Plan:
        """The plan; only steps of the apply phase may ask for it."""
        if self.plan is None:
            raise RuntimeError("this step needs the plan and ran in the prepare phase")
        return self.plan


class Step(Protocol):
    """A compiled step. Those with `needs_plan` run while the book is held, the others before."""

    needs_plan: bool

    def run(self, run: Run) -> None: ...


def start(flow: Flow, trigger: Trigger, settings: Settings) -> Run:
    """A run with the names its trigger brings: `record`, `event`, `connection`, and a core event's own records."""
    scope: dict[str, Any] = {"record": trigger.record, "event": {"name": trigger.name, "subject": trigger.subject}}
    if trigger.connection is not None:
        scope["connection"] = trigger.connection.scope()
        scope["settings"] = dict(trigger.connection.settings)
    if trigger.core:
        subject = trigger.name.partition(".")[0]
        if isinstance(trigger.record, dict) and subject in trigger.record:
            scope.update(trigger.record)
        else:
            scope[subject] = trigger.record
    return Run(flow, trigger, settings, scope)


def prepare(run: Run) -> None:
    """Runs the steps that need no plan, up to the first that does. Raises: Stop, Parked, EvaluationError."""
    if run.next_step == 0 and run.flow.when is not None and not run.flow.when.evaluate(run.scope):
        raise Stop("when")
    steps = run.flow.steps
    while run.next_step < len(steps) and not steps[run.next_step].needs_plan:
        steps[run.next_step].run(run)
        run.next_step += 1


def apply(run: Run, plan: Plan) -> None:
    """Runs the rest of the steps on the plan. Raises: Stop, Parked, CoreError, EvaluationError."""
    run.plan = plan
    steps = run.flow.steps
    while run.next_step < len(steps):
        steps[run.next_step].run(run)
        run.next_step += 1


__all__ = ["CoreError", "Parked", "Run", "Settings", "Step", "Stop", "Trigger", "apply", "prepare", "start"]
