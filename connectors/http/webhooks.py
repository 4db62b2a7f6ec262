"""Webhooks that the hub sends, signed as Standard Webhooks say: the receiver tells a repeat by its id."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import time
from base64 import b64decode, b64encode

from hub.connect.errors import Refused
from hub.connect.judge import judge
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed

from .requests import with_authorization

_PREFIX = "whsec_"


def send(link: Link, call: Call) -> Confirmed:
    """`webhook.send`: one webhook to the address of the connection. Raises: Refused without an address or a secret."""
    url = str(link.settings.get("base_url") or link.settings.get("url") or "")
    if not url:
        raise Refused(f"{link.name}: set url, the address that takes the webhooks")
    stamp = str(int(time.time()))
    headers = {
        **with_authorization(link),
        "content-type": "application/json",
        "webhook-id": call.wire_key,
        "webhook-timestamp": stamp,
        "webhook-signature": signature(_key(link), call.wire_key, stamp, call.frozen),
    }
    judge(link.client.send("POST", url, headers=headers, content=call.frozen), link.connector.manifest.errors)
    return Confirmed(call.wire_key)


def signature(key: bytes, identity: str, stamp: str, body: bytes) -> str:
    """What proves that we sent it: HMAC-SHA256 of id, second and body."""
    signed = hmac.digest(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256)
    return "v1," + b64encode(signed).decode()


def _key(link: Link) -> bytes:
    try:
        key = b64decode(link.secrets.get("sending_secret", "").removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise Refused(f"{link.name}: sending_secret is no base64") from None
    if not key:
        raise Refused(f"{link.name}: set sending_secret, which the webhooks are signed with")
    return key
