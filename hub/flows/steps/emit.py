"""`emit`: announces an event that other flows may answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.flows.triggers import CORE_EVENTS
from hub.mapping import Expression


class Config(StepConfig):
    """`event` is its name (`order.flagged`), `record` what it carries, `subject` what it is about (default: the run's)."""

    event: str
    record: str = "record"
    subject: str | None = None


@dataclass
class Emit(Step):
    event: str
    record: Expression
    subject: Expression | None
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        subject = run.trigger.subject if self.subject is None else self.subject.evaluate(run.scope)
        record = self.record.evaluate(run.scope)
        if not isinstance(subject, str) or not isinstance(record, dict):
            raise Parked("emit", f"{self.event}: the subject must be a text and the record an object")
        run.book.emit(self.event, subject, record)


def compile_step(config: Config, context: StepContext) -> Emit | None:
    if config.event in CORE_EVENTS or config.event.startswith("question."):
        context.problem("core-event", f"{config.event} is an event of the core", "choose another name", "event")
        return None
    record = context.expression(config.record, "record")
    subject = context.expression(config.subject, "subject") if config.subject is not None else None
    return None if record is None else Emit(config.event, record, subject)


KIND = StepKind("emit", Config, compile_step)  # type: ignore[arg-type]
