"""The in-memory plan of a batch: state as read, an overlay of what the events changed, and the rows to write.

Core functions take a plan and a command, read and change the overlay, and emit core events; nothing reaches the
database until `write`. `mark` and `rollback` take a part out again without a trace: no number, no chain link and no id
of it is left in the state. A key that was not preloaded is read once on a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from hub.db.engine import Ids
from hub.db.inserts import insert_rows

Key = Hashable
Row = dict[str, Any]
#: pairs of a column and the column or integer literal that it may not fall below
Guard = tuple[tuple[str, str], ...]
_IDS_AT_ONCE = 64


class PlanConflict(Exception):
    """The database refused a guarded change: the state read was not the state stored. The batch is done again."""


@dataclass(frozen=True)
class Source:
    """How rows of one kind are read: `load(connection, merchant_id, keys)` answers a mapping of the keys found. It may
    answer more keys than asked for (a whole chart of accounts)."""

    name: str
    load: Callable[[Connection, int, Sequence[Any]], Mapping[Any, Row]]


@dataclass(frozen=True)
class CoreEvent:
    """Something that happened in the core: `name` (`invoice.issued`), `subject` (`order:12`, `item:7`), its record."""

    name: str
    subject: str
    record: Row


@dataclass
class _Writes:
    inserts: dict[str, list[Row]] = field(default_factory=dict)
    updates: dict[tuple[str, int], Row] = field(default_factory=dict)
    increments: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    guards: dict[tuple[str, int], Guard] = field(default_factory=dict)


class Plan:
    """State, overlay and rows to write of one merchant's batch. Not shared between threads."""

    def __init__(self, merchant_id: int, connection: Connection, ids: Ids, now: int) -> None:
        self.merchant_id = merchant_id
        #: the instant of the batch, UTC microseconds
        self.now = now
        self._ids = ids
        self._own_ids: Iterator[int] = iter(())
        self.events: list[CoreEvent] = []
        #: id and bytes of the key that chains entries; set by whoever opens the plan
        self.chain_key: tuple[int, bytes] | None = None
        self._connection = connection
        self._state: dict[str, dict[Key, Row | None]] = {}
        self._writes = _Writes()
        self._tables: dict[str, Table] = {}
        #: what takes back each change, with its arguments: plain tuples, thousands are made in a batch
        self._undo: list[tuple[Any, ...]] = []
        #: whether a table has an id and a merchant
        self._keyed: dict[str, tuple[bool, bool]] = {}
        self._dirty_inserts: dict[tuple[str, int], Row] = {}

    # -- reading ------------------------------------------------------------------------------------------------

    def preload(self, source: Source, keys: Iterable[Key]) -> None:
        """Reads the rows of many keys with one call; keys that are there already are left as they are."""
        known = self._state.setdefault(source.name, {})
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        if missing:
            for key, row in source.load(self._connection, self.merchant_id, missing).items():
                known.setdefault(key, row)
            for key in missing:
                known.setdefault(key, None)

    def get(self, source: Source, key: Key) -> Row | None:
        """The row of a key as the plan sees it, or None. Never change it in place: use `update` or `increment`."""
        known = self._state.get(source.name)
        if known is None or key not in known:
            self.preload(source, [key])
            known = self._state[source.name]
        return known[key]

    def known(self, source: Source) -> Mapping[Any, Row]:
        """The rows of a source that the plan has seen or put, without reading any."""
        return {key: row for key, row in self._state.get(source.name, {}).items() if row is not None}

    # -- changing -----------------------------------------------------------------------------------------------

    def put(self, source: Source, key: Key, row: Row | None) -> None:
        """Makes a row visible under a key to the rest of the batch (writes nothing by itself)."""
        known = self._state.setdefault(source.name, {})
        before = known.get(key, _ABSENT)
        known[key] = row
        self._undo.append((_put_back, known, key, before))

    def next_id(self) -> int:
        """An id for a row; one that is not used in the end is lost, gaps are normal."""
        for taken in self._own_ids:
            return taken
        self._own_ids = iter(self._ids.some(_IDS_AT_ONCE))
        return next(self._own_ids)

    def insert(self, table: Table, row: Row) -> Row:
        """Adds a row to write. It must have every column that has no default; `merchant_id` and `id` are filled in."""
        name = table.name
        if name not in self._keyed:
            self._tables[name] = table
            self._keyed[name] = ("id" in table.c, "merchant_id" in table.c)
        has_id, has_merchant = self._keyed[name]
        key = None
        if has_id:
            if row.get("id") is None:
                row["id"] = self.next_id()
            key = (name, row["id"])
            self._dirty_inserts[key] = row
        if has_merchant:
            row.setdefault("merchant_id", self.merchant_id)
        rows = self._writes.inserts.setdefault(name, [])
        rows.append(row)
        self._undo.append((_take_out, rows, self._dirty_inserts, key))
        return row

    def update(self, table: Table, row: Row, **values: Any) -> None:
        """Sets columns of a row read or inserted before, in the overlay and in the rows to write."""
        self._change_overlay(row, values)
        key = (table.name, row["id"])
        if key in self._dirty_inserts:
            if self._dirty_inserts[key] is not row:
                self._change_overlay(self._dirty_inserts[key], values)
            return
        self._tables[table.name] = table
        self._change_overlay(self._writes.updates.setdefault(key, {}), values)
        increments = self._writes.increments.get(key)
        if increments:  # a value set replaces what was added before
            self._change_overlay(increments, {name: 0 for name in values if name in increments})

    def increment(self, table: Table, row: Row, *, guard: Guard = (), **deltas: int) -> None:
        """Adds to integer columns of a row. `guard` is pairs of a column and the column or literal that it may not fall
        below; the database checks it again when the plan is written. A row has one guard, always the same."""
        key = (table.name, row["id"])
        self._change_overlay(row, {name: row[name] + delta for name, delta in deltas.items()})
        if key in self._dirty_inserts:
            inserted = self._dirty_inserts[key]
            if inserted is not row:
                self._change_overlay(inserted, {name: inserted[name] + delta for name, delta in deltas.items()})
            return
        self._tables[table.name] = table
        if guard:
            self._writes.guards[key] = guard
        pending = self._writes.increments.setdefault(key, {})
        updates = self._writes.updates.get(key)
        if updates:  # what is added to a value set here is part of that value
            self._change_overlay(updates, {name: row[name] for name in deltas if name in updates})
            deltas = {name: delta for name, delta in deltas.items() if name not in updates}
        self._change_overlay(pending, {name: pending.get(name, 0) + delta for name, delta in deltas.items()})

    def emit(self, name: str, subject: str, record: Row) -> None:
        """Announces a core event; the caller of the core dispatches it."""
        self.events.append(CoreEvent(name, subject, record))
        self._undo.append((self.events.pop,))

    def on_rollback(self, undo: Callable[[], Any]) -> None:
        """Registers what takes back a change that a caller made outside the plan's own rows."""
        self._undo.append((undo,))

    def _change_overlay(self, row: Row, values: Mapping[str, Any]) -> None:
        self._undo.append((_restore, row, {name: row.get(name, _ABSENT) for name in values}))
        row.update(values)

    # -- parts --------------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """The point to which `rollback` returns."""
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        """Drops all that was planned after the mark, as if it had never been."""
        while len(self._undo) > mark:
            undo, *arguments = self._undo.pop()
            undo(*arguments)

    # -- writing ------------------------------------------------------------------------------------------------

    def planned(self, table: Table) -> list[Row]:
        """The rows that will be inserted into a table (for a dry run and for tests)."""
        return list(self._writes.inserts.get(table.name, ()))

    def write(self, connection: Connection, order: Sequence[Table]) -> None:
        """Writes everything with one `executemany` per table, tables in the given order (parents first), increments in
        id order so that two writers never wait for each other crosswise.

        Raises: PlanConflict when a guarded increment or an update found no row."""
        unknown = set(self._tables) - {table.name for table in order}
        if unknown:
            raise RuntimeError(f"tables without a place in the write order: {sorted(unknown)}")
        for table in order:
            rows = self._writes.inserts.get(table.name)
            if rows:
                insert_rows(connection, table, rows)
        for table in order:
            self._write_updates(connection, table)
            self._write_increments(connection, table)

    def _write_updates(self, connection: Connection, table: Table) -> None:
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row_id, values in _of(table, self._writes.updates):
            if values:
                groups.setdefault(tuple(sorted(values)), []).append({"_id": row_id, **values})
        for rows in groups.values():
            statement = _update_statement(table)
            self._expect(connection.execute(statement, rows).rowcount, len(rows), table)

    def _write_increments(self, connection: Connection, table: Table) -> None:
        groups: dict[tuple[tuple[str, ...], Guard], list[Row]] = {}
        for row_id, deltas in _of(table, self._writes.increments):
            if any(deltas.values()):
                guard = self._writes.guards.get((table.name, row_id), ())
                groups.setdefault((tuple(sorted(deltas)), guard), []).append(
                    {"_id": row_id, **{f"_{column}": delta for column, delta in deltas.items()}}
                )
        for (columns, guard), rows in groups.items():
            statement = _increment_statement(table, columns, guard)
            self._expect(connection.execute(statement, rows).rowcount, len(rows), table)

    @staticmethod
    def _expect(found: int, expected: int, table: Table) -> None:
        if found != expected:
            raise PlanConflict(f"{table.name}: {expected} rows were to change, the database changed {found}")


def _put_back(known: dict[Key, Row | None], key: Key, before: Any) -> None:
    if before is _ABSENT:
        known.pop(key, None)
    else:
        known[key] = before


def _take_out(rows: list[Row], inserted: dict[tuple[str, int], Row], key: tuple[str, int] | None) -> None:
    rows.pop()
    if key is not None:
        inserted.pop(key, None)


def _restore(row: Row, before: Row) -> None:
    for name, value in before.items():
        if value is _ABSENT:
            row.pop(name, None)
        else:
            row[name] = value


def _of(table: Table, changes: Mapping[tuple[str, int], Any]) -> list[tuple[int, Any]]:
    """The changes of one table in id order."""
    return sorted(
        ((row_id, change) for (name, row_id), change in changes.items() if name == table.name),
        key=lambda found: found[0],
    )


@lru_cache(maxsize=64)
def _update_statement(table: Table) -> sa.Update:
    return table.update().where(table.c.id == sa.bindparam("_id"))


@lru_cache(maxsize=256)
def _increment_statement(table: Table, columns: tuple[str, ...], guard: Guard) -> sa.Update:
    deltas = {column: sa.bindparam(f"_{column}", type_=sa.BigInteger) for column in columns}
    condition: sa.ColumnElement[bool] = table.c.id == sa.bindparam("_id", type_=sa.BigInteger)
    for column, floor in guard:
        floor_is_column = floor in table.c
        if column not in deltas and floor not in deltas:
            continue
        limit = table.c[floor] if floor_is_column else sa.literal_column(floor)
        room = table.c[column] - limit
        change: Any = deltas.get(column, sa.literal_column("0"))
        if floor in deltas:
            change = change - deltas[floor]
        # only a change towards the floor is refused, so that a row below it can be mended; a null floor is none
        condition = sa.and_(condition, sa.or_(change >= 0, limit.is_(None), room + change >= 0))
    return table.update().where(condition).values({column: table.c[column] + delta for column, delta in deltas.items()})


_ABSENT: Any = object()
