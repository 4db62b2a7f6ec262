"""A catalogue to start from: a table of items, XLSX or CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hub.workers.recorded import Stocked

_SKU = ("sku", "reference", "référence", "code", "article")
_TITLE = ("title", "titre", "name", "nom", "libellé", "designation", "désignation")
_UNITS = ("quantity", "quantité", "quantite", "stock", "qty")


class CatalogueError(Exception):
    """A catalogue that cannot be read: says where."""


def read_catalogue(file: Path, location: str = "main") -> list[Stocked]:
    """Items of a table with a header row: `sku`, and `title` and `quantity` where it has them. Raises: CatalogueError,
    OSError."""
    rows = _workbook(file) if file.suffix.lower() in (".xlsx", ".xlsm") else _csv(file)
    header = [str(name or "").strip().lower() for name in next(rows, [])]
    places = {kind: _column(header, names) for kind, names in (("sku", _SKU), ("title", _TITLE), ("units", _UNITS))}
    if places["sku"] is None:
        raise CatalogueError(
            f"{file.name}:1: no column {' or '.join(_SKU[:2])} in {', '.join(header) or 'an empty row'}"
        )
    found: dict[str, Stocked] = {}
    for number, row in enumerate(rows, 2):
        cells = {kind: row[place] if place is not None and place < len(row) else None for kind, place in places.items()}
        sku = _text(cells["sku"])
        if sku:
            units = _whole(cells["units"], f"{file.name}:{number}")
            found[sku] = Stocked(sku, _text(cells["title"]) or sku, True, {location: units})
    return list(found.values())


def _column(header: list[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():  # a spreadsheet keeps whole numbers as fractions
        value = int(value)
    return "" if value is None else str(value).strip()


def _whole(value: Any, place: str) -> int:
    text = _text(value)
    if not text:
        return 0
    if not text.lstrip("-").isdigit():
        raise CatalogueError(f"{place}: {text!r} is not a whole number of units")
    return max(0, int(text))


def _csv(file: Path) -> Iterator[list[Any]]:
    text = file.read_text("utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    yield from csv.reader(text.splitlines(), delimiter=delimiter)


def _workbook(file: Path) -> Iterator[list[Any]]:
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError) as error:
        raise CatalogueError(f"{file.name}: not a workbook: {error}") from None
    try:
        sheet = book.worksheets[0]
        for row in sheet.iter_rows(values_only=True):
            yield list(row)
    finally:
        book.close()
