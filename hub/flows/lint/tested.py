"""The rule about flows that nobody tests; only with `--strict`."""

from __future__ import annotations

from collections.abc import Iterator

from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.view import FlowView
from hub.mapping import Problem


@RULES.in_flow(
    id="no-test",
    finds="With `--strict`: a flow without a test, `NAME.test.yaml` beside it or another test file that names it under `flows`.",
    place="the value of `flow`",
    why="The next change of the flow, its mapping or the shop's API is first tried on true orders.",
    mend="Write a test beside it, or capture one of a run.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
    strict=True,
)
def no_test(rule: Rule, view: FlowView) -> Iterator[Problem]:
    if not {view.name, view.flow_name} & view.project.tested:
        place = view.document.position(("flow",))
        yield rule.at(place, f"no test tries {view.flow_name}", f"write {view.name}.test.yaml beside it")
