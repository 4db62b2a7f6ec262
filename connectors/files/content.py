"""What stands in a file that the hub writes: text, JSON, or rows as CSV (RFC 4180, as the settings say)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.connect import payload
from hub.connect.errors import Refused
from hub.connect.links import Link

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_LINE_ENDS = {"crlf": "\r\n", "lf": "\n"}
_FORMS = ("text", "json", "rows")


def content_of(link: Link, body: Mapping[str, Any]) -> bytes:
    """The bytes of a body `{text}`, `{json}` or `{rows, columns?}`. Raises: Refused."""
    given = [form for form in _FORMS if body.get(form) is not None]
    if len(given) != 1:
        raise Refused(f"{link.name}: a file has one of {', '.join(_FORMS)}; given: {', '.join(given) or 'none'}")
    if given == ["json"]:
        return payload.encode(body["json"])
    text = _csv(link, body["rows"], body.get("columns")) if given == ["rows"] else body["text"]
    if not isinstance(text, str):
        raise Refused(f"{link.name}: `text` is {type(text).__name__}, not text")
    try:
        return text.encode(str(link.settings["encoding"]))
    except UnicodeEncodeError as error:
        line = text[: error.start].count("\n") + 1
        raise Refused(
            f"{link.name}: line {line} holds {text[error.start]!r}, which {link.settings['encoding']} cannot write"
        ) from None


def _csv(link: Link, rows: Any, columns: Any) -> str:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(f"{link.name}: `rows` is a list of objects")
    if columns is None:
        columns = list(rows[0]) if rows else []
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise Refused(f"{link.name}: `columns` is a list of names; without it the first row says them")
    made = io.StringIO()
    writer = csv.writer(
        made,
        delimiter=_DELIMITERS[str(link.settings["delimiter"])],
        lineterminator=_LINE_ENDS[str(link.settings["line_end"])],
    )
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        if more := sorted(set(row) - set(columns)):
            raise Refused(f"{link.name}: row {number} has {', '.join(more)}, which no column is for")
        writer.writerow([_cell(link, number, name, row.get(name)) for name in columns])
    return made.getvalue()


def _cell(link: Link, row: int, name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (int, Decimal)):
        return format(value, "f" if isinstance(value, Decimal) else "d").replace(".", str(link.settings["decimal"]))
    raise Refused(f"{link.name}: row {row}, {name}: {type(value).__name__} cannot stand in a cell")
