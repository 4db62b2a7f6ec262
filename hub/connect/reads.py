"""Reading from a system: what a webhook brings, one record by its id, and what changed since a cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hub.connect import payload, signatures
from hub.connect.client import reading
from hub.connect.errors import Unreadable
from hub.connect.links import Link, with_defaults
from hub.connect.manifest import Place, Topic
from hub.connect.paths import FillError, fill, fill_settings, pick
from hub.connect.registry import Connector
from hub.db.types import instant_text, instant_us

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Decoded:
    """What a webhook is about. `ordering_key` is `{record}:{id}`: put the connection's id and a colon before it.

    `record_id` is None when the body does not say it; `data` is the record, None for a hint, which only says that the
    record is to be read. `disconnect`: the system ended the connection."""

    topic: str
    record: str
    record_id: str | None
    ordering_key: str | None
    stamp: str | None
    hint: bool
    data: Any = field(repr=False, default=None)
    disconnect: bool = False


@dataclass(frozen=True)
class Page:
    """One page of changed records. `cursor` goes on behind it; `more`: another page is there now."""

    items: list[tuple[str, str | None]]
    cursor: str
    more: bool


def verify(link: Link, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> None:
    """Checks a webhook's signature and that it is about this connection's account. Raises: SignatureError."""
    webhooks = link.connector.manifest.webhooks
    if webhooks is None:
        raise signatures.SignatureError(f"{link.connector.name} sends no webhooks")
    spec = webhooks.signature

    def put(text: str) -> str:
        return fill_settings(text, link.settings)

    tolerance = spec.tolerance if isinstance(spec.tolerance, int) else put(spec.tolerance)
    scheme = signatures.Scheme(
        header=put(spec.header),
        algorithm=put(spec.algorithm),
        encoding=put(spec.encoding),
        prefix=put(spec.prefix),
        content=put(spec.content),
        id_header=put(spec.id_header),
        timestamp_header=put(spec.timestamp_header),
        tolerance_s=int(tolerance or 300),
        secret_encoding=put(spec.secret_encoding),
        secret_prefix=put(spec.secret_prefix),
    )
    # a secret may be a list while it is being changed: new,old
    secret = link.secrets.get(spec.secret, "")
    secrets = list(dict.fromkeys([secret, *(part.strip() for part in secret.split(","))]))
    signatures.verify(scheme, secrets, headers, body, now=now)
    if webhooks.account is not None:
        named = _header(headers, webhooks.account.header)
        own = str(link.settings.get(webhooks.account.setting) or "")
        if named.lower() != own.lower():
            raise signatures.SignatureError(f"the webhook is about {named!r}, this connection about {own!r}")


def topic_of(connector: Connector, headers: Mapping[str, str], body: bytes, settings: Mapping[str, Any] = _NONE) -> str:
    """The topic of a webhook; empty when it does not say."""
    webhooks = connector.manifest.webhooks
    return _at(webhooks.topic, headers, body, settings) if webhooks else ""


def delivery_id(
    connector: Connector, headers: Mapping[str, str], body: bytes, settings: Mapping[str, Any] = _NONE
) -> str | None:
    """The vendor's unique id of this delivery, when there is one."""
    webhooks = connector.manifest.webhooks
    return (_at(webhooks.delivery_id, headers, body, settings) if webhooks else "") or None


def envelope(
    connector: Connector,
    topic: str,
    headers: Mapping[str, str],
    body: bytes,
    settings: Mapping[str, Any] = _NONE,
) -> Decoded:
    """What a webhook is about, without building its record: never raises for a bad body, whose ids are None."""
    settings = with_defaults(connector.manifest, settings)
    spec = _topic(connector, topic)
    if spec is None:
        return Decoded(topic, "unknown", None, None, None, hint=False)
    record = fill_settings(spec.record, settings)
    try:
        data = payload.decode(body)
    except Unreadable:
        return Decoded(topic, record, None, None, None, spec.hint, disconnect=spec.disconnect)
    return _about(topic, spec, settings, data)


def _about(topic: str, spec: Topic, settings: Mapping[str, Any], data: Any) -> Decoded:
    record = fill_settings(spec.record, settings)
    identity = _read(fill_settings(spec.id, settings), data)
    key = _read(fill_settings(spec.key, settings), data) if spec.key else identity
    stamp = same_instant(_read(fill_settings(spec.stamp, settings), data)) if spec.stamp else None
    ordering = f"{record}:{key}" if key is not None else None
    return Decoded(topic, record, identity, ordering, stamp, spec.hint, disconnect=spec.disconnect)


def decode(
    connector: Connector,
    topic: str,
    headers: Mapping[str, str],
    body: bytes,
    settings: Mapping[str, Any] = _NONE,
) -> Decoded:
    """What a webhook is about, with its record. Raises: Unreadable."""
    spec = _topic(connector, topic)
    if spec is None:
        raise Unreadable(f"{connector.name} knows no topic {topic!r}")
    data = payload.decode(body)
    found = _about(topic, spec, with_defaults(connector.manifest, settings), data)
    if found.record_id is None:
        raise Unreadable(f"topic {topic!r}: the body has no id of the {found.record}")
    if found.hint:
        return found
    record = connector.manifest.records.get(found.record)
    if record is not None and record.decode:
        data = connector.code(record.decode)(topic, dict(headers), data)
    return Decoded(topic, found.record, found.record_id, found.ordering_key, found.stamp, False, data, found.disconnect)


def read(link: Link, record: str, record_id: str) -> dict[str, Any] | None:
    """A record as it is now; None when it is gone. Raises: ConnectError."""
    spec = link.connector.manifest.records.get(record)
    if spec is None or not spec.read:
        raise Unreadable(f"{link.connector.name} cannot read a {record}")
    code = link.connector.code(spec.read)
    return reading(lambda: code(link, record_id))  # type: ignore[no-any-return]


def poll(link: Link, record: str, cursor: str | None) -> Page:
    """The next page of changed records; no cursor: from the lookback on. Raises: ConnectError."""
    spec = link.connector.manifest.records.get(record)
    if spec is None or not spec.poll:
        raise Unreadable(f"{link.connector.name} cannot be polled for a {record}")
    code = link.connector.code(spec.poll)
    page: Page = reading(lambda: code(link, cursor))
    return Page([(identity, same_instant(stamp)) for identity, stamp in page.items], page.cursor, page.more)


def same_instant(text: str | None) -> str | None:
    """One text for one instant, whatever its offset; text that is no instant stays as it is."""
    try:
        return instant_text(instant_us(text)) if text else None
    except ValueError:
        return text


def ordering_key(connection_id: int, record: str, record_id: str) -> str:
    """The key of records that come by poll, backfill or read-back."""
    return f"{connection_id}:{record}:{record_id}"


def _topic(connector: Connector, topic: str) -> Topic | None:
    webhooks = connector.manifest.webhooks
    if webhooks is None:
        return None
    return webhooks.topics.get(topic) or webhooks.topics.get("*")


def _read(path: str, data: Any) -> str | None:
    """The value of a path, or of a text with places."""
    if "{" in path:
        try:
            return fill(path, data if isinstance(data, Mapping) else {})
        except FillError:
            return None
    value = pick(data, path)
    return None if value is None or isinstance(value, (Mapping, list, bool)) else str(value)


def _header(headers: Mapping[str, str], name: str) -> str:
    low = name.lower()
    return next((value for key, value in headers.items() if key.lower() == low), "")


def _at(place: Place, headers: Mapping[str, str], body: bytes, settings: Mapping[str, Any]) -> str:
    if header := fill_settings(place.header, settings):
        return _header(headers, header)
    if path := fill_settings(place.path, settings):
        try:
            return _read(path, payload.decode(body)) or ""
        except Unreadable:
            return ""
    return fill_settings(place.value, settings)
