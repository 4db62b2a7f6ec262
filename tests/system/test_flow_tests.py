"""`hub test`: the shipped tests pass in seconds; a failing test says where, what was expected and what was found."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hub.cli.test import command
from hub.connect.registry import shipped
from hub.flows.active import flow_files
from hub.workers.flowtest import find_tests, run_file

app = typer.Typer()
app.command()(command)
HEAD = """flows: [shop-orders, invoices-to-books]
roles: {shop: shopify, books: quickbooks}
clock: 2026-11-24T18:00:00+01:00
stock: {MUG-01: 10, THE-01: 10}
tests:
"""


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(shipped("flows") / "payloads", tmp_path / "flows" / "payloads")
    return tmp_path


def write(home: Path, text: str, head: str = HEAD) -> Path:
    file = home / "flows" / "own.test.yaml"
    file.write_text(head + text, "utf-8")
    return file


def test_every_shipped_flow_has_its_tests() -> None:
    tested = {file.name.removesuffix(".test.yaml") for file in find_tests([])}

    assert {flow.name for flow in flow_files()} <= tested


@pytest.mark.parametrize("file", find_tests([]), ids=lambda file: file.name.removesuffix(".test.yaml"))
def test_the_shipped_tests_pass(file: Path) -> None:
    began = time.monotonic()
    result = run_file(file)

    assert result.problems == []
    assert [case.failures for case in result.cases if not case.passed] == []
    assert time.monotonic() - began < 20, "nothing sleeps: retries are waited for on the fake clock"


def test_a_failing_test_says_where_what_was_expected_and_found(home: Path) -> None:
    file = write(
        home,
        """  - name: wrong on purpose
    given: [{webhook: orders/paid, file: payloads/1001-paid.json}]
    expect:
      invoices: [{total: 44.61 EUR, order: "#1001"}]
      entries: [{411900: 44.60, 707100: -1}]
      deliveries: []
  - name: right
    given: [{webhook: orders/paid, file: payloads/1001-paid.json}]
    expect: {questions: []}
""",
    )

    shown = run(file)

    assert shown.exit_code == 1
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert lines[-1] == "1 passed, 1 failed"
    total = next(n for n, line in enumerate(lines) if line.endswith("own.test.yaml:9:26: invoices[0].total"))
    assert lines[total + 1 : total + 3] == ["expected 44.61 EUR", "found    44.60 EUR"]
    account = next(n for n, line in enumerate(lines) if line.endswith(":10:41: entries[0].707100"))
    assert lines[account + 1 : account + 3] == ["expected -1", "found    -24.83 EUR"]
    assert any(line.endswith(":11:19: deliveries") for line in lines)
    assert "found    one more: {role: books, operation: invoice.create, key: F2026-000001, state: confirmed}" in lines


def test_json_for_machines(home: Path) -> None:
    file = write(
        home,
        """  - name: a wrong total
    given: [{webhook: orders/paid, file: payloads/1001-paid.json}]
    expect: {invoices: [{total: 1 EUR}]}
""",
    )

    shown = run(file, "--json")

    assert shown.exit_code == 1
    document = json.loads(shown.stdout)
    assert (document["passed"], document["failed"], document["broken"]) == (0, 1, 0)
    [failure] = document["files"][0]["tests"][0]["failures"]
    assert failure["place"].endswith("own.test.yaml:8:33")
    assert (failure["expected"], failure["found"]) == ("1 EUR", "44.60 EUR")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("  - {name: a, expect: {invoice: []}}\n", ":6:24", "did you mean 'invoices'"),
        ("  - {name: a, given: [{webhok: x}], expect: {invoices: []}}\n", ":6:23", "one of webhook"),
        ("  - {name: a, given: [{repeat: 0}], expect: {invoices: []}}\n", ":6:32", "an earlier webhook"),
        ("  - {name: a, given: [{webhook: orders/paid}], expect: {invoices: []}}\n", ":6:23", "`file` or a `body`"),
        ("  - {name: a, expect: {invoices: {}}}\n", ":6:34", "a list is needed"),
        ("  - {name: a}\n", ":6:5", "expects something"),
        ("  - {name: a, expect: {invoices: [}\n", ":6:", ""),
    ],
)
def test_a_file_that_cannot_be_run_ends_with_2_and_its_place(home: Path, text: str, place: str, message: str) -> None:
    shown = run(write(home, text))

    assert shown.exit_code == 2
    assert f"own.test.yaml{place}" in shown.stdout
    assert message in shown.stdout


def test_unknown_flows_and_connectors_are_named(home: Path) -> None:
    head = "flows: [shop-order]\nroles: {shop: shopfy}\ntests:\n"

    shown = run(write(home, "  - {name: a, expect: {orders: []}}\n", head))

    assert shown.exit_code == 2
    assert ":1:9: there is no flow 'shop-order'" in shown.stdout
    assert ":2:15: there is no connector 'shopfy'" in shown.stdout


def test_a_flow_under_test_that_does_not_lint_is_shown_with_its_place(home: Path) -> None:
    (home / "flows" / "invoices-to-books.yaml").write_text(
        "flow: invoices-to-books\non: {event: invoice.isued}\nsteps:\n  - stop: here\n", "utf-8"
    )

    shown = run(write(home, "  - {name: a, expect: {orders: []}}\n"))

    assert shown.exit_code == 2
    assert "flows/invoices-to-books.yaml:2:13" in shown.stdout


def test_what_a_sandbox_refuses_fails_the_test_at_its_place(home: Path) -> None:
    shown = run(
        write(
            home,
            """  - name: asks for too much
    given: [{sandbox: shop, post: orders, body: {lines: []}}]
    expect: {orders: []}
""",
        )
    )

    assert shown.exit_code == 1
    assert "own.test.yaml:7:13: given" in shown.stdout
    assert "an order has lines" in shown.stdout


def test_tests_of_a_file_do_not_see_each_other(home: Path) -> None:
    case = """  - name: {name}
    given: [{{webhook: orders/paid, file: payloads/1001-paid.json}}]
    expect:
      invoices: [{{number: F2026-000001}}]
      reservations: [{{sku: MUG-01, state: held}}, {{sku: THE-01, state: held}}]
      deliveries: [{{key: F2026-000001, attempts: 1}}]
"""
    shown = run(write(home, "".join(case.format(name=name) for name in ("one", "two", "three"))))

    assert shown.exit_code == 0, shown.stdout
    assert shown.stdout.endswith("3 passed, 0 failed\n")


def test_a_delivery_that_goes_on_failing_is_told_and_not_waited_for(home: Path) -> None:
    began = time.monotonic()
    shown = run(
        write(
            home,
            """  - name: the books are down
    given: [{webhook: orders/paid, file: payloads/1001-paid.json}]
    answers: [{role: books, operation: invoice.create, status: 503, times: 1000}]
    expect:
      invoices: [{total: 44.60}]
      deliveries: [{operation: invoice.create, state: retry}]
      questions: [{kind: delivery.failing}]
""",
        )
    )

    assert shown.exit_code == 0, shown.stdout
    assert time.monotonic() - began < 20


def test_a_record_is_read_from_graphql_answers_and_called_otherwise(home: Path) -> None:
    (home / "flows" / "shop-orders.yaml").write_text(
        """flow: shop-orders
on: {role: shop, record: order}
steps:
  - map: {name: order, as: seen}
  - validate: {that: seen.header.total.amount < 100, else: too dear}
  - set: {order: seen}
  - order.sync: {}
""",
        "utf-8",
    )
    money = {"shopMoney": {"amount": "12.00", "currencyCode": "EUR"}}
    order = {
        "id": "gid://shopify/Order/7",
        "name": "#7",
        "createdAt": "2026-11-24T08:00:00Z",
        "updatedAt": "2026-11-24T08:00:00Z",
        "currencyCode": "EUR",
        "taxesIncluded": True,
        "displayFinancialStatus": "PAID",
        **{name: money for name in ("totalPriceSet", "currentTotalPriceSet", "currentTotalTaxSet")},
        "totalTaxSet": money,
        "lineItems": {"nodes": [], "pageInfo": {"hasNextPage": False}},
    }
    (home / "flows" / "payloads" / "read.json").write_text(json.dumps({"data": {"order": order}}), "utf-8")

    shown = run(
        write(
            home,
            """  - name: too dear
    given: [{read: order, file: payloads/read.json}]
    expect: {orders: [], questions: [{kind: validate, reason: too dear}]}
""",
            HEAD.replace(", invoices-to-books", ""),
        )
    )

    assert shown.exit_code == 0, shown.stdout
