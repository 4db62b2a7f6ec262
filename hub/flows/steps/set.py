"""`set`: computes values and gives them names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Run, Step
from hub.mapping import Expression


class Config(StepConfig):
    """Names and the expressions of their values, computed in order."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


@dataclass
class Set(Step):
    values: list[tuple[str, Expression]]
    needs_plan: bool = field(default=False, init=False)

    def run(self, run: Run) -> None:
        for name, expression in self.values:
            run.scope[name] = expression.evaluate(run.scope)


def compile_step(config: Config, context: StepContext) -> Set:
    values = []
    extra: dict[str, Any] = config.model_extra or {}
    for name, text in extra.items():
        if not name.isidentifier():
            hint = "letters, digits and _, not starting with a digit"
            context.problem_at_key("name", f"{name!r} is not a name", hint, name)
            continue
        if not isinstance(text, str):
            context.problem("expression", f"{name} is an expression, a text", "", name)
            continue
        expression = context.expression(text, name)
        if expression is not None:
            values.append((name, expression))
            context.names.add(name)
    return Set(values)


KIND = StepKind("set", Config, compile_step)
