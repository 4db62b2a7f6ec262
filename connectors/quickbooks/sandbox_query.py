"""The query language of QuickBooks, as far as the sandbox speaks it: one entity, conditions joined by AND, order, pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from .sandbox_bodies import Refused

_ALWAYS = ("Id", "MetaData.CreateTime", "MetaData.LastUpdatedTime")
_SALES = ("DocNumber", "TxnDate", "CustomerRef", "TotalAmt", "Balance")
_LIST = ("Name", "Active")

# Entity name -> the fields that can stand in a condition or an order.
FILTERABLE: Mapping[str, tuple[str, ...]] = {
    "Account": (*_LIST, "FullyQualifiedName", "AccountType", "AccountSubType", "Classification", "AcctNum"),
    "CompanyInfo": (),
    "CreditMemo": _SALES,
    "Customer": (
        *("DisplayName", "GivenName", "FamilyName", "CompanyName", "FullyQualifiedName", "PrintOnCheckName"),
        *("PrimaryEmailAddr", "Active", "Balance"),
    ),
    "Invoice": (*_SALES, "DueDate"),
    "Item": (*_LIST, "FullyQualifiedName", "Type", "Sku"),
    "JournalEntry": ("DocNumber", "TxnDate"),
    "Payment": ("TxnDate", "CustomerRef", "TotalAmt", "PaymentRefNum"),
    "PaymentMethod": _LIST,
    "RefundReceipt": _SALES,
    "SalesReceipt": _SALES,
    "TaxAgency": ("DisplayName",),
    "TaxCode": _LIST,
    "TaxRate": _LIST,
}
# Records of these can be inactive, and are then found only by a query that asks for Active.
INACTIVE_HIDDEN = frozenset(name for name, fields in FILTERABLE.items() if "Active" in fields)
MOST = 1000
DEFAULT = 100

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|=|<|>|\(|\)|,|\*))"
)


def invalid(detail: str) -> Refused:
    """4000, the parser's refusal."""
    return Refused("4000", "Error parsing query", f"QueryParserError: {detail}")


def not_valid(detail: str) -> Refused:
    """4001, a query that can be parsed and not run."""
    return Refused("4001", "Invalid query", f"QueryValidationError: {detail}")


@dataclass(frozen=True)
class Condition:
    field: str
    sign: str  # = < > <= >= IN LIKE
    values: tuple[str | Decimal | bool, ...]


@dataclass(frozen=True)
class Query:
    entity: str
    fields: tuple[str, ...]  # empty: all
    count: bool
    conditions: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]  # field, descending
    start: int
    most: int

    def run(self, records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records that match, in order, before paging."""
        asks_active = any(condition.field == "Active" for condition in self.conditions)
        hide = self.entity in INACTIVE_HIDDEN and not asks_active
        found = [
            record
            for record in records
            if not (hide and record.get("Active") is False) and all(_holds(record, part) for part in self.conditions)
        ]
        for field, descending in reversed(self.order):
            found.sort(key=lambda record, field=field: _sortable(_value(record, field)), reverse=descending)
        return found

    def page(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One page of what was found, with only the fields asked for."""
        page = found[self.start - 1 : self.start - 1 + self.most]
        if not self.fields:
            return page
        return [{name: record[name] for name in (*self.fields, "Id") if name in record} for record in page]


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise invalid(f"Encountered {text[at : at + 12]!r} at column {at + 1}")
            kind = match.lastgroup or ""
            self.tokens.append((kind, match.group(kind)))
            at = match.end()
        self.at = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def next(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def word(self, *wanted: str) -> bool:
        """Take the next token when it is one of these words or signs."""
        kind, text = self.peek()
        if kind in ("word", "sign") and text.upper() in wanted:
            self.at += 1
            return True
        return False

    def need(self, wanted: str) -> None:
        if not self.word(wanted):
            raise invalid(f"{wanted} expected, found {self.peek()[1] or 'the end'!r}")

    def name(self) -> str:
        kind, text = self.next()
        if kind != "word":
            raise invalid(f"a name expected, found {text or 'the end'!r}")
        return text

    def literal(self) -> str | Decimal | bool:
        kind, text = self.next()
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return Decimal(text)
        if kind == "word" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise invalid(f"a value expected, found {text or 'the end'!r}")

    def whole(self, name: str) -> int:
        kind, text = self.next()
        if kind != "number" or not text.lstrip("-").isdigit():
            raise invalid(f"a whole number expected after {name}, found {text or 'the end'!r}")
        return int(text)


def parse(text: str) -> Query:
    """Read a query; what cannot be read is refused with code 4000, what cannot be run with 4001."""
    reader = _Reader(text)
    reader.need("SELECT")
    fields: list[str] = []
    count = False
    if reader.word("COUNT"):
        for sign in ("(", "*", ")"):
            reader.need(sign)
        count = True
    elif not reader.word("*"):
        fields.append(reader.name())
        while reader.word(","):
            fields.append(reader.name())
    reader.need("FROM")
    named = reader.name()
    entity = next((name for name in FILTERABLE if name.lower() == named.lower()), None)
    if entity is None:
        raise not_valid(f"entity {named} is not supported")
    conditions = []
    if reader.word("WHERE"):
        conditions.append(_condition(reader, entity))
        while reader.word("AND"):
            conditions.append(_condition(reader, entity))
    order: list[tuple[str, bool]] = []
    if reader.word("ORDERBY") or (reader.word("ORDER") and (reader.need("BY") is None)):
        while True:
            field = _field(reader.name(), entity)
            descending = reader.word("DESC")
            if not descending:
                reader.word("ASC")
            order.append((field, descending))
            if not reader.word(","):
                break
    start, most = 1, DEFAULT
    if reader.word("STARTPOSITION"):
        start = reader.whole("STARTPOSITION")
    if reader.word("MAXRESULTS"):
        most = reader.whole("MAXRESULTS")
    if reader.peek()[0] != "end":
        raise invalid(f"Encountered {reader.peek()[1]!r}, the end expected")
    for name, value in (("STARTPOSITION", start), ("MAXRESULTS", most)):
        if value < 1:
            raise not_valid(f"value {value} of {name} is too small. Min allowed value is 1")
    if most > MOST:
        raise not_valid(f"value {most} of MAXRESULTS is too large. Max allowed value is {MOST}")
    return Query(entity, tuple(fields), count, tuple(conditions), tuple(order), start, most)


def _field(name: str, entity: str) -> str:
    if name not in (*_ALWAYS, *FILTERABLE[entity]):
        raise not_valid(f"property {name} of {entity} is not queryable")
    return name


def _condition(reader: _Reader, entity: str) -> Condition:
    field = _field(reader.name(), entity)
    if reader.word("IN"):
        reader.need("(")
        values = [reader.literal()]
        while reader.word(","):
            values.append(reader.literal())
        reader.need(")")
        return Condition(field, "IN", tuple(values))
    for sign in ("LIKE", "<=", ">=", "=", "<", ">"):
        if reader.word(sign):
            return Condition(field, sign, (reader.literal(),))
    raise invalid(f"a comparison expected after {field}, found {reader.peek()[1] or 'the end'!r}")


def _value(record: Mapping[str, Any], field: str) -> Any:
    value: Any = record
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):  # a reference is compared by its id, a mail address by its text
        value = value.get("value", value.get("Address"))
    if field.endswith("Time"):
        return datetime.fromisoformat(value)
    return int(value) if field == "Id" else value


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _like(value: Any, wanted: Any) -> Any:
    """A literal in the type of the value that it is compared with."""
    try:
        if isinstance(value, datetime):
            stamp = datetime.fromisoformat(str(wanted))
            return stamp if stamp.tzinfo else stamp.replace(tzinfo=value.tzinfo)
        if isinstance(value, bool):
            return str(wanted).lower() == "true"
        if isinstance(value, int | Decimal):
            return Decimal(str(wanted))
    except (ValueError, InvalidOperation):
        raise not_valid(f"value {wanted} has the wrong type") from None
    return str(wanted)


def _holds(record: Mapping[str, Any], condition: Condition) -> bool:
    value = _value(record, condition.field)
    if value is None:
        return False
    if condition.sign == "LIKE":
        pattern = ".*".join(re.escape(part) for part in str(condition.values[0]).split("%"))
        return re.fullmatch(pattern, str(value), re.IGNORECASE | re.DOTALL) is not None
    wanted = [_like(value, each) for each in condition.values]
    match condition.sign:
        case "=" | "IN":
            return value in wanted
        case "<":
            return bool(value < wanted[0])
        case ">":
            return bool(value > wanted[0])
        case "<=":
            return bool(value <= wanted[0])
        case _:
            return bool(value >= wanted[0])
