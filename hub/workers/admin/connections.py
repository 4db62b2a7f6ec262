"""Connections and roles: `connections.yaml`, secrets, modes, webhook subscriptions, the shop's own stock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from hub.connect import payload, sealed
from hub.connect.errors import ConnectError
from hub.connect.grants import Tokens
from hub.connect.links import Link
from hub.connect.manifest import ManifestError, OAuth2
from hub.connect.registry import BrokenConnector, UnknownConnector
from hub.connect.rootkeys import VaultError
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import RoleBinding
from hub.core.stock.channels import adopt
from hub.core.stock.items import ITEM_BY_SKU
from hub.core.stock.tables import ITEM
from hub.db.types import instant_text, instant_us
from hub.inbox.questions import resolve_question
from hub.outbox import breaker, restored
from hub.workers.admin.connections_file import apply
from hub.workers.admin.core import change
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.parts import Part

if TYPE_CHECKING:
    from hub.workers.hub import Hub

__all__ = ["adopt_stock", "apply", "check", "connected", "link", "listed", "set_mode", "set_secrets", "setup"]

CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
Mode = Literal["observe", "paused", "live"]


def listed(hub: Hub, *, merchant_id: int = 1) -> dict[str, Any]:
    """All connections with their roles; the names of the secrets that are set, never their values."""
    with hub.database.read() as connection:
        rows = connection.execute(
            sa.select(CONNECTION).where(CONNECTION.c.merchant_id == merchant_id).order_by(CONNECTION.c.name)
        ).mappings()
        found = [dict(row) for row in rows]
        roles: dict[int, list[str]] = {}
        for row in connection.execute(
            sa.select(_ROLE.c.connection_id, _ROLE.c.role)
            .where(_ROLE.c.merchant_id == merchant_id)
            .order_by(_ROLE.c.role)
        ):
            roles.setdefault(row.connection_id, []).append(row.role)
        waiting = {row.connection_id: row.mode for row in restored.waiting(connection, merchant_id)}
    shown = [_shown(hub, row, roles.get(row["id"], [])) for row in found]
    return {"items": [{**each, "mode_when_released": waiting.get(int(each["id"]))} for each in shown]}


def _shown(hub: Hub, row: Mapping[str, Any], roles: list[str]) -> dict[str, Any]:
    title, oauth, secrets = row["connector"], False, []
    try:
        manifest = hub.registry.get(row["connector"]).manifest
        title, oauth = manifest.title, isinstance(manifest.auth, OAuth2)
        secrets = sorted(hub.links.open(row["id"]).secrets)
        problem = None
    except (UnknownConnector, ManifestError, BrokenConnector, ConnectError, VaultError) as error:
        problem = str(error)
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "connector": row["connector"],
        "title": title,
        "roles": roles,
        "mode": row["mode"],
        "status": row["status"],
        "down": _down(row),
        "go_live_at": instant_text(row["go_live_at"]) if row["go_live_at"] is not None else None,
        "oauth": oauth,
        "settings": json.loads(row["settings"]),
        "secrets": secrets,
        "problem": problem,
    }


def _down(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["down_since"] is None:
        return None
    return {
        "since": instant_text(row["down_since"]),
        "reason": row["down_reason"],
        "next_probe": instant_text(row["probe_at"]),
        "probes": row["probes"],
    }


def link(hub: Hub, name: str, *, merchant_id: int = 1) -> Link:
    """The link of a connection by its name or id. Raises: NotThere, AdminError."""
    found = id_of(hub, name, merchant_id=merchant_id)
    try:
        return hub.links.open(found)
    except (UnknownConnector, ManifestError, ConnectError, VaultError) as error:
        raise AdminError(f"connection {name!r} cannot be opened: {error}") from None


def id_of(hub: Hub, name: str, *, merchant_id: int = 1) -> int:
    """The id of a connection by its name or id. Raises: NotThere."""
    by_id = name.isascii() and name.isdigit() and len(name) < 19
    with hub.database.read() as connection:
        found = connection.execute(
            sa.select(CONNECTION.c.id).where(
                CONNECTION.c.merchant_id == merchant_id,
                CONNECTION.c.id == int(name) if by_id else CONNECTION.c.name == name,
            )
        ).scalar_one_or_none()
        if found is None:
            names = connection.execute(sa.select(CONNECTION.c.name).where(CONNECTION.c.merchant_id == merchant_id))
            there = ", ".join(sorted(names.scalars())) or "none"
            raise NotThere(f"there is no connection {name!r}: there are {there}")
    return int(found)


def set_secrets(hub: Hub, name: str, secrets: Mapping[str, str], *, merchant_id: int = 1) -> dict[str, Any]:
    """Seals secrets of a connection; those not given stay. Raises: AdminError."""
    found = link(hub, name, merchant_id=merchant_id)
    known = found.connector.manifest.secret_names()
    wrong = sorted(secrets.keys() - known)
    if wrong:
        raise AdminError(
            f"{', '.join(wrong)}: no secret of {found.connector.name}, which has {', '.join(sorted(known))}"
        )
    empty = sorted(key for key, value in secrets.items() if not value)
    if empty or not secrets:
        raise AdminError(f"{', '.join(empty) or 'a secret'}: give a value")
    others = {key: value for key, value in secrets.items() if key not in ("access_token", "refresh_token")}
    if "access_token" in secrets:
        found.keep(Tokens(secrets["access_token"], secrets.get("refresh_token"), None, None))
    elif "refresh_token" in secrets:
        others["refresh_token"] = secrets["refresh_token"]
    if others:
        found.learn(**others)
    hub.reload()
    return {"connection": found.name, "secrets": sorted(found.secrets)}


def set_mode(hub: Hub, name: str, mode: Mode, *, go_live_at: str | None = None, merchant_id: int = 1) -> dict[str, Any]:
    """Observes, pauses or goes live. A connection that goes live for the first time does so from `go_live_at`, or now:
    orders placed before are read and never posted. Deliveries that were only observed are never sent. One that came out of a
    backup stays paused instead of live until it is released (`waits`)."""
    found = link(hub, name, merchant_id=merchant_id)
    values: dict[str, Any] = {"go_live_at": _instant(go_live_at)} if go_live_at is not None else {}
    with hub.database.write() as connection:
        row = sealed.held(connection, found.id)
        if row is None:
            raise NotThere(f"there is no connection {name!r} any more")
        if not values and mode == "live" and row["go_live_at"] is None:
            values["go_live_at"] = hub.clock()
        values["mode"] = restored.mode_now(connection, found.id, mode)
        sealed.change(connection, row, hub.clock(), **values)
    hub.links.forget(found.id)
    hub.reload()
    hub.wake(Part.OUTBOX)
    shown = values.get("go_live_at", row["go_live_at"])
    return {
        "connection": found.name,
        "mode": values["mode"],
        "waits": values["mode"] != mode,
        "go_live_at": instant_text(shown) if shown is not None else None,
    }


def setup(hub: Hub, name: str, callback_url: str, *, merchant_id: int = 1) -> dict[str, Any]:
    """Creates or repairs the webhook subscriptions of a connection. `result` is null for a connector that has none."""
    found = link(hub, name, merchant_id=merchant_id)
    try:
        result = found.setup(callback_url)
    except (ConnectError, BrokenConnector) as error:
        raise AdminError(f"{found.name}: {error}") from None
    return {"connection": found.name, "callback_url": callback_url, "result": payload.decode(payload.encode(result))}


def check(hub: Hub, name: str, *, merchant_id: int = 1) -> dict[str, Any]:
    """Asks the system whether the connection works. Raises: AdminError with what it said."""
    found = link(hub, name, merchant_id=merchant_id)
    manifest = found.connector.manifest
    if manifest.check is None:
        return {"connection": found.name, "checked": False, "result": None}
    try:
        result = found.connector.code(manifest.check)(found)
    except (ConnectError, BrokenConnector) as error:
        raise AdminError(f"{found.name}: {error}") from None
    connected(hub, found.name, merchant_id=merchant_id)
    return {"connection": found.name, "checked": True, "result": payload.decode(payload.encode(result))}


def connected(hub: Hub, name: str, *, merchant_id: int = 1) -> None:
    """A connection works (again): its questions are closed and what waited for it goes on."""
    found = link(hub, name, merchant_id=merchant_id)
    if found.status != "connected":
        hub.links.store(found, status="connected")
    with change(hub, merchant_id) as changing:
        resolve_question(changing.plan, kind="connection.reconnect", subject=f"connection:{found.id}")
    with hub.database.write() as connection:
        breaker.close(connection, hub.database.ids, found.id, hub.clock())
    hub.reload()
    hub.wake(Part.OUTBOX, Part.FETCH)


def adopt_stock(hub: Hub, name: str, *, merchant_id: int = 1) -> dict[str, Any]:
    """Reads what a shop has of each of our items and takes it as the starting point: from then on our numbers go there."""
    found = link(hub, name, merchant_id=merchant_id)
    if "adopt_stock" not in found.connector.manifest.calls:
        raise AdminError(f"{found.name}: {found.connector.name} keeps no stock that could be adopted")
    with hub.database.read() as connection:
        skus = list(
            connection.execute(
                sa.select(ITEM.c.sku)
                .where(ITEM.c.merchant_id == merchant_id, ITEM.c.tracked.is_(True))
                .order_by(ITEM.c.sku)
            ).scalars()
        )
    try:
        levels: list[dict[str, Any]] = found.call("adopt_stock", skus)
    except (ConnectError, BrokenConnector) as error:
        raise AdminError(f"{found.name}: {error}") from None
    with change(hub, merchant_id, ids=2 * len(levels)) as changing:
        changing.plan.preload(ITEM_BY_SKU, [level["sku"] for level in levels])
        for level in levels:
            item = changing.plan.get(ITEM_BY_SKU, level["sku"])
            if item is not None:
                adopt(
                    changing.plan,
                    found.id,
                    item["id"],
                    int(level["available"]),
                    item_ref=level["item_ref"],
                    location_ref=level["location_ref"],
                )
    there = {level["sku"] for level in levels}
    return {
        "connection": found.name,
        "adopted": len(levels),
        "items": [{"sku": level["sku"], "available": int(level["available"])} for level in levels],
        "not_in_shop": [sku for sku in skus if sku not in there],
    }


def _instant(text: str) -> int:
    try:
        return instant_us(text)
    except ValueError:
        raise AdminError(f"{text!r} is no instant: give one such as 2026-11-24T00:00:00+01:00") from None
