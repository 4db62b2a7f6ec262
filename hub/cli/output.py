"""Printing for people (a table in colours on a terminal, plain columns elsewhere) and for programs (JSON)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_NUMERIC = (int, float)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2, default=str))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "None.") -> None:
    """Rows under the names of their columns."""
    if not rows:
        print(empty)
        return
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    right = [all(isinstance(row.get(column), _NUMERIC) for row in rows) for column in columns]
    if sys.stdout.isatty():
        _rich(cells, columns, right)
        return
    heads = [column.replace("_", " ") for column in columns]
    widths = [max(len(heads[i]), *(len(line[i]) for line in cells)) for i in range(len(columns))]
    for line in [heads, *cells]:
        parts = [
            cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(line, widths, right, strict=True)
        ]
        print("  ".join(parts).rstrip())


def print_next(result: Mapping[str, Any]) -> None:
    """Says that there are more, on stderr."""
    if result.get("next") is not None:
        print(f"more: --before {result['next']}", file=sys.stderr)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    # what came from outside may hold control characters, which a terminal would obey
    return "".join(char if char.isprintable() else " " for char in str(value))


def _rich(cells: list[list[str]], columns: Sequence[str], right: list[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, is_right in zip(columns, right, strict=True):
        table.add_column(column.replace("_", " "), justify="right" if is_right else "left", overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)
