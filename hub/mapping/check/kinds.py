"""Whether a value of one type can stand where another is wanted."""

from __future__ import annotations

from hub.records.notation import nearest
from hub.records.schema import Kind, Type

#: rule, message, hint
Finding = tuple[str, str, str]

_REFERABLE = frozenset({Kind.TEXT, Kind.WHOLE, Kind.NUMBER})
_NUMBERS = frozenset({Kind.WHOLE, Kind.NUMBER})
_HOW = {
    (Kind.TEXT, Kind.NUMBER): "number(x) reads a number from text",
    (Kind.TEXT, Kind.WHOLE): "number(x) reads a number from text",
    (Kind.TEXT, Kind.MONEY): "money(x, currency) makes money of an amount",
    (Kind.MONEY, Kind.NUMBER): "amount(x) is its decimal amount, x.amount its minor units",
    (Kind.MONEY, Kind.WHOLE): "x.amount is its minor units",
    (Kind.MONEY, Kind.TEXT): "text(x) is its decimal amount as text",
    (Kind.NUMBER, Kind.TEXT): "text(x) makes text of a number",
    (Kind.WHOLE, Kind.TEXT): "text(x) makes text of a number",
    (Kind.BOOL, Kind.TEXT): "text(x) makes text of it",
    (Kind.OBJECT, Kind.LIST): "keys(x) lists the keys of an object",
}


def same_kind(given: Type, wanted: Kind) -> bool:
    """Whether values of a type are of a kind, or may be."""
    kind = given.kind
    if kind is wanted or kind is Kind.ANY or wanted is Kind.ANY:
        return True
    if kind in _NUMBERS and wanted in _NUMBERS:
        return True  # a number may be whole; only running it tells
    return kind is Kind.REFERENCE and wanted in _REFERABLE


def conversion(given: Kind, wanted: Kind) -> str:
    """How a value of one kind becomes one of the other."""
    return _HOW.get((given, wanted), "")


def unfit(given: Type, wanted: Type, what: str) -> Finding | None:
    """What is wrong with a value of one type where another is wanted; None when nothing is known to be. `what` it is for
    names the place."""
    if Kind.ANY in (given.kind, wanted.kind):
        return None
    if given.kind is Kind.NULL:
        return None if wanted.maybe_null else ("type-mismatch", f"{what} is {wanted}, and this is always null", "")
    if not same_kind(given, wanted.kind):
        if wanted.kind is Kind.MONEY and given.kind in _NUMBERS:
            return "float-money", f"{what} is money, and this is a bare number", "money(x, currency) makes money of it"
        return "type-mismatch", f"{what} is {wanted}, and this is {given}", conversion(given.kind, wanted.kind)
    if wanted.kind is Kind.TEXT:
        return _unfit_text(given, wanted, what)
    if wanted.kind is Kind.LIST and given.item is not None and wanted.item is not None:
        return unfit(given.item, wanted.item, f"an item of {what}")
    if wanted.kind is Kind.OBJECT:
        return _unfit_object(given, wanted, what)
    return None


def _unfit_text(given: Type, wanted: Type, what: str) -> Finding | None:
    if wanted.choices and given.choices:
        for value in given.choices:
            if value not in wanted.choices:
                return unknown_choice(value, wanted, what)
    if wanted.form and given.form and wanted.form != given.form:
        hint = "date(x, zone) is the day of a moment" if (given.form, wanted.form) == ("instant", "date") else ""
        return (
            "type-mismatch",
            f"{what} is a text of the form {wanted.form}, and this is of the form {given.form}",
            hint,
        )
    return None


def unknown_choice(value: str, wanted: Type, what: str) -> Finding:
    """A text that is none of the choices."""
    hint = nearest(value, wanted.choices) or f"it is one of {', '.join(wanted.choices[:12])}"
    return "unknown-choice", f"{what} is never {value!r}", hint


def _unfit_object(given: Type, wanted: Type, what: str) -> Finding | None:
    for name, type_ in given.fields.items():
        inner = wanted.fields.get(name, wanted.rest)
        if inner is None:
            return unknown_field(name, wanted, what)
        if found := unfit(type_, inner, f"{name} of {what}"):
            return found
    for name in wanted.required():
        if name not in given.fields and given.rest is None:
            return missing_field(name, wanted, what)
    return None


def unknown_field(name: str, type_: Type, what: str) -> Finding:
    """A field that a closed object does not have."""
    hint = nearest(name, type_.fields) or f"it has {', '.join(list(type_.fields)[:12])}"
    return "unknown-field", f"{what} has no field {name}", hint


def missing_field(name: str, type_: Type, what: str) -> Finding:
    """A field that has to be there."""
    return "missing-field", f"{what} needs {name}", f"{name} is {type_.fields[name]}"
