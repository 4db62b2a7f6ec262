"""The rules that know what records look like: the checks of `hub.mapping.check`, for mappings and for the steps of flows."""

from __future__ import annotations

from collections.abc import Iterator

from hub.flows.context import MAPPING_NAMES
from hub.flows.lint.project import Project, in_each
from hub.flows.lint.reads import Written
from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.scope import Scope, set_name
from hub.flows.lint.view import FlowView, StepView
from hub.mapping import Mapping as RecordMapping
from hub.mapping import Problem
from hub.mapping.check import check_expression, check_mapping
from hub.records.schema import ANY, OBJECT, TEXT, WHOLE, Kind, Type, list_of

#: settings of steps that are only asked whether they hold
_CONDITIONS = {("when", "if"), ("validate", "that")}
#: what settings of steps take, where it is one kind of value
_WANTED: dict[tuple[str, str], Type] = {
    ("for_each", "in"): list_of(ANY).or_null(),
    ("deliver", "body"): OBJECT.or_null(),
    ("emit", "record"): OBJECT,
    ("emit", "subject"): TEXT,
    ("stock.move", "quantity"): WHOLE,
    ("stock.observe", "found"): WHOLE.or_null(),
}
_KEYS = (Kind.TEXT, Kind.WHOLE, Kind.NUMBER, Kind.ANY, Kind.NULL, Kind.REFERENCE)


def _order_mapping(line: str, let: str = "") -> dict[str, str]:
    """A mapping from Shopify's order with one line of interest."""
    head = "mapping: shopify/example\nfrom: shopify.order\nto: example\n"
    return {"mappings/shopify/example.yaml": f"{head}{let}map:\n  {line}\n"}


UNKNOWN_FIELD = RULES.declare(
    Rule(
        id="unknown-field",
        finds="A field that a described record does not have, where an expression reads it, or that a mapping makes and its target "
        "does not have.",
        place="the field's name, where it is read; its key, where it is made",
        why="It reads as null for ever: the customer's number is simply missing from each invoice.",
        mend="Write the field as the hint says. If the system sends it and nobody described it, add it to the connector's schema.",
        example=_order_mapping("number: legacyResourceID"),
    )
)
MISSING_FIELD = RULES.declare(
    Rule(
        id="missing-field",
        finds="A field that the target of a mapping has to have, and that the mapping does not make.",
        place="the key of the object that lacks it (`map` for the record itself)",
        why="The record is refused each time, with a question for each order.",
        mend="Add the field.",
        example={
            "mappings/shipbob/example.yaml": """\
mapping: shipbob/example
from: shipbob.shipment
to: shipment
map:
  order_ref: reference_id
  shipped_at: "'2026-11-24T08:12:00Z'"
"""
        },
    )
)
TYPE_MISMATCH = RULES.declare(
    Rule(
        id="type-mismatch",
        finds="An operation, an argument, a setting of a step or a target field that gets a value of a kind that it cannot take; a "
        "comparison of two kinds, which never holds.",
        place="the part of the expression that has the wrong kind; for a comparison or an operator the whole operation",
        why="It stops the run with a question, or a condition silently never holds.",
        mend="`text(x)`, `number(x)` and `money(x, currency)` say what is meant.",
        example="""\
flow: example
on: {event: invoice.issued}
when: invoice.total > 80
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
    )
)
UNKNOWN_CHOICE = RULES.declare(
    Rule(
        id="unknown-choice",
        finds="A text that a field is compared with or filled with, or a case of a `switch`, that is none of the values that the "
        "schema lists for it.",
        place="the quoted text; the key of the case",
        why="The condition never holds: refunds are treated as sales, paid orders as open.",
        mend="Write the value as the hint says.",
        example="""\
flow: example
on: {event: invoice.issued}
when: invoice.kind == 'invoce'
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
    )
)
FLOAT_MONEY = RULES.declare(
    Rule(
        id="float-money",
        finds="An amount of money that is worked on as a plain number and becomes money afterwards, or that is rounded by hand.",
        place="the amount in the call that makes money of it or rounds it; the whole multiplication of an amount by a rate",
        why="Each line is off by a cent at times, and the invoice no longer adds up to what the customer paid.",
        mend="Make money of it first: `money(x, currency) * quantity`.",
        example=_order_mapping("half: round(number(totalPriceSet.shopMoney.amount) / 2, 2)"),
    )
)
MISSING_CURRENCY = RULES.declare(
    Rule(
        id="missing-currency",
        finds="Money made without a currency, or amounts of two currencies added or compared.",
        place="the argument that is or may be null; the whole operation on two currencies",
        why="Dollars are booked as euros.",
        mend="Take the currency that the record gives beside the amount.",
        example=_order_mapping("total: money(totalPriceSet.shopMoney.amount, null)"),
    )
)
CONSTANT_CONDITION = RULES.declare(
    Rule(
        id="constant-condition",
        finds="A condition that always holds, or never: it reads nothing, or compares what cannot be. A test for null is never spoken of: a system may leave out what its description promises.",
        place="the condition, or the part of it that is constant",
        why="What it was to keep out comes in, or nothing comes in at all.",
        mend="Compare with the field that was meant.",
        example="""\
flow: example
on: {event: invoice.issued}
when: invoice.number == invoice.number
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
    )
)


def mapping_problems(project: Project, mapping: RecordMapping) -> list[Problem]:
    """What is wrong with a mapping, by the types of its records."""
    source, target = (project.schema(kind) for kind in (mapping.source, mapping.target))
    names = dict.fromkeys(MAPPING_NAMES, OBJECT.or_null())
    return check_mapping(mapping.document, None if source is ANY else source, None if target is ANY else target, names)


def flow_problems(view: FlowView) -> list[Problem]:
    """What is wrong with the expressions of a flow, by the types of what they read."""
    return in_each(_flow_problems(variant) for variant in view.variants)


def _flow_problems(view: FlowView) -> Iterator[Problem]:
    for name, written, scope in view.top:
        yield from _check(written, scope, condition=name == "when")
    for step in view.steps:
        if step.scope is not None:
            yield from _step_problems(view, step, step.scope)


def _step_problems(view: FlowView, step: StepView, scope: Scope) -> Iterator[Problem]:
    for path, written in view.written.get(step.path, {}).items():
        setting = (step.kind, str(path[0]))
        yield from _check(
            written, scope, condition=setting in _CONDITIONS, wanted=_WANTED.get(setting), what=setting[1]
        )
        if step.kind == "set":
            scope = scope.binding(set_name(written, str(path[0]), scope))
    if step.kind == "deliver":
        type_, key = view.type_of(step, "key"), view.expression(step, "key")
        if key is not None and type_.kind not in _KEYS:
            yield TYPE_MISMATCH.at(key.start, f"a key is a text or a number, and this is {type_}", "text(x)")
    elif step.kind == "switch":
        yield from _cases(view, step)


def _check(
    written: Written, scope: Scope, *, condition: bool = False, wanted: Type | None = None, what: str = ""
) -> list[Problem]:
    checked = check_expression(
        written.text, written.position, scope.types, condition=condition, wanted=wanted, what=f"`{what}`"
    )
    return checked.problems


def _cases(view: FlowView, step: StepView) -> Iterator[Problem]:
    """Cases of a `switch` that its value can never be."""
    type_, cases = view.type_of(step, "on"), step.settings.get("cases")
    possible = ["true", "false"] if type_.kind is Kind.BOOL else type_.choices
    for case in cases if possible and isinstance(cases, dict) else ():
        if case not in possible:
            place = view.document.key_position((*step.path, "cases", case))
            yield UNKNOWN_CHOICE.at(place, f"it is never {case!r}", f"one of: {', '.join(possible)}")
