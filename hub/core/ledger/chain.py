"""The chain of entries: canonical bytes of an entry, and the keyed hash that ties it to the one before.

Encoding 1 is JSON with sorted keys, no spaces, integers, dates as YYYY-MM-DD, instants in UTC microseconds and text in
Unicode form NFC. It has two parts. The *content* is what the caller asked for, with all that the law looks at: date,
accounts, amounts, VAT codes, document, party; its SHA-256 is the entry's `payload_hash`. The *header* puts the content
in its place: number, instant, keys, hash of the entry before; its HMAC is the entry's `hash`.
A later encoding gets the next number and the old one stays, so that what is stored can always be verified.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable
from datetime import date
from json.encoder import encode_basestring

ENCODING_VERSION = 1
#: hash before the first entry
GENESIS = bytes(32)

#: (account code, amount, currency, party id, VAT code)
Line = tuple[str, int, str, int | None, str | None]


def _text(value: str | None) -> str:
    if value is None:
        return "null"
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    return encode_basestring(value)


def _integer(value: int | None) -> str:
    return "null" if value is None else str(value)


def content(
    *,
    ref: str,
    journal: str,
    kind: str,
    label: str,
    fact_date: date,
    document_ref: str | None,
    party_id: int | None,
    reverses_id: int | None,
    corrects_id: int | None,
    lines: Iterable[Line],
) -> bytes:
    """Canonical bytes of what is booked. `fact_date`: the day it happened, also when it is booked on another."""
    postings = ",".join(
        f'{{"account":{_text(account)},"amount":{amount},"currency":{_text(currency)},"party":{_integer(party)},'
        f'"vat_code":{_text(vat_code)}}}'
        for account, amount, currency, party, vat_code in lines
    )
    return (
        f'{{"corrects":{_integer(corrects_id)},"date":"{fact_date.isoformat()}","document":{_text(document_ref)},'
        f'"journal":{_text(journal)},"kind":{_text(kind)},"label":{_text(label)},"party":{_integer(party_id)},'
        f'"postings":[{postings}],"ref":{_text(ref)},"reverses":{_integer(reverses_id)}}}'
    ).encode()


def payload_hash(content_bytes: bytes) -> bytes:
    """SHA-256 of the content: the same ref with another one is a conflict."""
    return hashlib.sha256(content_bytes).digest()


def header(
    *,
    merchant_id: int,
    book_id: int,
    entry_id: int,
    seq: int,
    effective_date: date,
    origin_date: date | None,
    recorded_at: int,
    data_key_id: int,
    payload: bytes,
    previous: bytes,
) -> bytes:
    """Canonical bytes of an entry's place in its book."""
    origin = "null" if origin_date is None else f'"{origin_date.isoformat()}"'
    return (
        f'{{"book":{book_id},"effective_date":"{effective_date.isoformat()}","entry":{entry_id},"key":{data_key_id},'
        f'"merchant":{merchant_id},"origin_date":{origin},"payload":"{payload.hex()}","previous":"{previous.hex()}",'
        f'"recorded_at":{recorded_at},"seq":{seq},"version":{ENCODING_VERSION}}}'
    ).encode()


def chain_hash(key: bytes, header_bytes: bytes) -> bytes:
    """HMAC-SHA256 of a header."""
    return hmac.digest(key, header_bytes, "sha256")
