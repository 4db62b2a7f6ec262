"""Lanes: which events may be worked on at the same time, and who works on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.reading import among
from hub.inbox.tables import Lane

_LANE = Lane.__table__  # type: ignore[attr-defined]
#: text, because both engines know it and SQLAlchemy has a form of its own for each
_NEW = sa.text(
    "INSERT INTO lane (merchant_id, lane, fence, until) VALUES (:merchant_id, :lane, 0, 0) ON CONFLICT DO NOTHING"
)
_OWN: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_LANES = sa.select(_LANE.c.lane, _LANE.c.fence, _LANE.c.owner, _LANE.c.until).where(
    _LANE.c.merchant_id == _OWN, among(_LANE.c.lane, "lanes")
)
#: nobody takes them over until the commit
_LANES_KEPT = _LANES.with_for_update(read=True)
_OF_OTHERS = sa.select(_LANE.c.lane).where(
    _LANE.c.merchant_id == _OWN,
    _LANE.c.owner != sa.bindparam("worker", type_=sa.String),
    _LANE.c.until > sa.bindparam("now", type_=sa.BigInteger),
)
_OURS = (_LANE.c.merchant_id == sa.bindparam("_merchant"), among(_LANE.c.lane, "_lanes"))
_RENEW = _LANE.update().where(*_OURS, _LANE.c.owner == sa.bindparam("_owner")).values(until=sa.bindparam("_until"))
#: guarded by the expiry, so that two workers cannot both take it
_STEAL = (
    _LANE.update()
    .where(*_OURS, sa.or_(_LANE.c.owner.is_(None), _LANE.c.until <= sa.bindparam("_now")))
    .values(owner=sa.bindparam("_owner"), until=sa.bindparam("_until"), fence=_LANE.c.fence + 1)
    .returning(_LANE.c.lane, _LANE.c.fence)
)


class LeaseLost(Exception):
    """Another worker holds the lane: what was planned for it is dropped, nothing is written."""


def lane_of(ordering_key: str, lanes: int) -> int:
    """The lane of an ordering key: BLAKE2b modulo the merchant's number of lanes."""
    digest = hashlib.blake2b(ordering_key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % lanes


def lease(
    connection: Connection, merchant_id: int, lanes: Iterable[int], *, owner: str, now: int, until: int
) -> dict[int, int]:
    """Takes or renews the leases of lanes that are free, expired or ours. Returns lane -> fence of those we hold now."""
    wanted = sorted(set(lanes))
    held = {row.lane: row for row in connection.execute(_LANES, {"merchant_id": merchant_id, "lanes": wanted})}
    missing = [lane for lane in wanted if lane not in held]
    if missing:
        # free at first, so that two workers that meet a new lane at once both find it and one of them takes it
        connection.execute(_NEW, [{"merchant_id": merchant_id, "lane": lane} for lane in missing])
    taken: dict[int, int] = {}
    half = (until - now) // 2
    ours, steal = [], list(missing)
    for lane, row in held.items():
        if row.owner == owner and row.until > now:
            taken[lane] = row.fence
            if row.until - now < half:
                ours.append(lane)
        elif row.owner is None or row.until <= now:
            steal.append(lane)
    values = {"_merchant": merchant_id, "_owner": owner, "_until": until}
    if ours:
        connection.execute(_RENEW, {**values, "_lanes": ours})
    if steal:
        taken.update(
            (lane, fence) for lane, fence in connection.execute(_STEAL, {**values, "_lanes": steal, "_now": now})
        )
    return taken


def renew(connection: Connection, merchant_id: int, lanes: Iterable[int], *, owner: str, until: int) -> None:
    """Renews leases of ours while a batch takes long; those that another worker took meanwhile stay its."""
    values = {"_merchant": merchant_id, "_lanes": sorted(lanes), "_owner": owner, "_until": until}
    connection.execute(_RENEW, values)


def release_all(connection: Connection) -> None:
    """Takes back the leases of an earlier process. Only where one process owns the database."""
    connection.execute(_LANE.update().values(owner=None, until=0))


def held_by_others(connection: Connection, merchant_id: int, *, owner: str, now: int) -> list[int]:
    """Lanes that other workers hold now."""
    values = {"merchant_id": merchant_id, "worker": owner, "now": now}
    return list(connection.execute(_OF_OTHERS, values).scalars())


def check_fences(connection: Connection, merchant_id: int, fences: Mapping[int, int], owner: str) -> None:
    """Raises LeaseLost when a lane of the batch is no longer ours. On PostgreSQL the rows stay locked until commit."""
    statement = _LANES_KEPT if connection.dialect.name == "postgresql" else _LANES
    rows = {
        row.lane: row for row in connection.execute(statement, {"merchant_id": merchant_id, "lanes": sorted(fences)})
    }
    for lane, fence in fences.items():
        row = rows.get(lane)
        if row is None or row.fence != fence or row.owner != owner:
            raise LeaseLost(f"lane {lane} of merchant {merchant_id} was taken over by another worker")


def release(connection: Connection, owner: str) -> None:
    """Gives back all leases of a worker that stops in order."""
    connection.execute(_LANE.update().where(_LANE.c.owner == owner).values(owner=None, until=0))
