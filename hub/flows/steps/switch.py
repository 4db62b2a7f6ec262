"""`switch`: runs the steps of the case that a value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from hub.flows.compiling import Probe, StepConfig, StepContext, StepKind, unseen
from hub.flows.run import Block, Do, Parked, Run, Step
from hub.mapping import FUNCTIONS, Expression
from hub.mapping.coverage import Kind
from hub.mapping.fault import Fault


class Config(StepConfig):
    """The text of `on` is looked up in `cases`; `else` is for all others. A value that no case fits is a question where
    there is no `else`. A name that only other cases bind is null afterwards."""

    on: str
    cases: dict[str, list[Any]]
    otherwise: list[Any] | None = Field(default=None, alias="else")


@dataclass
class Switch(Block):
    on: Expression
    cases: Mapping[str, tuple[Step, ...]]
    otherwise: tuple[Step, ...] | None
    #: names that one of the cases binds
    binds: frozenset[str]
    needs_plan: bool
    #: told which way is taken; None is the way of all that no case fits
    told: Mapping[str | None, Probe]

    def through(self, run: Run, do: Do) -> None:
        value = self.on.evaluate(run.scope)
        case = _text(value)
        way = case if case in self.cases else None
        self.told[way](True)
        steps = self.otherwise if way is None else self.cases[way]
        if steps is None:
            known = ", ".join(self.cases)
            shown = repr(case) if case is not None else "null" if value is None else "no single value"
            raise Parked(
                "switch.unhandled",
                f"{self.on.text} is {shown}: no case fits ({known}). Add one, or an `else`, then replay",
                details={"on": self.on.text, "value": case, "cases": list(self.cases)},
            )
        for step in steps:
            do(step, run)
        run.bind(self.binds)

    def parts(self) -> Sequence[Step]:
        return tuple(step for steps in (*self.cases.values(), self.otherwise or ()) for step in steps)


def _text(value: Any) -> str | None:
    """What a value is compared as: the same as `text(value)`; None where it has no text."""
    try:
        found: str | None = FUNCTIONS["text"].call(value)
    except Fault:
        return None
    return found


def compile_step(config: Config, context: StepContext) -> Switch | None:
    on = context.expression(config.on, "on")
    if not config.cases:
        context.problem("switch-cases", "`cases` names at least one value", "for example cases: {paid: [...]}", "cases")
    ways: list[tuple[Any, tuple[str | int, ...]]] = [(steps, ("cases", case)) for case, steps in config.cases.items()]
    if config.otherwise is not None:
        ways.append((config.otherwise, ("else",)))
    # without `else` a value that no case fits is a question: whatever goes on has been through one of them
    compiled, binds = context.branches(ways, complete=True)
    if on is None:
        return None
    cases = dict(zip(config.cases, compiled, strict=False))
    otherwise = compiled[-1] if config.otherwise is not None else None
    needs_plan = any(step.needs_plan for some in compiled for step in some)
    return Switch(on, cases, otherwise, binds, needs_plan, _told(config, context))


def _told(config: Config, context: StepContext) -> Mapping[str | None, Probe]:
    """A branch for each case, and one for all others. True and false are all that there is of their kind."""
    told: dict[str | None, Probe] = {
        case: context.probe(Kind.LEADS, f"case {case}", "cases", case) for case in config.cases
    }
    if config.otherwise is not None:
        told[None] = context.probe(Kind.LEADS, "else", "else")
    elif set(config.cases) == {"true", "false"}:
        told[None] = unseen
    else:
        told[None] = context.probe(Kind.LEADS, "no case fits", "on")
    return told


KIND = StepKind("switch", Config, compile_step, parts=("cases", "else"))  # type: ignore[arg-type]
