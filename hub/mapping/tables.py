"""Lookup tables of a mapping: `tables: {carriers: {DPD: dpd}}`, read with `lookup(carriers, x)`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hub.records.joins import join_all
from hub.records.schema import BOOL, NULL, NUMBER, TEXT, WHOLE, Kind, Type, choices, object_of


def tables_of(value: Any) -> dict[str, Type]:
    """The types of the tables, by name."""
    return {name: type_of(table) for name, table in value.items()} if isinstance(value, dict) else {}


def type_of(value: Any) -> Type:
    """The type of plain data."""
    if isinstance(value, dict):
        return object_of({key: type_of(item) for key, item in value.items()})
    if isinstance(value, list):
        return Type(Kind.LIST, item=join_all(map(type_of, value)) if value else None)
    if isinstance(value, str):
        return choices(value)
    return _SINGLE.get(type(value), NULL)


_SINGLE: dict[type, Type] = {str: TEXT, bool: BOOL, int: WHOLE, Decimal: NUMBER, type(None): NULL}
