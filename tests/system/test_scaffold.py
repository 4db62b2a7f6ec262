"""`hub init --example` and `hub new`: what they write lints and passes its tests as it is, and nothing is overwritten."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from doc_pages import shell_for

from hub.connect.registry import Registry
from hub.flows.triggers import CORE_EVENTS
from hub.mapping import load_document
from hub.workers import scaffold
from hub.workers.admin import lint
from hub.workers.flowtest import run_file
from hub.workers.scaffold import ScaffoldRefused
from hub.workers.settings import Settings

#: in `make test` those with the most different scenes; all of them in the full run
FULL = bool(os.environ.get("HUB_TEST_FULL"))
EVENTS = (
    sorted(CORE_EVENTS) if FULL else ["credit_note.issued", "delivery.confirmed", "shipment.recorded", "stock.changed"]
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def problems(home: Path) -> list[dict[str, object]]:
    return list(lint.lint(Settings(home=home))["problems"])


def failures(home: Path) -> list[object]:
    """What is wrong in the tests of a folder, of which there are some."""
    results = [run_file(file) for file in sorted(home.glob("flows/*.test.yaml"))]
    assert results
    assert all(result.cases or result.problems for result in results)
    return [
        [result.file, result.problems, [case.failures for case in result.cases if case.failures]]
        for result in results
        if result.problems or not all(case.passed for case in result.cases)
    ]


def test_the_example_is_sound_as_it_is(home: Path) -> None:
    scaffold.write(home, scaffold.example())

    assert problems(home) == []
    assert failures(home) == []
    assert {"shop-orders.yaml", "large-orders.yaml"} <= {file.name for file in (home / "flows").iterdir()}


@pytest.mark.skipif(not FULL, reason="does in processes of their own what the test above does: HUB_TEST_FULL=1")
def test_the_ci_of_the_example_runs_what_an_integrator_does(home: Path, tmp_path: Path) -> None:
    """The commands of its workflow, from the folder itself, without naming it."""
    scaffold.write(home, scaffold.example())
    shell = {name: value for name, value in shell_for(tmp_path).items() if name != "HUB_HOME"}

    done = [
        subprocess.run(["sh", "-c", each], cwd=home, env=shell, capture_output=True, text=True, check=False)
        for each in workflow_commands(home)
    ]

    assert [each.returncode for each in done] == [0, 0], [each.stdout + each.stderr for each in done]
    assert "14 flows" in done[0].stdout, "the flow of the folder is among them"
    assert "3 passed, 0 failed" in done[1].stdout


def test_the_ci_of_the_example_lints_and_tests(home: Path) -> None:
    scaffold.write(home, scaffold.example())

    assert [command.split()[:2] for command in workflow_commands(home)] == [["hub", "lint"], ["hub", "test"]]


def workflow_commands(home: Path) -> list[str]:
    workflow = load_document((home / ".github/workflows/check.yml").read_text("utf-8"), "check.yml").value
    return [step["run"] for step in workflow["jobs"]["check"]["steps"] if step.get("run", "").startswith("hub ")]


def test_git_is_told_what_is_not_for_it(home: Path) -> None:
    scaffold.write(home, scaffold.example())
    for name in ("hub.sqlite", "hub.sqlite-wal", "secret.key", "run/hub.json", ".hub/schemas/flow.schema.json"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("kept", "utf-8")

    subprocess.run(["git", "init", "-q", "."], cwd=home, check=True)
    told = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=home, check=True, capture_output=True, text=True
    ).stdout.split()[1::2]

    assert sorted(told) == sorted(scaffold.example())


def test_the_connections_of_the_example_fit_their_connectors(home: Path) -> None:
    scaffold.write(home, scaffold.example())
    value = load_document((home / "connections.yaml").read_text("utf-8"), "connections.yaml").value
    registry = Registry.discover(home)

    for spec in value["connections"].values():
        manifest = registry.get(spec["connector"]).manifest
        assert spec["settings"].keys() <= manifest.settings.keys() | {"client_id"}
        assert not spec["settings"].keys() & manifest.secret_names(), "no secret stands in a file"


def test_there_is_a_start_for_every_event_of_the_core(home: Path) -> None:
    for event in CORE_EVENTS:
        assert f"event: {event}".encode() in scaffold.flow(home, "own", event)["flows/own.yaml"]
    with pytest.raises(ScaffoldRefused, match="nothing starts a flow"):
        scaffold.flow(home, "own", "order.paid")


def test_new_flows_are_sound_as_they_are(home: Path) -> None:
    for on in [*EVENTS, "shop.order", "warehouse.shipment", "manual:letters", "schedule"]:
        name = "on-" + "".join(char if char.isalnum() else "-" for char in on)
        scaffold.write(home, scaffold.flow(home, name, on))

    assert problems(home) == []
    assert failures(home) == []


def test_a_new_flow_does_not_name_its_writes_like_a_shipped_one(home: Path) -> None:
    scaffold.write(home, scaffold.flow(home, "own", "invoice.issued"))
    test = home / "flows" / "own.test.yaml"
    both = test.read_text("utf-8").replace("flows: [shop-orders, own]", "flows: [shop-orders, own, invoices-to-mail]")
    test.write_text(
        both.replace("number: 1001}", "number: 1001, email: ada@example.org}").replace(
            "      deliveries:\n",
            "      deliveries:\n        - {operation: message.send, key: F2026-000001, state: confirmed}\n",
        ),
        "utf-8",
    )

    assert failures(home) == []


def test_a_shipped_flow_is_copied_with_its_test_and_takes_its_place(home: Path) -> None:
    made = scaffold.write(home, scaffold.flow(home, "cancellations-to-warehouse", None))

    assert {file.name for file in made} >= {"cancellations-to-warehouse.yaml", "1004-paid.json"}
    assert problems(home) == []
    assert failures(home) == []
    file = home / "flows" / "cancellations-to-warehouse.yaml"
    file.write_text(file.read_text("utf-8").replace("operation: order.cancel", "operation: order.create"), "utf-8")
    assert failures(home) != [], "it is the copy that is tested"


def test_new_mappings_are_sound_as_they_are(home: Path) -> None:
    for name in ("shopify/inventory_level", "quickbooks/estimate", "smtp/message", "shopify/order"):
        scaffold.write(home, scaffold.mapping(home, name))

    assert problems(home) == []
    assert failures(home) == []
    copied = (home / "mappings" / "shopify" / "order.yaml").read_text("utf-8")
    assert copied.startswith("# A copy of the shipped order")
    assert "mapping: shopify/order" in copied


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda home: scaffold.flow(home, "own", "shop.ordr"), "nothing starts a flow by 'shop.ordr'"),
        (lambda home: scaffold.flow(home, "own", "moon.order"), "nothing starts a flow by 'moon.order'"),
        (lambda home: scaffold.flow(home, "../own", None), "is no name of a flow"),
        (lambda home: scaffold.flow(home, "Own", None), "is no name of a flow"),
        (lambda home: scaffold.flow(home, "shop-orders", "invoice.issued"), "is a shipped flow"),
        (lambda home: scaffold.mapping(home, "order"), "it is CONNECTOR/RECORD"),
        (lambda home: scaffold.mapping(home, "shopify/../order"), "it is CONNECTOR/RECORD"),
        (lambda home: scaffold.mapping(home, "shopfy/order"), "no connector 'shopfy'"),
        (lambda home: scaffold.connector(home, "shopify"), "there is a connector 'shopify' already"),
        (lambda home: scaffold.connector(home, "my-crm"), "is no name of a connector"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_reason(home: Path, make: object, message: str) -> None:
    with pytest.raises(ScaffoldRefused) as refused:
        make(home)  # type: ignore[operator]

    assert message in str(refused.value)
    assert not home.exists()


def test_a_word_that_is_nearly_right_is_suggested(home: Path) -> None:
    with pytest.raises(ScaffoldRefused) as refused:
        scaffold.flow(home, "own", "shop.ordr")

    assert refused.value.problems == ["did you mean shop.order?"]


def test_nothing_is_overwritten_and_nothing_is_written_in_part(home: Path) -> None:
    (home / "flows").mkdir(parents=True)
    (home / "flows" / "own.test.yaml").write_text("mine", "utf-8")

    with pytest.raises(ScaffoldRefused) as refused:
        scaffold.write(home, scaffold.flow(home, "own", None))

    assert refused.value.problems == ["flows/own.test.yaml"]
    assert (home / "flows" / "own.test.yaml").read_text("utf-8") == "mine"
    assert not (home / "flows" / "own.yaml").exists()
