"""Reads rows by lists of keys: one query for many keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.ext.compiler import compiles


class Keys(sa.types.TypeDecorator[Sequence[Any]]):
    """A list of keys as one parameter: the text of a statement is the same however many there are, so that it is prepared
    once. JSON on SQLite, an array on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, of: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        if isinstance(of, sa.LargeBinary):
            raise TypeError("JSON holds no bytes")
        self.of = of

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.ARRAY(self.of))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: sa.Dialect) -> Any:
        keys = list(value or ())
        return msgspec.json.encode(keys).decode() if dialect.name == "sqlite" else keys


class _Among(sa.sql.functions.FunctionElement[bool]):
    """A condition as it stands: on SQLite, `= 1` after it, as after other functions, would be worked out for each row."""

    type = sa.Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True


@compiles(_Among, "sqlite")
def _of_json(element: _Among, compiler: Any, **options: Any) -> str:
    column, keys = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({keys}))"  # noqa: S608 - of parts that are compiled


@compiles(_Among, "postgresql")
def _of_array(element: _Among, compiler: Any, **options: Any) -> str:
    column, keys = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} = ANY({keys})"


def among(column: sa.ColumnElement[Any], name: str = "keys") -> sa.ColumnElement[bool]:
    """The condition that a column is one of the keys that a parameter holds."""
    return _Among(column, sa.bindparam(name, type_=Keys(column.type)))


def rows_in(
    connection: Connection, statement: sa.Select[Any], keys: Sequence[Any], **values: Any
) -> list[dict[str, Any]]:
    """The rows of a statement with a condition of `among`, as dicts."""
    if not keys:
        return []
    result = connection.execute(statement, {"keys": keys, **values})
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


def one_of(column: sa.ColumnElement[Any], words: Iterable[str]) -> sa.ColumnElement[bool]:
    """The condition that a column is one of words of ours that are always the same. They are written into the statement:
    a list of parameters is taken apart each time that it runs, which takes longer than many a query."""
    quoted = ", ".join(f"'{word}'" for word in words)
    return column.op("IN", is_comparison=True)(sa.literal_column(f"({quoted})"))
