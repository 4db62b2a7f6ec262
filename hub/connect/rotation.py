"""Changing the root key while everything goes on: a new one, everything sealed anew, and the old one dropped.

Root keys seal data keys, so sealing those anew is enough for the old root key to go. Whoever has it and an old copy of the
database has the data keys, too: those that seal values are replaced and the values sealed anew, so that what comes later
is closed to him. Keys of chains and of signing stay, sealed anew: what they prove is proven by them for ever.

Every step is a short transaction. A rotation that was killed is one that is not done yet: the next call goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection as DbConnection

from hub.connect import sealed
from hub.connect.rootkeys import ENVIRONMENT, KeysElsewhere, RootKey, VaultError
from hub.connect.sealed import TABLE
from hub.connect.vault import KEYS, ROOTS, Vault
from hub.db.engine import Database

_log = structlog.get_logger("hub.keys")
#: rows of one transaction
BATCH = 500
_ROOT = sa.bindparam("root", type_=sa.Text)
_AFTER, _SINCE = (sa.bindparam(name, type_=sa.BigInteger) for name in ("after", "since"))
#: one after the other by id, so that a row that does not open is passed by
_DATA_KEYS = (
    sa.select(KEYS.c.id, KEYS.c.sealed, KEYS.c.sealed_by)
    .where(KEYS.c.sealed_by != _ROOT, KEYS.c.id > _AFTER)
    .order_by(KEYS.c.id)
    .limit(BATCH)
)
_RESEAL = (
    KEYS.update()
    .where(KEYS.c.id == sa.bindparam("_id"), KEYS.c.sealed_by == sa.bindparam("_by"))
    .values(sealed=sa.bindparam("_sealed"), sealed_by=sa.bindparam("_root"))
)
_OLDER = sa.select(KEYS.c.id, KEYS.c.merchant_id).where(
    KEYS.c.purpose == "vault", KEYS.c.retired_at.is_(None), KEYS.c.created_at < _SINCE
)
_VALUES = (
    sa.select(TABLE.c.id)
    .join(KEYS, KEYS.c.id == TABLE.c.secrets_key_id)
    .where(KEYS.c.retired_at.is_not(None), TABLE.c.id > _AFTER)
    .order_by(TABLE.c.id)
    .limit(BATCH)
)
_ALL_HELD = sa.select(ROOTS).order_by(ROOTS.c.id).with_for_update()
_SEALED_BY = sa.select(KEYS.c.sealed_by, sa.func.count()).group_by(KEYS.c.sealed_by)


class NoSuchKey(VaultError):
    """No root key has this id."""


class StillSeals(VaultError):
    """A key that cannot be dropped: something is sealed by it, or will be."""


@dataclass
class Rotated:
    """What one call did."""

    #: id of the root key that seals now
    root: str
    #: whether it was made by this call, or is that of one that was interrupted
    made: bool
    data_keys: int = 0
    values: int = 0
    #: what does not open, and stays as it is
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """A root key as it is known. Instants are UTC microseconds."""

    id: str
    created_at: int | None
    retired_at: int | None
    dropped_at: int | None
    #: data keys that it seals
    data_keys: int
    #: its place among those that this process has, from 0, the sealing one; None: it has not
    place: int | None

    @property
    def state(self) -> str:
        if self.place == 0:
            return "seals"
        if self.dropped_at is not None:
            return "dropped" if self.place is None else "dropped, still in its place"
        if self.place is None:
            return "missing" if self.data_keys else "not here"
        return "opens" if self.data_keys else "seals nothing"


class Rotation:
    """Changes the root key of one hub."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], int]) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def rotate(self) -> Rotated:
        """Makes a new root key, or goes on with a rotation that is not done, until nothing is sealed by another one. What
        does not open is told and left as it is. Raises: KeysElsewhere, VaultError."""
        root, since, made = self._begin()
        done = Rotated(root.id, made)
        _log.info("root key takes over", root_key=root.id, made=made)
        self._renew_vault_keys(since)
        finished = False
        while not finished and not done.refused:
            done.data_keys += self._pages(done, lambda connection, after: self._data_keys(connection, root, after))
            done.values += self._pages(done, self._values)
            finished = self._finish(root)
        _log.info(
            "root key took over" if finished else "a rotation is not done",
            root_key=root.id, data_keys=done.data_keys, values=done.values, refused=len(done.refused),
        )  # fmt: skip
        return done

    def known(self) -> list[Known]:
        """Every root key that is in its place, seals something or once did: the sealing one first, then the newest."""
        self._vault.roots.look()
        places = {root.id: number for number, root in enumerate(self._vault.roots.all())}
        with self._database.read() as connection:
            rows = {row.id: row for row in connection.execute(sa.select(ROOTS))}
            sealing = _sealing(connection)
        found = []
        for key_id in {*places, *rows, *sealing}:
            row = rows.get(key_id)
            made, retired, dropped = (row.created_at, row.retired_at, row.dropped_at) if row else (None, None, None)
            found.append(Known(key_id, made, retired, dropped, sealing.get(key_id, 0), places.get(key_id)))
        return sorted(found, key=lambda each: (each.place is None, each.place or 0, -(each.created_at or 0), each.id))

    def drop(self, key_id: str) -> Known:
        """Takes a key that seals nothing out of the file, and keeps that it was there. From then on no process seals by it.
        Raises: NoSuchKey, StillSeals, KeysElsewhere, VaultError."""
        roots = self._vault.roots
        with self._database.write() as connection:
            _alone(connection)
            row = next((each for each in connection.execute(_ALL_HELD) if each.id == key_id), None)
            roots.look()
            here = roots.get(key_id) is not None
            if row is None and not here:
                raise NoSuchKey(f"no root key has the id {key_id}: see `hub keys list`")
            if roots.first.id == key_id:
                raise StillSeals(f"root key {key_id} is the one that seals: run `hub keys rotate` first")
            count = _sealing(connection).get(key_id, 0)
            if count:
                raise StillSeals(
                    f"root key {key_id} still seals {count} data keys: run `hub keys rotate`, then try again"
                )
            if here and roots.fixed:
                raise KeysElsewhere(
                    f"root key {key_id} seals nothing any more. Take it out of {ENVIRONMENT} in every process of the hub,"
                    " start them again, then run this command again to keep a record of it"
                )
            now = self._clock()
            if row is None:
                connection.execute(
                    ROOTS.insert(), {"id": key_id, "created_at": now, "retired_at": now, "dropped_at": now}
                )
            elif row.dropped_at is None:
                connection.execute(_at(key_id).values(dropped_at=now, retired_at=row.retired_at or now))
        if here:  # only now: what is in no file can be sealed by nobody
            roots.remove(key_id)
        _log.info("root key dropped", root_key=key_id)
        return next(each for each in self.known() if each.id == key_id)

    # -- the steps of a rotation --------------------------------------------------------------------------------

    def _begin(self) -> tuple[RootKey, int, bool]:
        """The key to seal by, since when, and whether it is new. One process at a time: they end with the same key."""
        roots = self._vault.roots
        with self._database.write() as connection:
            _alone(connection)
            rows = {row.id: row for row in connection.execute(_ALL_HELD)}
            roots.look()
            first = roots.first
            made = first.id in rows and not self._left(connection, first.id, rows)
            if made:
                first = _new(self._vault)
            row = rows.get(first.id)
            if row is not None:
                if row.dropped_at is not None:
                    raise VaultError(
                        f"root key {first.id}, the first of {roots.place}, was dropped: put another one first"
                    )
                return first, row.created_at, False
            # a clock that is behind another one makes no key older than the one that it follows
            since = max([self._clock(), *(each.created_at + 1 for each in rows.values())])
            connection.execute(ROOTS.insert(), {"id": first.id, "created_at": since})
            return first, since, made

    def _left(self, connection: DbConnection, root_id: str, rows: dict[str, Any]) -> bool:
        """Whether a rotation to this key is not done."""
        if any(row.retired_at is None for row in rows.values() if row.id != root_id):
            return True
        here = {"root": root_id, "after": -1, "since": rows[root_id].created_at}
        return any(connection.execute(each, here).first() for each in (_DATA_KEYS, _VALUES))

    def _renew_vault_keys(self, since: int) -> None:
        """Data keys of values from before the root key are retired, and new ones take their place."""
        with self._database.read() as connection:
            merchants = {row.merchant_id for row in connection.execute(_OLDER, {"since": since})}
        for merchant_id in sorted(merchants):
            self._database.ids.ensure(1)
            with self._database.write() as connection:
                older = _OLDER.where(KEYS.c.merchant_id == merchant_id).with_for_update()
                if connection.execute(older, {"since": since}).first() is not None:
                    self._vault.retire(connection, merchant_id, "vault", at=max(self._clock(), since))

    def _pages(self, done: Rotated, page: Callable[[DbConnection, int], _Page]) -> int:
        """Seals page after page, each in a transaction. Answers how many rows."""
        after, rows = -1, 0
        while True:
            self._database.ids.ensure(1)
            with self._database.write() as connection:
                worked = page(connection, after)
            rows += worked.rows
            done.refused += worked.refused
            if worked.last is None:
                return rows
            after = worked.last

    def _data_keys(self, connection: DbConnection, root: RootKey, after: int) -> _Page:
        """Seals some data keys by the root key."""
        found = connection.execute(_DATA_KEYS, {"root": root.id, "after": after}).all()
        changes, refused = [], []
        for row in found:
            try:
                anew = self._vault.reseal(row.sealed, row.sealed_by, row.id, root)
                changes.append({"_id": row.id, "_by": row.sealed_by, "_sealed": anew, "_root": root.id})
            except VaultError as error:
                refused.append(str(error))
        if changes:
            connection.execute(_RESEAL, changes)
        return _Page(found[-1].id if len(found) == BATCH else None, len(changes), refused)

    def _values(self, connection: DbConnection, after: int) -> _Page:
        """Seals the values of some connections by the data keys of now. Their rows are held: no token is written back."""
        found = connection.execute(_VALUES, {"after": after}).scalars().all()
        count, refused = 0, []
        for connection_id in found:
            row = sealed.held(connection, connection_id)
            if row is None:
                continue
            try:
                secrets = sealed.opened(connection, self._vault, row)
            except VaultError as error:
                refused.append(f"connection {row['name']!r}: {error}")
                continue
            columns = sealed.values(connection, self._vault, row["merchant_id"], connection_id, secrets)
            sealed.change(connection, row, self._clock(), **columns)
            count += 1
        return _Page(found[-1] if len(found) == BATCH else None, count, refused)

    def _finish(self, root: RootKey) -> bool:
        """Retires the other root keys, if nothing is left. The rows are held: who is about to seal by one of them is waited
        for, and what he sealed is found."""
        with self._database.write() as connection:
            rows = {row.id: row for row in connection.execute(_ALL_HELD)}
            here = {"root": root.id, "after": -1}
            if any(connection.execute(each, here).first() for each in (_DATA_KEYS, _VALUES)):
                return False
            for row in rows.values():
                if row.id != root.id and row.retired_at is None:
                    connection.execute(_at(row.id).values(retired_at=self._clock()))
            if rows[root.id].retired_at is not None:
                connection.execute(_at(root.id).values(retired_at=None))
            return True


@dataclass(frozen=True)
class _Page:
    #: id of the last row when there may be more
    last: int | None
    rows: int
    refused: list[str]


def _at(root_id: str) -> sa.Update:
    return ROOTS.update().where(ROOTS.c.id == root_id)  # type: ignore[no-any-return]


def _sealing(connection: DbConnection) -> dict[str, int]:
    """Data keys by the root key that seals them."""
    return {row[0]: row[1] for row in connection.execute(_SEALED_BY)}


def _alone(connection: DbConnection) -> None:
    """One process at a time changes which root keys there are. On SQLite a write is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE root_key IN SHARE ROW EXCLUSIVE MODE")


def _new(vault: Vault) -> RootKey:
    if vault.roots.fixed:
        raise KeysElsewhere(
            f"everything is sealed by root key {vault.roots.first.id}, and the keys come from {ENVIRONMENT}, which a hub cannot"
            f" write. Make a key (`openssl rand -base64 32`), set {ENVIRONMENT}=OLD,NEW for every process of the hub and start"
            f" them again, then {ENVIRONMENT}=NEW,OLD likewise, and run this command again"
        )
    return vault.roots.add()
