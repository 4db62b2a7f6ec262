"""Turns: what comes round again and again and is done by one process at a time, such as a poll of a connection or the sweep.

However many processes of a hub look, one of them takes the turn; when it ends without giving it back, another takes the
next one once its lease has run out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.tables import Turn

_TURN = Turn.__table__  # type: ignore[attr-defined]
#: text, because both engines know it and SQLAlchemy has a form of its own for each
_NEW = sa.text(
    "INSERT INTO turn (merchant_id, name, next_at, until) VALUES (:merchant_id, :name, :next_at, 0) ON CONFLICT DO NOTHING"
)
_THIS = (_TURN.c.merchant_id == sa.bindparam("_merchant"), _TURN.c.name == sa.bindparam("_name"))
_FREE = _TURN.c.until <= sa.bindparam("_now")
_TAKEN: dict[str, Any] = {
    "owner": sa.bindparam("_owner"),
    "until": sa.bindparam("_until"),
    "next_at": sa.bindparam("_next"),
}
_TAKE = _TURN.update().where(*_THIS, _FREE).values(_TAKEN)
#: one that is further away than its interval was planned with a longer one
_TAKE_DUE = _TAKE.where(sa.or_(_TURN.c.next_at <= sa.bindparam("_now"), _TURN.c.next_at > sa.bindparam("_next")))
_KEEP = _TURN.update().where(*_THIS, _TURN.c.owner == sa.bindparam("_owner")).values(until=sa.bindparam("_until"))
_GIVE = _TURN.update().where(*_THIS, _TURN.c.owner == sa.bindparam("_owner")).values(owner=None, until=0)
_PUT_OFF = _TURN.update().where(*_THIS).values(next_at=sa.bindparam("_at"))
_STATES = sa.select(_TURN.c.merchant_id, _TURN.c.name, _TURN.c.next_at, _TURN.c.until)


@dataclass(frozen=True)
class Place:
    """One thing that comes round. `merchant_id` 0: of the hub as a whole."""

    merchant_id: int
    name: str


def due(connection: Connection, wanted: Mapping[Place, int], now: int) -> list[Place]:
    """Those that can be taken now, of what is to be done every so many microseconds; those never heard of, too."""
    rows = {Place(row.merchant_id, row.name): row for row in connection.execute(_STATES)}
    found = []
    for place, every in wanted.items():
        row = rows.get(place)
        if row is None or (row.until <= now and not now < row.next_at <= now + every):
            found.append(place)
    return found


def take(
    connection: Connection,
    place: Place,
    *,
    owner: str,
    now: int,
    every: int,
    lease: int,
    first: int = 0,
    due: bool = True,
) -> bool:
    """Takes a turn if nobody else has it. Returns whether it was taken.

    Microseconds: the next one is due in `every`; others believe for `lease` that it is being done; one that was never heard
    of is due in `first`. `due` false: also when it is not due yet."""
    connection.execute(_NEW, {"merchant_id": place.merchant_id, "name": place.name, "next_at": now + first})
    values = {"_owner": owner, "_now": now, "_until": now + lease, "_next": now + every}
    taken = connection.execute(_TAKE_DUE if due else _TAKE, {**_key(place), **values})
    return taken.rowcount == 1


def keep(connection: Connection, place: Place, *, owner: str, until: int) -> None:
    """Keeps a turn of ours that takes long."""
    connection.execute(_KEEP, {**_key(place), "_owner": owner, "_until": until})


def give(connection: Connection, place: Place, *, owner: str) -> None:
    """Gives a turn back when it is done."""
    connection.execute(_GIVE, {**_key(place), "_owner": owner})


def put_off(connection: Connection, place: Place, at: int) -> None:
    """Says when a turn is due next: one that could not be used as it should."""
    connection.execute(_PUT_OFF, {**_key(place), "_at": at})


def release_all(connection: Connection) -> None:
    """Takes back the turns of an earlier process. Only where one process owns the database."""
    connection.execute(_TURN.update().values(owner=None, until=0))


def _key(place: Place) -> dict[str, object]:
    return {"_merchant": place.merchant_id, "_name": place.name}
