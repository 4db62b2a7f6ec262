"""Bodies of deliveries: exact JSON, and the references in it that are resolved just before sending.

A reference is `{"$ref": kind, "key": ours, "ensure": operation, "data": {...}}` anywhere in a body: the external id of
something of ours on that connection, and how to find or create it there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from hub.records.money import Money

_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True)
class Reference:
    """`key` is our id of the thing; `ensure` the find-or-create operation, null when another delivery makes it."""

    kind: str
    key: str
    ensure: str | None
    data: Any


class BodyError(ValueError):
    """A body that cannot be sent as it is."""


def encode(body: Any) -> bytes:
    """Canonical JSON: sorted keys, decimals as exact numbers. Money in a body is refused: use `amount(...)`."""
    try:
        text = _ENCODER.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BodyError(f"the body cannot be written as JSON: {error}") from None
    if b'{"amount":' in text and (money := next(_money(body), None)) is not None:
        raise BodyError(
            f"{money.amount} {money.currency} stands for minor units: say `amount(...)` for the number to send"
        )
    return text


def _money(value: Any) -> Iterator[Money]:
    if isinstance(value, Money):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _money(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _money(each)


def decode(text: bytes) -> Any:
    """JSON with exact numbers."""
    return _DECODER.decode(text)


def digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def references(body: Any) -> Iterator[Reference]:
    """The references in a body, outermost first."""
    if isinstance(body, dict):
        if "$ref" in body:
            yield Reference(body["$ref"], str(body.get("key")), body.get("ensure"), body.get("data"))
            return
        for value in body.values():
            yield from references(value)
    elif isinstance(body, list):
        for value in body:
            yield from references(value)


def resolve(body: Any, external_id: Callable[[str, str], str]) -> Any:
    """The body with each reference replaced by its external id."""
    if isinstance(body, dict):
        if "$ref" in body:
            return external_id(body["$ref"], str(body.get("key")))
        return {name: resolve(value, external_id) for name, value in body.items()}
    if isinstance(body, list):
        return [resolve(value, external_id) for value in body]
    return body
