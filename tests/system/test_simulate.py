"""`hub simulate`: orders of every kind that a shop sends, as webhook bodies and as GraphQL answers, without a network."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hub.cli.simulate import command
from hub.connect.registry import Registry
from hub.workers.offline import NetworkRefused, offline
from hub.workers.simulate import Simulation, simulate
from tests.system.order_cases import CASES, Made, OrderCase, Shops, write, write_catalogue

SAMPLES = Path(os.environ.get("HUB_TEST_SHARED") or Path(__file__).parents[3] / "shared") / "samples" / "shopify"
VARIANTS = {
    "as documented": {},
    # the vendor says neither whether a refund's subtotal holds the tax nor the sign of a discrepancy
    "the other way round": {"refund_subtotal_includes_tax": True, "adjustments_favour_merchant": True},
}


class Batch:
    """All cases of one kind of shop, simulated twice as webhooks and once as they are read."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = settings
        self.made = Shops(Registry.discover(), **settings).make_all()
        self.catalogue = write_catalogue(folder)
        self.files = write(folder, self.made)
        self.parts = folder / "parts.json"
        self.parts.write_text(json.dumps([answer for each in self.made for answer in each.answers]), "utf-8")
        self.webhooks = simulate(self.files, catalogue=self.catalogue)
        self.read = simulate([self.parts], catalogue=self.catalogue)


@pytest.fixture(scope="module", params=list(VARIANTS))
def batch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    return Batch(tmp_path_factory.mktemp("orders"), **VARIANTS[request.param])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    return Batch(tmp_path_factory.mktemp("orders"))


def outcome(simulation: Simulation, made: Made, number: int) -> tuple[str, set[str]]:
    """What came of one case: its result, and the kinds of its open questions."""
    for order in simulation.outcome["orders"]:
        if order["external_id"] == made.external_id:
            return order["check"]["result"], set(order["check"].get("questions", ()))
    events = [event for event in simulation.events if event["file"].startswith(f"{number:02}-")]
    kinds = {q["kind"] for q in simulation.outcome["questions"] if q["file"] in {event["file"] for event in events}}
    return events[-1]["state"], kinds


def expected(batch: Batch, case: OrderCase, result: str) -> str:
    return "question" if case.ambiguous and batch.settings else result


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_webhook_comes_to_the_shops_total_or_to_a_question(batch: Batch, number: int, case: OrderCase) -> None:
    result, kinds = outcome(batch.webhooks, batch.made[number], number)

    assert result == expected(batch, case, case.result)
    assert set(case.kinds) <= kinds
    if result == "parked":
        assert len(kinds) == 1


@pytest.mark.parametrize(
    ("number", "case"),
    [(number, case) for number, case in enumerate(CASES) if case.change is None],
    ids=[case.name for case in CASES if case.change is None],
)
def test_an_order_that_is_read_comes_to_the_same(batch: Batch, number: int, case: OrderCase) -> None:
    result, kinds = outcome(batch.read, batch.made[number], number)

    assert result == expected(batch, case, case.read or case.result)
    assert set(case.kinds) <= kinds


def test_invoices_less_credit_notes_are_what_the_shop_says(batch: Batch) -> None:
    for simulation in (batch.webhooks, batch.read):
        net: Counter[str] = Counter()
        for sign, kind in ((1, "invoices"), (-1, "credit_notes")):
            for document in simulation.outcome[kind]:
                net[document["order"]] += sign * document["total"].amount
        checked = 0
        for each in batch.made:
            order = next((o for o in simulation.outcome["orders"] if o["external_id"] == each.external_id), None)
            if order is not None and order["check"]["result"] == "equal":
                assert Decimal(net[order["name"]]) == Decimal(each.total) * 100, each.case.name
                checked += 1
        assert checked > 40


def test_every_entry_sums_to_zero_and_has_known_accounts(batch: Batch) -> None:
    for simulation in (batch.webhooks, batch.read):
        assert len(simulation.outcome["entries"]) > 40
        for entry in simulation.outcome["entries"]:
            assert len(entry["postings"]) >= 2
            assert sum(part["amount"].amount for part in entry["postings"]) == 0, entry
            assert all(part["amount"] for part in entry["postings"])


def test_documents_have_the_tax_that_is_posted(batch: Batch) -> None:
    for simulation in (batch.webhooks, batch.read):
        posted = {entry["document"]: entry for entry in simulation.outcome["entries"]}
        for document in simulation.outcome["invoices"] + simulation.outcome["credit_notes"]:
            assert sum(line["net"].amount for line in document["lines"]) == document["net"].amount
            assert sum(line["tax"].amount for line in document["lines"]) == document["tax"].amount
            entry = posted.get(document["number"])
            vat = sum(p["amount"].amount for p in entry["postings"] if p["account"].startswith("4457")) if entry else 0
            channel = sum(line["tax"].amount for line in document["lines"] if line["kind"] == "channel_tax")
            sign = -1 if document["kind"] == "invoice" else 1
            assert vat == sign * (document["tax"].amount - channel)


def test_numbers_have_no_gap(batch: Batch) -> None:
    for simulation in (batch.webhooks, batch.read):
        for kind, prefix in (("invoices", "F"), ("credit_notes", "A")):
            numbers = [document["number"] for document in simulation.outcome[kind]]
            assert numbers == [f"{prefix}2026-{place:06}" for place in range(1, len(numbers) + 1)]


def test_two_runs_are_equal(plain: Batch) -> None:
    again = simulate(plain.files, catalogue=plain.catalogue)

    assert json.dumps(again.as_json(), default=str) == json.dumps(plain.webhooks.as_json(), default=str)


def test_personal_data_is_in_documents_and_deliveries_only(plain: Batch) -> None:
    found = plain.webhooks.as_json()
    for name in ("invoices", "credit_notes"):
        del found[name]
    for delivery in found["deliveries"]:
        del delivery["body"]

    text = json.dumps(found, default=str, ensure_ascii=False)
    for personal in ("Exemple", "@example", "rue de la Paix", "75002"):
        assert personal not in text


# -- the command --------------------------------------------------------------------------------------------------

app = typer.Typer()
app.command()(command)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_command_prints_json_and_ends_with_0(plain: Batch) -> None:
    shown = run(*plain.files, "--catalogue", plain.catalogue, "--json")

    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert len(document["orders"]) == sum(case.result != "parked" for case in CASES)
    assert {event["state"] for event in document["events"]} == {"done", "parked", "repeat"}
    assert shown.stdout == run(*plain.files, "--catalogue", plain.catalogue, "--json").stdout


def test_the_command_tells_people(plain: Batch) -> None:
    shown = run(plain.files[0], "--catalogue", plain.catalogue)

    assert shown.exit_code == 0, shown.output
    assert "invoiced 24.00 - credited 0.00 = 24.00 EUR; the shop says 24.00 EUR: equal" in shown.stdout
    assert "Invoice F2026-000001 of 2026-11-24 for #2000: 24.00 EUR" in shown.stdout
    assert "quickbooks: invoice.create F2026-000001" in shown.stdout
    assert "2 of MUG-01 at main: held" in shown.stdout


def test_a_file_that_is_no_payload_is_a_question_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("no JSON at all")
    (tmp_path / "odd.json").write_text('{"id": 1, "currency": "EUR", "updated_at": "yesterday", "line_items": []}')
    (tmp_path / "part.json").write_text('{"data": {"order": {"id": "gid://shopify/Order/1", "lineItems": {}}}}')

    shown = run(*sorted(tmp_path.iterdir()), "--json")

    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert {event["state"] for event in document["events"]} == {"parked"}
    reasons = {question["file"]: question["reason"] for question in document["questions"]}
    assert "$.updated_at: 'yesterday' is not an ISO 8601 instant" in reasons["odd.json"]
    assert "not JSON" in reasons["text.json"]
    assert "OrderHeader" in reasons["part.json"]


def test_a_file_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    shown = run(tmp_path / "none.json")

    assert shown.exit_code == 2
    assert "none.json" in shown.stderr


def test_a_flow_that_does_not_lint_ends_with_2_and_its_place(tmp_path: Path, plain: Batch) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "shop-orders.yaml").write_text(
        "flow: shop-orders\non: {role: shop, record: order}\nsteps:\n  - map: order\n  - order.sink: {}\n"
    )

    shown = run(plain.files[0], "--flows", tmp_path)

    assert shown.exit_code == 2
    assert "flows/shop-orders.yaml:5:5" in shown.stderr
    assert "order.sync" in shown.stderr


def test_flows_of_a_folder_take_the_place_of_shipped_ones(tmp_path: Path, plain: Batch) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "shop-orders.yaml").write_text(
        "flow: shop-orders\non: {role: shop, record: order}\nsteps:\n  - stop: not today\n"
    )

    found = simulate(plain.files[:1], flows=tmp_path)

    assert found.outcome["invoices"] == []
    assert found.events[0]["outcome"] == "not today"


def test_an_exact_repeat_is_dropped(plain: Batch) -> None:
    found = simulate([plain.files[0], plain.files[0]])

    assert [event["state"] for event in found.events] == ["done", "repeat"]
    assert len(found.outcome["invoices"]) == 1


def test_nothing_connects() -> None:
    with offline(), socket.socket() as one, pytest.raises(NetworkRefused):
        one.connect(("127.0.0.1", 9))
    with offline(), pytest.raises(NetworkRefused):
        socket.getaddrinfo("example.org", 80)


# -- the vendor's own samples, where they are ---------------------------------------------------------------------

samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the vendor's samples are not beside the repository")


@samples
def test_the_constructed_graphql_order_comes_to_its_total() -> None:
    parts = [
        SAMPLES / f"constructed-graphql-{name}.json"
        for name in ("OrderHeader", "OrderLines", "OrderMoney", "RefundFull")
    ]

    shown = run(*reversed(parts), "--json")

    assert shown.exit_code == 0, shown.output
    [order] = json.loads(shown.stdout)["orders"]
    assert order["check"]["result"] == "equal"
    assert (order["check"]["invoiced"], order["check"]["credited"]) == ("37.10", "10.80")


@samples
@pytest.mark.parametrize(
    "file", sorted(SAMPLES.glob("webhook-*.json")) if SAMPLES.is_dir() else [], ids=lambda file: file.stem
)
def test_every_webhook_sample_ends_with_0(file: Path) -> None:
    shown = run(file, "--json")

    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert len(document["events"]) == 1
    assert document["events"][0]["state"] in ("done", "parked")
    assert all(sum(Decimal(p["amount"]) for p in entry["postings"]) == 0 for entry in document["entries"])
