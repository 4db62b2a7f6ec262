"""JSON of payloads: numbers stay exact both ways."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from hub.connect.errors import Unreadable

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_CANONICAL = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def decode(body: bytes | str) -> Any:
    """JSON with every fraction as a Decimal. Raises: Unreadable."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None


def decode_or_none(body: bytes | str) -> Any:
    """The same, or None: for who only looks whether something stands in it."""
    try:
        return decode(body)
    except Unreadable:
        return None


def encode(value: Any) -> bytes:
    """JSON with Decimals as numbers, digit for digit."""
    return _ENCODER.encode(value)


def canonical(value: Any) -> str:
    """JSON text with sorted keys: equal values give equal text."""
    return _CANONICAL.encode(value).decode()


def digest(value: bytes | str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()
