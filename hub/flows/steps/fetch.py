"""`fetch`: reads from a system, before the books are touched. The answer is kept with the event."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field, model_validator

from hub.connect import payload
from hub.connect.registry import Connector
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.context import ConnectionInfo
from hub.flows.run import FetchNeeded, Parked, Run, Step
from hub.inbox.fetches import Fetch
from hub.mapping import Expression, Position
from hub.outbox import bodies


class Config(StepConfig):
    """A `record` with the `id` of an expression, or what an `operation` that reads answers to `body`. It is called `as`. What
    is not there is null, or a question when `required`; what the system refuses is a question; what fails for now is
    tried again later, and the event waits. `connection` is the id of one connection of the role, where it has several.
    It stands before the first step that works on the books; a flow of an event of the core then runs right after its
    event was committed."""

    role: str
    record: str | None = None
    id: str | None = None
    operation: str | None = None
    body: str | None = None
    connection: str | None = None
    as_: str = Field(alias="as")
    required: bool = False

    @model_validator(mode="after")
    def _one(self) -> Config:
        record, operation = self.record is not None, self.operation is not None
        if record == operation or (self.id is not None) != record or (self.body is not None and not operation):
            raise ValueError("give `record` and `id`, or `operation` and `body`, one of the two")
        return self


@dataclass
class FetchStep(Step):
    fetches: ClassVar[bool] = True
    config: Config
    #: id of the record, or body of the operation
    what: Expression | None
    connection: Expression | None
    #: where it stands, calls included: with its arguments it names the read
    where: str
    place: Position
    needs_plan: bool = field(default=False, init=False)

    def run(self, run: Run) -> None:
        fetch = self._fetch(run)
        answer = None
        if fetch is not None:
            entry = run.answers.get(fetch.key)
            if entry is None:
                raise FetchNeeded([fetch])
            if "refused" in entry:
                raise Parked("fetch.refused", f"{self._named(fetch)}: {entry['refused']}", details=_told(fetch))
            answer = entry["answer"]
        if answer is None and self.config.required:
            said = self._named(fetch) if fetch is not None else f"{self.config.record or self.config.operation}"
            raise Parked("fetch.missing", f"{said}: {self.config.role} has none", details=_told(fetch))
        run.scope[self.config.as_] = answer

    def _fetch(self, run: Run) -> Fetch | None:
        """The read; None where there is nothing to read: no id, or nobody who plays the role."""
        what = self.what.evaluate(run.scope) if self.what is not None else None
        info = self._connection(run)
        if info is None or (self.config.record is not None and what is None):
            return None
        if self.config.record is not None and (
            isinstance(what, bool) or not isinstance(what, (str, int)) or what == ""
        ):
            raise Parked("fetch.id", f"the id of a {self.config.record} is a text or a whole number, not {what!r}")
        try:
            body = payload.decode(bodies.encode(what))
        except bodies.BodyError as error:
            raise Parked("fetch.body", f"{self.config.operation}: {error}") from None
        named = [run.flow.name, self.where, info.id, self.config.record, self.config.operation, body]
        key = hashlib.sha256(payload.canonical(named).encode()).hexdigest()[:32]
        if self.config.record is not None:
            return Fetch(key, info.id, record=self.config.record, id=str(what), required=self.config.required)
        return Fetch(key, info.id, operation=self.config.operation, body=body, required=self.config.required)

    def _connection(self, run: Run) -> ConnectionInfo | None:
        bound = run.settings.roles.of(self.config.role)
        if self.connection is not None:
            wanted = self.connection.evaluate(run.scope)
            bound = [info for info in bound if info.id == wanted]
        if len(bound) > 1:
            reason = f"{len(bound)} connections play the role {self.config.role}: name one in `connection`"
            raise Parked("role.several", reason)
        return bound[0] if bound else None

    @staticmethod
    def _named(fetch: Fetch) -> str:
        return f"{fetch.record} {fetch.id}" if fetch.record is not None else str(fetch.operation)


def _told(fetch: Fetch | None) -> dict[str, Any]:
    """What a question tells of a read; bodies may hold personal data."""
    if fetch is None:
        return {}
    return {"connection_id": fetch.connection, "record": fetch.record, "id": fetch.id, "operation": fetch.operation}


def compile_step(config: Config, context: StepContext) -> FetchStep | None:
    if config.record is not None:
        what = context.expression(str(config.id), "id")
    else:
        what = context.expression(config.body, "body") if config.body is not None else None
    connection = context.expression(config.connection, "connection") if config.connection is not None else None
    bound = context.roles.of(config.role)
    for info in bound:
        _check(config, context, context.roles.connector(info))
    if len(bound) > 1 and config.connection is None:
        message = f"{len(bound)} connections play the role {config.role}"
        context.problem("role-several", message, "name one in `connection`", "role")
    context.names.add(config.as_)
    if what is None and (config.record is not None or config.body is not None):
        return None
    where = "/".join(map(str, (*context.calling, *context.path)))
    return FetchStep(config, what, connection, where, context.at())


def _check(config: Config, context: StepContext, connector: Connector) -> None:
    """That a connector can read what is asked of it."""
    manifest = connector.manifest
    if config.record is not None:
        readable = sorted(name for name, record in manifest.records.items() if record.read)
        if config.record not in readable:
            hint = f"one of: {', '.join(readable)}" if readable else "it can read none"
            context.problem("fetch-record", f"{connector.name} cannot read a {config.record!r}", hint, "record")
        return
    reads = sorted(name for name, operation in manifest.operations.items() if operation.read)
    if config.operation not in reads:
        known = config.operation in manifest.operations
        message = f"{config.operation!r} of {connector.name} " + (
            "writes: a fetch only reads" if known else "is not there"
        )
        hint = f"one of: {', '.join(reads)}" if reads else "it has none that reads"
        context.problem("fetch-operation", message, hint, "operation")


KIND = StepKind("fetch", Config, compile_step)  # type: ignore[arg-type]
