"""The rows of a CSV file as people and spreadsheets save it: UTF-8 with or without a mark, UTF-16 or Windows-1252; commas,
semicolons or tabs; line breaks inside quotes. A row that cannot be read is told, and the rest goes on."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from hub.workers.order_columns import ColumnsError

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


@dataclass(frozen=True)
class Refusal:
    """A cell, or with no column a row, that cannot be used. Rows count from 1, which is the header, as spreadsheets do."""

    file: str
    row: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        return (
            ":".join(str(part) for part in (self.file, self.row, self.column) if part is not None) + f": {self.reason}"
        )


@dataclass(frozen=True)
class TableRow:
    """One row: its number and its cells by column, without spaces around them; empty ones are left out."""

    number: int
    cells: dict[str, str]


@dataclass
class Table:
    """A CSV file."""

    file: str
    encoding: str
    delimiter: str
    header: list[str]
    rows: list[TableRow] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def read_table(file: Path, known: Collection[str]) -> Table:
    """Reads a file. The delimiter is the one by which most `known` columns are found. Raises: ColumnsError, OSError."""
    text, encoding = _decoded(file)
    headers = {mark: _header(text, mark) for mark in _DELIMITERS}
    mark = max(_DELIMITERS, key=lambda each: len(set(headers[each]) & set(known)))
    header = headers[mark]
    if not set(header) & set(known):
        raise ColumnsError(
            f"{file.name}:1: none of its columns is known ({', '.join(header[:5]) or 'it is empty'}): "
            "write a columns file for it, and give it with --columns"
        )
    twice = next((name for name in header if name in known and header.count(name) > 1), None)
    if twice is not None:
        raise ColumnsError(f"{file.name}:1: there are two columns {twice!r}")
    table = Table(file.name, encoding, _DELIMITERS[mark], header)
    _rows(table, text, mark)
    return table


def _decoded(file: Path) -> tuple[str, str]:
    raw = file.read_bytes()
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding, shown in [("utf-16", "UTF-16")] if wide else [("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252")]:
        try:
            return raw.decode(encoding), shown
        except UnicodeDecodeError:
            continue
    raise ColumnsError(f"{file.name}: neither UTF-8 nor Windows-1252: save it as CSV UTF-8")


def _header(text: str, mark: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), [])]
    except csv.Error:
        return []


def _rows(table: Table, text: str, mark: str) -> None:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"the row cannot be read: {error} (line {reader.line_num} of the file)"
            table.refused.append(Refusal(table.file, number, None, reason))
            continue
        if number == 1 or not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(table.header):
            reason = f"it has {len(cells)} cells, and the header {len(table.header)}"
            table.refused.append(Refusal(table.file, number, None, reason))
            continue
        named = {name: cell.strip() for name, cell in zip(table.header, cells, strict=False) if cell.strip()}
        table.rows.append(TableRow(number, named))
