"""Signatures of incoming webhooks: HMAC over the raw body, or over a text made of id, timestamp and body."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALGORITHMS = ("sha256", "sha1", "sha512")
ENCODINGS = ("base64", "hex")
_PLACE = re.compile(r"\{(id|timestamp|body)\}")


class SignatureError(Exception):
    """The request is not from who it says it is from, or is too old. Nothing of it may be kept."""


@dataclass(frozen=True)
class Scheme:
    """How a sender signs.

    `content` is the signed text with the places `{id}`, `{timestamp}` and `{body}`. The header may hold several signatures
    set apart by spaces; only those that start with `prefix` count. With `secret_encoding: base64` the key is the decoded
    secret, after `secret_prefix` if it has one (Standard Webhooks: `whsec_`).
    """

    header: str
    algorithm: str = "sha256"
    encoding: str = "base64"
    prefix: str = ""
    content: str = "{body}"
    id_header: str = ""
    timestamp_header: str = ""
    #: seconds that the timestamp may differ from now
    tolerance_s: int = 300
    secret_encoding: str = "text"  # noqa: S105
    secret_prefix: str = ""

    def __post_init__(self) -> None:
        if not self.header:
            raise SignatureError("no signature header is set for this connection")
        if self.algorithm not in ALGORITHMS:
            raise SignatureError(f"signature algorithm {self.algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        if self.secret_encoding not in ("text", "base64"):
            raise SignatureError(f"secret encoding {self.secret_encoding!r} is neither text nor base64")
        if self.encoding not in ENCODINGS:
            raise SignatureError(f"signature encoding {self.encoding!r} is not one of {', '.join(ENCODINGS)}")


def verify(
    scheme: Scheme, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> None:
    """Passes when one of the secrets made one of the signatures. Raises: SignatureError."""
    low = {name.lower(): value for name, value in headers.items()}
    usable = [secret for secret in secrets if secret]
    if not usable:
        raise SignatureError("no secret is set to check signatures with")
    given = low.get(scheme.header.lower(), "").strip()
    if not given:
        raise SignatureError(f"header {scheme.header} is missing")
    signed = _signed(scheme, low, body, time.time() if now is None else now)
    found = [part.removeprefix(scheme.prefix) for part in given.split() if part.startswith(scheme.prefix)]
    matches = False
    for secret in usable:
        right = sign(scheme, secret, signed)
        for candidate in found:
            # every pair is compared, so that the time tells nothing about which one fits
            matches |= hmac.compare_digest(_normal(candidate, scheme.encoding), right)
    if not matches:
        raise SignatureError("the signature is not right")


def sign(scheme: Scheme, secret: str, signed: bytes) -> bytes:
    """The encoded signature of a signed text, without its prefix."""
    raw = hmac.digest(_key(scheme, secret), signed, scheme.algorithm)
    return base64.b64encode(raw) if scheme.encoding == "base64" else raw.hex().encode()


def content(scheme: Scheme, body: bytes, message_id: str = "", timestamp: str = "") -> bytes:
    """The text that is signed."""
    values = {"id": message_id.encode(), "timestamp": timestamp.encode(), "body": body}
    pieces = _PLACE.split(scheme.content)
    return b"".join(values[piece] if odd % 2 else piece.encode() for odd, piece in enumerate(pieces))


def _signed(scheme: Scheme, headers: Mapping[str, str], body: bytes, now: float) -> bytes:
    message_id = headers.get(scheme.id_header.lower(), "") if scheme.id_header else ""
    timestamp = headers.get(scheme.timestamp_header.lower(), "") if scheme.timestamp_header else ""
    if scheme.id_header and not message_id:
        raise SignatureError(f"header {scheme.id_header} is missing")
    if scheme.timestamp_header:
        if not re.fullmatch(r"\d{1,12}", timestamp, re.ASCII):
            raise SignatureError(f"header {scheme.timestamp_header} is not an instant in seconds")
        if abs(now - int(timestamp)) > scheme.tolerance_s:
            raise SignatureError(f"the request was signed more than {scheme.tolerance_s} s from now")
    return content(scheme, body, message_id, timestamp)


def _key(scheme: Scheme, secret: str) -> bytes:
    if scheme.secret_encoding != "base64":  # noqa: S105
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(scheme.secret_prefix), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("the webhook secret of this connection is not base64") from None


def _normal(candidate: str, encoding: str) -> bytes:
    # hex may be written in capitals; text that is not ASCII never fits
    text = candidate.lower() if encoding == "hex" else candidate
    return text.encode("utf-8", "replace")
