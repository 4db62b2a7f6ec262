"""Opened connections: settings, opened secrets and the HTTP client of each, kept for the process's life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection as DbConnection

from hub.connect import grants, leases, payload, sealed
from hub.connect.client import Client
from hub.connect.errors import ConnectError, ReconnectNeeded, Withheld
from hub.connect.leases import LEASE, Pace
from hub.connect.limits import Limits
from hub.connect.manifest import Manifest, OAuth2, Operation
from hub.connect.registry import Connector, Registry
from hub.connect.renewals import Renewals
from hub.connect.sealed import TABLE
from hub.connect.vault import Vault
from hub.db.engine import Database
from hub.db.types import now_us

_ROW = (
    sa.select(TABLE, LEASE.c.renewed_at)
    .outerjoin(LEASE, sa.and_(LEASE.c.merchant_id == TABLE.c.merchant_id, LEASE.c.connection_id == TABLE.c.id))
    .where(TABLE.c.id == sa.bindparam("id", type_=sa.BigInteger))
)
#: seconds for which a link is used without asking whether its row changed. Where another process stored new tokens in
#: them and the vendor ended the old ones, one request is answered 401, the row is read and the request done again.
_FRESH_S = 2.0
_FORGOTTEN = float("-inf")


class UnknownConnection(ConnectError):
    """There is no connection with this id or name."""


class UnknownOperation(ConnectError):
    """The connector has no operation of this name."""


class SettingsError(ValueError):
    """Settings that do not fit the connector's manifest."""


class Link:
    """One connection, opened. Its repr shows no secret."""

    def __init__(self, links: Links, row: Mapping[str, Any], connector: Connector) -> None:
        self.id: int = row["id"]
        self.merchant_id: int = row["merchant_id"]
        self.name: str = row["name"]
        self.connector = connector
        self.client = Client(self)
        #: where its requests wait for quota
        self.gate = links.limits.gate(self.id)
        self._links = links
        #: one of this process waits for tokens of another one, not all its threads
        self._renewing = threading.Lock()
        self._load(row)

    def _load(self, row: Mapping[str, Any]) -> None:
        self.mode: str = row["mode"]
        self.status: str = row["status"]
        self.go_live_at: int | None = row["go_live_at"]
        self.expires_at: int | None = row["expires_at"]
        known = self.expires_at is not None and row["renewed_at"] is not None
        self._margin_us = leases.margin_us(row["expires_at"] - row["renewed_at"] if known else None)
        self.updated_at: int = row["updated_at"]
        self.settings = with_defaults(self.connector.manifest, payload.decode(row["settings"]))
        self.gate.declare(self.connector.manifest, self.settings)
        self.secrets: Mapping[str, str] = self._links.open_secrets(row)

    def __repr__(self) -> str:
        return f"Link({self.id}, {self.name!r}, {self.connector.name!r})"

    def operation(self, name: str) -> Operation:
        """An operation as its manifest declares it. Raises: UnknownOperation."""
        try:
            return self.connector.manifest.operations[name]
        except KeyError:
            raise UnknownOperation(f"{self.connector.name} has no operation {name!r}") from None

    @property
    def database(self) -> Database:
        return self._links.database

    @property
    def transport(self) -> Any:
        """What the client sends through; None for the network."""
        return self._links.transport

    @property
    def connected(self) -> bool:
        """Whether it can be used: one by OAuth needs its first tokens, or client credentials to ask for them."""
        auth = self.connector.manifest.auth
        if not isinstance(auth, OAuth2) or self.secrets.get("access_token"):
            return True
        return grants.grant_of(self) == "client_credentials" and bool(self.secrets.get("client_secret"))

    def now(self) -> int:
        """This instant, UTC microseconds."""
        return self._links.clock()

    @property
    def ended(self) -> bool:
        """Whether the access token has ended, or will before a request of now is there."""
        return self.expires_at is not None and self.expires_at - self._margin_us <= self.now()

    def renew(self, used: str) -> None:
        """A new access token in place of `used`, unless another thread or process has it already. Raises:
        ReconnectNeeded, NotSent."""
        with self._renewing:
            if self.secrets.get("access_token", "") == used:
                self._links.renewals.renew(self, used)

    def keep(self, fresh: grants.Tokens, settings: Mapping[str, Any] | None = None) -> None:
        """Stores tokens that a person brought (and settings learned with them) before anything uses them."""
        self._links.store(self, tokens=fresh, settings=settings)

    def learn(self, **secrets: str) -> None:
        """Stores more secrets of this connection, such as that of a webhook subscription."""
        self._links.store(self, secrets=secrets)

    def refused(self, used: str) -> ConnectError:
        """What it means that the system refuses a fresh token: a person has to connect again, unless there is a fresher."""
        reason = "the system refuses a fresh token (401)"
        if self._links.shut(self, used, reason):
            return ReconnectNeeded(f"{self.name}: {reason}")
        return Withheld(f"{self.name}: the token was replaced meanwhile")

    def call(self, name: str, *arguments: Any) -> Any:
        """One of the connector's own calls (`adopt_stock`), as its manifest names them."""
        return self.connector.code(self.connector.manifest.calls[name])(self, *arguments)

    def setup(self, callback_url: str) -> Any:
        """Creates or repairs the webhook subscriptions; nothing for a connector that has none."""
        webhooks = self.connector.manifest.webhooks
        return self.connector.code(webhooks.setup)(self, callback_url) if webhooks and webhooks.setup else None

    def reload(self) -> None:
        """Reads the row again."""
        self._load(self._links.row(self.id))


class Links:
    """The links of this process. Safe to share between threads."""

    def __init__(
        self,
        registry: Registry,
        vault: Vault,
        database: Database,
        transport: Any = None,
        *,
        clock: Callable[[], int] = now_us,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        limits: Limits | None = None,
    ) -> None:
        self.registry = registry
        self.vault = vault
        self.database = database
        #: what all clients send through, where that is not the network
        self.transport = transport
        self.clock = clock
        self.renewals = Renewals(self, clock, pace)
        #: what the systems allow; those of this process unless they are shared
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._links: dict[int, tuple[Link, float]] = {}

    def open(self, connection_id: int) -> Link:
        """The link of a connection: the same object until its row changes. Raises: UnknownConnection, VaultError,
        UnknownConnector, ManifestError."""
        now = time.monotonic()
        with self._lock:
            known = self._links.get(connection_id)
        if known is not None and now - known[1] < _FRESH_S:
            return known[0]
        row = self.row(connection_id)
        with self._lock:
            known = self._links.get(connection_id)
            if known is not None and known[0].connector.name == row["connector"]:
                link = known[0]
                # a row read before the link stored something itself is not taken for news; one that was asked for is
                if known[1] == _FORGOTTEN or link.updated_at <= row["updated_at"]:
                    link._load(row)
            else:
                link = Link(self, row, self.registry.get(row["connector"]))
            self._links[connection_id] = (link, now)
            return link

    def forget(self, connection_id: int) -> None:
        """The next `open` reads the row again."""
        with self._lock:
            known = self._links.get(connection_id)
            if known is not None:
                self._links[connection_id] = (known[0], _FORGOTTEN)

    def close(self) -> None:
        self.renewals.store_again()
        with self._lock:
            for link, _ in self._links.values():
                link.client.close()
            self._links.clear()
        self.limits.close()

    def row(self, connection_id: int) -> Mapping[str, Any]:
        """The stored row. Raises: UnknownConnection."""
        with self.database.read() as connection:
            row = connection.execute(_ROW, {"id": connection_id}).mappings().first()
        if row is None:
            raise UnknownConnection(f"no connection with id {connection_id}")
        return dict(row)

    def open_secrets(self, row: Mapping[str, Any]) -> Mapping[str, str]:
        if row["secrets"] is None:
            return MappingProxyType({})
        with self.database.read() as connection:
            return MappingProxyType(sealed.opened(connection, self.vault, row))

    def store(
        self,
        link: Link,
        *,
        secrets: Mapping[str, str] | None = None,
        tokens: grants.Tokens | None = None,
        settings: Mapping[str, Any] | None = None,
        status: str | None = None,
    ) -> None:
        """Stores a change of a link's row, then lets the link use it. Secrets and settings are added to those there."""
        self.database.ids.ensure(4)
        with self.database.write() as connection:
            book = self._book(connection)
            if tokens is not None:
                leases.replace(book, link.merchant_id, link.id, tokens)
            elif secrets:
                leases.reopen(book, link.merchant_id, link.id)
            row = sealed.held(connection, link.id)
            if row is None:
                raise UnknownConnection(f"no connection with id {link.id}")
            values: dict[str, Any] = {}
            if secrets:
                known = sealed.opened(connection, self.vault, row)
                values |= sealed.values(connection, self.vault, link.merchant_id, link.id, {**known, **secrets})
            if settings:
                values["settings"] = payload.canonical({**payload.decode(row["settings"]), **settings})
            if status:
                values["status"] = status
            sealed.change(connection, row, self.clock(), **values)
        link.reload()

    def shut(self, link: Link, used: str, reason: str) -> bool:
        """Says that a person has to connect again, if `used` is still the stored token. Returns whether it is."""
        self.database.ids.ensure(2)
        with self.database.write() as connection:
            done = leases.shut(self._book(connection), link.merchant_id, link.id, used, reason)
        link.reload()
        return done

    def _book(self, connection: DbConnection) -> leases.Book:
        return leases.Book(connection, self.vault, self.database.ids, self.clock())


def create(
    connection: DbConnection,
    registry: Registry,
    vault: Vault,
    *,
    connection_id: int,
    merchant_id: int,
    name: str,
    connector: str,
    settings: Mapping[str, Any],
    mode: str = "observe",
    go_live_at: int | None = None,
) -> None:
    """Adds a connection; settings of type secret are sealed. Call `ids.ensure(2)` before the transaction.

    Raises: SettingsError, UnknownConnector."""
    manifest = registry.get(connector).manifest
    plain, secrets = split_settings(manifest, settings)
    row = {
        "id": connection_id,
        "merchant_id": merchant_id,
        "name": name,
        "connector": connector,
        "mode": mode,
        "go_live_at": go_live_at,
        "settings": payload.canonical(plain),
        "status": "new" if isinstance(manifest.auth, OAuth2) and not secrets.get("access_token") else "connected",
        "expires_at": None,
        "created_at": now_us(),
        "updated_at": now_us(),
        **sealed.values(connection, vault, merchant_id, connection_id, secrets or None),
    }
    connection.execute(TABLE.insert(), row)


def update_settings(
    connection: DbConnection, registry: Registry, vault: Vault, connection_id: int, settings: Mapping[str, Any]
) -> None:
    """Replaces the settings of a connection and those secrets that are given. Raises: SettingsError."""
    row = sealed.held(connection, connection_id)
    if row is None:
        raise UnknownConnection(f"no connection with id {connection_id}")
    kept = sealed.opened(connection, vault, row)
    plain, secrets = split_settings(registry.get(row["connector"]).manifest, settings, kept)
    columns = sealed.values(connection, vault, row["merchant_id"], connection_id, {**kept, **secrets} or None)
    sealed.change(connection, row, now_us(), settings=payload.canonical(plain), **columns)


def split_settings(
    manifest: Manifest, settings: Mapping[str, Any], kept: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings checked against the manifest, apart from secrets. Raises: SettingsError with all that is wrong."""
    sealed = manifest.secret_names()
    oauth = {"client_id"} if isinstance(manifest.auth, OAuth2) else set()
    learned = set(manifest.auth.keep.values()) if isinstance(manifest.auth, OAuth2) else set()
    known = {*manifest.settings, "environment", "base_url", "grant", *oauth, *sealed}
    kinds = {"text": str, "int": int, "bool": bool, "secret": str}
    wrong = [f"{name!r} is not a setting of {manifest.connector}" for name in settings if name not in known]
    for name, setting in manifest.settings.items():
        value = settings.get(name)
        if value is None:
            if setting.required and setting.default is None and name not in learned and name not in kept:
                wrong.append(f"{name!r} is missing: {setting.help or 'it is needed'}")
        elif type(value) is not kinds[setting.type]:
            wrong.append(f"{name!r} must be of type {setting.type}")
        elif setting.choices and value not in setting.choices:
            wrong.append(f"{name!r} must be one of {', '.join(setting.choices)}")
    wrong += [f"{name!r} must be a text" for name in sealed if not isinstance(settings.get(name, ""), str)]
    if wrong:
        raise SettingsError("; ".join(wrong))
    secrets = {name: value for name, value in settings.items() if name in sealed and value}
    return {name: value for name, value in settings.items() if name not in sealed}, secrets


def with_defaults(manifest: Manifest, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings with the manifest's defaults for those that are not given."""
    defaults = {name: each.default for name, each in manifest.settings.items() if each.default is not None}
    return MappingProxyType({**defaults, **settings})
