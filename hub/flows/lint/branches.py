"""Rules about ways through a flow: steps that are never reached, values that no branch answers."""

from __future__ import annotations

from collections.abc import Iterator

from hub.flows.compiling import Path
from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.view import FlowView
from hub.mapping import Problem
from hub.records.schema import Kind


@RULES.in_flow(
    id="unreachable-step",
    finds="A step that no run gets to: after a `stop`, after a `when` or in a branch whose condition is always the same, or after "
    "branches that all stop.",
    place="the name of the first step that is not reached",
    why="What it should do is never done, and nothing says so: no invoice in the books, no mail.",
    mend="Put the step before what ends the run, mend the condition, or take the step out.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - when: invoice.total.amount > 0
  - stop: not sent yet
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
)
def unreachable_step(rule: Rule, view: FlowView) -> Iterator[Problem]:
    when = view.written.get((), {}).get(("when",))
    constant, value = when.constant() if when is not None else (False, None)
    never = constant and not value
    said: set[Path] = set()
    for step in view.steps:
        lists = [step.path[:-2], *(step.path[:at] for at in range(1, len(step.path) - 2))]
        if (never or step.scope is None) and not any(each in said for each in lists):
            said.add(step.path[:-2])
            why = "the flow's `when` never holds" if never else "no run gets here"
            yield rule.at(
                view.at_name(step), f"`{step.kind}` is never reached: {why}", "look at what ends the run before it"
            )


@RULES.in_flow(
    id="unhandled-branch",
    finds="A `switch` without `else` whose cases are not all that the value can be. It is complete for true and false, and for "
    "a field that the record's schema lists the values of.",
    place="the name `switch`",
    why="A value that no case names stops the run with a question; a new value of the shop does so for every order.",
    mend="Add the missing cases, or an `else` that says what is done with all others, if only `stop`.",
    example="""\
flow: example
on: {role: shop, record: order}
steps:
  - switch:
      on: record.displayFinancialStatus
      cases:
        PAID: [{map: order}, {order.sync: {}}]
""",
)
def unhandled_branch(rule: Rule, view: FlowView) -> Iterator[Problem]:
    for step in view.of_kind("switch"):
        cases = step.settings.get("cases")
        written = view.expression(step, "on")
        if "else" in step.settings or not isinstance(cases, dict) or written is None:
            continue
        type_ = view.type_of(step, "on")
        possible = ["true", "false"] if type_.kind is Kind.BOOL else list(type_.choices)
        missing = [each for each in possible if each not in cases]
        if missing:
            yield rule.at(view.at_name(step), f"no case for {', '.join(missing)}", "add them, or an `else`")
        elif type_.maybe_null or not possible:
            what = "null" if possible else "something else"
            yield rule.at(view.at_name(step), f"{written.text} may be {what}", "add an `else`")
