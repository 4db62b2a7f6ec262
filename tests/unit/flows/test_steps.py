"""What each step does, and what it asks about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.connect.registry import Registry
from hub.core.plan import Plan
from hub.db.types import instant_us
from hub.flows.active import FlowFile, load_flows
from hub.flows.compiling import StepContext
from hub.flows.context import ConnectionInfo, MappingFolder, Roles
from hub.flows.run import Parked, Run, Settings, Stop, Trigger, apply, prepare, start
from hub.flows.steps import KINDS
from hub.flows.steps.map import Config, compile_step
from hub.flows.triggers import On
from hub.mapping import EvaluationError, load_document
from hub.outbox import bodies

SHOP = ConnectionInfo(1, "shop", "shopify", "live", 0, {"tax": "FR"}, ("shop",))
OTHER = ConnectionInfo(2, "other", "http", "live", 0, {"tax": "DE"}, ("shop",))
ROLES = Roles({1: SHOP}, Registry.discover())
BOTH = Roles({1: SHOP, 2: OTHER}, ROLES.registry)


def run_of(
    steps: str,
    record: Any = None,
    *,
    on: str = "{manual: go}",
    when: str = "",
    roles: Roles = ROLES,
    folder: Path | None = None,
    trigger: Trigger | None = None,
) -> Run:
    """A run of a flow with these steps, after the steps that need no plan."""
    text = f"flow: f\non: {on}\n{when}steps:\n{steps}"
    made = load_flows([FlowFile("f", "flows/f.yaml", text)], roles, MappingFolder([folder] if folder else []))
    assert [str(problem) for problem in made.problems] == []
    given = trigger or Trigger(1, "go", "go:1", "manual:go:1", record)
    run = start(made.flows[0], given, Settings(roles, None, "Europe/Paris"))
    prepare(run)
    return run


def of_core(name: str, subject: str, record: Any) -> Trigger:
    return Trigger(1, name, subject, subject, record, core=True)


# -- scope ------------------------------------------------------------------------------------------------------------


def test_a_core_event_brings_the_record_that_it_is_about_by_name() -> None:
    run = run_of("  - set: {a: invoice.number}\n", on="{event: invoice.issued}", trigger=of_core("invoice.issued", "order:1", {"number": "F1"}))  # fmt: skip
    assert run.scope["a"] == "F1"
    both = {"shipment": {"id": 1}, "order": {"ref": "R"}}
    run = run_of("  - set: {a: shipment.id, b: order.ref}\n", on="{event: shipment.recorded}", trigger=of_core("shipment.recorded", "order:1", both))  # fmt: skip
    assert (run.scope["a"], run.scope["b"]) == (1, "R")
    assert (run.scope["event"]["name"], run.scope["event"]["subject"]) == ("shipment.recorded", "order:1")


def test_an_event_says_when_it_came_in_and_which_day_that_was_for_the_book() -> None:
    late = Trigger(1, "go", "go:1", "manual:go:1", {}, at=instant_us("2026-11-24T23:30:00+00:00"))

    run = run_of("  - set: {at: event.at, day: event.day}\n", trigger=late)

    assert (run.scope["at"], run.scope["day"]) == ("2026-11-24T23:30:00.000000Z", "2026-11-25")


def test_a_record_of_a_connection_brings_its_settings_and_never_its_secrets() -> None:
    trigger = Trigger(1, "shopify.order", "1:order:1", "1:order:1", {"id": 1}, SHOP)
    run = run_of("  - set: {a: settings.tax, b: connection.name}\n", on="{role: shop, record: order}", trigger=trigger)
    assert (run.scope["a"], run.scope["b"]) == ("FR", "shop")
    assert set(run.scope["connection"]) == {"id", "name", "connector"}


# -- steps that need no plan ------------------------------------------------------------------------------------------------


def test_set_computes_values_one_after_the_other() -> None:
    run = run_of("  - set: {a: record.n * 2, b: a + 1}\n", {"n": 3})
    assert (run.scope["a"], run.scope["b"]) == (6, 7)


def test_validate_goes_on_or_asks_with_its_text() -> None:
    steps = "  - validate: {that: record.n > 0, else: n is to be above 0}\n  - set: {a: '1'}\n"
    assert run_of(steps, {"n": 1}).scope["a"] == 1
    with pytest.raises(Parked, match="n is to be above 0") as asked:
        run_of(steps, {"n": 0})
    assert asked.value.kind == "validate"
    assert asked.value.details == {"that": "record.n > 0"}


def test_stop_ends_the_run_with_its_reason() -> None:
    with pytest.raises(Stop, match="enough"):
        run_of("  - stop: enough\n  - set: {a: record.missing.deeper + 1}\n", {})


def test_when_in_short_stops_and_in_long_chooses() -> None:
    with pytest.raises(Stop, match=r"when record\.n"):
        run_of("  - when: record.n == 1\n", {"n": 2})
    steps = "  - when: {if: record.n == 1, steps: [{set: {a: \"'one'\"}}], else: [{set: {a: \"'other'\"}}]}\n  - set: {b: a}\n"
    assert run_of(steps, {"n": 1}).scope["b"] == "one"
    assert run_of(steps, {"n": 2}).scope["b"] == "other"
    steps = "  - when: {if: record.n == 1, steps: [{set: {a: '1'}}]}\n  - set: {b: '2'}\n"
    assert run_of(steps, {"n": 5}).scope["b"] == 2


def test_the_when_of_a_flow_is_asked_before_its_first_step() -> None:
    with pytest.raises(Stop, match=r"^when$"):
        run_of("  - set: {a: record.n + 'x'}\n", {"n": 1}, when="when: record.n == 2\n")


def test_an_expression_that_fails_says_where() -> None:
    with pytest.raises(EvaluationError) as failed:
        run_of("  - set: {a: \"record.n + 'x'\"}\n", {"n": 1})
    assert "flows/f.yaml:4:" in str(failed.value)


def test_map_makes_a_record_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "shopify").mkdir()
    (tmp_path / "shopify" / "note.yaml").write_text(
        "mapping: shopify/note\nfrom: shopify.order\nto: note\nmap:\n  a: id\n  tax: settings.tax\n  shop: connection.name\n"
    )
    trigger = Trigger(1, "shopify.order", "1:order:1", "1:order:1", {"id": 5}, SHOP)
    on = "{role: shop, record: order}"
    run = run_of("  - map: note\n", on=on, trigger=trigger, folder=tmp_path)
    assert run.scope["note"] == {"a": 5, "tax": "FR", "shop": "shop"}
    run = run_of("  - map: {name: note, as: other}\n", on=on, trigger=trigger, folder=tmp_path)
    assert run.scope["other"]["a"] == 5


def test_map_takes_the_connection_that_the_deliver_names(tmp_path: Path) -> None:
    """Two shops of different systems: each is told in its own words."""
    for connector in ("shopify", "http"):
        (tmp_path / connector).mkdir()
        (tmp_path / connector / "note.yaml").write_text(
            f"mapping: {connector}/note\nfrom: shipment\nto: {connector}.note\nmap:\n  by: \"'{connector}'\"\n  tax: settings.tax\n"
        )
    context = StepContext(
        "f", On(event="shipment.recorded"), load_document("a: 1", "f.yaml"), BOTH, MappingFolder([tmp_path]), KINDS, [],
        deliver={"role": "shop", "connection": "shipment.shop"},
    )  # fmt: skip
    step = compile_step(Config(name="note"), context)
    for wanted, by, tax in ((1, "shopify", "FR"), (2, "http", "DE")):
        trigger = of_core("shipment.recorded", "order:1", {"id": 1, "shop": wanted})
        run = Run(None, trigger, Settings(BOTH, None, ""), {"shipment": trigger.record})  # type: ignore[arg-type]
        step.run(run)
        assert run.scope["payload"] == {"by": by, "tax": tax}


# -- steps that need the plan -----------------------------------------------------------------------------------------------


class _Plan(Plan):
    """A plan that reads nothing."""

    def __init__(self) -> None:
        super().__init__(1, None, None, 0)  # type: ignore[arg-type]


def test_emit_announces_an_event_about_the_runs_subject_or_another() -> None:
    run = run_of("  - emit: {event: a.flagged, record: \"{'n': record.n}\"}\n  - emit: {event: b.flagged, subject: \"'item:' + text(record.n)\"}\n", {"n": 7})  # fmt: skip
    plan = _Plan()
    apply(run, plan)
    assert [(each.name, each.subject, each.record) for each in plan.events] == [
        ("a.flagged", "go:1", {"n": 7}), ("b.flagged", "item:7", {"n": 7}),
    ]  # fmt: skip


@pytest.mark.parametrize("settings", ["record: '5'", "subject: '5'"])
def test_emit_needs_an_object_and_a_text(settings: str) -> None:
    run = run_of(f"  - emit: {{event: a.flagged, {settings}}}\n", {})
    with pytest.raises(Parked, match=r"a\.flagged"):
        apply(run, _Plan())


@pytest.mark.parametrize("record", [{}, {"sku": ""}, {"sku": 5}])
def test_item_sync_needs_a_sku(record: dict[str, Any]) -> None:
    with pytest.raises(Parked, match="SKU"):
        apply(run_of("  - item.sync: {}\n", record), _Plan())


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"sku": "A", "quantity": 0}, "above 0"),
        ({"sku": "A", "quantity": -1}, "above 0"),
        ({"sku": "A", "quantity": True}, "above 0"),
        ({"sku": "A", "quantity": "3"}, "above 0"),
        ({"sku": "A", "quantity": 1, "ref": ""}, "needs a ref"),
    ],
)
def test_stock_move_takes_whole_units_under_a_ref(record: dict[str, Any], says: str) -> None:
    run = run_of("  - stock.move: {source: supplier, destination: main, ref: record.ref}\n", {"ref": "R", **record})
    with pytest.raises(Parked, match=says):
        apply(run, _Plan())


@pytest.mark.parametrize("key", ["record.missing", "''", "[1]", "record.n == 1"])
def test_deliver_needs_a_key_that_identifies(key: str) -> None:
    run = run_of(f'  - deliver: {{role: shop, operation: stock.read, key: "{key}"}}\n', {"n": 1})
    with pytest.raises(Parked, match="must be a text or a number"):
        apply(run, _Plan())


def test_deliver_to_a_role_that_nobody_plays_ends_the_run_in_order() -> None:
    run = run_of("  - deliver: {role: crm, operation: x, key: \"'k'\"}\n", {})
    with pytest.raises(Stop, match="crm"):
        apply(run, _Plan())


# -- bodies -------------------------------------------------------------------------------------------------------------


def test_bodies_are_canonical_and_keep_numbers_exact() -> None:
    from decimal import Decimal

    body = {"b": Decimal("1.10"), "a": [9_007_199_254_740_993, "é"]}
    text = bodies.encode(body)
    assert text == '{"a":[9007199254740993,"é"],"b":1.10}'.encode()
    assert bodies.decode(text) == body
    assert bodies.encode(dict(reversed(body.items()))) == text


@pytest.mark.parametrize("body", [object(), "\ud800", {("a",): 1}])
def test_what_is_no_json_is_said_and_not_a_crash(body: Any) -> None:
    with pytest.raises(bodies.BodyError):
        bodies.encode(body)


def test_references_are_found_anywhere_and_replaced() -> None:
    ref = {"$ref": "customer", "key": 7, "ensure": "customer.ensure", "data": {"a": 1}}
    body = {"x": [{"y": ref}], "z": ref}
    assert [(each.kind, each.key, each.ensure) for each in bodies.references(body)] == [
        ("customer", "7", "customer.ensure")
    ] * 2
    assert bodies.resolve(body, lambda kind, key: f"{kind}-{key}") == {"x": [{"y": "customer-7"}], "z": "customer-7"}
