"""The JSON Schemas of the files people write: valid, taking all that the hub takes, refusing what is wrong in their shape."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from typer.testing import CliRunner

from hub.cli import app
from hub.connect.manifest import ManifestError, parse_manifest
from hub.connect.registry import Registry, shipped
from hub.flows import schema as flow_schemas
from hub.flows.compiling import StepConfig, StepKind
from hub.flows.context import MAPPING_NAMES, MappingFolder, Roles
from hub.flows.definition import FlowErrors, load_flow
from hub.flows.source import FlowFile
from hub.flows.steps import KINDS as STEPS
from hub.flows.triggers import CORE_EVENTS
from hub.mapping import MappingErrors, SourceError, load_document, load_mapping
from hub.workers import scaffold
from hub.workers.alerts import rules
from hub.workers.scaffold import TEMPLATES
from hub.workers.schemas import KINDS, schema
from hub.workers.testfile import BrokenTest, read_test

REGISTRY = Registry.discover()
EXAMPLE = TEMPLATES / "example"


@cache
def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(schema(kind, REGISTRY))


def said(kind: str, text: str) -> list[str]:
    """What the schema says against a file."""
    value = load_document(text, "file.yaml").value
    return [f"{'/'.join(map(str, each.absolute_path))}: {each.message}" for each in validator(kind).iter_errors(value)]


def shipped_files() -> Iterator[tuple[str, Path]]:
    for root in (shipped("flows").parent, EXAMPLE, TEMPLATES / "connector"):
        for file in sorted(root.glob("flows/*.yaml")):
            yield ("test" if file.name.endswith(".test.yaml") else "flow"), file
        for file in sorted(root.glob("mappings/*/*.yaml")):
            yield "mapping", file
        for file in sorted(root.glob("connectors/*/connector.yaml")):
            yield "connector", file
    yield "connections", EXAMPLE / "connections.yaml"
    yield "alerts", Path(rules.__file__).with_name("default.yaml")


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one(kind: str) -> None:
    made = schema(kind, REGISTRY)

    Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(made)


def test_every_file_that_is_shipped_fits() -> None:
    files = list(shipped_files())
    registry = {"acme", *REGISTRY.names()}  # the connector of the template is known where it was made
    test = Draft202012Validator(json.loads(json.dumps(schema("test", REGISTRY)).replace(
        json.dumps(REGISTRY.names()), json.dumps(sorted(registry)))))  # fmt: skip

    found = {}
    for kind, file in files:
        value = load_document(file.read_text("utf-8"), file.name).value
        found[file.name] = [each.message for each in (test if kind == "test" else validator(kind)).iter_errors(value)]

    assert {name: errors for name, errors in found.items() if errors} == {}
    assert {kind for kind, _ in files} == set(KINDS)
    assert len(files) > 50


def test_every_new_file_fits(tmp_path: Path) -> None:
    made = {
        **scaffold.flow(tmp_path, "own", "shipment.recorded"),
        **scaffold.flow(tmp_path, "other", "manual:letters"),
        **scaffold.mapping(tmp_path, "quickbooks/estimate"),
    }

    for name, content in made.items():
        kind = "test" if name.endswith(".test.yaml") else "mapping" if name.startswith("mappings") else "flow"
        assert said(kind, content.decode()) == [], name


HEAD = "flow: f\non: {event: invoice.issued}\n"
STEP = "steps: [{set: {a: '1'}}]\n"
MAPPING = "mapping: a/b\nfrom: a.b\nto: b\nmap:\n"
TEST = "flows: [shop-orders]\ntests:\n"
CONNECTOR = "connector: acme\ntitle: Acme\n"
#: kind, text: wrong in its shape, which both say
WRONG = [
    ("flow", "- a list"),
    ("flow", "flow: f\n" + STEP),
    ("flow", HEAD),
    ("flow", HEAD + "steps: []"),
    ("flow", HEAD + "steps: {set: {a: '1'}}"),
    ("flow", HEAD + "step: []\n" + STEP),
    ("flow", HEAD + "order: first\n" + STEP),
    ("flow", HEAD + "when: true\n" + STEP),
    ("flow", "flow: not a name\non: {event: invoice.issued}\n" + STEP),
    ("flow", "flow: '-'\non: {event: invoice.issued}\n" + STEP),
    ("flow", "flow: f\non: {role: shop}\n" + STEP),
    ("flow", "flow: f\non: {role: shop, record: order, event: invoice.issued}\n" + STEP),
    ("flow", "flow: f\non: invoice.issued\n" + STEP),
    ("flow", HEAD + "steps: [{mapp: invoice}]"),
    ("flow", HEAD + "steps: [map]"),
    ("flow", HEAD + "steps: [{set: {a: '1'}, stop: done}]"),
    ("flow", HEAD + "steps: [{set: {a: 1}}]"),
    ("flow", HEAD + "steps: [{map: 5}]"),
    ("flow", HEAD + "steps: [{deliver: {role: books, operation: invoice.create}}]"),
    ("flow", HEAD + "steps: [{deliver: {role: books, operation: invoice.create, key: invoice.number, boddy: x}}]"),
    ("flow", HEAD + "steps: [{deliver: {role: books, operation: invoice.create, key: 5}}]"),
    ("flow", HEAD + "steps: [{deliver: invoice}]"),
    ("flow", HEAD + "steps: [{validate: {that: 'true', else: no, more: 1}}]"),
    ("flow", HEAD + "steps: [{when: {if: 'true', steps: [{sett: {a: '1'}}]}}]"),
    ("flow", HEAD + "steps: [{when: {if: 'true', steps: [{when: {if: 'true', else: [{deliver: {}}]}}]}}]"),
    ("flow", HEAD + "steps: [{when: {iff: 'true'}}]"),
    ("flow", "flow: f\non: {manual: x}\nsteps: [{item.sync: {tracked: yes}}]"),
    ("mapping", "from: a.b\nto: b\nmap: {x: y}"),
    ("mapping", "mapping: a/b\nfrom: 5\nto: b\nmap: {x: y}"),
    ("mapping", "mapping: a/b\nfrom: a.b\nto: b"),
    ("mapping", "mapping: a/b\nfrom: a.b\nto: b\nmap: name"),
    ("mapping", MAPPING + "  each: lines\n  map: {a: b}"),
    ("mapping", MAPPING + "  x: y\nmaps: {}"),
    ("mapping", MAPPING + "  lines: {each: lines}"),
    ("mapping", MAPPING + "  lines: {each: lines, map: {a: b}, whenn: c}"),
    ("mapping", MAPPING + "  lines: {each: [a], map: {a: b}}"),
    ("mapping", MAPPING + "  lines: {concat: lines}"),
    ("mapping", MAPPING + "  lines: {concat: [5]}"),
    ("mapping", MAPPING + "  lines: {concat: [{a: b}]}"),
    ("mapping", MAPPING + "  lines: {concat: [a], let: {a: b}}"),
    ("mapping", MAPPING + "  a: {when: b}"),
    ("mapping", MAPPING + "  a: {b: {let: {c: d}}}"),
    ("mapping", MAPPING + "  a: {when: b, lets: {}, map: c}"),
    ("mapping", "let: [a]\n" + MAPPING + "  x: y"),
    ("mapping", "let: {a: [b]}\n" + MAPPING + "  x: y"),
    ("connector", "title: Acme"),
    ("connector", "connector: Acme\ntitle: Acme"),
    ("connector", CONNECTOR + "role: [shop]"),
    ("connector", CONNECTOR + "roles: [Shop]"),
    ("connector", CONNECTOR + "settings: {token: {type: sekret}}"),
    ("connector", CONNECTOR + "auth: {type: magic}"),
    ("connector", CONNECTOR + "auth: {type: api_key}"),
    ("connector", CONNECTOR + "operations: {a.b: {ladder: none}}"),
    ("connector", CONNECTOR + "operations: {a.b: {ladder: nothing, code: 'a:b'}}"),
    ("connector", CONNECTOR + "operations: {a.b: {code: 'a:b', request: {path: /a}}}"),
    ("connector", CONNECTOR + "operations: {a.b: {request: {pth: /a}}}"),
    ("connector", CONNECTOR + "operations: {a.b: {request: {path: /a, method: FETCH}}}"),
    ("connector", CONNECTOR + "operations: {a.b: {code: not code}}"),
    ("connector", CONNECTOR + "records: {a: {interval: often}}"),
    ("connector", CONNECTOR + "errors: {rules: [{status: 404}]}"),
    ("test", "flows: [shop-orders]"),
    ("test", "tests: [{expect: {orders: []}}]"),
    ("test", "flows: []\ntests: [{expect: {orders: []}}]"),
    ("test", TEST + "  - {name: a}"),
    ("test", TEST + "  - {name: a, expect: {}}"),
    ("test", TEST + "  - {name: a, expect: {order: []}}"),
    ("test", TEST + "  - {name: a, expect: {orders: {}}}"),
    ("test", TEST + "  - {name: a, gives: [], expect: {orders: []}}"),
    ("test", TEST + "  - {name: a, given: [{webhok: orders/paid}], expect: {orders: []}}"),
    ("test", TEST + "  - {name: a, given: [{poll: shop, wait: 5}], expect: {orders: []}}"),
    ("test", TEST + "  - {name: a, given: [{poll: shop, body: 5}], expect: {orders: []}}"),
    ("test", TEST + "  - {name: a, given: [{wait: long}], expect: {orders: []}}"),
    ("test", TEST + "  - {name: a, answers: [{rule: books}], expect: {orders: []}}"),
    ("test", "stock: {A: -1}\n" + TEST + "  - {name: a, expect: {orders: []}}"),
    ("test", "stock: {A: {units: 1}}\n" + TEST + "  - {name: a, expect: {orders: []}}"),
    ("test", "roles: {shop: {connector: shopify, mode: dead}}\n" + TEST + "  - {name: a, expect: {orders: []}}"),
]  # fmt: skip
#: what is right, though it may look strange: no schema says anything
RIGHT = [
    ("flow", HEAD + "steps: [{stop: {}}]"),
    ("flow", HEAD + "steps: [{stop: }, {stop: here}]".replace("{stop: }, ", "")),
    ("flow", HEAD + "steps: [{when: 'true'}, {when: {if: 'true', steps: [{stop: {}}], else: [{set: {a: '1'}}]}}]"),
    ("flow", HEAD + "order: strict\nwhen: 'true'\ndescription: one\n" + STEP),
    ("flow", "flow: f\non: {manual: x}\nsteps: [{item.sync: }]"),
    ("flow", "flow: Größe-2\non: {manual: x}\n" + STEP),
    ("mapping", MAPPING + "  a: 5\n  b: 1.10\n  c: true\n  d: null\n  e: [f, 5, {g: h}]\n  i: {}"),
    ("mapping", "let: {a: 5, b: null}\n" + MAPPING + "  x: {concat: [a, [b], {each: c, map: {d: e}}, {when: f, map: g}]}"),
    ("mapping", MAPPING + "  x: {each: lines, as: line, when: true, let: {a: line.b}, map: [a, {c: a}]}"),
    ("connector", CONNECTOR + "operations: {a.b: {request: {path: /a}}, c: {code: 'a:b', read: true}}"),
    ("test", TEST + "  - {expect: {orders: []}}"),
    ("test", "stock: {A: {quantity: 1, vat: 0.2}}\n" + TEST + "  - {expect: {orders: [], runs: []}}"),
]  # fmt: skip


def refused(kind: str, text: str, folder: Path) -> list[str]:
    """What the hub says against a file by itself: not of the roles, mappings and code that it names."""
    try:
        if kind == "mapping":
            load_mapping(text, "a.yaml", extra_names=MAPPING_NAMES)
        elif kind == "connector":
            parse_manifest(text, "connector.yaml")
        elif kind == "test":
            (folder / "a.test.yaml").write_text(text, "utf-8")
            read_test(folder / "a.test.yaml", "a.test.yaml")
        else:
            load_flow(FlowFile("a", "a.yaml", text), Roles({}, REGISTRY), MappingFolder([]), STEPS, CORE_EVENTS, {})
    except (MappingErrors, ManifestError, BrokenTest, FlowErrors, SourceError) as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(("kind", "text"), WRONG)
def test_what_is_wrong_in_its_shape_is_refused_by_both(kind: str, text: str, tmp_path: Path) -> None:
    assert refused(kind, text, tmp_path) != [], "the hub takes it"
    assert said(kind, text) != [], "the schema takes it"


@pytest.mark.parametrize(("kind", "text"), RIGHT)
def test_what_is_right_is_taken_by_both(kind: str, text: str, tmp_path: Path) -> None:
    assert refused(kind, text, tmp_path) == []
    assert said(kind, text) == []


def test_an_edit_of_a_shipped_flow_is_never_refused_by_the_schema_alone(tmp_path: Path) -> None:
    """Every value of the flows, mappings and connectors is left out, put into a list and made a number; in `make test`
    only of some that are short."""
    tried = 0
    for kind, file in shipped_files():
        short = os.environ.get("HUB_TEST_FULL") or file.stat().st_size < 700 or "templates" in file.parts
        if kind not in ("flow", "mapping", "connector") or not short:
            continue
        value = load_document(file.read_text("utf-8"), file.name).value
        for edited in edits(value):
            text = json.dumps(edited, default=_plain)
            if said(kind, text):
                assert refused(kind, text, tmp_path), f"{file.name}: only the schema refuses {text}: {said(kind, text)}"
            tried += 1
    assert tried > 500


def _plain(value: Any) -> Any:
    assert isinstance(value, Decimal)
    return float(value)


def edits(value: Any) -> Iterator[Any]:
    """The value with one of its parts changed, for each part and each change."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: each for name, each in value.items() if name != key}
            for changed in (*edits(inner), [inner], 5):
                yield {**value, key: changed}
        yield {**value, "unheard_of": "x"}
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            for changed in edits(inner):
                yield [*value[:place], changed, *value[place + 1 :]]


def test_a_step_that_is_added_is_in_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(StepConfig):
        """`often` is how often it rings."""

        often: int
        #: what is done while it rings
        steps: list[Any] = Field(default=[])
        by: Mapping[str, list[Any]] = Field(default={})

    monkeypatch.setitem(
        STEPS, "bell.ring", StepKind("bell.ring", Config, lambda config, context: None, parts=("steps", "by"))
    )
    made = Draft202012Validator(flow_schemas.flow_schema())

    def fits(settings: Any) -> bool:
        return made.is_valid({"flow": "f", "on": {"manual": "x"}, "steps": [{"bell.ring": settings}]})

    assert fits({"often": 3, "steps": [{"stop": "here"}], "by": {"day": [{"stop": "here"}]}})
    assert not fits({"often": "3"})
    assert not fits({"often": 3, "steps": [{"stopp": "here"}]})
    assert not fits({"often": 3, "by": {"day": [{"stopp": "here"}]}})
    step = flow_schemas.flow_schema()["$defs"]["step"]["properties"]["bell.ring"]["anyOf"][0]["properties"]
    assert step["often"]["description"] == "`often` is how often it rings."
    assert step["steps"]["description"] == "what is done while it rings"


def test_every_step_and_every_setting_that_the_docs_explain_is_explained() -> None:
    steps = schema("flow", REGISTRY)["$defs"]["step"]["properties"]

    assert set(steps) == set(STEPS)
    assert [name for name, each in steps.items() if not each["description"]] == []
    assert "names this write" in json.dumps(steps["deliver"]) or "identifies the write" in json.dumps(steps["deliver"])


@pytest.mark.parametrize(
    ("connections", "fits"),
    [
        ("shop: {connector: shopify, settings: {shop: a.myshopify.com, client_id: x}}", True),
        ("shop: {connector: shopify, settings: {shop: a.myshopify.com, client_secret: x}}", False),
        ("shop: {connector: shopfy}", False),
        ("shop: {settings: {}}", False),
        ("Shop: {connector: shopify}", False),
        ("mail: {connector: smtp, settings: {host: a, sender: b, port: 25, security: tls}}", True),
        ("mail: {connector: smtp, settings: {host: a, sender: b, port: '25'}}", False),
        ("mail: {connector: smtp, settings: {host: a, sender: b, security: some}}", False),
        ("mail: {connector: smtp, settings: {host: a}}", False),
        ("mail: {connector: smtp, mode: loud, settings: {host: a, sender: b}}", False),
    ],
)
def test_connections_know_the_settings_of_their_connector(connections: str, fits: bool) -> None:
    assert (said("connections", f"connections: {{{connections}}}\n") == []) is fits


def test_the_command_writes_what_the_editor_of_the_example_looks_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["schema", "--all", "--out", str(tmp_path / ".hub" / "schemas")])

    assert done.exit_code == 0, done.output
    settings = json.loads((EXAMPLE / ".vscode" / "settings.json").read_text("utf-8"))
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.json")} == set(settings["yaml.schemas"])
    page = (shipped("flows").parent / "docs" / "flows.md").read_text("utf-8")
    [shown] = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert json.loads(shown) == settings


def test_the_command_prints_one_schema_and_refuses_what_it_does_not_know() -> None:
    one = CliRunner().invoke(app, ["schema", "flow"])

    assert one.exit_code == 0
    assert json.loads(one.stdout)["title"] == "A flow of the hub"
    for arguments in ([], ["flwo"], ["flow", "--all"]):
        assert CliRunner().invoke(app, ["schema", *arguments]).exit_code != 0
