"""What a hub made of what came in, as effects with natural keys: the invoice is the first of order #1001, whatever its number
and id are, so that two versions of flows can be compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.core.sales.tables import DOCUMENT, PARTY
from hub.core.stock.tables import ITEM
from hub.records.money import Money
from hub.workers.outcome import Item, Outcome, look
from hub.workers.scratch import MERCHANT_ID

#: the first id of a scratch hub whose effects are compared: its ids are known by their look
FIRST_ID = 7_310_000_000_000_000
_IDS = 10**13
_PLACE = re.compile(r"(\.yaml):\d+:\d+")
_ID = re.compile(r"731\d{13}")
#: what is not compared: ids, instants of working, and what follows from something else
_LEFT_OUT: Mapping[str, frozenset[str]] = {
    "orders": frozenset({"id", "connection_id", "placed_at"}),
    "documents": frozenset({"id", "number", "order_id", "order", "connection_id", "issued_at", "order_name"}),
    "entries": frozenset({"seq", "document", "order"}),
    "moves": frozenset({"ref"}),
    "reservations": frozenset({"order"}),
    "deliveries": frozenset({"connection", "role", "operation", "key", "about", "ensure", "attempts", "external_id"}),
    "questions": frozenset({"kind", "subject", "about", "event"}),
}
#: what belongs to no order
ELSEWHERE = "(no order)"


@dataclass(frozen=True, order=True)
class Effect:
    """One effect: whose it is (`#1001`), its kind, what tells it from the others of its kind, and all that it says as JSON
    with its keys in order. Money is text: `12.00 EUR`."""

    about: str
    kind: str
    name: str
    text: str


def effects(
    connection: Connection, connections: Mapping[int, str], asked: Collection[tuple[int, str, str]]
) -> list[Effect]:
    """All effects of a scratch hub, in order. `connections`: names by id; `asked`: what it wanted to read."""
    found = look(connection, MERCHANT_ID)
    names = _Names(connection, found, connections)
    made = [
        Effect(about, kind, name, names.plain(about, payload.canonical(_shown(kind, item))))
        for kind, item, about, name in _named(found, names)
    ]
    made += [
        Effect(ELSEWHERE, "reads", f"{connections.get(owner, '?')}: {what} {names.plain(ELSEWHERE, which)}", "{}")
        for owner, what, which in asked
    ]
    return sorted(made)


def _named(found: Outcome, names: _Names) -> Iterator[tuple[str, Item, str, str]]:
    """Each effect with whose it is and its name there."""
    counts: dict[tuple[str, str], int] = {}

    def numbered(about: str, name: str) -> str:
        counts[(about, name)] = number = counts.get((about, name), 0) + 1
        return name if number == 1 else f"{name} ({number})"

    for order in found["orders"]:
        yield "orders", order, names.orders[order["id"]], "order"
    for document in (*found["invoices"], *found["credit_notes"]):
        about = names.orders[document["order_id"]]
        yield "documents", document, about, names.documents[document["number"]]
    for entry in found["entries"]:
        about = names.about_document(entry["document"])
        yield "entries", entry, about, numbered(about, f"entry {entry['kind']}")
    for move in found["moves"]:
        if move["kind"] == "opening" and move["ref"].startswith("opening:"):
            continue
        about, ref = names.about_ref(move["ref"])
        yield "moves", move, about, numbered(about, f"move {move['sku']} {move['kind']} {ref}".rstrip())
    for reservation in found["reservations"]:
        about = names.about(reservation["order"] or "")
        yield "reservations", reservation, about, numbered(about, f"reservation {reservation['sku']}")
    for delivery in _last_levels(found["deliveries"]):
        about = names.about(delivery["about"] or "")
        key = names.plain(about, delivery["key"])
        where = f"delivery {delivery['connection']} {delivery['operation']} {key}"
        yield "deliveries", delivery, about, numbered(about, where)
    for question in found["questions"]:
        about = names.about(question["about"] or "")
        subject = "" if about != ELSEWHERE else f" {names.plain(about, question['subject'])}"
        yield "questions", question, about, numbered(about, f"question {question['kind']}{subject}")


def _last_levels(deliveries: list[Item]) -> list[Item]:
    """A level (stock) that would be sent again and again is one: its last."""
    last = {(each["connection"], each["operation"], each["key"]): id(each) for each in deliveries}
    return [
        each
        for each in deliveries
        if not each["ensure"] and last[(each["connection"], each["operation"], each["key"])] == id(each)
    ]


def _shown(kind: str, item: Item) -> Item:
    left_out = _LEFT_OUT[kind]
    shown = {name: _plain(value) for name, value in item.items() if name not in left_out}
    if kind == "questions":
        shown["details"] = {name: value for name, value in shown["details"].items() if name != "event"}
        # a line that was added above is no other effect
        shown["reason"] = _PLACE.sub(r"\1", shown["reason"])
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, Money) or (type(value) is int and FIRST_ID <= value < FIRST_ID + _IDS):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


class _Names:
    """Natural names in the place of ids and numbers."""

    def __init__(self, connection: Connection, found: Outcome, connections: Mapping[int, str]) -> None:
        shown = Counter(order["name"] for order in found["orders"])
        self.orders = {
            order["id"]: f"{order['name']} ({order['external_id']})" if shown[order["name"]] > 1 else order["name"]
            for order in found["orders"]
        }
        self.by_name = {name: name for name in self.orders.values()}
        # what a flow of the shop's own record plans goes under the record
        self.by_name |= {
            f"{order['connection_id']}:order:{order['external_id']}": self.orders[order["id"]]
            for order in found["orders"]
        }
        self._ids: dict[int, str] = dict(connections)
        self._ids |= {order_id: f"order {name}" for order_id, name in self.orders.items()}
        self._ids |= _column(connection, ITEM, ITEM.c.sku, "item")
        self._ids |= _column(connection, PARTY, PARTY.c.key, "customer")
        #: numbers of documents to their names, and the numbers of each order
        self.documents: dict[str, str] = {}
        self._numbers: dict[str, list[str]] = {}
        self._order_of: dict[str, str] = {}
        rows = connection.execute(
            sa.select(DOCUMENT.c.id, DOCUMENT.c.number, DOCUMENT.c.kind, DOCUMENT.c.ordinal, DOCUMENT.c.order_id)
            .where(DOCUMENT.c.merchant_id == MERCHANT_ID)
            .order_by(DOCUMENT.c.id)
        )
        for row in rows:
            about, name = self.orders[row.order_id], f"{row.kind.replace('_', ' ')} {row.ordinal}"
            self.documents[row.number] = name
            self._numbers.setdefault(about, []).append(row.number)
            self._order_of[row.number] = about
            self._ids[row.id] = name

    def about(self, subject: str) -> str:
        """Whose something is: the order of this name, or of this record of a shop."""
        return self.by_name.get(subject) or self.by_name.get(subject.partition(":")[0], ELSEWHERE)

    def about_document(self, reference: str | None) -> str:
        """Whose entry it is, by the number of its document or the name of its order."""
        return self._order_of.get(reference or "") or self.by_name.get(reference or "", ELSEWHERE)

    def about_ref(self, ref: str) -> tuple[str, str]:
        """Whose move it is by the order that its ref names, and the ref where it names none."""
        for found in _ID.findall(ref):
            if int(found) in self.orders:
                return self.orders[int(found)], ""
        return ELSEWHERE, self.plain(ELSEWHERE, ref)

    def plain(self, about: str, text: str) -> str:
        """A text with names in the place of ids and of the order's document numbers."""
        for number in self._numbers.get(about, ()):
            text = text.replace(number, f"({self.documents[number]})")
        return _ID.sub(lambda found: f"({self._ids.get(int(found[0]), 'id')})", text)


def _column(connection: Connection, table: sa.Table, column: Any, what: str) -> dict[int, str]:
    rows = connection.execute(sa.select(table.c.id, column).where(table.c.merchant_id == MERCHANT_ID))
    return {row[0]: f"{what} {row[1]}" for row in rows}


__all__ = ["ELSEWHERE", "FIRST_ID", "Effect", "effects"]
