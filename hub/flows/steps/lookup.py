"""`lookup`: the external id of something of ours on a connection, as it was bound by an earlier delivery."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.mapping import Expression
from hub.outbox.plan import BINDINGS


class Config(StepConfig):
    """`key` is our id (an expression), `kind` what it is (`customer`), `role` where; the external id is called `as`.
    Not found: null, or a question when `required`."""

    role: str
    kind: str
    key: str
    as_: str = Field(alias="as")
    required: bool = False


@dataclass
class Lookup(Step):
    config: Config
    key: Expression
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        key = self.key.evaluate(run.scope)
        found = None
        for info in run.settings.roles.of(self.config.role) if key is not None else ():
            found = run.book.get(BINDINGS, (info.id, self.config.kind, str(key)))
            if found is not None:
                break
        if found is None and self.config.required:
            raise Parked("lookup", f"no {self.config.kind} {key} is known at {self.config.role}")
        run.scope[self.config.as_] = None if found is None else found["external_id"]


def compile_step(config: Config, context: StepContext) -> Lookup | None:
    key = context.expression(config.key, "key")
    context.names.add(config.as_)
    return None if key is None else Lookup(config, key)


KIND = StepKind("lookup", Config, compile_step)  # type: ignore[arg-type]
