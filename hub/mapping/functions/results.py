"""What the functions give whose result says more than the kinds of their arguments.

A number that was read off an amount of money keeps that as its form (`amount`; `computed` once it was worked on), so that a
check can say where an amount is handled as a plain number.
"""

from __future__ import annotations

from dataclasses import replace

from hub.mapping.functions.signatures import Given
from hub.records.joins import join, join_all
from hub.records.schema import ANY, MONEY, NULL, NUMBER, OBJECT, WHOLE, Kind, Type, list_of

AMOUNT = replace(NUMBER, form="amount")
COMPUTED = replace(NUMBER, form="computed")
#: forms of a number that stands for money
AMOUNT_FORMS = ("amount", "computed")


def _one(given: Given, name: str) -> Type:
    return given[name][0] if given.get(name) else NULL


def number(given: Given) -> Type:
    """Of a text an exact number; a number is itself."""
    value = _one(given, "value")
    if value.kind in (Kind.WHOLE, Kind.NUMBER):
        return value
    made = AMOUNT if value.form == "amount" else NUMBER
    return made.or_null() if value.maybe_null else made


def money(given: Given) -> Type:
    """Money in the currency that the text of the second argument is from."""
    return replace(MONEY, currency=_currency(_one(given, "currency")) or _one(given, "amount").currency)


def sum_money(given: Given) -> Type:
    """The same of a list."""
    amounts = _one(given, "amounts").item
    return replace(MONEY, currency=_currency(_one(given, "currency")) or (amounts.currency if amounts else ""))


def _currency(type_: Type) -> str:
    return type_.currency or (f"'{type_.choices[0]}'" if len(type_.choices) == 1 else "")


def amount(given: Given) -> Type:
    """The decimal amount of money."""
    return AMOUNT.or_null() if _one(given, "value").maybe_null else AMOUNT


def same(given: Given) -> Type:
    """What went in, which was not null."""
    return _one(given, "value").not_null()


def rounded(given: Given) -> Type:
    """A whole number when no places are given."""
    return NUMBER if given.get("places") else WHOLE


def total(given: Given) -> Type:
    """The sum of numbers: whole when all are, an amount when all are."""
    item = _one(given, "values").item
    if item is None or item.kind not in (Kind.WHOLE, Kind.NUMBER):
        return NUMBER
    # nothing but amounts were added up; of no amount at all the sum is a whole 0
    return COMPUTED if item.form in AMOUNT_FORMS else replace(item.not_null(), form="")


def extreme(given: Given) -> Type:
    """One of the values, or of the items of the only one; null of an empty list."""
    values = given.get("values", ())
    if len(values) == 1:
        return (values[0].item or NULL).or_null() if values[0].kind is Kind.LIST else ANY
    return join_all(values).not_null()


def lookup(given: Given) -> Type:
    """One of the values of the table, or the default."""
    table, default_ = _one(given, "table"), _one(given, "default")
    if table.kind is not Kind.OBJECT or (table.rest is not None and table.rest.kind is Kind.ANY):
        return ANY
    values = [type_ for name in table.fields if (type_ := table.get(name)) is not None]
    return join(join_all([*values, *([table.rest] if table.rest else [])]), default_)


def default(given: Given) -> Type:
    """The first that is not null: it may be null only when all may be."""
    values = given.get("values", ())
    made = join_all(value.not_null() for value in values if value.kind is not Kind.NULL)
    return made.or_null() if all(value.maybe_null for value in values) else made


def reference(given: Given) -> Type:
    """The place of an id."""
    return Type(Kind.REFERENCE)


def item_of(given: Given) -> Type:
    """A list as it went in, in another order."""
    values = _one(given, "values")
    return values.not_null() if values.kind is Kind.LIST else list_of(ANY)


def groups(given: Given) -> Type:
    """An object of lists of the items."""
    return Type(Kind.OBJECT, rest=item_of(given))


def some_fields(given: Given) -> Type:
    """An object with some of the fields of another; which is not known before it runs."""
    value = _one(given, "value")
    if value.kind is not Kind.OBJECT:
        return OBJECT
    return replace(value, nullable=False, optional=frozenset(value.fields))


def merged(given: Given) -> Type:
    """The fields of all, the last of a name."""
    values = given.get("values", ())
    if any(value.kind is not Kind.OBJECT or value.rest is not None for value in values):
        return OBJECT
    fields: dict[str, Type] = {}
    for value in values:
        for name in value.fields:
            found = value.get(name) or ANY
            sure = name not in value.optional and not value.nullable
            fields[name] = found if sure or name not in fields else join(fields[name], found)
    return Type(Kind.OBJECT, fields=fields, optional=frozenset(fields))


def like_first(given: Given) -> Type:
    """Money of the currency of the first argument."""
    value = next(iter(given.values()))[0]
    made = replace(MONEY, currency=value.currency)
    return made.or_null() if value.maybe_null else made


def shares(given: Given) -> Type:
    """A list of money of that currency."""
    return list_of(replace(MONEY, currency=_one(given, "total").currency))
