"""The API and the command line say the same, whether the hub runs or not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from web_signing import SECRET

ROOT = Path(__file__).resolve().parents[3]


def hub(home, *arguments, given=None):
    """Runs a command. Gives its exit code, what it printed, and what it said on stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    done = subprocess.run(
        [sys.executable, "-m", "hub", *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        input=given,
        env=environment,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def asked(home, *arguments, given=None):
    """The JSON that a command prints."""
    code, out, err = hub(home, *arguments, "--json", given=given)
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(params=["running", "not running"])
def place(request, home):
    """A home whose hub runs, or does not."""
    if request.param == "running":
        request.getfixturevalue("server")
    return home


def test_a_hub_is_filled_asked_and_verified_from_the_command_line(place, tmp_path):
    (tmp_path / "connections.yaml").write_text("connections: {desk: {connector: http}}\nroles: {source: desk}\n")
    book = openpyxl.Workbook()
    book.active.append(["SKU", "Title", "Quantity"])
    book.active.append(["MUG-01", "Mug", 10])
    book.save(tmp_path / "items.xlsx")

    applied = asked(place, "connections", "apply", str(tmp_path / "connections.yaml"))
    secrets = asked(place, "connections", "secrets", "desk", "webhook_secret", given=f"{SECRET}\n")
    imported = asked(place, "import", str(tmp_path / "items.xlsx"), "--work")
    received = asked(place, "run", "receipts", "--record", '{"sku": "MUG-01", "ref": "R1", "quantity": 2}', "--work")

    assert applied["added"] == ["desk"]
    assert secrets == {"connection": "desk", "secrets": ["webhook_secret"]}
    assert (imported["received"], imported["questions"]) == (1, 0)
    assert received["received"] == 1
    assert asked(place, "stock", "MUG-01")["items"][0]["levels"][0]["on_hand"] == 12
    assert asked(place, "status")["idle"]
    assert [item["name"] for item in asked(place, "connections", "list")["items"]] == ["desk"]
    assert len(asked(place, "inbox")["items"]) == 2
    assert {run["flow"] for run in asked(place, "runs")["items"]} >= {"import-items", "goods-receipts"}
    assert asked(place, "outbox", "list")["items"] == []
    assert asked(place, "questions", "list")["items"] == []
    assert asked(place, "documents")["items"] == []
    assert asked(place, "orders")["items"] == []
    assert asked(place, "ledger")["accounts"] == []
    assert asked(place, "ledger", "--entries")["items"] == []
    assert asked(place, "verify") == {"ok": True, "faults": []}


def test_a_question_is_answered_from_the_command_line(place):
    asked(place, "run", "receipts", "--record", '{"sku": "GONE", "ref": "R1", "quantity": 2}', "--work")
    [question] = asked(place, "questions", "list")["items"]

    code, out, _ = hub(place, "questions", "list")
    assert (code, "sku.unknown" in out) == (0, True)
    assert asked(place, "questions", "answer", question["id"], "drop")["closed"]

    assert asked(place, "questions", "list")["items"] == []
    code, _, err = hub(place, "questions", "answer", question["id"], "drop")
    assert (code, err.count("\n")) == (1, 1)
    assert "answered already" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "nothing", "--record", "{}"], 1, "no flow has the manual trigger"),
        (["run", "items", "--record", "{"], 1, "not JSON"),
        (["run", "items", "--record", "none.json"], 1, "cannot be read"),
        (["connections", "check", "nothing"], 1, "there is no connection"),
        (["connections", "mode", "desk", "on"], 2, "not a mode"),
        (["replay", "999"], 1, "there is no event 999"),
        (["import", "none.xlsx"], 1, "there is no file"),
        (["outbox", "resolve", "1", "--drop"], 1, "there is no delivery 1"),
        (["outbox", "resolve", "1"], 2, "say one of"),
        (["replay"], 2, "say which"),
        (["replay", "--class", "odd"], 1, "is no class of errors"),
        (["replay", "--class", "mapping", "--since", "monday"], 1, "is no day"),
        (["inbox", "edit", "9", "--set", "a=1"], 1, "there is no event 9"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(home, arguments, code, says):
    found, out, err = hub(home, *arguments)

    assert (found, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_wrong_usage_ends_with_2(home):
    assert hub(home, "stock", "--sku")[0] == 2
    assert hub(home, "nothing")[0] == 2


def test_a_home_without_a_hub_is_said(tmp_path):
    code, _, err = hub(tmp_path / "none", "status")

    assert code == 1
    assert "hub init" in err


def test_nobody_else_writes_while_a_command_does(home):
    from hub.workers.admin.running import RunLock

    lock = RunLock(home)
    lock.take()
    try:
        code, _, err = hub(home, "init")
        assert (code, err.count("\n")) == (2, 1)
        assert "another process" in err
        assert hub(home, "status")[0] == 0
    finally:
        lock.release()


def test_the_references_of_the_documentation_are_in_step(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    page = docs / "mappings.md"
    good = page.read_text()
    page.write_text(good.replace("| `upper(value)`", "| `shout(value)`"))
    run = [sys.executable, "-m", "hub", "docs", str(docs)]

    assert subprocess.run([*run, "--check"], capture_output=True).returncode == 1
    assert subprocess.run(run, capture_output=True).returncode == 0
    assert subprocess.run([*run, "--check"], capture_output=True).returncode == 0
    assert page.read_text() == good


def test_lint_says_file_line_and_column(home):
    (home / "flows").mkdir()
    (home / "flows" / "mine.yaml").write_text("flow: mine\non: {manual: mine}\nsteps:\n  - nothing: {}\n")
    (home / "mappings" / "http").mkdir(parents=True)
    (home / "mappings" / "http" / "order.yaml").write_text(
        "mapping: http/order\nfrom: http.order\nto: order\nmap: {a: 1 +}\n"
    )
    (home / "connectors" / "mine").mkdir(parents=True)
    (home / "connectors" / "mine" / "connector.yaml").write_text("connector: mine\ntitel: Mine\n")

    result = hub(home, "lint")

    assert result[0] == 1
    places = [line.partition(": ")[0] for line in result[1].splitlines()]
    assert "flows/mine.yaml:4:5" in places
    assert any(place.startswith("mappings/http/order.yaml:4:") for place in places)
    assert "connectors/mine/connector.yaml:2:1" in places


def test_what_is_shipped_lints_without_a_hub(tmp_path):
    code, out, err = hub(tmp_path / "none", "lint")

    assert (code, err) == (0, "")
    assert out.startswith("No problem")


def test_help_is_quick(home):
    import time

    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert subprocess.run([sys.executable, "-m", "hub", "--help"], capture_output=True).returncode == 0
        times.append(time.perf_counter() - started)
    print(f"hub --help: {min(times) * 1000:.0f} ms")


# -- the API ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/connections/apply", {}, 422),
        ("POST", "/api/connections/apply", {"text": 1}, 422),
        ("POST", "/api/connections/apply", {"text": "a", "more": 1}, 422),
        ("POST", "/api/connections/apply", {"text": "- a"}, 400),
        ("PUT", "/api/connections/nobody/secrets", {"secrets": {"a": "b"}}, 404),
        ("POST", "/api/connections/nobody/mode", {"mode": "live"}, 404),
        ("POST", "/api/connections/nobody/mode", {"mode": "on"}, 422),
        ("POST", "/api/events/nothing", {"records": [{}]}, 404),
        ("POST", "/api/events/items", {"records": []}, 400),
        ("POST", "/api/events/items", {"records": [1]}, 400),
        ("POST", "/api/replay", {"seqs": [999]}, 404),
        ("POST", "/api/replay", {"seqs": ["1"]}, 422),
        ("POST", "/api/questions/1/answer", {"answer": "drop"}, 404),
        ("GET", "/api/inbox?limit=100000", None, 422),
        ("GET", "/api/questions?state=odd", None, 422),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_a_reason(admin, method, path, body, status):
    answer = admin.request(method, path, json=body)

    assert answer.status_code == status
    assert answer.json()["error"]
    assert isinstance(answer.json()["problems"], list)


def test_a_body_that_is_no_json_is_refused(admin):
    for path in ("/api/events/items", "/api/connections/apply"):
        answer = admin.post(path, content=b"{", headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)


def test_numbers_of_records_stay_exact_on_their_way(server, admin):
    admin.post(
        "/api/events/items", content=b'{"records": [{"sku": "A", "title": "x", "price": 1.0000000000000000001}]}'
    )

    with server.hub.database.read() as connection:
        [body] = connection.exec_driver_sql("SELECT body FROM inbox").scalars()
    assert json.loads(body, parse_float=Decimal)["price"] == Decimal("1.0000000000000000001")


def test_a_fault_of_the_hub_says_nothing_of_its_inside(server, admin):
    with server.hub.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE run RENAME TO away")

    answer = admin.get("/api/runs")

    assert answer.status_code == 500
    assert answer.json()["error"] == "the hub failed: see its log"
