"""`for_each`: runs steps for each item of a list, or for each connection that plays a role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from hub.flows.compiling import Probe, StepConfig, StepContext, StepKind
from hub.flows.run import REFUSALS, Block, Do, FetchNeeded, Parked, Run, Step, Stop, question_of
from hub.inbox.fetches import Fetch
from hub.mapping import Expression
from hub.mapping.coverage import Kind

#: items of all loops of one run: the book is held while they are worked
MAX_ITEMS = 10_000
_MAX_NOTES = 20


class Config(StepConfig):
    """`in` is a list (null is none), or `connections` a role; `as` names the item: for a connection `id`, `name`,
    `connector` and `settings`. A `map` in a loop over connections is of the connection that the next `deliver` names,
    else of the loop's. `stop` and the short `when` end the item, the next one goes on; an item that is refused refuses
    the run, with all that it did. At most 10,000 items a run."""

    in_: str | None = Field(default=None, alias="in")
    connections: str | None = None
    as_: str = Field(alias="as")
    steps: list[Any]

    @model_validator(mode="after")
    def _one(self) -> Config:
        if (self.in_ is None) == (self.connections is None):
            raise ValueError("give `in` (a list) or `connections` (a role), one of the two")
        return self


@dataclass
class ForEach(Block):
    items: Expression | None
    role: str | None
    name: str
    steps: tuple[Step, ...]
    #: names that its steps bind
    binds: frozenset[str]
    needs_plan: bool
    #: told how many items a loop has
    told: Probe

    def through(self, run: Run, do: Do) -> None:
        before = run.scope.get(self.name, _ABSENT)
        needed: list[Fetch] = []
        try:
            for place, item in self._items(run):
                run.scope[self.name] = item
                try:
                    for step in self.steps:
                        do(step, run)
                except Stop as stop:
                    if len(run.notes) < _MAX_NOTES:
                        run.notes.append(f"{place} stopped: {stop}")
                except FetchNeeded as first:
                    needed += first.fetches  # those of all items are made at once, then all is run again
                except REFUSALS as error:
                    kind, reason, details, answers = question_of(error)
                    raise Parked(
                        kind, f"{place}: {reason}", details={"item": place, **details}, answers=answers
                    ) from error
        finally:
            if before is _ABSENT:
                run.scope.pop(self.name, None)
            else:
                run.scope[self.name] = before
        if needed:
            raise FetchNeeded(needed)
        run.bind(self.binds)

    def _items(self, run: Run) -> Iterator[tuple[str, Any]]:
        """Each item with its place in words."""
        if self.items is None:
            found = run.settings.roles.of(str(self.role))
            self._count(run, len(found), str(self.role))
            return ((f"{self.role} {info.name}", {**info.scope(), "settings": dict(info.settings)}) for info in found)
        value = self.items.evaluate(run.scope)
        if value is not None and not isinstance(value, (list, tuple)):
            what = "an object" if isinstance(value, dict) else repr(value)[:100]
            raise Parked("for_each.list", f"for_each needs a list: {self.items.text} is {what}")
        self._count(run, len(value or ()), self.items.text)
        return ((f"{self.items.text}[{index}]", item) for index, item in enumerate(value or ()))

    def _count(self, run: Run, count: int, what: str) -> None:
        self.told(count)
        run.items += count
        if run.items > MAX_ITEMS:
            raise Parked(
                "for_each.items",
                f"{what} has {count} items, which makes {run.items} in this run: at most {MAX_ITEMS:,}. Split the record, "
                "or take what is needed of the list first",
                details={"items": run.items},
            )

    def parts(self) -> Sequence[Step]:
        return self.steps


_ABSENT: Any = object()


def compile_step(config: Config, context: StepContext) -> ForEach | None:
    items = context.expression(config.in_, "in") if config.in_ is not None else None
    if not config.as_.isidentifier():
        hint = "letters, digits and _, not starting with a digit"
        context.problem("name", f"{config.as_!r} is not a name", hint, "as")
        return None
    loop = (config.connections, f"{config.as_}.id") if config.connections is not None else context.loop
    names = {*context.names, config.as_}
    # what comes after the loop is not what a mapping in it is for
    deliver = {} if config.connections is not None else context.deliver
    steps = context.steps(config.steps, "steps", names=names, loop=loop, deliver=deliver)
    binds = names - context.names - {config.as_}
    context.names |= binds
    context.maybe |= binds
    if config.in_ is not None and items is None:
        return None
    needs_plan = any(step.needs_plan for step in steps)
    over = "connections" if config.in_ is None else "in"
    told = context.probe(Kind.LOOPS, str(config.connections or config.in_), over)
    return ForEach(items, config.connections, config.as_, steps, frozenset(binds), needs_plan, told)


KIND = StepKind("for_each", Config, compile_step, parts=("steps",))  # type: ignore[arg-type]
