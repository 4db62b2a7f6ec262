"""`deliver`: plans one write to the system that plays a role. It is sent after the commit, in order, and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field, model_validator

from hub.connect.manifest import Operation
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.context import ConnectionInfo
from hub.flows.run import Parked, Run, Step, Stop, Wanted
from hub.mapping import Expression
from hub.outbox.bodies import BodyError, references
from hub.outbox.plan import DeliveryConflict, Patience, Target, plan_delivery


class Retry(StepConfig):
    """When a delivery gives up."""

    attempts: int | None = Field(default=None, ge=1)
    within: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,5}[smhd]$")

    @model_validator(mode="after")
    def _one(self) -> Retry:
        if self.attempts is None and self.within is None:
            raise ValueError("give `attempts`, `within` (`90s`, `30m`, `6h`, `2d`), or both")
        return self

    @property
    def patience(self) -> Patience:
        within = None if self.within is None else int(self.within[:-1]) * _SECONDS[self.within[-1]] * 1_000_000
        return Patience(self.attempts, within)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Config(StepConfig):
    """`key` identifies the write for ever (`invoice.number`); the same key with other content is a question. `body` is
    what to send, else the result of the last `map`. `connection` is the id of one connection of the role, where it has
    several. `retry` says when it gives up, as a question: after `attempts`, or when the next one would come later than
    `within` (`90s`, `30m`, `6h`, `2d`) after the first; without it the hub goes on and tells a person."""

    role: str
    operation: str
    key: str
    body: str | None = None
    connection: str | None = None
    state: bool | None = None
    retry: Retry | None = None


@dataclass
class Deliver(Step):
    only_delivers: ClassVar[bool] = True
    config: Config
    key: Expression
    body: Expression | None
    connection: Expression | None
    operations: dict[int, Operation]
    needs_plan: bool = field(default=True, init=False)

    @property
    def delivers_to(self) -> Sequence[str]:  # type: ignore[override]
        return (self.config.role,)

    def rehearse(self, run: Run, wanted: Wanted) -> None:
        info, key = self._connection(run), self.key.evaluate(run.scope)
        refs = list(references(self._body(run)))
        wanted.deliveries.append((info.id, self.config.operation, str(key)))
        wanted.deliveries += [(info.id, ref.ensure, f"{ref.kind}:{ref.key}") for ref in refs if ref.ensure]
        wanted.bindings += [(info.id, ref.kind, ref.key) for ref in refs]

    def run(self, run: Run) -> None:
        info = self._connection(run)
        operation = self.operations.get(info.id) or run.settings.roles.operation(info, self.config.operation)
        if operation is None:
            raise Parked("operation.missing", f"{info.connector} has no operation {self.config.operation}")
        key = self.key.evaluate(run.scope)
        if key is None or key == "" or isinstance(key, (dict, list, bool)):
            raise Parked(
                "delivery.key", f"the key of {self.config.operation} is {key!r}: it must be a text or a number"
            )
        state = operation.state if self.config.state is None else self.config.state
        body = None if state else self._body(run)
        trigger = run.trigger
        try:
            delivery = plan_delivery(
                run.book,
                Target(info.id, info.mode, self.config.operation, run.settings.roles.ladder(info, operation), state),
                key=str(key),
                body=body,
                ordering_key=trigger.subject if trigger.core else trigger.ordering_key,
                event_seq=trigger.event_seq,
                run_id=run.id,
                patience=self.config.retry.patience if self.config.retry is not None else None,
            )
        except DeliveryConflict as error:
            raise Parked(
                "delivery.conflict", str(error), details={"operation": self.config.operation, "key": str(key)}
            ) from None
        except BodyError as error:
            raise Parked("delivery.body", f"{self.config.operation} {key}: {error}") from None
        run.changed.append(f"delivery {delivery}")

    def _body(self, run: Run) -> Any:
        return self.body.evaluate(run.scope) if self.body is not None else run.scope.get("payload")

    def _connection(self, run: Run) -> ConnectionInfo:
        bound = run.settings.roles.of(self.config.role)
        if self.connection is not None:
            wanted = self.connection.evaluate(run.scope)
            bound = [info for info in bound if info.id == wanted]
        if not bound:
            raise Stop(f"no connection plays the role {self.config.role}")
        if len(bound) > 1:
            raise Parked(
                "role.several", f"{len(bound)} connections play the role {self.config.role}: name one in `connection`"
            )
        return bound[0]


def compile_step(config: Config, context: StepContext) -> Deliver | None:
    key = context.expression(config.key, "key")
    body = context.expression(config.body, "body") if config.body is not None else None
    connection = context.expression(config.connection, "connection") if config.connection is not None else None
    bound = context.roles.of(config.role)
    operations: dict[int, Operation] = {}
    for info in bound:
        known = context.roles.connector(info).manifest.operations
        if config.operation not in known:
            context.problem(
                "unknown-operation",
                f"{info.connector} has no operation {config.operation!r}",
                f"one of: {', '.join(sorted(known))}",
                "operation",
            )
        elif config.state and not known[config.operation].state:
            context.problem(
                "operation-state",
                f"{config.operation} of {info.connector} takes a body: only an operation that it declares as `state` can be one",
                "leave `state` out",
                "state",
            )
        else:
            operations[info.id] = known[config.operation]
    if len(bound) > 1 and config.connection is None:
        context.problem(
            "role-several", f"{len(bound)} connections play the role {config.role}", "name one in `connection`", "role"
        )
    return None if key is None else Deliver(config, key, body, connection, operations)


KIND = StepKind("deliver", Config, compile_step)  # type: ignore[arg-type]
