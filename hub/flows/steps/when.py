"""`when`: goes on only if a condition holds, or runs other steps for each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Block, Do, Run, Step, Stop
from hub.mapping import Expression


class Config(StepConfig):
    """Short form: the run stops in order unless the condition is true. Long form: `steps` run if it is true, else those
    of `else`; the run goes on after them. A name that only the other way binds is null then."""

    if_: str = Field(alias="if")
    steps: list[Any] | None = None
    otherwise: list[Any] | None = Field(default=None, alias="else")


@dataclass
class When(Block):
    condition: Expression
    steps: tuple[Step, ...] | None
    otherwise: tuple[Step, ...]
    #: names that one of the two ways binds
    binds: frozenset[str]
    needs_plan: bool

    def through(self, run: Run, do: Do) -> None:
        holds = bool(self.condition.evaluate(run.scope))
        if self.steps is None:
            if not holds:
                raise Stop(f"when {self.condition.text}")
            return
        for step in self.steps if holds else self.otherwise:
            do(step, run)
        run.bind(self.binds)

    def parts(self) -> Sequence[Step]:
        return (*(self.steps or ()), *self.otherwise)


def compile_step(config: Config, context: StepContext) -> When | None:
    condition = context.expression(config.if_, "if")
    ways: list[tuple[Any, tuple[str | int, ...]]] = []
    if config.steps is not None:
        ways.append((config.steps, ("steps",)))
    if config.otherwise is not None:
        ways.append((config.otherwise, ("else",)))
    compiled, binds = context.branches(ways, complete=len(ways) == 2)
    if condition is None:
        return None
    steps = compiled[0] if config.steps is not None else None
    otherwise = compiled[-1] if config.otherwise is not None else ()
    needs_plan = any(step.needs_plan for some in compiled for step in some)
    return When(condition, steps, otherwise, binds, needs_plan)


KIND = StepKind("when", Config, compile_step, short="if", parts=("steps", "else"))  # type: ignore[arg-type]
