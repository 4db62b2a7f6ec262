"""`hub test` and its options: matchers, names, JUnit XML, coverage, rewriting what is expected, running again on a change."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
import typer
from typer.testing import CliRunner

from hub.cli.test import command
from hub.connect.registry import Registry, shipped
from hub.workers.bench import Bench
from hub.workers.flowtest import run_tests
from hub.workers.scratch import ScratchFile
from hub.workers.testfile import read_test
from hub.workers.testwatch import watch

app = typer.Typer()
app.command()(command)
HEAD = """# what the shop sells
flows: [shop-orders, invoices-to-books]
roles: {shop: shopify, books: quickbooks}
clock: 2026-11-24T18:00:00+01:00
stock: {MUG-01: 10, THE-01: 10}
tests:
"""
PAID = "given: [{webhook: orders/paid, file: payloads/1001-paid.json}]"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(shipped("flows") / "payloads", tmp_path / "flows" / "payloads")
    return tmp_path


def write(home: Path, text: str, name: str = "own", head: str = HEAD) -> Path:
    file = home / "flows" / f"{name}.test.yaml"
    file.write_text(head + text, "utf-8")
    return file


@pytest.mark.parametrize("name", ["invoices-to-books", "credit-notes-to-books", "shipments-to-shop", "stock-to-shops"])
def test_sandboxes_do_the_same_in_process_as_over_loopback(name: str, tmp_path: Path) -> None:
    tests = read_test(shipped("flows") / f"{name}.test.yaml", name)
    found = []
    for sockets in (False, True):
        folder = tmp_path / str(sockets)
        folder.mkdir()
        bench = Bench(tests, Registry.discover(tests.home), ScratchFile(folder), sockets=sockets)
        try:
            bench.take(tests)
            for case in tests.cases:
                assert bench.run(case).failures == []
                found.append((sockets, case.name, bench.found()))
        finally:
            bench.close()

    half = len(found) // 2
    assert [each[1:] for each in found[:half]] == [each[1:] for each in found[half:]]


def test_a_time_out_is_one_without_waiting_for_it(home: Path) -> None:
    file = write(
        home,
        f"""  - name: the books answer too late, twice, after the work
    {PAID}
    answers: [{{role: books, operation: invoice.create, kind: slow_after, seconds: 300, times: 2}}]
    expect:
      deliveries: [{{operation: invoice.create, state: confirmed, attempts: {{one_of: [2, 3]}}}}]
""",
    )
    began = time.monotonic()

    shown = run(file)

    assert shown.exit_code == 0, shown.stdout
    assert time.monotonic() - began < 20


def test_matchers_stand_in_place_of_values(home: Path) -> None:
    file = write(
        home,
        f"""  - name: matchers that fit
    {PAID}
    expect:
      invoices: [{{number: {{matches: "F*-000001"}}, date: {{any: true}}, total: {{one_of: [1, 44.60 EUR]}}}}]
      entries: {{includes: [{{411900: 44.60, 999999: {{absent: true}}, 707100: {{any: true}}}}]}}
""",
    )
    wrong = write(
        home,
        f"""  - name: matchers that do not
    {PAID}
    expect:
      invoices: [{{number: {{matches: "A*"}}, date: {{absent: true}}, total: {{one_of: [1, 2]}}, lines: {{includes: [{{sku: X}}]}}}}]
      entries: {{includes: [{{411900: 44.60}}, {{411900: 44.60}}]}}
      deliveries: [{{body: {{exactly: {{DocNumber: F2026-000001}}}}}}]
""",
        "wrong",
    )

    assert run(file).exit_code == 0, run(file).stdout
    shown = run(wrong)
    assert shown.exit_code == 1
    for what in ("invoices[0].number", "invoices[0].date", "invoices[0].total", "invoices[0].lines", "entries[1]"):
        assert f"{what}\n" in shown.stdout
    assert "expected no other keys" in shown.stdout


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("invoices: [{number: {matches: [a]}}]", "`matches` is a pattern"),
        ("invoices: [{number: {any: false}}]", "`any` is true"),
        ("invoices: {any: true}", "'any' does not stand for a list"),
    ],
)
def test_a_matcher_used_wrongly_is_said_with_its_place(home: Path, expect: str, message: str) -> None:
    shown = run(write(home, f"  - {{name: a, expect: {{{expect}}}}}\n"))

    assert shown.exit_code == 2
    assert "own.test.yaml:7:" in shown.stdout
    assert message in shown.stdout


def test_only_the_tests_of_a_name_are_run(home: Path) -> None:
    file = write(home, "".join(f"  - {{name: {name}, expect: {{orders: []}}}}\n" for name in ("a refund", "an order")))

    assert "1 passed" in run(file, "-k", "refund").stdout
    assert "2 passed" in run(file, "-k", "REF*x", "-k", "a*").stdout
    nobody = run(file, "-k", "nothing")
    assert nobody.exit_code == 2
    assert "no test is called nothing" in nobody.stderr


def test_many_tests_run_side_by_side_and_come_in_order(home: Path) -> None:
    files = [
        write(home, "".join(f"  - {{name: t{file}-{n}, expect: {{orders: []}}}}\n" for n in range(13)), f"f{file}")
        for file in range(3)
    ]

    results = list(run_tests(files, jobs=2))

    assert [case.name for result in results for case in result.cases] == [
        f"t{f}-{n}" for f in range(3) for n in range(13)
    ]
    assert all(case.passed for result in results for case in result.cases)


def test_junit_xml_has_suites_cases_times_and_failures(home: Path) -> None:
    file = write(home, f'  - {{name: "a \\x01 <wrong>", {PAID}, expect: {{invoices: [{{total: 1}}]}}}}\n')
    broken = write(home, "  - {name: b}\n", "broken")
    out = home / "junit.xml"

    assert run(file, broken, "--junit", out).exit_code == 2

    root = xml.parse(out).getroot()
    assert root.tag == "testsuites"
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "2",
        "failures": "1",
        "errors": "1",
    }
    for suite in root:
        # what the schema of the JUnit reports of Jenkins and of most CI systems asks for
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time"} <= set(suite.keys())
        for case in suite:
            assert case.tag == "testcase"
            assert {"name", "classname", "time"} <= set(case.keys())
            assert float(case.get("time", "")) >= 0
            assert {each.tag for each in case} <= {"failure", "error"}
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert "own.test.yaml:7:" in (failure.get("message") or "")
    assert "found    44.60 EUR" in (failure.text or "")
    assert root.find("testsuite/testcase/error") is not None


FLOW = """flow: large
on: {event: invoice.issued}
steps:
  - when: invoice.total.amount > 4000
  - when:
      if: invoice.total.amount > 100000
      steps:
        - stop: dear
  - set: {kinds: "[line.kind for line in invoice.lines if line.quantity > 1]", note: "'a' if 1 == 1 else 'b'"}
"""


def test_coverage_shows_lines_and_branches_that_no_test_ran(home: Path) -> None:
    (home / "flows" / "large.yaml").write_text(FLOW, "utf-8")
    (home / "flows" / "silent.yaml").write_text(FLOW.replace("large", "silent"), "utf-8")
    file = write(
        home, f"  - {{name: a, {PAID}, expect: {{questions: []}}}}\n", head=HEAD.replace("invoices-to-books", "large")
    )
    out = home / "coverage.json"

    shown = run(file, "--coverage", "--coverage-json", out, "--fail-under", "99.9")

    assert shown.exit_code == 1
    assert "99.9 are asked for" in shown.stderr
    part = shown.stdout.partition("flows/large.yaml: ")[2].partition("\nmappings/")[0].splitlines()
    assert part[:7] == [
        "lines 4/5, branches 6/10",
        "  never ran: 8",
        "  4: never false: invoice.total.amount > 4000",
        "  6: never true: invoice.total.amount > 100000",
        "  9: never empty: invoice.lines",
        "  9: never false: 1 == 1",
        "flows/shop-orders.yaml: lines 2/2, branches 0/0",
    ]
    assert "flows/silent.yaml: lines 0/4, branches 0/0" in shown.stdout
    found = {each["file"]: each for each in json.loads(out.read_text("utf-8"))["files"]}
    assert found["flows/large.yaml"]["lines"] == {"covered": 4, "all": 5, "missing": [8]}
    assert found["mappings/shopify/order.yaml"]["lines"]["covered"] > 50
    assert run(file, "--fail-under", "1").exit_code == 0


WAYS = """flow: ways
on: {event: invoice.issued}
steps:
  - switch:
      on: invoice.currency
      cases:
        EUR:
          - set: {a: "1"}
        USD:
          - set: {a: "2"}
  - switch:
      on: invoice.total.amount > 0
      cases:
        true: [{set: {b: "1"}}]
        false: [{set: {b: "2"}}]
  - switch:
      on: invoice.number
      cases:
        none: [{set: {c: "1"}}]
      else: [{set: {c: "2"}}]
  - for_each: {in: invoice.lines, as: line, steps: [{set: {d: line.sku}}]}
  - for_each: {connections: shop, as: one, steps: [{set: {e: one.name}}]}
  - for_each: {in: "[]", as: line, steps: [{set: {f: line}}]}
"""


def test_coverage_shows_the_cases_and_loops_that_no_test_went_through(home: Path) -> None:
    (home / "flows" / "ways.yaml").write_text(WAYS, "utf-8")
    (home / "flows" / "silent.yaml").write_text(WAYS.replace("ways", "silent"), "utf-8")
    file = write(
        home, f"  - {{name: a, {PAID}, expect: {{questions: []}}}}\n", head=HEAD.replace("invoices-to-books", "ways")
    )

    shown = run(file, "--coverage")

    part = shown.stdout.partition("flows/ways.yaml: ")[2].partition("\nmappings/")[0].splitlines()
    assert part == [
        "lines 11/15, branches 6/13",
        "  never ran: 10, 15, 19, 23",
        "  5: never taken: no case fits",
        "  9: never taken: case USD",
        "  21: never empty: invoice.lines",
        "  22: never empty: shop",
    ]
    assert "flows/silent.yaml: lines 0/12, branches 0/0" in shown.stdout


WRONG = f"""  - name: wrong in many ways   # a note that stays
    {PAID}
    expect:
      # the invoice
      invoices: [{{total: 44.61 EUR, order: "#1002", date: {{any: true}}}}]   # to the cent
      entries:
        - {{kind: invoice, 411900: 44.60, 707100: -1}}   # sales
      reservations:
        - {{sku: MUG-01, quantity: 3}}
        - sku: THE-01
          quantity: 1
        # this one is not there
        - {{sku: BOL-01, quantity: 1}}
      moves: [{{sku: MUG-01}}]
      deliveries: []
  - name: right
    {PAID}
    expect: {{questions: []}}
"""


def test_update_writes_what_was_found_and_leaves_the_rest_of_the_file(home: Path) -> None:
    file = write(home, WRONG)

    shown = run(file, "--update")

    assert shown.exit_code == 0, shown.stdout
    assert "-      moves: [{sku: MUG-01}]" in shown.stdout
    assert "+      moves: []" in shown.stdout
    assert (
        file.read_text("utf-8")
        == HEAD
        + f"""  - name: wrong in many ways   # a note that stays
    {PAID}
    expect:
      # the invoice
      invoices: [{{total: 44.60 EUR, order: "#1001", date: {{any: true}}}}]   # to the cent
      entries:
        - {{kind: invoice, 411900: 44.60, 707100: -24.83}}   # sales
      reservations:
        - {{sku: MUG-01, quantity: 2}}
        - sku: THE-01
          quantity: 1
        # this one is not there
      moves: []
      deliveries: [{{role: books, operation: invoice.create, key: F2026-000001, state: confirmed}}]
  - name: right
    {PAID}
    expect: {{questions: []}}
"""
    )
    assert run(file).exit_code == 0


def test_update_refuses_a_question_that_is_not_expected_and_what_cannot_be_given(home: Path) -> None:
    text = """  - name: an unknown SKU
    given: [{webhook: orders/paid, file: payloads/1007-unknown-sku.json}]
    expect: {invoices: [{total: 1}]}
  - name: not to be done
    given: [{sandbox: shop, post: orders, body: {lines: []}}]
    expect: {orders: []}
"""
    file = write(home, text)

    shown = run(file, "--update")

    assert shown.exit_code == 1
    assert "not updated: " in shown.stdout
    assert "a question is open, sku.unknown" in shown.stdout
    assert "what is given cannot be done" in shown.stdout
    assert file.read_text("utf-8") == HEAD + text


def test_a_change_runs_again_what_depends_on_it(home: Path) -> None:
    (home / "flows" / "large.yaml").write_text(FLOW, "utf-8")
    own = write(home, f"  - {{name: a, {PAID}, expect: {{questions: []}}}}\n")
    other = write(home, "  - {name: b, expect: {orders: []}}\n", "other", "flows: [large]\ntests:\n")

    def changes() -> Any:
        yield [home / "flows" / "large.yaml"]
        yield [home / "flows" / "payloads" / "1001-paid.json"]
        yield [home / "mappings" / "quickbooks" / "invoice.yaml"]
        yield [home / "README.md"]
        yield [shipped("connectors") / "shopify" / "sandbox.py"]
        new = write(home, "  - {name: c, expect: {orders: []}}\n", "new", "flows: [large]\ntests:\n")
        yield [new]
        own.unlink()
        yield [own]

    rounds = [[result.path.name for result in results] for results in watch([home], changes=changes())]

    assert rounds == [
        [other.name, own.name],
        [other.name],
        [own.name],
        [own.name],
        [own.name],
        ["new.test.yaml"],
    ]


def test_the_disk_is_watched(home: Path) -> None:
    file = write(home, "  - {name: a, expect: {orders: []}}\n")
    seen = watch([home])
    assert [case.passed for result in next(seen) for case in result.cases] == [True]
    late = threading.Timer(0.3, write, (home, "  - {name: a, expect: {orders: [{name: x}]}}\n"))
    late.start()

    assert [(result.path, case.passed) for result in next(seen) for case in result.cases] == [(file, False)]
    late.join()
    seen.close()
