"""The cells of one row of an order export as values: amounts, whole numbers, instants, countries. A cell that cannot be used is
kept with its place and its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from hub.records.money import Money, MoneyError
from hub.workers.order_columns import Columns
from hub.workers.order_table import Refusal, TableRow

_T = TypeVar("_T")
_POINT = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_COMMA = re.compile(r"-?[0-9]+(,[0-9]+)?")
#: 1,234.50 and 1.234,50: the groups of three say which mark is which
_GROUPED = {
    ".": re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+"),
    ",": re.compile(r"-?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+"),
}
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


class Cells:
    """One row. What is wrong with it is added to `refused`."""

    def __init__(self, row: TableRow, file: str, columns: Columns, refused: list[Refusal]) -> None:
        self.row, self.columns = row, columns
        self._file, self._refused = file, refused

    def refuse(self, column: str | None, reason: str) -> None:
        """Keeps that a cell cannot be used."""
        self._refused.append(Refusal(self._file, self.row.number, column, reason))

    def text(self, column: str | None) -> str | None:
        """The text of a cell; null of an empty one, and of a column that there is not."""
        return self.row.cells.get(column) if column is not None else None

    def money(self, column: str | None, currency: str) -> Money | None:
        """An amount in major units."""
        return self._value(column, lambda text: Money.parse(decimal_text(text, self.columns.decimal), currency))

    def whole(self, column: str | None) -> int | None:
        """A whole number that is not negative."""
        return self._value(column, _whole)

    def flag(self, column: str | None) -> bool | None:
        """`true` or `false`, `yes` or `no`."""
        return self._value(column, _flag)

    def instant(self, column: str | None) -> str | None:
        """An instant as RFC 3339 text in UTC."""
        return self._value(column, lambda text: instant_text(text, self.columns))

    def country(self, column: str | None) -> str | None:
        """An ISO 3166 code of two letters."""
        return self._value(column, lambda text: _country(text, self.columns))

    def _value(self, column: str | None, read: Callable[[str], _T]) -> _T | None:
        text = self.text(column)
        if text is None:
            return None
        try:
            return read(text)
        except (ValueError, MoneyError) as error:
            self.refuse(column, str(error))
            return None


def decimal_text(text: str, mark: str) -> str:
    """An amount as decimal text with a point. `mark`: the decimal mark, or `auto`. Raises: ValueError."""
    plain = text.replace("\u00a0", "").replace("\u202f", "").replace(" ", "")
    for own, pattern in ((".", _POINT), (",", _COMMA)):
        if mark == own and (pattern.fullmatch(plain) or _GROUPED[own].fullmatch(plain)):
            return plain.replace("," if own == "." else ".", "").replace(",", ".")
    if mark != "auto":
        raise ValueError(f"{text!r} is not an amount with {mark!r} as its decimal mark")
    for own in _GROUPED:
        if _GROUPED[own].fullmatch(plain):
            return decimal_text(plain, own)
    if re.fullmatch(r"-?[0-9]{1,3}[,.][0-9]{3}", plain):
        raise ValueError(f"{text!r} may be thousands or decimals: say which in the columns file (decimal: '.' or ',')")
    if _POINT.fullmatch(plain):
        return plain
    if _COMMA.fullmatch(plain):
        return plain.replace(",", ".")
    raise ValueError(f"{text!r} is not an amount")


def instant_text(text: str, columns: Columns) -> str:
    """A date and time in one of the forms of the columns file, or ISO 8601. Raises: ValueError."""
    found: datetime | None = None
    for read in (datetime.fromisoformat, *(_form(form) for form in columns.dates)):
        try:
            found = read(text)
            break
        except ValueError:
            continue
    if found is None:
        raise ValueError(f"{text!r} is no date in a form of the columns file (dates: {', '.join(columns.dates)})")
    if found.tzinfo is None:
        if columns.zone is None:
            raise ValueError(f"{text!r} has no offset from UTC: name its zone in the columns file (zone: Europe/Paris)")
        found = found.replace(tzinfo=ZoneInfo(columns.zone))
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _form(form: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, form)


def _whole(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _flag(text: str) -> bool:
    found = _FLAGS.get(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return found


def _country(text: str, columns: Columns) -> str:
    found = columns.countries.get(text, text)
    if not re.fullmatch("[A-Z]{2}", found):
        raise ValueError(f"{text!r} is no ISO 3166 code of two letters: name it in the columns file (countries)")
    return found
