"""Types of the canonical records, read off their structs, so that the two cannot differ.

A field called `..._at` or `as_of` holds an instant and one called `..._date` a day. Money is in the shop's currency, the one
the books are kept in, but for `presentment_...`, which is what the buyer saw.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import inspect

from hub.records.document import Document
from hub.records.events import EVENTS, Alert
from hub.records.money import Money
from hub.records.order import Order, Shipment
from hub.records.schema import ANY, BOOL, NUMBER, TEXT, WHOLE, Kind, Type, choices, list_of, map_of, text

#: canonical records that mappings read or make, by the name that `from:` and `to:` give them
RECORDS: MappingProxyType[str, type[msgspec.Struct]] = MappingProxyType(
    {"order": Order, "shipment": Shipment, "invoice": Document, "credit_note": Document, "alert": Alert, **EVENTS}
)


@cache
def canonical(name: str) -> Type | None:
    """The type of a canonical record, or of what a core event carries; None when there is none of this name."""
    struct = RECORDS.get(name)
    return None if struct is None else of_struct(struct)


@cache
def of_struct(struct: type[msgspec.Struct]) -> Type:
    """The type of the values that a struct is made from."""
    return _of(inspect.type_info(struct), "")


def event_names(event: str) -> dict[str, Type]:
    """The names that a flow of a core event may read beside `record`: `{"invoice": ...}`, or the records that one event
    carries side by side (`payment`, `invoice`, `allocations`...). Empty for an event that is not known."""
    type_ = canonical(event)
    if type_ is None:
        return {}
    subject = event.partition(".")[0]
    if subject in type_.fields:
        return {name: type_.get(name) or ANY for name in type_.fields}
    return {subject: type_}


def _of(info: Any, name: str) -> Type:
    plain = _PLAIN.get(type(info))
    if plain is not None:
        return _named(plain, name)
    if isinstance(info, inspect.LiteralType):
        return choices(*map(str, info.values))
    if isinstance(info, inspect.UnionType):
        [one] = [each for each in info.types if not isinstance(each, inspect.NoneType)]
        return _of(one, name).or_null()
    if isinstance(info, inspect.ListType):
        return list_of(_of(info.item_type, name))
    if isinstance(info, inspect.DictType):
        return map_of(_of(info.value_type, name))
    if isinstance(info, inspect.StructType):
        return _object(info, name)
    return ANY


def _object(info: inspect.StructType, name: str) -> Type:
    if info.cls is Money:
        presentment = name.startswith("presentment_")
        return Type(Kind.MONEY, currency="what the buyer paid in" if presentment else "the books")
    fields = {each.encode_name: _of(each.type, each.encode_name) for each in info.fields}
    optional = frozenset(each.encode_name for each in info.fields if not each.required)
    return Type(Kind.OBJECT, fields=MappingProxyType(fields), optional=optional)


def _named(plain: Type, name: str) -> Type:
    if plain is TEXT and (name.endswith("_at") or name == "as_of"):
        return text("instant")
    return text("date") if plain is TEXT and name.endswith("_date") else plain


_PLAIN: dict[type, Type] = {
    inspect.StrType: TEXT,
    inspect.IntType: WHOLE,
    inspect.BoolType: BOOL,
    inspect.DecimalType: NUMBER,
    inspect.AnyType: ANY,
}
