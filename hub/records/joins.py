"""The type of a value that may be of either of two types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hub.records.schema import ANY, NULL, NUMBER, Kind, Type

_NUMBERS = (Kind.WHOLE, Kind.NUMBER)
MAX_CHOICES = 200


def join(one: Type, other: Type) -> Type:
    """What holds of values of both types; `any` where they have nothing in common."""
    if one is other:
        return one
    if one.kind is Kind.NULL or other.kind is Kind.NULL:
        return (other if one.kind is Kind.NULL else one).or_null()
    nullable = one.nullable or other.nullable
    if one.kind in _NUMBERS and other.kind in _NUMBERS:
        made = one if one.kind is other.kind else NUMBER
        form = one.form if one.form == other.form else ""
        return replace(made, nullable=nullable, form=form)
    if one.kind is not other.kind:
        return ANY
    if one.kind is Kind.LIST:
        items = [each.item for each in (one, other) if each.item is not None]
        return replace(one, nullable=nullable, item=join_all(items) if items else None)
    if one.kind is Kind.OBJECT:
        return replace(_objects(one, other), nullable=nullable)
    return replace(
        one,
        nullable=nullable,
        form=one.form if one.form == other.form else "",
        choices=_choices(one.choices, other.choices),
        currency=one.currency if one.currency == other.currency else "",
    )


def join_all(types: Iterable[Type]) -> Type:
    """The type of a value that may be of any of these types; null for none."""
    made: Type | None = None
    for type_ in types:
        made = type_ if made is None else join(made, type_)
    return NULL if made is None else made


def _choices(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The choices of both; none are remembered of a text that can be anything, or very many things."""
    if one == other or not one or not other:
        return one if one == other else ()
    both = tuple(dict.fromkeys(one + other))
    return both if len(both) <= MAX_CHOICES else ()


def _objects(one: Type, other: Type) -> Type:
    currency = one.currency if one.currency == other.currency else ""
    if one.fields is other.fields and one.rest is other.rest:  # two values of one description
        return replace(one, optional=one.optional | other.optional, currency=currency)
    fields = {
        name: join(one.get(name) or NULL, other.get(name) or NULL)
        for name in dict.fromkeys([*one.fields, *other.fields])
    }
    rest = None
    if one.rest is not None or other.rest is not None:
        rest = join(one.rest or NULL, other.rest or NULL)
        rest = ANY if rest.kind is Kind.NULL else rest
    optional = frozenset(name for name in fields if name in one.optional | other.optional)
    return replace(one, fields=fields, rest=rest, optional=optional, currency=currency)
