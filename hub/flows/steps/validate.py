"""`validate`: parks the run with a question unless a condition holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.mapping import Expression


class Config(StepConfig):
    """`that` must be true; `else` is the text of the question. `details` is an object that is shown with it."""

    that: str
    otherwise: str = Field(alias="else")
    details: str | None = None


@dataclass
class Validate(Step):
    condition: Expression
    text: str
    details: Expression | None = None
    needs_plan: bool = field(default=False, init=False)

    def run(self, run: Run) -> None:
        if not self.condition.evaluate(run.scope):
            shown = self.details.evaluate(run.scope) if self.details is not None else None
            more = shown if isinstance(shown, dict) else {}
            raise Parked("validate", self.text, details={"that": self.condition.text, **more})


def compile_step(config: Config, context: StepContext) -> Validate | None:
    condition = context.expression(config.that, "that")
    details = context.expression(config.details, "details") if config.details is not None else None
    return None if condition is None else Validate(condition, config.otherwise, details)


KIND = StepKind("validate", Config, compile_step)  # type: ignore[arg-type]
