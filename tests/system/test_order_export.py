"""`hub simulate orders_export.csv`: a hundred generated orders as a shop's admin exports them, and every awkward file of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hub.cli.simulate import command
from hub.connect.registry import shipped
from hub.workers.simulate import simulate
from tests.system.order_export_file import HEADER, ExportOrder, hundred, written

app = typer.Typer()
app.command()(command)
SHIPPED = shipped("connectors") / "shopify" / "order_export.yaml"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def export_of(tmp_path: Path, content: str | bytes, **options: Any) -> dict[str, Any]:
    file = tmp_path / "orders_export.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    found: dict[str, Any] = simulate([file], **options).as_json()["export"]
    return found


def one(tmp_path: Path, order: ExportOrder, **options: Any) -> dict[str, Any]:
    """What came of one order: its line of the report."""
    found: dict[str, Any] = export_of(tmp_path, written([order]), **options)["orders"][0]
    return found


def changed(**changes: str) -> ExportOrder:
    """One order of two rates with cells of its first row changed; `Tax_1_Name` is the column `Tax 1 Name`."""
    own = {name.replace("_", " "): value for name, value in changes.items()}
    return ExportOrder("#1001", [("MUG-01", 2), ("THE-01", 1)], changes=own)


def columns_with(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = SHIPPED.read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = tmp_path / "columns.yaml"
    file.write_text(text, "utf-8")
    return file


def test_a_hundred_orders_are_invoiced_to_the_cent(tmp_path: Path) -> None:
    orders = hundred()
    found = export_of(tmp_path, written(orders))
    amounts = [order.amounts() for order in orders]

    assert [each["result"] for each in found["orders"]] == ["equal"] * 100
    assert [Decimal(each["invoiced"]) for each in found["orders"]] == [each["total"] for each in amounts]
    summary = found["summary"]
    assert summary["orders"] == summary["invoices"] == 100
    assert summary["invoiced"] == [{"currency": "EUR", "amount": str(sum(each["total"] for each in amounts))}]
    taxes = {each["rate"]: Decimal(each["tax"]) for each in summary["vat"]}
    wanted = {rate: sum(each.get(f"tax {rate}", Decimal(0)) for each in amounts) for rate in ("0.2", "0.055")}
    assert taxes == wanted


def test_stock_that_is_short_and_skus_that_are_unknown_are_summed_up(tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text("sku,title,quantity\nMUG-01,Mug,3\n")
    orders = [ExportOrder(f"#{number}", [("MUG-01", 2), ("LAMP-03", 1)]) for number in (1001, 1002)]
    summary = export_of(tmp_path, written(orders), catalogue=catalogue)["summary"]

    # one of two is there; the goods of a line wait for each other
    assert [(each["sku"], each["units"], each["orders"]) for each in summary["stock_short"]] == [
        ("MUG-01", 2, ["#1002"])
    ]
    assert [(each["sku"], each["orders"]) for each in summary["unknown_skus"]] == [("LAMP-03", ["#1001", "#1002"])]


@pytest.mark.parametrize(
    ("encode", "encoding", "delimiter"),
    [
        (lambda text: text.encode(), "UTF-8", ","),
        (lambda text: b"\xef\xbb\xbf" + text.encode(), "UTF-8", ";"),
        (lambda text: text.encode("cp1252"), "Windows-1252", ";"),
        (lambda text: text.encode("utf-16"), "UTF-16", "\t"),
    ],
)
def test_a_file_is_read_however_it_was_saved(
    tmp_path: Path, encode: Callable[[str], bytes], encoding: str, delimiter: str
) -> None:
    order = changed(Billing_Name="Zoé Œuvré", Notes='two lines,\r\n"quoted"; one order')
    decimal = "," if delimiter == ";" else "."
    file = tmp_path / "orders.csv"
    file.write_bytes(
        encode(written([order, ExportOrder("#1002", [("MUG-01", 1)])], delimiter=delimiter, decimal=decimal))
    )
    made = simulate([file]).as_json()

    assert made["export"]["files"][0]["encoding"] == encoding
    assert [(each["result"], each["invoiced"]) for each in made["export"]["orders"]] == [
        ("equal", "44.60"),
        ("equal", "19.80"),
    ]
    assert made["export"]["orders"][1]["row"] == 4, "line breaks in quotes make no row"
    assert "Zoé Œuvré" in json.dumps(made["invoices"], ensure_ascii=False)


def test_columns_that_are_not_known_or_missing_are_told_once(tmp_path: Path) -> None:
    header = [name for name in HEADER if name not in ("Notes", "Lineitem sku")] + ["Loyalty Points", "Gift Wrap"]
    [file] = export_of(tmp_path, written(hundred()[:3], header=header))["files"]

    assert file["unknown_columns"] == ["Loyalty Points", "Gift Wrap"]
    assert {"Notes", "Lineitem sku"} <= set(file["missing_columns"])
    shown = run(tmp_path / "orders_export.csv")
    assert shown.stdout.count("Loyalty Points") == 1


def test_a_needed_column_that_is_missing_refuses_the_file(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(written(hundred()[:1], header=[name for name in HEADER if name != "Total"]))
    shown = run(file)

    assert shown.exit_code == 2
    assert "orders.csv:1: there is no column 'Total', and it is needed" in shown.output


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        (
            {"Tax_1_Name": "", "Tax_1_Value": "", "Tax_2_Name": "", "Tax_2_Value": ""},
            "order.tax_detail",
            "it names no tax",
        ),
        ({"Tax_1_Name": "FR TVA"}, "order.tax_detail", "'FR TVA' holds no rate"),
        ({"Tax_1_Name": "FR TVA 19%"}, "order.tax_detail", "no way to give its taxes"),
        ({"Tax_1_Value": "5.00"}, "order.tax_detail", "the taxes that it names come to 5.52 EUR"),
        ({"Total": "44.00"}, "order.sums", "come to 44.60 EUR, and its total is 44.00 EUR"),
    ],
)
def test_what_the_export_does_not_tell_is_a_question_and_not_booked(
    tmp_path: Path, changes: dict[str, str], kind: str, reason: str
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(written([changed(**changes), ExportOrder("#1002", [("MUG-01", 1)])]))
    made = simulate([file]).as_json()

    first, second = made["export"]["orders"]
    assert (first["result"], first["questions"], first["invoiced"]) == ("question", [kind], "0.00")
    assert second["result"] == "equal"
    [question] = [each for each in made["questions"] if each["kind"] == kind]
    assert reason in question["reason"]
    assert question["details"]["row"] == 2
    assert len(made["invoices"]) == 1


def test_lines_that_may_have_either_rate_are_asked_about(tmp_path: Path) -> None:
    order = ExportOrder("#1001", [("MUG-01", 1), ("THE-01", 1)], Decimal(0))
    rows = order.rows()
    order.changes = {"Total": "29.80", "Subtotal": "29.80"}
    rows[0].update(order.changes, Taxes="3.26")
    text = written([order]).replace(",9.90,", ",14.90,")
    # both lines cost 14.90 now: nobody can say which has 20 % and which 5.5 %
    text = text.replace("0.52", "0.78").replace(",3.00,29.80", ",3.26,29.80")
    [found] = export_of(tmp_path, text)["orders"]

    assert found["questions"] == ["order.tax_detail"]
    [question] = simulate([tmp_path / "orders_export.csv"]).as_json()["questions"]
    assert "more than one way" in question["reason"]


def test_a_discount_and_taxes_on_top_are_read_from_the_sums(tmp_path: Path) -> None:
    discounted = ExportOrder("#1001", [("MUG-01", 3)], discount=Decimal("4.47"))
    assert one(tmp_path, discounted)["result"] == "equal"

    on_top = ExportOrder(
        "#1002",
        [("MUG-01", 2)],
        changes={"Taxes": "6.94", "Total": "41.64", "Tax 1 Value": "6.94"},  # 20 % of 29.80 + 4.90
    )
    found = one(tmp_path, on_top)
    assert (found["result"], found["invoiced"]) == ("equal", "41.64")


def test_exports_and_other_files_are_simulated_apart(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(written(hundred()[:1]))
    body = Path(__file__).parents[2] / "flows" / "payloads" / "1001-paid.json"
    mixed, without = run(file, body), run(body, "--columns", SHIPPED)

    assert mixed.exit_code == without.exit_code == 2
    assert "are simulated apart" in mixed.output
    assert "a columns file is for CSV exports" in without.output


def test_the_page_shows_what_the_command_prints(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "flows.md").read_text("utf-8")
    block = page.partition("```text\nIn all\n  orders:")[2].partition("```")[0]
    orders = hundred()
    orders[41].changes = {f"Tax {number} {part}": "" for number in (1, 2) for part in ("Name", "Value")}
    (tmp_path / "orders_export.csv").write_text(written(orders))

    assert block.count("\n") > 5
    assert f"In all\n  orders:{block}" in run(tmp_path / "orders_export.csv").stdout


def test_what_was_given_back_is_asked_about(tmp_path: Path) -> None:
    found = one(tmp_path, changed(Financial_Status="partially_refunded", Refunded_Amount="9.90"))

    assert found["result"] == "question"
    assert "order.sums" in found["questions"]


def test_an_order_that_is_not_paid_is_not_invoiced(tmp_path: Path) -> None:
    found = one(tmp_path, changed(Financial_Status="pending", Paid_at=""))

    assert (found["result"], found["invoiced"]) == ("not due", "0.00")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Total", "forty", "'forty' is not an amount"),
        ("Total", "", "it is empty, and needed"),
        ("Total", "44.605", "'44.605' may be thousands or decimals"),
        ("Created at", "02/11/2026", "is no date in a form of the columns file"),
        ("Created at", "2026-11-02 10:00", "has no offset from UTC"),
        ("Currency", "EURO", "unknown currency 'EURO'"),
        ("Financial Status", "payed", "'payed' is none of"),
        ("Billing Country", "France", "'France' is no ISO 3166 code"),
        ("Id", "5.1E+12", "'5.1E+12' is not a whole number"),
        ("Lineitem quantity", "1.5", "'1.5' is not a whole number"),
        ("Lineitem taxable", "perhaps", "neither true nor false"),
    ],
)
def test_a_bad_cell_is_refused_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, column: str, value: str, reason: str
) -> None:
    orders = [hundred()[0], changed(**{column: value}), ExportOrder("#1102", [("MUG-01", 1)])]
    orders[1].name = "#1101"
    row = 2 + len(orders[0].rows())
    found = export_of(tmp_path, written(orders))

    [file] = found["files"]
    assert [(each["row"], each["column"]) for each in file["refused"]] == [(row, column)]
    assert file["refused"][0]["text"].startswith(f"orders_export.csv:{row}:{column}: ")
    assert reason in file["refused"][0]["reason"]
    assert file["left_out"] == ["#1101"]
    assert [each["result"] for each in found["orders"]] == ["equal", "equal"]
    assert found["summary"]["left_out"] == 1


def test_a_row_that_cannot_be_read_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = written([ExportOrder(f"#{number}", [("MUG-01", 1)]) for number in (1001, 1002, 1003)]).splitlines()
    lines[2] = '#1002,"broken"quote'
    lines[3] += "," * 3
    found = export_of(tmp_path, "\r\n".join(lines))

    assert [each["order"] for each in found["orders"]] == ["#1001"]
    reasons = {each["row"]: each["reason"] for each in found["files"][0]["refused"]}
    assert "the row cannot be read" in reasons[3]
    assert "cells, and the header" in reasons[4]


def test_rows_of_one_order_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    twice = [ExportOrder("#1001", [("MUG-01", 1)]), ExportOrder("#1001", [("MUG-01", 2)])]
    found = export_of(tmp_path, written(twice))

    assert found["orders"] == []
    assert "row 2 of the same order has '19.80'" in found["files"][0]["refused"][0]["reason"]


def test_another_shops_columns_dates_and_countries_are_configured(tmp_path: Path) -> None:
    columns = columns_with(
        tmp_path,
        ("  total: Total\n", "  total: Montant\n"),
        ("dates: ['", "dates: ['%d/%m/%Y %H:%M', '"),
        ("zone: null", "zone: Europe/Paris"),
        ("countries: {}", "countries: {France: FR}"),
    )
    order = changed(Created_at="02/11/2026 09:59", Billing_Country="France")
    text = written([order]).replace(",Total,", ",Montant,")
    [found] = export_of(tmp_path, text, columns=columns)["orders"]

    assert (found["result"], found["invoiced"]) == ("equal", "44.60")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("  total: Total\n", "  totall: Total\n", "unknown field"),
        ("zone: null", "zone: Paris", "'Paris' is no time zone"),
        ("currency: Currency", "currency: Total", "the column 'Total' stands for two things"),
        ("rate: '(", "rate: '((", "rate: not a pattern"),
        ("required: [order.name", "required: [order.nam", "'order.nam' is no column"),
    ],
)
def test_a_columns_file_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(written(hundred()[:1]))
    shown = run(file, "--columns", columns_with(tmp_path, (old, new)))

    assert shown.exit_code == 2
    assert "columns.yaml" in shown.output
    assert reason in shown.output


def test_the_report_is_read_by_people_and_compared_with_other_flows(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(written(hundred()[:5]))
    flows = tmp_path / "next"
    (flows / "flows").mkdir(parents=True)
    (flows / "flows" / "invoices-to-mail.yaml").write_text(
        "flow: invoices-to-mail\non: {event: invoice.issued}\nsteps: [stop: nobody is mailed]\n"
    )

    shown = run(file)
    assert shown.exit_code == 0, shown.output
    assert "orders: 5, together" in shown.stdout
    assert "VAT of the invoices\n  FR-20 20 % of " in shown.stdout
    assert "invoiced 21.40: equal (sku.unknown)" in shown.stdout
    assert run(file, "--json").stdout == run(file, "--json").stdout
    compared = run(file, "--flows", flows, "--diff", "--json")
    assert compared.exit_code == 3, compared.output
