"""The plan of a batch: what it shows, what it would write, and how a part is taken out without a trace."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from hub.core.plan import Plan, Row, Source

TABLE = sa.Table(
    "thing",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("merchant_id", sa.BigInteger),
    sa.Column("amount", sa.BigInteger),
    sa.Column("note", sa.Text),
)


class Counter:
    """Ids without a database."""

    def __init__(self) -> None:
        self.given = 100

    def some(self, most: int) -> range:
        first = self.given + 1
        self.given += most
        return range(first, first + most)


def make(stored: dict[Any, Row] | None = None) -> tuple[Plan, Source, list[list[Any]]]:
    reads: list[list[Any]] = []

    def load(_connection: Connection, _merchant: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
        reads.append(list(keys))
        return {key: dict(row) for key, row in (stored or {}).items() if key in keys}

    return Plan(1, None, Counter(), 0), Source("thing", load), reads  # type: ignore[arg-type]


STORED = {"a": {"id": 1, "amount": 10, "note": "x"}, "b": {"id": 2, "amount": 20, "note": "y"}}


def test_keys_are_read_once_and_a_missing_one_is_remembered() -> None:
    plan, things, reads = make(STORED)
    plan.preload(things, ["a", "c", "a"])
    assert plan.get(things, "c") is None
    assert plan.get(things, "a") == STORED["a"]
    assert plan.get(things, "b") == STORED["b"]
    assert reads == [["a", "c"], ["b"]]


def test_a_loader_may_answer_more_than_it_was_asked() -> None:
    reads = []

    def load(_connection: Connection, _merchant: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
        reads.append(list(keys))
        return STORED

    plan, _, _ = make()
    everything = Source("all", load)
    plan.get(everything, "a")
    plan.get(everything, "b")
    assert reads == [["a"]]


def test_what_was_changed_is_not_overwritten_by_a_later_read() -> None:
    plan, things, _ = make(STORED)
    row = plan.get(things, "a")
    assert row is not None
    plan.increment(TABLE, row, amount=5)
    plan.preload(things, ["a", "b"])
    assert plan.get(things, "a") is row
    assert row["amount"] == 15


def test_a_value_set_after_an_increment_replaces_it() -> None:
    plan, things, _ = make(STORED)
    row = plan.get(things, "a")
    assert row is not None
    plan.increment(TABLE, row, amount=5)
    plan.update(TABLE, row, amount=100)
    plan.increment(TABLE, row, amount=1)
    assert row["amount"] == 101
    assert plan._writes.updates == {("thing", 1): {"amount": 101}}
    assert plan._writes.increments == {("thing", 1): {"amount": 0}}


def test_a_row_inserted_here_is_changed_before_it_is_written() -> None:
    plan, _, _ = make()
    row = plan.insert(TABLE, {"amount": 1, "note": ""})
    seen = dict(row)  # another view of the same row, as a second source would give it
    plan.increment(TABLE, row, amount=2)
    plan.increment(TABLE, seen, amount=4)
    plan.update(TABLE, seen, note="z")
    assert plan.planned(TABLE) == [{"id": 101, "merchant_id": 1, "amount": 7, "note": "z"}]
    assert not plan._writes.updates
    assert not plan._writes.increments


def test_a_table_may_be_changed_first_and_added_to_later() -> None:
    plan, things, _ = make(STORED)
    row = plan.get(things, "a")
    assert row is not None
    plan.increment(TABLE, row, amount=1)
    plan.insert(TABLE, {"amount": 1, "note": ""})
    assert len(plan.planned(TABLE)) == 1


def test_events_are_taken_back_with_their_part() -> None:
    plan, _, _ = make()
    plan.emit("invoice.issued", "order:1", {})
    mark = plan.mark()
    plan.emit("payment.received", "order:1", {})
    plan.rollback(mark)
    assert [event.name for event in plan.events] == ["invoice.issued"]


def test_a_callers_own_change_is_taken_back_in_turn() -> None:
    plan, _, _ = make()
    order: list[str] = []
    mark = plan.mark()
    plan.on_rollback(lambda: order.append("first"))
    plan.on_rollback(lambda: order.append("second"))
    plan.rollback(mark)
    assert order == ["second", "first"]


def _state(plan: Plan) -> Any:
    writes = plan._writes
    return copy.deepcopy(
        (
            plan._state,
            {name: rows for name, rows in writes.inserts.items() if rows},
            {key: values for key, values in writes.updates.items() if values},
            {key: deltas for key, deltas in writes.increments.items() if any(deltas.values())},
            plan._dirty_inserts,
            plan.events,
        )
    )


STEP = st.tuples(
    st.sampled_from(["insert", "update", "increment", "put", "emit"]), st.integers(0, 5), st.integers(-5, 5)
)


def _step(plan: Plan, things: Source, step: tuple[str, int, int]) -> None:
    what, key, value = step
    row = plan.get(things, key)
    if what == "put":
        plan.put(things, key, None if row else {"id": 500 + key, "amount": value, "note": ""})
    elif what == "emit":
        plan.emit("changed", f"item:{key}", {"value": value})
    elif row is None or what == "insert":
        plan.put(things, key, plan.insert(TABLE, {"amount": value, "note": ""}))
    elif what == "update":
        plan.update(TABLE, row, amount=value, note=str(value))
    else:
        plan.increment(TABLE, row, amount=value)


@given(before=st.lists(STEP, max_size=8), dropped=st.lists(STEP, max_size=12))
def test_a_dropped_part_leaves_no_trace(
    before: list[tuple[str, int, int]], dropped: list[tuple[str, int, int]]
) -> None:
    plan, things, _ = make({key: {"id": key, "amount": 10 * key, "note": "x"} for key in range(1, 4)})
    plan.preload(things, range(6))
    for step in before:
        _step(plan, things, step)
    state, mark = _state(plan), plan.mark()
    for step in dropped:
        _step(plan, things, step)
    plan.rollback(mark)
    assert _state(plan) == state
