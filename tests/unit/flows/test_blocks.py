"""Steps that hold steps: `switch`, `for_each` and `call`."""

from __future__ import annotations

from typing import Any

import pytest

from hub.connect.registry import Registry
from hub.flows.active import FlowFile, Loaded, load_flows
from hub.flows.context import ConnectionInfo, MappingFolder, Roles
from hub.flows.run import Parked, Run, Settings, Stop, Trigger, Wanted, prepare, rehearse, start
from hub.flows.steps import for_each

ROLES = Roles(
    {
        1: ConnectionInfo(1, "paris", "shopify", "live", 0, {"tax": "FR"}, ("shop",)),
        2: ConnectionInfo(2, "berlin", "http", "live", 0, {"tax": "DE"}, ("shop",)),
        3: ConnectionInfo(3, "books", "quickbooks", "live", 0, {}, ("books",)),
    },
    Registry.discover(),
)
CHECK = """\
flow: check
on: {call: [line]}
steps:
  - validate: {that: line.quantity > 0, else: nothing is sold}
  - set: {own: "line.sku + '!'"}
returns: "{'sku': own, 'seen': event.name}"
"""


def loaded(steps: str, *others: str, on: str = "{manual: go}", mappings: MappingFolder | None = None) -> Loaded:
    files = [FlowFile("f", "flows/f.yaml", f"flow: f\non: {on}\nsteps:\n{steps}")]
    files += [FlowFile(f"g{index}", f"flows/g{index}.yaml", text) for index, text in enumerate(others)]
    return load_flows(files, ROLES, mappings or MappingFolder([]))


def run_of(
    steps: str,
    record: Any = None,
    *others: str,
    on: str = "{manual: go}",
    trigger: Trigger | None = None,
    mappings: MappingFolder | None = None,
) -> Run:
    made = loaded(steps, *others, on=on, mappings=mappings)
    assert [str(problem) for problem in made.problems] == []
    flow = next(flow for flow in made.flows if flow.name == "f")
    run = start(flow, trigger or Trigger(1, "go", "go:1", "go:1", record), Settings(ROLES, None, "Europe/Paris"))
    prepare(run)
    return run


# -- switch -------------------------------------------------------------------------------------------------------------

SWITCH = """\
  - switch:
      on: record.kind
      cases:
        paid: [{set: {a: "'P'"}}]
        "2": [{set: {a: "'two'", b: "'B'"}}]
        "true": [{set: {a: "'yes'"}}]
"""


@pytest.mark.parametrize(
    ("kind", "a", "b"), [("paid", "P", None), (2, "two", "B"), ("2", "two", "B"), (True, "yes", None)]
)
def test_switch_runs_the_case_of_the_values_text_and_what_other_cases_bind_is_null(kind: Any, a: str, b: Any) -> None:
    run = run_of(SWITCH + "  - set: {c: \"default(b, 'none')\"}\n", {"kind": kind})
    assert (run.scope["a"], run.scope["b"], run.scope["c"]) == (a, b, b or "none")


@pytest.mark.parametrize(("kind", "said"), [("open", "'open'"), (None, "null"), ([1], "no single value")])
def test_a_value_that_no_case_fits_is_a_question_unless_there_is_an_else(kind: Any, said: str) -> None:
    with pytest.raises(Parked, match=r"record\.kind is " + said) as asked:
        run_of(SWITCH, {"kind": kind})
    assert asked.value.kind == "switch.unhandled"
    assert asked.value.details["cases"] == ["paid", "2", "true"]
    assert run_of(SWITCH + "      else: [{set: {a: \"'else'\"}}]\n", {"kind": kind}).scope["a"] == "else"


def test_what_only_some_ways_bind_is_known_as_perhaps_null() -> None:
    """`order.sync` needs an order: one that every case makes will do."""
    case = "[{set: {order: record}}]"
    steps = "  - switch: {on: record.a, cases: {x: %s, y: %s}}\n  - order.sync: {}\n"
    assert loaded(steps % (case, case), on="{role: shop, record: order}").problems == []


# -- for_each -----------------------------------------------------------------------------------------------------------


def test_for_each_comes_to_every_item_and_puts_its_name_back() -> None:
    steps = (
        "  - set: {line: \"'before'\", sum: '0'}\n"
        "  - for_each: {in: record.lines, as: line, steps: [{set: {sum: sum + line.n}}]}\n"
        "  - set: {after: line}\n"
    )
    run = run_of(steps, {"lines": [{"n": 1}, {"n": 2}, {"n": 4}]})
    assert (run.scope["sum"], run.scope["after"]) == (7, "before")
    run = run_of(
        steps.replace("line: \"'before'\", ", "").replace("  - set: {after: line}\n", ""), {"lines": [{"n": 1}]}
    )
    assert "line" not in run.scope


def test_no_items_and_null_are_no_work_and_what_the_loop_binds_is_null() -> None:
    steps = "  - for_each: {in: record.lines, as: line, steps: [{set: {a: line.n}}]}\n  - set: {b: a == null}\n"
    for record in ({"lines": []}, {}, {"lines": None}):
        assert run_of(steps.replace("null", "None"), record).scope["b"] is True


@pytest.mark.parametrize(("value", "said"), [("abc", "'abc'"), ({"a": 1}, "an object"), (5, "5")])
def test_what_is_no_list_is_a_question(value: Any, said: str) -> None:
    with pytest.raises(Parked, match=f"record.lines is {said}") as asked:
        run_of("  - for_each: {in: record.lines, as: line, steps: [{set: {a: line}}]}\n", {"lines": value})
    assert asked.value.kind == "for_each.list"


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("{validate: {that: line.n < 3, else: too many}}", "validate"),
        ("{set: {a: line.n + line.text}}", "mapping.error"),
        ("{for_each: {in: line.inner, as: deep, steps: [{validate: {that: deep < 3, else: too many}}]}}", "validate"),
    ],
)
def test_an_item_that_is_refused_refuses_the_run_and_names_its_place(step: str, kind: str) -> None:
    lines = [{"n": 1, "text": 1, "inner": [1, 2]}, {"n": 3, "text": "x", "inner": [1, 3]}]
    with pytest.raises(Parked) as asked:
        run_of(f"  - for_each: {{in: record.lines, as: line, steps: [{step}]}}\n", {"lines": lines})
    assert asked.value.kind == kind
    assert str(asked.value).startswith("record.lines[1]: ")
    if "deep" in step:
        assert str(asked.value) == "record.lines[1]: line.inner[1]: too many"


def test_a_stop_ends_the_item_and_is_noted() -> None:
    steps = "  - for_each: {in: record, as: n, steps: [{when: n != 2}, {set: {last: n}}]}\n"
    run = run_of(steps, [1, 3, 2])
    assert run.scope["last"] == 3
    assert run.notes == ["record[2] stopped: when n != 2"]


def test_the_items_of_all_loops_of_a_run_are_counted_and_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(for_each, "MAX_ITEMS", 10)
    steps = "  - for_each: {in: record, as: a, steps: [{for_each: {in: record, as: b, steps: [{set: {c: b}}]}}]}\n"
    assert run_of(steps, [1, 2]).items == 6
    with pytest.raises(Parked, match="at most 10") as asked:
        run_of(steps, [1, 2, 3])
    assert asked.value.kind == "for_each.items"


def test_a_mapping_in_a_loop_over_connections_is_of_the_connection_at_hand(tmp_path: Any) -> None:
    for connector in ("quickbooks", "shopify", "http"):
        (tmp_path / connector).mkdir()
        (tmp_path / connector / "note.yaml").write_text(
            f"mapping: {connector}/note\nfrom: order\nto: {connector}.note\nmap:\n  by: \"'{connector}'\"\n  tax: settings.tax\n"
        )
    each = "  - for_each: {connections: shop, as: shop, steps: [{map: note}, {set: {all: 'all + [payload]'}}]}\n"
    trigger = Trigger(1, "shopify.order", "1:order:1", "1:order:1", {"id": 5}, ROLES.connections[1])
    run = run_of(
        "  - set: {all: '[]', order: record}\n" + each,
        on="{role: shop, record: order}",
        trigger=trigger,
        mappings=MappingFolder([tmp_path]),
    )
    assert run.scope["all"] == [{"by": "shopify", "tax": "FR"}, {"by": "http", "tax": "DE"}]


def test_what_delivers_inside_of_blocks_look_for_is_known_before(tmp_path: Any) -> None:
    """The deliveries of a whole batch are read with one query."""
    (tmp_path / "quickbooks").mkdir()
    (tmp_path / "quickbooks" / "note.yaml").write_text(
        "mapping: quickbooks/note\nfrom: line\nto: quickbooks.note\nmap:\n  sku: \"ref('item', sku)\"\n"
    )
    deliver = "deliver: {role: books, operation: invoice.create, key: line.sku}"
    steps = (
        "  - for_each:\n      in: invoice.lines\n      as: line\n      steps:\n"
        f"        - map: note\n        - switch: {{on: line.kind, cases: {{a: [{{{deliver}}}], b: [{{set: {{x: '1'}}}}]}}}}\n"
        f"  - when: {{if: invoice.more, steps: [{{{deliver.replace('line.sku', 'invoice.number')}}}]}}\n"
    )
    lines = [{"sku": "A", "kind": "a"}, {"sku": "B", "kind": "b"}, {"sku": "C", "kind": "a"}]
    trigger = Trigger(
        1, "invoice.issued", "order:1", "order:1", {"number": "F1", "lines": lines, "more": True}, core=True
    )
    run = run_of(steps, on="{event: invoice.issued}", trigger=trigger, mappings=MappingFolder([tmp_path]))
    assert run.flow.only_delivers
    assert run.flow.deliver_roles == {"books"}
    scope = dict(run.scope)
    wanted = Wanted()
    rehearse(run, wanted)
    assert wanted.deliveries == [(3, "invoice.create", key) for key in ("A", "C", "F1")]
    assert [key for _, _, key in wanted.bindings] == ["A", "C", "C"]
    assert run.scope == scope
    assert run.next_step == 0


# -- call ---------------------------------------------------------------------------------------------------------------


def test_a_called_flow_sees_what_it_is_given_and_gives_back_what_it_returns() -> None:
    run = run_of(
        "  - call: {flow: check, with: {line: record.line}, as: made}\n", {"line": {"sku": "A", "quantity": 1}}, CHECK
    )
    assert run.scope["made"] == {"sku": "A!", "seen": "go"}
    assert "own" not in run.scope
    with pytest.raises(Parked, match="nothing is sold"):
        run_of("  - call: {flow: check, with: {line: record.line}}\n", {"line": {"sku": "A", "quantity": 0}}, CHECK)
    hidden = "flow: check\non: {call: []}\nsteps: [{set: {a: secret}}]\n"
    with pytest.raises(Exception, match=r"flows/g0\.yaml:3:19: unknown-name: secret is not given here"):
        run_of("  - set: {secret: '1'}\n  - call: {flow: check}\n", {}, hidden)


def test_a_called_flow_is_no_flow_of_its_own_and_part_of_its_callers_version() -> None:
    call = "  - call: {flow: check, with: {line: record.line}}\n"
    one, two = loaded(call, CHECK), loaded(call, CHECK.replace("nothing", "none"))
    assert [flow.name for flow in one.flows] == ["f"]
    assert one.flows[0].version_hash != two.flows[0].version_hash
    assert '"check"' in one.flows[0].version_text


def test_a_stop_in_a_called_flow_ends_the_run() -> None:
    with pytest.raises(Stop, match="enough"):
        run_of("  - call: {flow: halt}\n", {}, "flow: halt\non: {call: []}\nsteps: [{stop: enough}]\n")


@pytest.mark.parametrize(
    ("steps", "others", "place", "rule", "says"),
    [
        ("  - call: {flow: chek}\n", [CHECK], "f.yaml:4:18", "call-unknown", "did you mean 'check'"),
        ("  - call: {flow: g}\n", ["flow: g\non: {manual: x}\nsteps: [{stop: x}]\n"], "f.yaml:4:18", "call-unknown", "'g'"),
        ("  - call: {flow: check}\n", [CHECK], "f.yaml:4:11", "call-missing", "takes 'line'"),
        ("  - call: {flow: check, with: {line: record, lines: record}}\n", [CHECK], "f.yaml:4:46", "call-extra", "'line'"),
        ("  - call: {flow: check, with: {line: 'a +'}}\n", [CHECK], "f.yaml:4:", "", ""),
        ("  - call: {flow: h, as: a}\n", ["flow: h\non: {call: []}\nsteps: [{stop: x}]\n"], "f.yaml:4:25", "call-returns", "nothing"),
        (
            "  - call: {flow: a}\n",
            ["flow: a\non: {call: []}\nsteps: [{call: {flow: b}}]\n", "flow: b\non: {call: []}\nsteps: [{call: {flow: a}}]\n"],
            "g1.yaml:3:23", "call-cycle", "a -> b -> a",
        ),
        ("  - stop: x\n", ["flow: a\non: {call: a}\nsteps: [{stop: x}]\n"], "g0.yaml:2:12", "call", "a list"),
        ("  - stop: x\n", ["flow: a\non: {call: [event]}\nsteps: [{stop: x}]\n"], "g0.yaml:2:13", "name", "is there anyway"),
        ("  - stop: x\n", ["flow: a\non: {call: [b, b]}\nsteps: [{stop: x}]\n"], "g0.yaml:2:16", "name", "twice"),
        ("  - stop: x\n", ["flow: a\non: {call: []}\nwhen: x\nsteps: [{stop: x}]\n"], "g0.yaml:3:1", "unknown-key", "when"),
        ("  - stop: x\n", ["flow: a\non: {call: []}\nsteps: [{stopp: x}]\n"], "g0.yaml:3:10", "unknown-step", "stop"),
        ("  - stop: x\n", ["flow: a\non: {call: []}\nsteps: [{stop: x}]\nreturns: 5\n"], "g0.yaml:4:10", "expression", "text"),
        ("  - switch: {on: record.a, cases: {}}\n", [], "f.yaml:4:35", "switch-cases", "at least one"),
        ("  - switch: {on: record.a, cases: {x: [{stopp: x}]}}\n", [], "f.yaml:4:41", "unknown-step", "stop"),
        ("  - switch: {on: record.a, cases: {x: 5}}\n", [], "f.yaml:4:39", "step-settings", "list"),
        ("  - for_each: {as: a, steps: [{stop: x}]}\n", [], "f.yaml:4:15", "step-settings", "one of the two"),
        ("  - for_each: {in: record, connections: shop, as: a, steps: [{stop: x}]}\n", [], "f.yaml:4:15", "step-settings", "one"),
        ("  - for_each: {in: record, as: 1a, steps: [{stop: x}]}\n", [], "f.yaml:4:32", "name", "not a name"),
        ("  - for_each: {in: record, as: a, steps: []}\n", [], "f.yaml:4:42", "steps", "at least one"),
        (
            "  - for_each: {connections: shop, as: s, steps: [{deliver: {role: shop, operation: x, key: s.id}}]}\n",
            [], "f.yaml:4:", "role-several", "name one",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_them_is_said_with_its_place(
    steps: str, others: list[str], place: str, rule: str, says: str
) -> None:
    found = [p for p in loaded(steps, *others).problems if str(p).startswith(f"flows/{place}") and rule in p.rule]
    assert found, [str(problem) for problem in loaded(steps, *others).problems]
    assert says in str(found[0])
