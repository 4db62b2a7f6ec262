"""Reads rows by lists of keys: one query for many keys, in pieces that every engine takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

_PIECE = 1000


def rows_in(
    connection: Connection, statement: sa.Select[Any], keys: Sequence[Any], **values: Any
) -> list[dict[str, Any]]:
    """The rows of a statement that has an expanding parameter `keys` (see `among`), as dicts."""
    found: list[dict[str, Any]] = []
    for piece in _pieces(keys):
        result = connection.execute(statement, {"keys": piece, **values})
        names = tuple(result.keys())
        found.extend(dict(zip(names, row, strict=True)) for row in result)
    return found


def among(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The condition that a column is one of the keys given to `rows_in`."""
    return column.in_(sa.bindparam("keys", expanding=True))


def one_of(column: sa.ColumnElement[Any], words: Iterable[str]) -> sa.ColumnElement[bool]:
    """The condition that a column is one of words of ours that are always the same. They are written into the statement:
    a list of parameters is taken apart each time that it runs, which takes longer than many a query."""
    quoted = ", ".join(f"'{word}'" for word in words)
    return column.op("IN", is_comparison=True)(sa.literal_column(f"({quoted})"))


def _pieces(keys: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(keys), _PIECE):
        yield list(keys[start : start + _PIECE])
