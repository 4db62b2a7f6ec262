"""A catalogue to start from: a table of items, XLSX or CSV."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hub.connect.rows import RowsError, read_rows
from hub.workers.recorded import Stocked

#: what the columns may be called, without accents
_SKU = ("sku", "reference", "code", "article")
_TITLE = ("title", "titre", "name", "nom", "libelle", "designation")
_UNITS = ("quantity", "quantite", "stock", "qty")


class CatalogueError(Exception):
    """A catalogue that cannot be read: says where."""


def read_catalogue(file: Path, location: str = "main") -> list[Stocked]:
    """Items of a table with a header row: `sku`, and `title` and `quantity` where it has them. Raises: CatalogueError,
    OSError."""
    try:
        records = read_rows(file.name, file.read_bytes())
    except RowsError as error:
        raise CatalogueError("\n".join([str(error), *error.problems])) from None
    if not any(name in record for record in records for name in _SKU):
        found = ", ".join(dict.fromkeys(name for record in records for name in record)) or "no row"
        raise CatalogueError(f"{file.name}: no column {' or '.join(_SKU[:2])} with a value in it: there is {found}")
    items: dict[str, Stocked] = {}
    for record in records:
        sku = str(_first(record, _SKU) or "")
        if sku:
            title, units = str(_first(record, _TITLE) or sku), _first(record, _UNITS)
            items[sku] = Stocked(sku, title, True, {location: _whole(units, f"{file.name}: {sku}")})
    return list(items.values())


def _first(record: dict[str, Any], names: Collection[str]) -> Any:
    return next((record[name] for name in names if name in record), None)


def _whole(value: Any, place: str) -> int:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise CatalogueError(f"{place}: {value} is not a whole number of units")
    return max(0, value or 0)
