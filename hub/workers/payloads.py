"""Files as what comes in: webhook bodies as they are, and the GraphQL answers about one order joined by its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.connect.registry import Connector, Registry

#: topics of what a body is recognised as; a body that is nothing known is taken as an order, and refused with its place
_TOPICS = {
    "order": "orders/updated",
    "refund": "refunds/create",
    "transaction": "order_transactions/create",
    "inventory_level": "inventory_levels/update",
}
#: parts of an order that OrderHeader has not
_APART = ("lineItems", "transactions", "refunds")


class UnknownRecord(Exception):
    """A record name that no connector has."""


@dataclass
class Given:
    """One thing that comes in: a webhook body, a record as it was read, a record for a manual trigger, or (`fault`)
    something that nothing can be made of."""

    files: list[str]
    connector: str
    topic: str = ""
    #: kind of record within its connector, `order`
    record: str = "order"
    raw: bytes = b""
    #: the record as it was read
    read: dict[str, Any] | None = None
    manual: Any = None
    fault: tuple[str, str] | None = None
    #: the question of a fault
    kind: str = "record.unreadable"
    details: dict[str, Any] = field(default_factory=dict)
    instants: list[str] = field(default_factory=list)


def read_files(paths: Sequence[Path], registry: Registry, record: str | None, manuals: Sequence[str]) -> list[Given]:
    """What the files hold, in their order. `record`: `shopify.order`, `shipbob.shipment`, the name of a manual trigger;
    None: recognised. Raises: OSError, UnknownRecord."""
    kind = _named(record, registry, manuals)
    found: list[Given] = []
    answers: dict[str, _Answers] = {}
    for path in paths:
        for raw, value in _payloads(path.read_bytes()):
            given = Given([path.name], kind[0] if kind else "shopify", raw=raw, instants=_instants(value))
            if kind is not None and kind[0] == "":
                given.manual, given.topic = value, kind[1]
            elif kind is not None and kind[0] != "shopify":
                given.record, given.topic = kind[1], _topic(registry.get(kind[0]), kind[1])
            elif isinstance(value, dict) and (parts := _graphql(value)):
                owner = _owner(parts[0])
                if owner in answers:
                    answers[owner].add(given, parts)
                    continue
                answers[owner] = _Answers(given, parts)
            else:
                given.record = kind[1] if kind else _recognised(registry, value)
                given.topic = _TOPICS.get(given.record) or _topic(registry.get("shopify"), given.record)
            found.append(given)
    for joined in answers.values():
        joined.join(registry)
    return found


class _Answers:
    """GraphQL answers about one order."""

    def __init__(self, given: Given, parts: list[dict[str, Any]]) -> None:
        self.given = given
        self.parts = parts

    def add(self, more: Given, parts: list[dict[str, Any]]) -> None:
        self.parts += parts
        self.given.files += [name for name in more.files if name not in self.given.files]
        self.given.instants += more.instants

    def join(self, registry: Registry) -> None:
        records = registry.get("shopify").module("records")
        try:
            found = records.read_file(self.parts)
            if [each["kind"] for each in found] != ["shopify.order"]:
                raise Unreadable("$: the OrderHeader of the same order has to be beside it")
            self.given.read = found[0]["record"]
        except (records.RecordError, records.PartsDiffer, Unreadable) as error:
            text = str(error)
            self.given.fault = (text.partition(":")[0] if text.startswith("$") else "$", text)


def _payloads(body: bytes) -> Iterator[tuple[bytes, Any]]:
    """The payloads of a file: itself, or each item of a list. What is not JSON is given as it is, with no value."""
    try:
        value = payload.decode(body)
    except Unreadable:
        yield body, None
        return
    if isinstance(value, list) and value:
        for each in value:
            yield payload.encode(each), each
    else:
        yield body, value


def _graphql(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a GraphQL answer, or of an order object alone; none for a webhook body."""
    data = value.get("data") if isinstance(value.get("data"), dict) else None
    if data is None:
        if "totalPriceSet" not in value and not ("lineItems" in value and "updatedAt" in value):
            return []
        data = {"order": value}
    order = data.get("order")
    if not isinstance(order, dict):
        return [value]
    if "totalPriceSet" not in order or not any(name in order for name in _APART):
        return [{"data": data}]
    return _split(order)


def _split(order: dict[str, Any]) -> list[dict[str, Any]]:
    """An order that was read whole, as the parts that it is read in."""
    same = {name: order.get(name) for name in ("id", "updatedAt")}
    parts = [{"data": {"order": {name: part for name, part in order.items() if name not in _APART}}}]
    if "lineItems" in order:
        parts.append({"data": {"order": {**same, "lineItems": order["lineItems"]}}})
    refunds = order.get("refunds")
    if "transactions" in order:
        listed = [{"id": each.get("id")} for each in refunds or [] if isinstance(each, dict)]
        money = {**same, "transactions": order["transactions"]}
        parts.append({"data": {"order": money if refunds is None else {**money, "refunds": listed}}})
    for each in refunds or []:
        if isinstance(each, dict) and "refundLineItems" in each:
            parts.append({"data": {"refund": {"order": same, **each}}})
    return parts


def _owner(part: dict[str, Any]) -> str:
    data = part.get("data") or {}
    order, refund = data.get("order"), data.get("refund")
    if isinstance(order, dict):
        return str(order.get("id"))
    owner = refund.get("order") if isinstance(refund, dict) else None
    return str(owner.get("id")) if isinstance(owner, dict) else "?"


def _recognised(registry: Registry, value: Any) -> str:
    records = registry.get("shopify").module("records")
    if isinstance(value, dict) and "line_items" in value:
        return "order"
    try:
        kind = records.read_file([value])[0]["kind"]
    except (records.RecordError, records.PartsDiffer, IndexError):
        return "order"
    return str(kind).partition(".")[2]


def _named(record: str | None, registry: Registry, manuals: Sequence[str]) -> tuple[str, str] | None:
    """(connector, kind of record); no connector for a manual trigger."""
    if record is None:
        return None
    if record in manuals:
        return "", record
    connector, dot, kind = record.rpartition(".")
    if not dot:
        connector, kind = "shopify", record
    if connector not in registry.names():
        raise UnknownRecord(f"--record {record}: there is no connector {connector!r}: {', '.join(registry.names())}")
    known = set(_TOPICS) if connector == "shopify" else set(registry.get(connector).manifest.records)
    if kind not in known:
        manual = f"; manual triggers: {', '.join(manuals)}" if manuals else ""
        raise UnknownRecord(f"--record {record}: {connector} has {', '.join(sorted(known))}{manual}")
    return connector, kind


def _topic(connector: Connector, record: str) -> str:
    webhooks = connector.manifest.webhooks
    for name, topic in webhooks.topics.items() if webhooks else ():
        if topic.record == record and not topic.hint:
            return name
    raise UnknownRecord(f"{connector.name} sends no webhook that brings a {record}")


def _instants(value: Any) -> list[str]:
    """When the record was changed, as it says itself."""
    if not isinstance(value, dict):
        return []
    found: list[Any] = [value.get("updated_at"), value.get("updatedAt"), value.get("last_update_at")]
    data = value.get("data")
    for part in data.values() if isinstance(data, dict) else ():
        if isinstance(part, dict):
            owner = part.get("order")
            found += [part.get("updatedAt"), owner.get("updatedAt") if isinstance(owner, dict) else None]
    return [text for text in found if isinstance(text, str) and _instant(text)]


def _instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
