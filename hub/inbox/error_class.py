"""What class of error a question is of: a small closed set, so that what is parked can be found and worked again by class."""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """Classes of what is parked. The kind of a question says what happened, its class which sort of thing has to be done."""

    VALIDATION = "validation"
    """the record is not as the flow needs it"""
    MAPPING = "mapping"
    """an expression of a mapping or flow failed"""
    UNKNOWN_SKU = "unknown_sku"
    """no item of ours"""
    STOCK = "stock"
    """short, or a move or reservation that does not fit"""
    DRIFT = "drift"
    """a system shows another number than its orders explain"""
    ORDER = "order"
    """an order, payment, refund or shipment that does not fit what is booked"""
    BOOKS = "books"
    """the ledger refuses an entry"""
    SETTINGS = "settings"
    """a connection, role, account or operation is missing"""
    MISSING = "missing"
    """what is to be read is not there, or the system does not give it"""
    REJECTED = "rejected"
    """a system refused a write for good"""
    CONFLICT = "conflict"
    """the same thing with other content, or under another id"""
    FAILING = "failing"
    """time-outs, 429 and 5xx again and again; the hub goes on trying"""
    UNCERTAIN = "uncertain"
    """nobody can tell whether a write arrived"""
    AUTH = "auth"
    """credentials that do not work any more"""
    CRASH = "crash"
    """it stops its worker, the database refuses it, or the hub itself fails while working it"""
    FLOW = "flow"
    """a flow that loops, or a version that does not run"""
    OTHER = "other"
    """a kind that a connector or a later release brought"""


_C = ErrorClass
_BY_KIND = {
    "mapping.error": _C.MAPPING,
    "sku.unknown": _C.UNKNOWN_SKU,
    "stock.drift": _C.DRIFT,
    "stock.quantity": _C.VALIDATION,
    "stock.ref": _C.VALIDATION,
    "stock.connection": _C.SETTINGS,
    "order.connection": _C.SETTINGS,
    "shipment.connection": _C.SETTINGS,
    "item.sku": _C.VALIDATION,
    "record.gone": _C.MISSING,
    "fetch.missing": _C.MISSING,
    "fetch.refused": _C.MISSING,
    "delivery.body": _C.VALIDATION,
    "delivery.key": _C.VALIDATION,
    "delivery.rejected": _C.REJECTED,
    "delivery.uncertain": _C.UNCERTAIN,
    "delivery.failing": _C.FAILING,
    "ledger.days": _C.VALIDATION,
    "entry.conflict": _C.CONFLICT,
    "move.conflict": _C.CONFLICT,
    "tax.unmapped": _C.SETTINGS,
    "account.unknown": _C.SETTINGS,
    "chart.unknown": _C.SETTINGS,
    "series.unknown": _C.SETTINGS,
    "book.missing": _C.SETTINGS,
    "connection.reconnect": _C.AUTH,
    "connection.down": _C.FAILING,
}
#: by what stands before the dot, for kinds that are not told apart
_BY_FAMILY = {
    "record": _C.VALIDATION, "validate": _C.VALIDATION, "lookup": _C.VALIDATION, "emit": _C.VALIDATION,
    "for_each": _C.VALIDATION, "switch": _C.VALIDATION, "fetch": _C.VALIDATION,
    "stock": _C.STOCK, "item": _C.STOCK, "location": _C.STOCK, "move": _C.STOCK, "reservation": _C.STOCK,
    "order": _C.ORDER, "payment": _C.ORDER, "refund": _C.ORDER, "shipment": _C.ORDER,
    "entry": _C.BOOKS, "balance": _C.BOOKS, "period": _C.BOOKS, "reversal": _C.BOOKS, "core": _C.BOOKS,
    "connection": _C.SETTINGS, "role": _C.SETTINGS, "operation": _C.SETTINGS,
    "delivery": _C.CONFLICT, "binding": _C.CONFLICT,
    "event": _C.CRASH, "step": _C.CRASH, "flow": _C.FLOW,
}  # fmt: skip


def class_of(kind: str) -> ErrorClass:
    """The class of a question's kind."""
    return _BY_KIND.get(kind) or _BY_FAMILY.get(kind.partition(".")[0], ErrorClass.OTHER)
