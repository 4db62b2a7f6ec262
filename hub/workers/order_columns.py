"""The columns file: which column of a CSV order export means what, and how its amounts, dates and taxes are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hub.mapping import SourceError, load_document


class ColumnsError(Exception):
    """A columns file that cannot be used: says where and why."""


class OrderColumns(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Columns that say something of a whole order. Null: the export has no such column."""

    name: str
    financial_status: str
    created_at: str
    currency: str
    total: str
    id: str | None = None
    email: str | None = None
    phone: str | None = None
    paid_at: str | None = None
    fulfilled_at: str | None = None
    cancelled_at: str | None = None
    subtotal: str | None = None
    shipping: str | None = None
    shipping_title: str | None = None
    tax: str | None = None
    discount: str | None = None
    refunded: str | None = None
    outstanding: str | None = None
    duties: str | None = None
    note: str | None = None


class LineColumns(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Columns of one line of an order. `price` is that of one unit, `discount` that of the whole line."""

    title: str
    quantity: str
    price: str
    sku: str | None = None
    discount: str | None = None
    taxable: str | None = None
    requires_shipping: str | None = None


class AddressColumns(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Columns of an address."""

    name: str | None = None
    company: str | None = None
    address1: str | None = None
    address2: str | None = None
    zip: str | None = None
    city: str | None = None
    province: str | None = None
    country: str | None = None
    phone: str | None = None


class TaxColumns(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Columns of one tax of a whole order: its name, which holds the rate, and its amount."""

    name: str
    amount: str


class Columns(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A columns file. `rate` is a pattern whose first group is a rate in per cent; `dates` are strptime forms."""

    columns: str
    order: OrderColumns
    line: LineColumns
    billing: AddressColumns = AddressColumns()
    shipping: AddressColumns = AddressColumns()
    taxes: list[TaxColumns] = []
    required: list[str] = []
    ignored: list[str] = []
    rate: str = r"(\d+(?:[.,]\d+)?)\s*%"
    prices_include_tax: bool | Literal["auto"] = "auto"
    decimal: Literal["auto", ".", ","] = "auto"
    dates: list[str] = []
    zone: str | None = None
    countries: dict[str, str] = {}

    def named(self) -> Iterator[tuple[str, str]]:
        """(what it means, `order.total`; the name of the column) of all that are read."""
        for part in ("order", "line", "billing", "shipping"):
            group = getattr(self, part)
            for field in group.__struct_fields__:
                if (column := getattr(group, field)) is not None:
                    yield f"{part}.{field}", column
        for number, tax in enumerate(self.taxes, 1):
            yield f"taxes.{number}.name", tax.name
            yield f"taxes.{number}.amount", tax.amount

    def needed(self) -> dict[str, str]:
        """The columns without whose value an order is refused, by what they mean."""
        return {meaning: column for meaning, column in self.named() if meaning in self.required}


def read_columns(file: Path, shown: str | None = None) -> Columns:
    """Reads a columns file. Raises: ColumnsError, OSError."""
    name = shown or file.name
    try:
        found = msgspec.convert(load_document(file.read_text("utf-8"), name).value, Columns)
    except SourceError as error:
        raise ColumnsError(str(error)) from None
    except UnicodeDecodeError as error:
        raise ColumnsError(f"{name}: not UTF-8: {error}") from None
    except msgspec.ValidationError as error:
        raise ColumnsError(f"{name}: {error}") from None
    _check(found, name)
    return found


def _check(found: Columns, name: str) -> None:
    meanings = dict(found.named())
    twice = sorted({column for column in meanings.values() if list(meanings.values()).count(column) > 1})
    if twice:
        raise ColumnsError(f"{name}: the column {twice[0]!r} stands for two things")
    for meaning in found.required:
        if meaning not in meanings:
            raise ColumnsError(f"{name}: required: {meaning!r} is no column of this file (order.total, line.sku, ...)")
    try:
        if re.compile(found.rate).groups < 1:
            raise ColumnsError(f"{name}: rate: put the number in brackets: '([0-9.]+) ?%'")
    except re.error as error:
        raise ColumnsError(f"{name}: rate: not a pattern: {error}") from None
    try:
        ZoneInfo(found.zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise ColumnsError(f"{name}: zone: {found.zone!r} is no time zone, as Europe/Paris is") from None
    for form in found.dates:
        try:
            datetime.strptime(datetime(2026, 1, 31).strftime(form), form)
        except ValueError:
            if "%z" not in form:
                raise ColumnsError(f"{name}: dates: {form!r} is no form of a date, as '%d/%m/%Y %H:%M' is") from None
    for country, code in found.countries.items():
        if not re.fullmatch("[A-Z]{2}", code):
            raise ColumnsError(f"{name}: countries: {country}: {code!r} is no ISO 3166 code of two letters")
