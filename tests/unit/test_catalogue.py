"""A catalogue to start from: CSV and XLSX as shops export them, and the items of a hub that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook

from hub.connect.registry import Registry
from hub.db.types import instant_us
from hub.workers.catalogue import CatalogueError, read_catalogue
from hub.workers.recorded import HomeError, Stocked, read_world
from hub.workers.scratch import Scratch
from hub.workers.simulate import simulate

PAYLOADS = Path(__file__).parents[2] / "flows" / "payloads"
NOW = instant_us("2026-11-24T09:00:00+01:00")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_with_other_columns(tmp_path: Path, delimiter: str) -> None:
    rows = [["Titre", "Prix", "SKU", "Quantité"], ["Mug", "12,00", "MUG-01", "7"], ["", "", "", ""], ["", "1", "X", ""]]
    file = tmp_path / "items.csv"
    file.write_text("\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows), "utf-8-sig")

    assert read_catalogue(file) == [Stocked("MUG-01", "Mug", True, {"main": 7}), Stocked("X", "X", True, {"main": 0})]


def test_a_workbook(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    for row in (["sku", "title", "quantity"], ["MUG-01", "Mug", 7.0], [1234, "A number", None]):
        book.active.append(row)
    book.save(tmp_path / "items.xlsx")

    found = read_catalogue(tmp_path / "items.xlsx")

    assert [(item.sku, item.title, item.units["main"]) for item in found] == [
        ("MUG-01", "Mug", 7),
        ("1234", "A number", 0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title,quantity\nMug,1\n", "no column sku or reference with a value in it: there is title, quantity"),
        ("", "is empty"),
        ("sku,stock\nMUG-01,many\n", "items.csv: MUG-01: many is not a whole number"),
        ("sku,stock\nMUG-01,1.5\n", "items.csv: MUG-01: 1.5 is not a whole number"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "items.csv"
    file.write_text(text)

    with pytest.raises(CatalogueError, match=message):
        read_catalogue(file)


def test_a_text_that_is_called_a_workbook(tmp_path: Path) -> None:
    (tmp_path / "items.xlsx").write_text("sku\nMUG-01\n")

    with pytest.raises(CatalogueError, match="no XLSX file"):
        read_catalogue(tmp_path / "items.xlsx")


def test_the_items_of_a_hub_are_taken_and_nothing_is_written(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, Registry.discover(), lambda: NOW)
    scratch.stock([Stocked("MUG-01", "Mug", True, {"main": 5}), Stocked("THE-01", "Thé", True, {"main": 1})])
    scratch.close()
    file = tmp_path / "scratch.sqlite"
    before = file.read_bytes()
    url = f"sqlite:///{file}"

    assert [(item.sku, dict(item.units)) for item in read_world(url).items] == [
        ("MUG-01", {"main": 5}),
        ("THE-01", {"main": 1}),
    ]
    made = simulate([PAYLOADS / "1001-paid.json"], home=(tmp_path, url))

    assert made.outcome["questions"] == []
    assert [each["state"] for each in made.outcome["reservations"]] == ["held", "held"]
    assert file.read_bytes() == before


def test_what_people_answered_to_unknown_skus_is_taken_too(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, Registry.discover(), lambda: NOW)
    shop = scratch.connect("shop", "shopify", {"shop": "a.myshopify.com", "client_id": "a"}, mode="observe")
    scratch.stock([Stocked("SAMPLE-1", "Sample", True, {"main": 5})])
    scratch.alias(shop, {"sku:PROTO-99": "SAMPLE-1", "sku:NOTE": None, "sku:X": "GONE"})
    scratch.close()
    url = f"sqlite:///{tmp_path / 'scratch.sqlite'}"

    known = read_world(url)
    assert known.aliases == ((shop, "sku:PROTO-99", "SAMPLE-1"), (shop, "sku:NOTE", None))
    made = simulate([PAYLOADS / "1007-unknown-sku.json"], home=(tmp_path, url))

    assert made.outcome["questions"] == []
    assert [(each["sku"], each["state"]) for each in made.outcome["reservations"]] == [("SAMPLE-1", "held")]


def test_a_home_without_a_hub(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="there is no hub"):
        read_world(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    assert list(tmp_path.iterdir()) == []
