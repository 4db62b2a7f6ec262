"""`stop`: ends the run in order, with a reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Run, Step, Stop


class Config(StepConfig):
    """`reason` is kept with the run."""

    reason: str = "stopped by the flow"


@dataclass
class StopStep(Step):
    reason: str
    needs_plan: bool = field(default=False, init=False)

    def run(self, run: Run) -> None:
        raise Stop(self.reason)


def compile_step(config: Config, context: StepContext) -> StopStep:
    return StopStep(config.reason)


KIND = StepKind("stop", Config, compile_step, short="reason")
