"""What a database said when it refused something, without the values that it was given."""

from __future__ import annotations

from typing import Any

#: SQLSTATE classes whose message repeats a value behind its colon: data exceptions
_WITH_VALUE = ("22",)
_SHOWN = 300


def said(error: BaseException) -> str:
    """One line: the class of the error and what it says of tables, columns and constraints. PostgreSQL tells the rows that
    are in the way in lines of their own, and a value that does not fit in quotes."""
    origin: Any = getattr(error, "orig", None)
    text = str(origin if origin is not None else error).partition("\n")[0]
    if str(getattr(origin, "sqlstate", "") or "").startswith(_WITH_VALUE):
        text = text.partition(":")[0]
    return f"{type(error).__name__}: {text}"[:_SHOWN]
