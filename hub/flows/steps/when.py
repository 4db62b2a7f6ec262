"""`when`: goes on only if a condition holds, or runs other steps for each case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from hub.flows.definition import StepConfig, StepContext, StepKind
from hub.flows.run import Run, Step, Stop
from hub.mapping import Expression


class Config(StepConfig):
    """Short form: the run stops in order unless the condition is true. Long form: `steps` run if it is true, else those
    of `else`; the run goes on after them."""

    if_: str = Field(alias="if")
    steps: list[Any] | None = None
    otherwise: list[Any] | None = Field(default=None, alias="else")


@dataclass
class When:
    condition: Expression
    steps: tuple[Step, ...] | None
    otherwise: tuple[Step, ...]
    needs_plan: bool

    def run(self, run: Run) -> None:
        holds = bool(self.condition.evaluate(run.scope))
        if self.steps is None:
            if not holds:
                raise Stop(f"when {self.condition.text}")
            return
        for step in self.steps if holds else self.otherwise:
            step.run(run)


def compile_step(config: Config, context: StepContext) -> When | None:
    condition = context.expression(config.if_, "if")
    steps = context.steps(config.steps, "steps") if config.steps is not None else None
    otherwise = context.steps(config.otherwise, "else") if config.otherwise is not None else ()
    if condition is None:
        return None
    return When(condition, steps, otherwise, any(step.needs_plan for step in (*(steps or ()), *otherwise)))


KIND = StepKind("when", Config, compile_step, short="if")  # type: ignore[arg-type]
