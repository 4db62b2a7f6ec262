"""What a record looks like: the types of its fields, and whether a value fits them.

A type says what a value may be. `any` fits all and is what nobody described. A field that may be null may also be left
out: the expression language reads both as null. How types are written is in `notation.py`; those of the canonical records
come from their structs (`structs.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from hub.records.money import Money

__all__ = [
    "ANY",
    "BOOL",
    "MONEY",
    "NULL",
    "NUMBER",
    "OBJECT",
    "TEXT",
    "TEXT_FORMS",
    "WHOLE",
    "Kind",
    "Misfit",
    "Type",
    "choices",
    "fits",
    "list_of",
    "map_of",
    "object_of",
    "text",
]


class Kind(StrEnum):
    """The kinds of values."""

    ANY = "any"
    NULL = "null"
    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    BOOL = "bool"
    MONEY = "money"
    LIST = "list"
    OBJECT = "object"
    #: what `ref()` gives: an id of another system that is put in at sending, in the place of a text or a whole number
    REFERENCE = "reference"


#: what a text may hold, by the name of its form
TEXT_FORMS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "instant": re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII),
        "date": re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
        "amount": re.compile(r"-?\d+(\.\d+)?", re.ASCII),
    }
)
_NO_FIELDS: Mapping[str, Type] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Type:
    """One type. Only the attributes that its kind has are set."""

    kind: Kind
    nullable: bool = False
    #: of a text: a key of `TEXT_FORMS`
    form: str = ""
    #: of a text: all that it can be; empty: anything
    choices: tuple[str, ...] = ()
    #: of a list: what its items are; None: it is empty
    item: Type | None = None
    #: of an object: the fields that are described
    fields: Mapping[str, Type] = field(default_factory=lambda: _NO_FIELDS)
    #: of an object: fields that may be left out, although they are not null when they are there
    optional: frozenset[str] = frozenset()
    #: of an object: what every other field is; None: there is no other field, the object is closed
    rest: Type | None = None
    #: of money, and of an object that holds an amount: whose currency it is in, where that is known
    currency: str = ""

    def or_null(self) -> Type:
        """The same, and null."""
        return self if self.nullable or self.kind in (Kind.ANY, Kind.NULL) else replace(self, nullable=True)

    def not_null(self) -> Type:
        """The same without null."""
        return replace(self, nullable=False) if self.nullable else self

    @property
    def maybe_null(self) -> bool:
        """Whether a value of it can be null."""
        return self.nullable or self.kind in (Kind.ANY, Kind.NULL)

    def get(self, name: str) -> Type | None:
        """The type of a field as it is read (null when it is left out); None when a closed object has no such field."""
        found = self.fields.get(name)
        if found is None:
            return None if self.rest is None else self.rest.or_null()
        return found.or_null() if name in self.optional else found

    def required(self) -> list[str]:
        """The fields that have to be there, in order."""
        return [name for name, type_ in self.fields.items() if not type_.maybe_null and name not in self.optional]

    def __str__(self) -> str:
        """As people read it: `text`, `a list of whole numbers or null`."""
        return _SHOWN[self.kind] + (" or null" if self.nullable else "")


_SHOWN = {
    Kind.ANY: "any value",
    Kind.NULL: "null",
    Kind.TEXT: "text",
    Kind.WHOLE: "a whole number",
    Kind.NUMBER: "a number",
    Kind.BOOL: "true or false",
    Kind.MONEY: "money",
    Kind.LIST: "a list",
    Kind.OBJECT: "an object",
    Kind.REFERENCE: "a reference",
}

ANY = Type(Kind.ANY)
NULL = Type(Kind.NULL)
TEXT = Type(Kind.TEXT)
WHOLE = Type(Kind.WHOLE)
NUMBER = Type(Kind.NUMBER)
BOOL = Type(Kind.BOOL)
MONEY = Type(Kind.MONEY)


def text(form: str) -> Type:
    """Text of a form: `instant`, `date` or `amount`."""
    return Type(Kind.TEXT, form=form)


def choices(*values: str) -> Type:
    """A text that is one of these."""
    return Type(Kind.TEXT, choices=values)


def list_of(item: Type) -> Type:
    """A list of items of one type."""
    return Type(Kind.LIST, item=item)


def object_of(fields: Mapping[str, Type], *, rest: Type | None = None, optional: frozenset[str] = frozenset()) -> Type:
    """An object with these fields; with `rest` any other field is of that type."""
    return Type(Kind.OBJECT, fields=fields, rest=rest, optional=optional)


def map_of(values: Type) -> Type:
    """An object whose keys are data."""
    return Type(Kind.OBJECT, rest=values)


OBJECT = map_of(ANY)


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit: where in the record, and why."""

    path: str  # `lineItems[0].sku`; empty for the whole value
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the record'}: {self.message}"


def fits(value: Any, type_: Type, *, references: bool = False) -> list[Misfit]:
    """Where a value does not fit a type. With `references` the body of a delivery may hold a reference for any id."""
    return list(_misfits(value, type_, "", references))


def _misfits(value: Any, type_: Type, path: str, references: bool) -> Iterator[Misfit]:
    if type_.kind is Kind.ANY:
        return
    if value is None:
        if not type_.maybe_null:
            yield Misfit(path, f"null, where {type_} is wanted")
        return
    if references and isinstance(value, dict) and "$ref" in value and type_.kind in (Kind.TEXT, Kind.WHOLE):
        return
    if not isinstance(value, _PYTHON[type_.kind]) or (isinstance(value, bool) and type_.kind is not Kind.BOOL):
        yield Misfit(path, f"{type(value).__name__} {str(value)[:40]!r}, where {type_} is wanted")
    elif isinstance(value, str):
        yield from _text_misfits(value, type_, path)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _misfits(item, type_.item or ANY, f"{path}[{index}]", references)
    elif isinstance(value, Mapping) and type_.kind is Kind.OBJECT:
        yield from _object_misfits(value, type_, path, references)


def _text_misfits(value: str, type_: Type, path: str) -> Iterator[Misfit]:
    if type_.choices and value not in type_.choices:
        yield Misfit(path, f"{value!r} is none of {', '.join(type_.choices)}")
    if type_.form and not TEXT_FORMS[type_.form].fullmatch(value):
        yield Misfit(path, f"{value[:40]!r} is no {type_.form}")


def _object_misfits(value: Mapping[str, Any], type_: Type, path: str, references: bool) -> Iterator[Misfit]:
    for name in type_.required():
        if name not in value:
            yield Misfit(_below(path, name), "missing")
    for name, inner in value.items():
        wanted = type_.fields.get(name, type_.rest)
        if wanted is None:
            yield Misfit(_below(path, name), "a field that is not described")
        else:
            yield from _misfits(inner, wanted, _below(path, name), references)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_PYTHON: dict[Kind, type | tuple[type, ...]] = {
    Kind.NULL: (),
    Kind.TEXT: str,
    Kind.WHOLE: int,
    Kind.NUMBER: (int, Decimal),
    Kind.BOOL: bool,
    Kind.MONEY: Money,
    Kind.LIST: (list, tuple),
    Kind.OBJECT: Mapping,
    Kind.REFERENCE: Mapping,
}
