"""Rows of a spreadsheet (XLSX) or CSV file as records: whole numbers and decimals exact, text trimmed."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

MAX_ROWS = 200_000
MAX_BYTES = 64 * 1024 * 1024
_SHOWN_PROBLEMS = 20
#: columns that are text whatever stands in them: a SKU or a barcode is no number
TEXT_COLUMNS = frozenset(
    "sku title name description ref reference barcode ean gtin upc zip postcode phone email country code id unit".split()
)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,12}")
_COMMA = re.compile(r"-?(0|[1-9][0-9]{0,17}),[0-9]{1,12}")
_ERRORS = frozenset("#REF! #VALUE! #NAME? #DIV/0! #N/A #NUM! #NULL! #SPILL! #CALC! #FIELD!".split())


class _Cell(str):
    """A cell of a CSV file, which does not say whether it is a number. `comma`: that is its decimal point."""

    comma: bool

    def __new__(cls, text: str, comma: bool) -> _Cell:
        made = super().__new__(cls, text)
        made.comma = comma
        return made


class _Bad(ValueError):
    """A cell that cannot be used."""


class RowsError(ValueError):
    """A file whose rows cannot be used. `problems`: each with its row and its column."""

    def __init__(self, reason: str, problems: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.problems = list(problems)


def read_rows(name: str, content: bytes, *, sheet: str | None = None, encoding: str = "utf-8") -> list[dict[str, Any]]:
    """The rows under the header row of a file called `name`. An empty cell leaves its field out; an empty row is passed
    over. `encoding` is that of a CSV file. Raises: RowsError with every error, its row and its column."""
    if len(content) > MAX_BYTES:
        raise RowsError(f"{name} is over {MAX_BYTES // (1024 * 1024)} MB: split it")
    suffix = name.lower().rpartition(".")[2]
    if suffix == "xlsx":
        return _records(name, _xlsx(name, content, sheet))
    if suffix in ("csv", "tsv", "txt"):
        if sheet is not None:
            raise RowsError(f"{name} is a CSV file, which has no sheet {sheet!r}")
        return _records(name, _csv(name, content, encoding))
    raise RowsError(f"{name}: a file ends in .xlsx or .csv")


def _records(path: str, rows: Iterable[list[Any]]) -> list[dict[str, Any]]:
    problems: list[str] = []
    names: list[str | None] | None = None
    records: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise RowsError(f"{path} has over {MAX_ROWS} rows: split it")
        if names is None:
            if any(cell not in (None, "") for cell in row):
                names = _header(row, number, problems)
            continue
        record = {}
        for index, cell in enumerate(row):
            name = names[index] if index < len(names) else None
            try:
                value = _value(cell, name or "")
            except _Bad as error:
                problems.append(f"row {number}, column {name or _letter(index)}: {error}")
                continue
            if value is None:
                continue
            if name is None:
                problems.append(f"row {number}, column {_letter(index)}: there is a value, and no name above it")
                continue
            record[name] = value
        if record:
            records.append(record)
    if names is None:
        raise RowsError(f"{path} is empty: the first row has the names of the columns")
    if problems:
        more = [f"and {len(problems) - _SHOWN_PROBLEMS} more"] if len(problems) > _SHOWN_PROBLEMS else []
        raise RowsError(
            f"{path}: {len(problems)} cells cannot be used, nothing was taken", problems[:_SHOWN_PROBLEMS] + more
        )
    return records


def _header(row: list[Any], number: int, problems: list[str]) -> list[str | None]:
    names: list[str | None] = []
    for index, cell in enumerate(row):
        text = "" if cell is None else str(cell).strip()
        name = re.sub(
            r"[^a-z0-9]+", "_", unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
        )
        name = name.strip("_")
        if text and not name:
            problems.append(f"row {number}, column {_letter(index)}: {text!r} is no name of a column")
        if name and name in names:
            problems.append(f"row {number}, column {_letter(index)}: {text!r} is the name of another column too")
        names.append(name or None)
    return names


def _value(cell: Any, name: str) -> Any:
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, str):
        text = _of_text(cell)
        if text is not None and isinstance(cell, _Cell) and name not in TEXT_COLUMNS:
            number = _number(text, cell.comma)
            return text if number is None else number
        return text
    if isinstance(cell, (datetime, date, time)):
        if isinstance(cell, datetime) and cell.time() == time():
            cell = cell.date()
        return cell.isoformat()
    if isinstance(cell, float):
        if not math.isfinite(cell):
            raise _Bad("it is no number")
        # a spreadsheet keeps 15 digits: the shortest text of the number is what was typed
        exact: int | Decimal = int(cell) if cell.is_integer() and abs(cell) < 2**53 else Decimal(repr(cell))
        return format(exact, "f") if name in TEXT_COLUMNS else exact
    if isinstance(cell, int):
        return str(cell) if name in TEXT_COLUMNS else cell
    raise _Bad(f"a value of type {type(cell).__name__} cannot be read")


def _of_text(cell: str) -> str | None:
    text = cell.replace("\u00a0", " ").strip()
    if text in _ERRORS:
        raise _Bad(f"the formula in it fails ({text})")
    if any(ord(char) < 32 and char not in "\n\r\t" for char in text):
        raise _Bad("it holds a control character")
    return text or None


def _letter(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, left = divmod(index - 1, 26)
        letters = chr(65 + left) + letters
    return letters


def _xlsx(file: str, content: bytes, sheet: str | None) -> Iterator[list[Any]]:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise RowsError(f"{file} is no XLSX file that can be read: {error}") from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise RowsError(f"{file} has no sheet {sheet!r}: there are {', '.join(book.sheetnames)}")
        page = book[sheet] if sheet is not None else book.worksheets[0]
        for row in page.iter_rows(values_only=True):
            yield list(row)
    finally:
        book.close()


def _csv(file: str, content: bytes, encoding: str) -> Iterator[list[Any]]:
    # Excel marks its UTF-8 files with three bytes that are no text
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    try:
        text = content.decode("utf-8-sig" if plain else encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        known = "UTF-8" if plain else encoding
        raise RowsError(f"{file}: row {line} is not {known}: save the file as {known} CSV") from None
    first = text.split("\n", 1)[0]
    separator = max((";", ",", "\t"), key=lambda char: (first.count(char), char == ","))
    try:
        for row in csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True):
            yield [_Cell(cell, separator != ",") for cell in row]
    except csv.Error as error:
        raise RowsError(f"{file}: the CSV cannot be read: {error}") from None


def _number(text: str, comma: bool) -> int | Decimal | None:
    """A number as it is written in CSV, or None. With `;` between cells a comma is a decimal point."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    if comma and _COMMA.fullmatch(text):
        return Decimal(text.replace(",", "."))
    return None
