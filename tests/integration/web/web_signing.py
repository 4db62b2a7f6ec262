"""Signed webhooks of the connection `desk`, and requests that no client library would send."""

from __future__ import annotations

import hashlib
import hmac
import socket
from urllib.parse import urlsplit

SECRET = "a secret of the test"


def signed(body: bytes, secret: str = SECRET, **headers: str) -> dict[str, str]:
    """The headers of a webhook of `desk`."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"webhook-signature": signature, "content-type": "application/json", "x-topic": "order.changed", **headers}


def raw_request(url: str, text: bytes, *, wait_s: float = 10) -> bytes:
    """Sends bytes and reads what comes back until the other side closes or has answered a whole head."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=wait_s) as connection:
        connection.sendall(text)
        found = b""
        while b"\r\n\r\n" not in found:
            part = connection.recv(65536)
            if not part:
                break
            found += part
        return found
