"""The rule about echo loops: flows that start each other for ever.

A flow feeds another when a write of it changes a record that the other is started by, or when it emits the event that the
other answers. What the core announces (`order.ready`, `stock.changed`) feeds nobody: its steps compare with what is booked
and tell only what is new, so that a loop through them ends by itself. `stock.move` is the exception: it moves what it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.flows.lint.project import Project
from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.view import FlowView, StepView
from hub.mapping import Problem

#: core steps that announce an event each time that they run
_TELLS = {"stock.move": "stock.changed"}


@dataclass(frozen=True)
class _Feeds:
    """A step of a flow that starts another flow."""

    step: StepView
    flow: str
    #: what is changed or emitted, in words
    by: str


@RULES.in_project(
    id="echo-loop",
    finds="Flows that start each other: a write changes a record (`writes` of the operation in `connector.yaml`) that starts the "
    "other flow, or an `emit` does, and so on back to the first; or one flow that starts itself. `stock.move` counts as an `emit` "
    "of `stock.changed`; the other steps of the core do not: they compare, and tell only what is new. Neither does a "
    "step behind `stock.observe`, or behind a `when` or `switch` that reads the `outcome` of `order.sync` or what a `lookup` found.",
    place="in each flow of the loop, the name of the step that starts the next: `deliver`, `emit`, `stock.move` or `call`",
    why="Each change comes back as a change: systems call each other all day, limits are used up, and true changes wait behind.",
    mend="Let the core stand between (`order.sync` compares), or go on only if something is new: `lookup` and `when`.",
    example="""\
flow: example
on: {role: shop, record: order}
steps:
  - deliver: {role: shop, operation: fulfillment.create, key: record.id, body: "{'order_id': record.id, 'lines': []}"}
""",
)
def echo_loop(rule: Rule, project: Project) -> Iterator[Problem]:
    feeds = {view.document.file: list(_feeds(project, view)) for view in project.views}
    reached = {file: _reached(file, feeds) for file in feeds}
    views = {view.document.file: view for view in project.views}
    for file, steps in feeds.items():
        told: dict[StepView, list[_Feeds]] = {}
        for each in steps:
            if file in reached[each.flow]:
                told.setdefault(each.step, []).append(each)
        for step, each_of in told.items():
            others = ", ".join(sorted({views[each.flow].name for each in each_of}))
            what = each_of[0].by
            if all(each.flow == file for each in each_of):
                message = f"{what} starts this flow again"
            else:
                message = f"{what} starts {others}, which comes back to {views[file].name}"
            yield rule.at(views[file].at_name(step), message, "let the core compare, or go on only if something is new")


def _reached(start: str, feeds: dict[str, list[_Feeds]]) -> set[str]:
    """The flows that run because of one, itself included."""
    found, open_ = {start}, [start]
    while open_:
        for each in feeds[open_.pop()]:
            if each.flow not in found:
                found.add(each.flow)
                open_.append(each.flow)
    return found


def _feeds(project: Project, view: FlowView) -> Iterator[_Feeds]:
    guarded = _guarded(view)
    for step in view.of_kind("deliver", "emit", "call", *_TELLS):
        if step.scope is None or step.path in guarded:
            continue
        for other in project.views:
            by = _starts(project, step, other)
            if by:
                yield _Feeds(step, other.document.file, by)


def _starts(project: Project, step: StepView, other: FlowView) -> str:
    """How a step starts a flow, in words; empty when it does not."""
    on = other.on
    if step.kind == "call":
        return f"calling {other.flow_name}" if step.text("flow") == other.flow_name else ""
    if step.kind in ("emit", *_TELLS):
        event = _TELLS.get(step.kind) or step.text("event")
        return f"`{step.kind}` of {event}" if event and event == on.event else ""
    role, operation = step.text("role"), step.text("operation")
    if role is None or operation is None or on.role is None or on.record is None:
        return ""
    for info in project.players(role):
        manifest = project.manifest(info)
        known = manifest.operations.get(operation) if manifest else None
        same = role == on.role or (info.id > 0 and on.role in info.roles)
        if same and known is not None and known.writes == on.record:
            return f"{operation} changes {on.role}.{on.record}, which"
    return ""


def _guarded(view: FlowView) -> set[tuple[str | int, ...]]:
    """The steps that run only when something is new."""
    new = {name for step in view.of_kind("lookup") if (name := step.text("as"))}
    if any(view.of_kind("order.sync")):
        new.add("outcome")
    guards = [
        step
        for step in view.of_kind("when", "switch", "validate", "stock.observe")
        if step.kind == "stock.observe" or any(written.names & new for written in view.of_step(step))
    ]
    return {step.path for step in view.steps if any(_behind(step, guard) for guard in guards)}


def _behind(step: StepView, guard: StepView) -> bool:
    """Whether a step runs only if a guard lets it: inside it, or after it in its list."""
    if step.path[: len(guard.path)] == guard.path:
        return step is not guard
    steps = guard.path[:-2]
    if guard.kind == "switch" or "steps" in guard.settings or step.path[: len(steps)] != steps:
        return False
    return int(step.path[len(steps)]) > int(guard.path[-2])
