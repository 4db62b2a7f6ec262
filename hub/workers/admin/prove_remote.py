"""Compares the log of effects with what the connected systems list. Reads there, page by page; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hub.connect.errors import ConnectError
from hub.connect.links import Link
from hub.connect.listing import listing
from hub.connect.rootkeys import VaultError
from hub.connect.tables import Connection as ConnectionTable
from hub.outbox import remote
from hub.outbox.tables import Effect
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.admin.prove import fault_rows
from hub.workers.hub import Hub

_EFFECT = Effect.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_MADE = (
    sa.select(_EFFECT.c.connection_id, _EFFECT.c.operation, sa.func.count(), sa.func.min(_EFFECT.c.confirmed_at))
    .where(_EFFECT.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger))
    .group_by(_EFFECT.c.connection_id, _EFFECT.c.operation)
)
#: a list is cut this long before the first effect that it must hold: clocks differ
_SLACK_US = 86_400_000_000


def prove_remote(
    hub: Hub, *, connection: str | None = None, since: str | None = None, merchant_id: int = 1
) -> dict[str, Any]:
    """`{ok, compared: [{connection, operation, here, there, others}], not_compared: [{connection, operation, here, why}],
    faults, counts}`. `connection`: one by its name; `since`: effects from this date or instant on.

    Raises: NotThere, AdminError."""
    start = _instant(since) if since else 0
    compared, left, faults = [], [], []
    counts: dict[str, int] = {}
    for row in _operations(hub, merchant_id, connection):
        of = remote.Of(merchant_id, row["connection_id"], row["operation"], row["name"])
        shown = {"connection": row["name"], "operation": row["operation"]}
        try:
            link = hub.links.open(row["connection_id"])
            why = _why_not(link, row["operation"])
            if why:
                left.append({**shown, "here": row["count"], "why": why})
                continue
            found = _compare(hub, link, of, max(start, row["first"]), start)
        except (ConnectError, VaultError) as error:
            message = f"{row['name']}: {row['operation']} cannot be compared: {error}"
            found = remote.Compared()
            found.add("remote.unreachable", message)
        compared.append({**shown, "here": found.here, "there": found.there, "others": found.others})
        faults += found.faults
        for check, count in found.counts.items():
            counts[check] = counts.get(check, 0) + count
    rows = fault_rows(faults)
    return {"ok": not rows, "compared": compared, "not_compared": left, "faults": rows, "counts": counts}


def _compare(hub: Hub, link: Link, of: remote.Of, first: int, since: int) -> remote.Compared:
    found = _compare_from(hub, link, of, max(0, first - _SLACK_US), since)
    if first > _SLACK_US and "remote.missing" in found.counts:
        # it may be older than its effect: found there, not made
        found = _compare_from(hub, link, of, 0, since)
    return found


def _compare_from(hub: Hub, link: Link, of: remote.Of, cut: int, since: int) -> remote.Compared:
    spec = link.operation(of.operation)
    assert spec.proof is not None
    until = hub.clock()
    text = datetime.fromtimestamp(cut // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    there = remote.lists(listing(link, of.operation, text), spec.proof)
    with hub.database.snapshot() as reading:
        if spec.state:
            return remote.compare_levels(reading, of, spec.proof, there)
        return remote.compare(reading, of, spec.proof, there, since=since, until=until)


def _why_not(link: Link, operation: str) -> str | None:
    spec = link.connector.manifest.operations.get(operation)
    if spec is None:
        return f"{link.connector.name} has no such operation any more"
    if spec.proof is not None:
        return None
    if spec.ladder == "none":
        return "what was sent cannot be asked for"
    return f"{link.connector.name} declares no list of it (`proof` in connector.yaml)"


def _operations(hub: Hub, merchant_id: int, name: str | None) -> Iterator[dict[str, Any]]:
    """What was confirmed on each connection by operation, with the first instant; and, because a hub that was restored may
    have forgotten all of it, each operation whose records bear our mark."""
    wanted = [_CONNECTION.c.merchant_id == merchant_id, *([_CONNECTION.c.name == name] if name else [])]
    with hub.database.read() as reading:
        connections = reading.execute(sa.select(_CONNECTION).where(*wanted).order_by(_CONNECTION.c.id)).mappings().all()
        if name and not connections:
            raise NotThere(f"there is no connection {name!r}")
        made = {
            (row[0], row[1]): (int(row[2]), int(row[3])) for row in reading.execute(_MADE, {"merchant_id": merchant_id})
        }
    for each in connections:
        operations = {operation for (owner, operation) in made if owner == each["id"]}
        if each["mode"] != "observe" and each["status"] == "connected":
            declared = hub.registry.get(each["connector"]).manifest.operations
            operations |= {one for one, spec in declared.items() if spec.proof is not None and spec.proof.mine}
        for operation in sorted(operations):
            count, first = made.get((each["id"], operation), (0, 0))
            yield {
                "connection_id": each["id"],
                "name": each["name"],
                "operation": operation,
                "count": count,
                "first": first,
            }


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise AdminError(f"{text!r} is no date or instant: give 2026-11-24, or 2026-11-24T09:00:00+01:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
