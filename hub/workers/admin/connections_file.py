"""`connections.yaml`: connections and roles as an integrator writes them down, without secrets. Applied again it changes
nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection as DbConnection

from hub.connect import payload, sealed
from hub.connect.links import SettingsError, split_settings
from hub.connect.manifest import Manifest, ManifestError, OAuth2
from hub.connect.registry import UnknownConnector
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import RoleBinding
from hub.db.tables import Merchant
from hub.db.types import instant_us
from hub.mapping import Document, Problem, SourceError, load_document
from hub.outbox import restored
from hub.workers.admin.errors import AdminError

if TYPE_CHECKING:
    from hub.workers.hub import Hub

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
ROLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
MODES = ("observe", "paused", "live")
KEYS = ("connector", "mode", "go_live_at", "settings")


@dataclass
class _Wanted:
    """One connection as the file has it; null: the file does not say."""

    name: str
    connector: str
    mode: str | None
    go_live_at: int | None
    settings: dict[str, Any]


@dataclass
class _Reading:
    """What was read, and what is wrong with it."""

    document: Document
    hub: Hub
    zone: str
    known: Mapping[str, Mapping[str, Any]]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, message: str, *path: str | int, hint: str = "", key: bool = False) -> None:
        place = self.document.key_position(path) if key else self.document.position(path)
        self.problems.append(Problem(place.file, place.line, place.column, "connections", message, hint))


def apply(hub: Hub, text: str, *, file: str = "connections.yaml", merchant_id: int = 1) -> dict[str, Any]:
    """Makes connections and roles what the file says; connections that it does not name stay as they are, and the roles of
    the merchant are those of the file if it has `roles`. Nothing is changed when something is wrong.

    Raises: AdminError with every problem and its place."""
    try:
        document = load_document(text, file)
    except SourceError as error:
        raise AdminError(f"{file} cannot be read", [str(error)]) from None
    hub.database.ids.ensure(1_000)
    with hub.database.write() as connection:
        known = {
            row["name"]: dict(row)
            for row in connection.execute(
                # held until the file is applied: what a person or a token request changes meanwhile waits
                sa.select(_CONNECTION)
                .where(_CONNECTION.c.merchant_id == merchant_id)
                .order_by(_CONNECTION.c.id)
                .with_for_update()
            ).mappings()
        }
        zone = connection.execute(sa.select(_MERCHANT.c.zone).where(_MERCHANT.c.id == merchant_id)).scalar_one()
        reading = _Reading(document, hub, zone, known)
        wanted, roles = _read(reading)
        if reading.problems:
            count = len(reading.problems)
            raise AdminError(
                f"{file} has {count} problem{'s' if count > 1 else ''}: nothing was changed",
                [str(problem) for problem in reading.problems],
            )
        result = _store(hub, connection, merchant_id, wanted, known)
        if roles is not None:
            ids = {row["name"]: row["id"] for row in known.values()} | result.pop("ids")
            _bind(hub, connection, merchant_id, roles, ids)
        else:
            result.pop("ids")
    for row in known.values():
        hub.links.forget(row["id"])
    problems = hub.reload()
    return {**result, "roles": roles, "flow_problems": [str(problem) for problem in problems]}


def _read(reading: _Reading) -> tuple[list[_Wanted], dict[str, list[str]] | None]:
    value = reading.document.value
    if value is None:
        value = {}
    if not isinstance(value, dict):
        reading.wrong("the file has `connections` and `roles`")
        return [], None
    for key in value:
        if key not in ("connections", "roles"):
            reading.wrong(f"{key!r} is not known", key, hint="`connections` and `roles`", key=True)
    found = value.get("connections") or {}
    wanted = []
    if not isinstance(found, dict):
        reading.wrong("`connections` has one entry a connection, by its name", "connections")
    else:
        for name, spec in found.items():
            one = _connection(reading, name, spec)
            if one is not None:
                wanted.append(one)
    roles = _roles(reading, value["roles"], {one.name for one in wanted}) if "roles" in value else None
    return wanted, roles


def _connection(reading: _Reading, name: str, spec: Any) -> _Wanted | None:
    at: tuple[str, ...] = ("connections", name)
    if not NAME.fullmatch(name):
        reading.wrong(
            f"{name!r} is not a name of a connection",
            *at,
            hint="small letters, digits, - and _, a letter first",
            key=True,
        )
    if not isinstance(spec, dict):
        reading.wrong(f"{name} is a mapping with `connector` and `settings`", *at)
        return None
    for key in spec:
        if key not in KEYS:
            reading.wrong(f"{key!r} is not known", *at, key, hint=f"one of {', '.join(KEYS)}", key=True)
    connector = spec.get("connector")
    manifest = _manifest(reading, connector, at)
    before = reading.known.get(name)
    if before is not None and connector is not None and before["connector"] != connector:
        reading.wrong(
            f"{name} is a connection of {before['connector']}", *at, "connector", hint="give the new one another name"
        )
    mode = spec.get("mode")
    if mode is not None and mode not in MODES:
        reading.wrong(f"{mode!r} is not a mode", *at, "mode", hint=f"one of {', '.join(MODES)}")
    settings = spec.get("settings")
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        reading.wrong("`settings` is a mapping", *at, "settings")
    elif manifest is not None:
        _settings(reading, manifest, settings, before, at)
    go_live_at = _instant(reading, spec.get("go_live_at"), at)
    return _Wanted(name, str(connector), mode, go_live_at, settings if isinstance(settings, dict) else {})


def _manifest(reading: _Reading, connector: Any, at: tuple[str, ...]) -> Manifest | None:
    if connector is None:
        reading.wrong("`connector` is missing", *at)
        return None
    try:
        return reading.hub.registry.get(str(connector)).manifest
    except UnknownConnector as error:
        reading.wrong(str(error), *at, "connector")
    except ManifestError as error:
        reading.wrong(f"connector {connector!r} cannot be used: {error.problems[0]}", *at, "connector")
    return None


def _settings(
    reading: _Reading,
    manifest: Manifest,
    settings: dict[str, Any],
    before: Mapping[str, Any] | None,
    at: tuple[str, ...],
) -> None:
    sealed = manifest.secret_names()
    for name in settings:
        if name in sealed:
            reading.wrong(
                f"{name!r} is a secret, which does not belong into this file",
                *at,
                "settings",
                name,
                hint=f"hub connections secrets {at[-1]} {name}",
                key=True,
            )
    plain = {name: value for name, value in settings.items() if name not in sealed}
    kept = dict.fromkeys([*sealed, *_learned(manifest, before)], "")
    try:
        split_settings(manifest, plain, kept)
    except SettingsError as error:
        for message in str(error).split("; "):
            named = re.match(r"'([^']+)'", message)
            path = ("settings", named.group(1)) if named and named.group(1) in settings else ("settings",)
            reading.wrong(message, *at, *path)


def _learned(manifest: Manifest, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings that connecting brought (the id of a company): the file need not have them."""
    if before is None or not isinstance(manifest.auth, OAuth2):
        return {}
    kept = payload.decode(before["settings"])
    return {name: kept[name] for name in manifest.auth.keep.values() if name in kept}


def _instant(reading: _Reading, value: Any, at: tuple[str, ...]) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            midnight = datetime.combine(date.fromisoformat(value), time(), ZoneInfo(reading.zone))
            return int(midnight.astimezone(UTC).timestamp()) * 1_000_000
        return instant_us(value) if isinstance(value, str) else _no_instant(value)
    except ValueError:
        reading.wrong(
            f"{value!r} is no instant",
            *at,
            "go_live_at",
            hint="2026-11-24, or 2026-11-24T00:00:00+01:00 with its offset",
        )
        return None


def _no_instant(value: Any) -> int:
    raise ValueError(f"{value!r} is no instant")


def _roles(reading: _Reading, value: Any, names: set[str]) -> dict[str, list[str]]:
    roles: dict[str, list[str]] = {}
    if value is not None and not isinstance(value, dict):
        reading.wrong("`roles` names a connection, or a list of them, for each role", "roles")
        return roles
    for role, given in (value or {}).items():
        if not ROLE.fullmatch(role):
            reading.wrong(
                f"{role!r} is not a name of a role", "roles", role, hint="small letters, digits and _", key=True
            )
        bound = given if isinstance(given, list) else [given]
        for index, name in enumerate(bound):
            path = (role, index) if isinstance(given, list) else (role,)
            if not isinstance(name, str) or (name not in names and name not in reading.known):
                there = ", ".join(sorted(names | set(reading.known))) or "none"
                reading.wrong(f"there is no connection {name!r}", "roles", *path, hint=f"there are {there}")
        roles[role] = list(dict.fromkeys(name for name in bound if isinstance(name, str)))
    return roles


def _store(
    hub: Hub,
    connection: DbConnection,
    merchant_id: int,
    wanted: list[_Wanted],
    known: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    added: list[str] = []
    changed: list[str] = []
    unchanged: list[str] = []
    ids: dict[str, int] = {}
    now = hub.clock()
    for one in wanted:
        manifest = hub.registry.get(one.connector).manifest
        before = known.get(one.name)
        values: dict[str, Any] = {"settings": payload.canonical({**_learned(manifest, before), **one.settings})}
        if one.mode is not None:
            values["mode"] = one.mode
        if one.go_live_at is not None:
            values["go_live_at"] = one.go_live_at
        if before is not None:
            if one.mode is not None:
                values["mode"] = restored.mode_now(connection, before["id"], one.mode)
            values = {column: value for column, value in values.items() if before[column] != value}
            if values:
                sealed.change(connection, before, now, **values)
            (changed if values else unchanged).append(one.name)
            continue
        ids[one.name] = hub.database.ids.next()
        row = {
            "id": ids[one.name],
            "merchant_id": merchant_id,
            "name": one.name,
            "connector": one.connector,
            "mode": "observe",
            "go_live_at": None,
            "secrets": None,
            "secrets_key_id": None,
            "status": "new" if isinstance(manifest.auth, OAuth2) else "connected",
            "expires_at": None,
            "created_at": now,
            "updated_at": now,
        }
        connection.execute(_CONNECTION.insert(), [{**row, **values}])
        added.append(one.name)
    return {"added": added, "changed": changed, "unchanged": unchanged, "ids": ids}


def _bind(
    hub: Hub, connection: DbConnection, merchant_id: int, roles: Mapping[str, list[str]], ids: Mapping[str, int]
) -> None:
    wanted = {(role, ids[name]) for role, names in roles.items() for name in names}
    rows = connection.execute(
        sa.select(_ROLE.c.id, _ROLE.c.role, _ROLE.c.connection_id).where(_ROLE.c.merchant_id == merchant_id)
    ).all()
    gone = [row.id for row in rows if (row.role, row.connection_id) not in wanted]
    if gone:
        connection.execute(_ROLE.delete().where(_ROLE.c.id.in_(gone)))
    new = sorted(wanted - {(row.role, row.connection_id) for row in rows})
    if new:
        connection.execute(
            _ROLE.insert(),
            [
                {
                    "id": hub.database.ids.next(),
                    "merchant_id": merchant_id,
                    "role": role,
                    "connection_id": connection_id,
                }
                for role, connection_id in new
            ],
        )
