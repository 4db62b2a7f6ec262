"""`call`: runs another flow with values given to it, as a part of this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from hub.flows.compiling import Called, StepConfig, StepContext, StepKind
from hub.flows.run import Block, Do, Run, Step
from hub.flows.triggers import GIVEN_TO_CALLED, near
from hub.mapping import Expression


class Config(StepConfig):
    """`flow` has `on: {call: [names]}` and is part of this flow's version. It sees the values of `with`, one a name that
    it takes, and `event`, `connection` and `settings`; nothing else, and nothing of it is seen afterwards but what its
    `returns` computes, called `as`. A stop in it stops this run."""

    flow: str
    with_: dict[str, str] = Field(default={}, alias="with")
    as_: str | None = Field(default=None, alias="as")


@dataclass
class Call(Block):
    called: Called
    values: dict[str, Expression]
    name: str | None
    needs_plan: bool

    def through(self, run: Run, do: Do) -> None:
        scope = {name: run.scope[name] for name in GIVEN_TO_CALLED if name in run.scope}
        scope |= {name: value.evaluate(run.scope) for name, value in self.values.items()}
        inner = replace(run, scope=scope, trigger=replace(run.trigger, record=scope.get("record")))
        for step in self.called.steps:
            do(step, inner)
        run.items = inner.items
        if self.name is not None:
            run.scope[self.name] = self.called.returns.evaluate(scope) if self.called.returns is not None else None

    def parts(self) -> Sequence[Step]:
        return self.called.steps


def compile_step(config: Config, context: StepContext) -> Call | None:
    values = {name: context.expression(text, "with", name) for name, text in config.with_.items()}
    called = context.called(config.flow, "flow")
    if called is None:
        return None
    for name in called.takes:
        if name not in values:
            hint = f"add {name} to `with`"
            context.problem("call-missing", f"flow {config.flow} takes {name!r}, which is not given", hint, "with")
    for name in values:
        if name not in called.takes:
            hint = near(name, called.takes) if called.takes else "it takes nothing"
            context.problem_at_key("call-extra", f"flow {config.flow} does not take {name!r}", hint, "with", name)
    if config.as_ is not None:
        if called.returns is None:
            context.problem("call-returns", f"flow {config.flow} returns nothing", "add `returns` to it", "as")
        elif not config.as_.isidentifier():
            context.problem("name", f"{config.as_!r} is not a name", "letters, digits and _", "as")
        context.names.add(config.as_)
    given = {name: value for name, value in values.items() if value is not None}
    return Call(called, given, config.as_, any(step.needs_plan for step in called.steps))


KIND = StepKind("call", Config, compile_step)  # type: ignore[arg-type]
