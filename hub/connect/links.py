"""Opened connections: settings, opened secrets and the HTTP client of each, kept for the process's life."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection as DbConnection

from hub.connect import grants, payload
from hub.connect.client import Client
from hub.connect.errors import ConnectError, ReconnectNeeded
from hub.connect.manifest import Manifest, OAuth2, Operation
from hub.connect.registry import Connector, Registry
from hub.connect.tables import Connection
from hub.connect.vault import Vault
from hub.db.engine import Database
from hub.db.types import now_us

_TABLE = Connection.__table__  # type: ignore[attr-defined]
_CHANGE = _TABLE.update().where(_TABLE.c.id == sa.bindparam("_id"))
_ROW = sa.select(_TABLE).where(_TABLE.c.id == sa.bindparam("id", type_=sa.BigInteger))
#: seconds for which a link is used without asking whether its row changed
_FRESH_S = 2.0


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
        self._links = links
        self._lock = threading.Lock()
        self._load(row)

    def _load(self, row: Mapping[str, Any]) -> None:
        self.mode: str = row["mode"]
        self.status: str = row["status"]
        self.go_live_at: int | None = row["go_live_at"]
        self.expires_at: int | None = row["expires_at"]
        self.updated_at: int = row["updated_at"]
        self.settings = with_defaults(self.connector.manifest, payload.decode(row["settings"]))
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

    def expires_within(self, seconds: float) -> bool:
        """Whether the access token has ended or will within so many seconds."""
        return self.expires_at is not None and self.expires_at <= now_us() + int(seconds * 1_000_000)

    def renew(self, used: str) -> None:
        """A new access token in place of `used`, unless another thread or process has it already. Raises:
        ReconnectNeeded, NotSent."""
        with self._lock:
            if self.secrets.get("access_token", "") != used:
                return
            with self._links.alone(self.id):
                self._reload()
                if self.secrets.get("access_token", "") != used:
                    return
                try:
                    fresh = grants.renew(self)
                except ReconnectNeeded:
                    self.mark_reconnect()
                    raise
                self.keep(fresh)

    def keep(self, fresh: grants.Tokens, settings: Mapping[str, Any] | None = None) -> None:
        """Stores new tokens (and settings learned with them) before anything uses them."""
        secrets = {**self.secrets, "access_token": fresh.access}
        if fresh.refresh:
            secrets["refresh_token"] = fresh.refresh
        self._links.store(self, secrets=secrets, settings=settings, status="connected", expires_at=fresh.expires_at)

    def learn(self, **secrets: str) -> None:
        """Stores more secrets of this connection, such as that of a webhook subscription."""
        self._links.store(self, secrets={**self.secrets, **secrets}, expires_at=self.expires_at)

    def mark_reconnect(self) -> None:
        """Says that a person has to connect again."""
        if self.status != "reconnect_needed":
            self._links.store(self, status="reconnect_needed")

    def call(self, name: str, *arguments: Any) -> Any:
        """One of the connector's own calls (`adopt_stock`), as its manifest names them."""
        return self.connector.code(self.connector.manifest.calls[name])(self, *arguments)

    def setup(self, callback_url: str) -> Any:
        """Creates or repairs the webhook subscriptions; nothing for a connector that has none."""
        webhooks = self.connector.manifest.webhooks
        return self.connector.code(webhooks.setup)(self, callback_url) if webhooks and webhooks.setup else None

    def _reload(self) -> None:
        self._load(self._links.row(self.id))


class Links:
    """The links of this process. Safe to share between threads."""

    def __init__(self, registry: Registry, vault: Vault, database: Database, transport: Any = None) -> None:
        self.registry = registry
        self.vault = vault
        self.database = database
        #: what all clients send through, where that is not the network
        self.transport = transport
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
                if link.updated_at <= row["updated_at"]:
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
                self._links[connection_id] = (known[0], float("-inf"))

    def close(self) -> None:
        with self._lock:
            for link, _ in self._links.values():
                link.client.close()
            self._links.clear()

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
            opened = self.vault.open(
                connection, row["merchant_id"], row["secrets"], table="connection", column="secrets", row=row["id"]
            )
        return MappingProxyType(dict(payload.decode(opened)))

    def store(
        self,
        link: Link,
        *,
        secrets: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        status: str | None = None,
        expires_at: int | None = None,
    ) -> None:
        """Stores a change of a link's row, then lets the link use it."""
        self.database.ids.ensure(2)
        with self.database.write() as connection:
            values = _changes(connection, self.vault, link.merchant_id, link.id, secrets)
            if settings:
                text = connection.execute(sa.select(_TABLE.c.settings).where(_TABLE.c.id == link.id)).scalar_one()
                values["settings"] = payload.canonical({**payload.decode(text), **settings})
            if status:
                values["status"] = status
            if secrets is not None:
                values["expires_at"] = expires_at
            connection.execute(_TABLE.update().where(_TABLE.c.id == link.id).values(**values, updated_at=now_us()))
        link._reload()

    @contextmanager
    def alone(self, connection_id: int) -> Iterator[None]:
        """One at a time per connection over all processes of a PostgreSQL hub; a SQLite hub is one process."""
        if self.database.sqlite:
            yield
            return
        with self.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": connection_id % 2_147_483_647}
            connection.execute(sa.text("SELECT pg_advisory_lock(7206, CAST(:key AS integer))"), key)
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(7206, CAST(:key AS integer))"), key)


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
        **_changes(connection, vault, merchant_id, connection_id, secrets or None),
    }
    connection.execute(_TABLE.insert(), row)


def update_settings(
    connection: DbConnection, registry: Registry, vault: Vault, connection_id: int, settings: Mapping[str, Any]
) -> None:
    """Replaces the settings of a connection and those secrets that are given. Raises: SettingsError."""
    row = connection.execute(_ROW, {"id": connection_id}).mappings().one()
    manifest = registry.get(row["connector"]).manifest
    kept: dict[str, str] = {}
    if row["secrets"] is not None:
        place = {"table": "connection", "column": "secrets", "row": connection_id}
        kept = payload.decode(vault.open(connection, row["merchant_id"], row["secrets"], **place))  # type: ignore[arg-type]
    plain, secrets = split_settings(manifest, settings, kept)
    values = {"settings": payload.canonical(plain), "updated_at": now_us()}
    values |= _changes(connection, vault, row["merchant_id"], connection_id, {**kept, **secrets} or None)
    connection.execute(_CHANGE, {"_id": connection_id, **values})


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


def _changes(
    connection: DbConnection, vault: Vault, merchant_id: int, connection_id: int, secrets: Mapping[str, str] | None
) -> dict[str, Any]:
    if secrets is None:
        return {}
    key = vault.data_key(connection, merchant_id, "vault")
    text = payload.encode(dict(secrets))
    sealed = vault.seal(key, text, table="connection", column="secrets", row=connection_id)
    return {"secrets": sealed, "secrets_key_id": key.id}
