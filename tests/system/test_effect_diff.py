"""`hub simulate --from-inbox`: recorded events through two versions of flows, and what these do differently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from recorded_orders import record
from typer.testing import CliRunner

from hub.cli.simulate import command
from hub.connect.registry import shipped
from hub.workers.effect_diff import Difference, EffectDiff, compare
from hub.workers.effects import Effect
from hub.workers.recorded import HomeError, Window, World, read_world, window
from hub.workers.rerun import Version, rerun

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = Version("the shipped flows", None)


@dataclass
class Past:
    """A hub's past, and what the shipped flows make of it."""

    url: str
    home: Path
    world: World
    chosen: Window
    effects: list[Effect]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    home = tmp_path_factory.mktemp("home")
    record(home)
    (home / "scratch.sqlite").rename(home / "hub.sqlite")
    url = f"sqlite:///{home / 'hub.sqlite'}"
    world, chosen = read_world(url, since=0), window(url, since=None, until=None)
    return Past(url, home, world, chosen, rerun(SHIPPED, world, url, chosen).effects)


def edited(folder: Path, file: str, before: str, after: str) -> Path:
    """A folder with one shipped file, edited."""
    kind, _, name = file.partition("/")
    text = (shipped(kind) / name).read_text("utf-8")
    assert before in text, f"{before!r} is not in {file}"
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(text.replace(before, after), "utf-8")
    return folder


def differences(past: Past, folder: Path) -> list[Difference]:
    then = rerun(Version("then", folder), past.world, past.url, past.chosen)
    return compare(past.effects, then.effects, EffectDiff("now", "then", past.chosen.events, [])).differences


ORDER, INVOICE = "mappings/shopify/order.yaml", "mappings/quickbooks/invoice.yaml"
PARCEL, PAID = "mappings/shipbob/order.yaml", "mappings/quickbooks/payment.yaml"
MAIL, SALE = "mappings/smtp/invoice.yaml", "flows/shop-orders.yaml"
#: edit: file, text before, text after, then the kind of effect and the field (or `new`, `gone`) in which it has to show
REGRESSIONS: dict[str, tuple[str, str, str, str, str]] = {
    "the shipping is forgotten": (ORDER, "- each: shippingLines", "- each: '[]'", "questions", "new"),
    "a tax rate is taken for another": (ORDER, "rate: number(tax.rate)", "rate: number(tax.rate) * 2", "documents", "taxes"),
    "SKUs are written small": (ORDER, "sku: line.sku", "sku: lower(line.sku)", "questions", "new"),
    "what was ordered is taken for what is left": (
        ORDER, "current_quantity: line.currentQuantity", "current_quantity: line.quantity", "orders", "lines"),
    "discounts are lost": (ORDER, "gross: money(line.originalTotalSet.shopMoney.amount, cur)\n              discounts:\n                each: line.discountAllocations", "gross: money(line.originalTotalSet.shopMoney.amount, cur)\n              discounts:\n                each: '[]'", "questions", "new"),
    "the addresses are swapped": (ORDER, "city: billingAddress.city", "city: shippingAddress.province", "documents", "billing_address.city"),
    "the day of payment is that of the change": (
        ORDER, "paid_at: instant(default(paid.processedAt, updatedAt))", "paid_at: instant('2026-11-20T08:00:00Z')", "entries", "date"),
    "refunds are not read": (ORDER, "each: refunds", "each: '[]'", "documents", "gone"),
    "returned goods are not put back": (ORDER, "'RETURN': 'return'", "'RETURN': 'no_restock'", "moves", "gone"),
    "failed payments count": (ORDER, "paid.status == 'SUCCESS' and ", "", "entries", "new"),
    "fees of the gateway are lost": (ORDER, "if len(paid.fees) > 0 else null", "if len(paid.fees) > 99 else null", "entries", "gone"),
    "the total is rounded to whole euros": (
        ORDER, "      total: money(totalPriceSet.shopMoney.amount, cur)", "      total: money(round(number(totalPriceSet.shopMoney.amount)), cur)", "questions", "new"),
    "the address of the customer is lost": (ORDER, "email: default(email, customer.email)", "email: customer.phone", "documents", "party.email"),
    "the books get gross for net": (INVOICE, "Amount: amount(line.net)\n", "Amount: amount(line.net + line.tax)\n", "deliveries", "body.Line[0].Amount"),
    "the books get another tax code": (INVOICE, "'0.055': 'TVA 5.5'", "'0.055': 'TVA 20'", "deliveries", "body.Line"),
    "the books lose the tax total": (INVOICE, "TotalTax: amount(total_tax)", "TotalTax: 0", "deliveries", "body.TxnTaxDetail.TotalTax"),
    "a payment is settled on another day": (PAID, "TxnDate: payment.effective_date", "TxnDate: add_days(payment.effective_date, 1)", "deliveries", "body.TxnDate"),
    "the warehouse gets the name of the company": (PARCEL, "company_name: shipping_address.company", "company_name: null", "deliveries", "body.recipient.address.company_name"),
    "the mail goes without its total": (MAIL, "'Total TTC : ' + text(total)", "'Total : ' + text(total)", "deliveries", "body.text"),
    "orders are invoiced before they are paid": (SALE, "invoice: on_payment", "invoice: on_order", "documents", "new"),
    "nothing is reserved": (SALE, ", reserve_at: main", "", "reservations", "gone"),
    "invoices of nothing are sent too": ("flows/invoices-to-books.yaml", "when: invoice.total.amount != 0\n", "", "deliveries", "new"),
    "the key of a write is another": ("flows/invoices-to-books.yaml", "key: invoice.number", "key: \"'I' + invoice.number\"", "deliveries", "gone"),
}  # fmt: skip
HARMLESS = {
    "a comment": (ORDER, "let:\n  cur", "let:\n  # a remark\n  cur"),
    "another name in a let": (MAIL, "buyer", "customer_name"),
    "the same in other words": (
        INVOICE,
        "percent: default(line.rate, 0) * 100",
        "percent: 100 * default(line.rate, 0)",
    ),
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_planted_regression_is_seen(past: Past, tmp_path: Path, name: str) -> None:
    file, before, after, kind, field = REGRESSIONS[name]

    found = differences(past, edited(tmp_path, file, before, after))

    shown = [(each.kind, each.how, [change.path for change in each.changes]) for each in found]
    if field in ("new", "gone"):
        assert any(each[0] == kind and each[1] == field for each in shown), shown[:5]
    else:
        assert any(each[0] == kind and any(path.startswith(field) for path in each[2]) for each in shown), shown[:5]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_edit_makes_no_difference(past: Past, tmp_path: Path, name: str) -> None:
    assert differences(past, edited(tmp_path, *HARMLESS[name])) == []
    assert len(past.effects) > 300


def test_the_replay_makes_what_the_hub_made(past: Past) -> None:
    """The past hub booked these orders itself: documents, entries and moves are those that the replay comes to."""
    with sa.create_engine(past.url).connect() as connection:
        booked = {
            table: connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("document", "entry", "sales_order", "reservation")
        }
    again = {
        kind: sum(effect.kind == kind for effect in past.effects)
        for kind in ("documents", "entries", "orders", "reservations")
    }

    assert list(again.values()) == list(booked.values())
    assert [
        effect.name for effect in past.effects if effect.kind == "questions" and "shipment.unknown" in effect.name
    ] == []


app = typer.Typer()
app.command()(command)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_command_tells_people_what_would_change(past: Past, tmp_path: Path) -> None:
    folder = edited(tmp_path, INVOICE, "TotalTax: amount(total_tax)", "TotalTax: 0")

    found = run("--from-inbox", "--home", past.home, "--flows", folder)

    assert found.exit_code == 3, found.output
    assert "\n  ~ delivery books invoice.create (invoice 1)\n      body.TxnTaxDetail.TotalTax: " in found.stdout
    assert "  deliveries: " in found.stdout
    assert "7310" not in found.stdout, "ids are not shown"


def test_the_same_flows_make_no_difference_and_end_with_0(past: Past, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()

    found = run("--from-inbox", "--home", past.home, "--flows", tmp_path)

    assert found.exit_code == 0, found.output
    assert "No difference in" in found.stdout


def test_a_second_run_prints_the_same_in_any_process(past: Past, tmp_path: Path) -> None:
    folder = edited(tmp_path, ORDER, "sku: line.sku", "sku: lower(line.sku)")
    arguments = ["-m", "hub", "simulate", "--from-inbox", "--home", str(past.home), "--flows", str(folder), "--json"]

    def printed(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=120
        )
        assert done.returncode == 3, done.stderr
        return done.stdout

    first = printed("1")
    assert json.loads(first)["counts"]["questions"]["new"] > 0
    assert printed("2") == first


def test_nothing_is_written_to_the_hub(past: Past, tmp_path: Path) -> None:
    before = (past.home / "hub.sqlite").read_bytes()
    (tmp_path / "flows").mkdir()

    run("--from-inbox", "--home", past.home, "--flows", tmp_path)

    assert (past.home / "hub.sqlite").read_bytes() == before


def test_without_another_version_the_past_is_shown_as_it_would_be(past: Past) -> None:
    found = run("--from-inbox", "--home", past.home)

    assert found.exit_code == 0, found.output
    assert "Invoice F2026-000001" in found.stdout


@pytest.fixture
def own_past(past: Past, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the past with something done to its inbox."""

    def made(statement: str) -> Path:
        (tmp_path / "copy").mkdir()
        file = tmp_path / "copy" / "hub.sqlite"
        file.write_bytes((past.home / "hub.sqlite").read_bytes())
        with sa.create_engine(f"sqlite:///{file}").begin() as connection:
            connection.execute(sa.text(statement))
        return file.parent

    return made


def test_erased_events_are_refused_with_their_days_or_left_out(own_past: Callable[[str], Path], tmp_path: Path) -> None:
    home = own_past("UPDATE inbox SET body = NULL WHERE kind = 'webhook' AND seq IN (SELECT seq FROM inbox LIMIT 12)")
    (tmp_path / "flows").mkdir()

    refused = run("--from-inbox", "--home", home, "--flows", tmp_path)
    gone_on = run("--from-inbox", "--home", home, "--flows", tmp_path, "--skip-erased")

    assert refused.exit_code == 2
    assert "events of this time have been erased" in refused.output
    assert "came in on 2026-11-24" in refused.output
    assert gone_on.exit_code == 0
    assert "that were erased are left out" in gone_on.stdout


def test_a_part_of_the_past_starts_with_the_stock_of_its_first_day(past: Past) -> None:
    middle = sorted(int(stamp) for stamp in _instants(past.url))[len(_instants(past.url)) // 2]

    then = {item.sku: dict(item.units) for item in read_world(past.url, since=middle).items}
    at_first = {item.sku: dict(item.units) for item in read_world(past.url, since=0).items}

    assert at_first["MUG-01"] == {}
    assert 0 < then["MUG-01"]["main"] < 500
    assert window(past.url, since=middle, until=None).events < past.chosen.events


def _instants(url: str) -> list[int]:
    with sa.create_engine(url).connect() as connection:
        return list(connection.execute(sa.text("SELECT received_at FROM inbox")).scalars())


def test_files_are_compared_as_well(tmp_path: Path) -> None:
    folder = edited(tmp_path, ORDER, "sku: line.sku", "sku: lower(line.sku)")
    payload = shipped("flows") / "payloads" / "1001-paid.json"

    found = run(payload, "--flows", folder, "--diff")

    assert found.exit_code == 3, found.output
    assert "#1001" in found.stdout
    assert "sku: MUG-01 -> mug-01" in found.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("a.json", "--from-inbox"), ("a.json", "--diff"), ("--from-inbox", "--record", "shopify.order")]
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code != 0


def test_a_home_without_a_hub_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="there is no hub"):
        window(f"sqlite:///{tmp_path / 'hub.sqlite'}", since=None, until=None)


def test_a_candidate_that_does_not_load_is_refused_with_its_place(past: Past, tmp_path: Path) -> None:
    folder = edited(tmp_path, INVOICE, "amount(line.net)", "amuont(line.net)")

    found = run("--from-inbox", "--home", past.home, "--flows", folder)

    assert found.exit_code == 2
    assert "mappings/quickbooks/invoice.yaml:37:15: " in found.output
    assert "unknown-function: there is no function amuont" in found.output
