"""A catalogue to start from: a table of items (XLSX or CSV), or the items and stock of a hub that is there already."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.connect import payload
from hub.connect.tables import Connection as ConnectionTable
from hub.core.sales.tables import ITEM_ALIAS
from hub.core.stock.tables import ITEM, LOCATION, STOCK_LEVEL
from hub.db.tables import Merchant
from hub.workers.scratch import MERCHANT_ID, Stocked

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
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


class Home:
    """What an existing hub knows, read and never written."""

    def __init__(self, url: str) -> None:
        made = sa.make_url(url)
        if made.get_backend_name() == "sqlite":
            if not Path(str(made.database)).is_file():
                raise CatalogueError(f"there is no hub at {made.database}")
            engine = sa.create_engine(f"sqlite:///file:{made.database}?mode=ro&uri=true")
        else:
            engine = sa.create_engine(made.set(drivername="postgresql+psycopg"))
        try:
            with engine.connect() as connection:
                if made.get_backend_name() != "sqlite":
                    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                self._read(connection)
        except sa.exc.DBAPIError as error:
            raise CatalogueError(f"the hub cannot be read: {error.orig}") from None
        finally:
            engine.dispose()

    def _read(self, connection: sa.Connection) -> None:
        merchant = connection.execute(sa.select(_MERCHANT).where(_MERCHANT.c.id == MERCHANT_ID)).one()
        self.currency: str = merchant.currency
        self.zone: str = merchant.zone
        #: settings without secrets by connector, of its first connection
        self.settings: dict[str, dict[str, Any]] = {}
        for row in connection.execute(sa.select(_CONNECTION.c.connector, _CONNECTION.c.settings).order_by("id")):
            self.settings.setdefault(row.connector, payload.decode(row.settings))
        units: dict[int, dict[str, int]] = {}
        free = STOCK_LEVEL.c.on_hand - STOCK_LEVEL.c.held - STOCK_LEVEL.c.waiting
        for row in connection.execute(
            sa.select(STOCK_LEVEL.c.item_id, LOCATION.c.code, free.label("free"))
            .join(LOCATION, LOCATION.c.id == STOCK_LEVEL.c.location_id)
            .where(STOCK_LEVEL.c.merchant_id == MERCHANT_ID, LOCATION.c.kind == "warehouse")
            .order_by(STOCK_LEVEL.c.item_id, LOCATION.c.code)
        ):
            units.setdefault(row.item_id, {})[row.code] = max(0, row.free)
        #: what people answered to unknown SKUs: `variant:ID` or `sku:SKU` to an item's SKU, null: not kept in stock
        self.aliases: dict[str, str | None] = {
            row.key: row.sku
            for row in connection.execute(
                sa.select(ITEM_ALIAS.c.key, ITEM.c.sku)
                .join(ITEM, ITEM.c.id == ITEM_ALIAS.c.item_id, isouter=True)
                .where(ITEM_ALIAS.c.merchant_id == MERCHANT_ID)
                .order_by(ITEM_ALIAS.c.id)
            )
        }
        self.items = [
            Stocked(row.sku, row.title, row.tracked, units.get(row.id, {}))
            for row in connection.execute(sa.select(ITEM).where(ITEM.c.merchant_id == MERCHANT_ID).order_by(ITEM.c.sku))
        ]
