"""Cells become values: text trimmed, whole numbers whole, decimals exact, SKUs text."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import openpyxl
import pytest

from hub.workers.admin.errors import AdminError
from hub.workers.admin.tables_in import read_rows


@pytest.fixture
def csv(tmp_path):
    def write(text, encoding="utf-8"):
        (tmp_path / "rows.csv").write_bytes(text.encode(encoding))
        return read_rows(str(tmp_path / "rows.csv"))

    return write


@pytest.fixture
def xlsx(tmp_path):
    def write(*rows):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / "rows.xlsx")
        return read_rows(str(tmp_path / "rows.xlsx"))

    return write


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("10", 10),
        ("-3", -3),
        ("12.50", Decimal("12.50")),
        ("0.1", Decimal("0.1")),
        ("007", "007"),
        ("1e3", "1e3"),
        ("12,50", "12,50"),
        (" a b ", "a b"),
        ("NO", "NO"),
        ("1.", "1."),
    ],
)
def test_a_cell_of_a_csv_file(csv, cell, value):
    [record] = csv(f'sku,value\nA,"{cell}"\n')

    assert record == {"sku": "A", "value": value}
    assert type(record["value"]) is type(value) or isinstance(record["value"], str)


def test_a_comma_is_a_decimal_point_where_semicolons_part_the_cells(csv):
    assert csv("SKU;Prix\nA;12,50\n") == [{"sku": "A", "prix": Decimal("12.50")}]


def test_columns_of_text_stay_text(csv, xlsx):
    assert csv("sku,ean,quantity\n00123,4006381333931,5\n") == [{"sku": "00123", "ean": "4006381333931", "quantity": 5}]
    assert xlsx(["SKU", "EAN", "Quantity"], [123, 4006381333931, 5.0]) == [
        {"sku": "123", "ean": "4006381333931", "quantity": 5}
    ]


def test_names_of_columns_are_made_plain(csv):
    assert csv("\ufeffSKU,Désignation,Qté (unités)\nA,B,3\n") == [{"sku": "A", "designation": "B", "qte_unites": 3}]


def test_empty_cells_and_rows_are_left_out(csv):
    assert csv("\n\nsku,title\n\nA,\n , \nB,x\n") == [{"sku": "A"}, {"sku": "B", "title": "x"}]


def test_decimals_of_a_spreadsheet_are_what_was_typed(xlsx):
    [record] = xlsx(["price", "rate", "whole", "day", "flag"], [19.9, 0.1, 3.0, date(2026, 11, 24), True])

    assert record == {"price": Decimal("19.9"), "rate": Decimal("0.1"), "whole": 3, "day": "2026-11-24", "flag": True}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("sku,SKU\nA,B\n", "the name of another column too"),
        ("sku\nA,stray\n", "row 2, column B"),
        ("sku,x\nA,#N/A\n", "row 2, column x: the formula"),
        ("sku,x\nA,a\x01b\n", "row 2, column x: it holds a control character"),
        ('sku,x\nA,"open\n', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(csv, text, says):
    with pytest.raises(AdminError) as refused:
        csv(text)
    assert says in "\n".join([str(refused.value), *refused.value.problems])


def test_a_file_that_is_not_utf8_is_said_with_its_row(csv):
    with pytest.raises(AdminError, match="row 2 is not UTF-8"):
        csv("sku,title\nA,été\n", encoding="latin-1")


def test_all_errors_are_said_at_once(csv):
    with pytest.raises(AdminError) as refused:
        csv("sku,x\n" + "A,#REF!\n" * 30)
    assert len(refused.value.problems) == 21
    assert refused.value.problems[-1] == "and 10 more"


@pytest.mark.parametrize(("name", "content"), [("a.xlsx", b"no zip"), ("a.xls", b""), ("a.pdf", b"")])
def test_a_file_of_another_kind_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(AdminError):
        read_rows(str(tmp_path / name))
