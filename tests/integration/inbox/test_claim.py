"""Claiming: who works on what, in which order, and what happens to events of a worker that is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from hub.db.engine import Database
from hub.inbox import claim, lanes
from hub.inbox.claim import Claim
from hub.inbox.receive import Received, insert_events
from hub.inbox.tables import Inbox, Lane

INBOX = Inbox.__table__  # type: ignore[attr-defined]
LANE = Lane.__table__  # type: ignore[attr-defined]
NOW = 1_795_507_200_000_000
SECOND = 1_000_000
Put = Callable[..., None]


@pytest.fixture
def put(database: Database) -> Put:
    """Stores events of merchant 1: `put("K1", "K2")`, each of a key."""
    with database.write() as connection:
        for merchant_id in (1, 2, 3):
            connection.execute(
                sa.text(
                    "INSERT INTO merchant (id, name, zone, currency, lanes, created_at) "
                    "VALUES (:id, 'Atelier', 'Europe/Paris', 'EUR', 16, 0)"
                ),
                {"id": merchant_id},
            )

    def insert(*keys: str, merchant_id: int = 1, kind: str = "webhook", state: str = "ready", **values: Any) -> None:
        events = [
            Received(
                merchant_id=merchant_id,
                connection_id=5,
                kind=kind,
                topic="t",
                record="order",
                record_id=key,
                ordering_key=key,
                lanes=16,
                body=b"{}",
                state=state,
            )
            for key in keys
        ]
        with database.write() as connection:
            before = connection.execute(sa.select(sa.func.coalesce(sa.func.max(INBOX.c.seq), 0))).scalar_one()
            insert_events(connection, events, NOW)
            if values:
                connection.execute(INBOX.update().where(INBOX.c.seq > before).values(**values))

    return insert


def take(database: Database, owner: str = "a", *, now: int = NOW, merchant_id: int = 1, **more: Any) -> Claim | None:
    with database.write() as connection:
        return claim.claim(connection, merchant_id, owner=owner, now=now, **more)


def keys(claimed: Claim | None) -> list[str]:
    return [] if claimed is None else [event.ordering_key for event in claimed.events]


def finish(database: Database, claimed: Claim, state: str = "done") -> None:
    with database.write() as connection:
        claim.finish(connection, claimed.events, [(state, None, None)] * len(claimed.events), NOW)


def put_off(connection: Connection, ordering_key: str, until: int) -> None:
    connection.execute(
        INBOX.update().where(INBOX.c.ordering_key == ordering_key).values(state="retry", next_attempt_at=until)
    )


# -- order ------------------------------------------------------------------------------------------------------------


def test_webhooks_are_claimed_before_polls_and_polls_before_backfill(database: Database, put: Put) -> None:
    put("old1", "old2", kind="backfill")
    put("polled", kind="poll")
    put("hook")
    order: list[str] = []
    while claimed := take(database, limit=1):
        order += keys(claimed)
        finish(database, claimed)
    assert order == ["hook", "polled", "old1", "old2"]


def test_within_a_key_events_stay_in_order_of_arrival_whatever_brought_them(database: Database, put: Put) -> None:
    put("K", kind="backfill")
    put("K", kind="poll")
    put("K")
    put("other", kind="poll")
    claimed = take(database, limit=3)
    assert claimed is not None
    assert keys(claimed) == ["K", "K", "K"]
    assert [event.kind for event in claimed.events] == ["backfill", "poll", "webhook"]


def test_a_long_backfill_of_one_key_does_not_keep_a_webhook_waiting(database: Database, put: Put) -> None:
    put(*["K"] * 80, kind="backfill")
    put("hook")
    claimed = take(database)
    assert claimed is not None
    assert len(claimed.events) == 50
    assert "hook" in keys(claimed)
    assert [event.seq for event in claimed.events] == sorted(event.seq for event in claimed.events)


def test_at_most_fifty_events_are_claimed(database: Database, put: Put) -> None:
    put(*(f"K{number}" for number in range(70)))
    first = take(database)
    assert first is not None
    assert len(first.events) == 50
    finish(database, first)
    second = take(database)
    assert second is not None
    assert len(second.events) == 20


def test_a_key_in_back_off_holds_its_later_events_and_no_others(database: Database, put: Put) -> None:
    put("K", state="retry", next_attempt_at=NOW + 10 * SECOND)
    put("K", "other")
    assert keys(take(database)) == ["other"]
    put("read", state="fetch")
    put("read")
    claimed = take(database, now=NOW + 11 * SECOND)
    assert keys(claimed) == ["other"], "claimed and not reported: alone"
    assert claimed is not None
    finish(database, claimed)
    assert keys(take(database, now=NOW + 11 * SECOND)) == ["K", "K"]


def test_keys_in_back_off_do_not_stand_in_the_way_of_a_whole_hub(database: Database, put: Put) -> None:
    # a shop that cannot be read: each of its orders waits for a read, with webhooks behind it
    put(*(f"K{number}" for number in range(60)), state="fetch", next_attempt_at=NOW + 900 * SECOND)
    put(*(f"K{number}" for number in range(60)))
    put("free")
    assert keys(take(database)) == ["free"]


def test_a_parked_event_lets_later_ones_pass_unless_its_flow_is_strict(database: Database, put: Put) -> None:
    put("K", state="parked")
    put("K", "other")
    assert keys(take(database, strict={(5, "order")})) == ["other"]
    with database.write() as connection:
        claim.give_back(connection, [3])
    assert keys(take(database, strict={(6, "order"), (5, "shipment")})) == ["K", "other"]


# -- lanes ------------------------------------------------------------------------------------------------------------


def test_two_workers_never_hold_the_same_lane(database: Database, put: Put) -> None:
    put(*(f"K{number}" for number in range(40)))
    first, second = take(database, "a", limit=10), take(database, "b", limit=40)
    assert first is not None
    assert second is not None
    assert set(first.fences) & set(second.fences) == set()
    assert set(keys(first)) & set(keys(second)) == set()


def test_lanes_of_another_worker_do_not_stand_in_the_way(database: Database, put: Put) -> None:
    busy = [key for key in (f"K{number}" for number in range(3_000)) if lanes.lane_of(key, 16) == 3][:60]
    free = next(key for key in (f"F{number}" for number in range(100)) if lanes.lane_of(key, 16) != 3)
    put(busy[0])
    assert keys(take(database, "a")) == [busy[0]]
    put(*busy[1:], free)
    assert keys(take(database, "b")) == [free]


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_fence(database: Database, put: Put) -> None:
    put("K")
    first = take(database, "a")
    assert first is not None
    assert take(database, "b") is None
    later = NOW + claim.LEASE_US + 1
    second = take(database, "b", now=later)
    assert second is not None
    [(lane, fence)] = first.fences.items()
    assert second.fences == {lane: fence + 1}
    with database.write() as connection, pytest.raises(lanes.LeaseLost):
        lanes.check_fences(connection, 1, first.fences, "a")
    with database.write() as connection:
        lanes.check_fences(connection, 1, second.fences, "b")


def test_a_worker_renews_its_own_lease_and_keeps_its_fence(database: Database, put: Put) -> None:
    put("K")
    first = take(database, "a")
    assert first is not None
    finish(database, first)
    put("K")
    second = take(database, "a", now=NOW + claim.LEASE_US - SECOND)
    assert second is not None
    assert second.fences == first.fences
    assert take(database, "b", now=NOW + claim.LEASE_US + SECOND) is None


def test_released_lanes_are_free_at_once(database: Database, put: Put) -> None:
    put("K")
    assert take(database, "a") is not None
    with database.write() as connection:
        lanes.release(connection, "a")
    assert keys(take(database, "b")) == ["K"]


def test_workers_that_meet_new_lanes_at_once_share_them(postgres_url: str) -> None:
    databases = [Database(postgres_url) for _ in range(4)]

    def lease(index: int) -> set[int]:
        taken: set[int] = set()
        for lane in range(60):
            with databases[index].write() as connection:
                got = lanes.lease(connection, 1, [lane], owner=f"w{index}", now=NOW, until=NOW + 60 * SECOND)
            taken |= set(got)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lease, range(4)))
    assert sum(map(len, taken)) == 60
    assert set().union(*taken) == set(range(60))
    for database in databases:
        database.dispose()


def test_an_event_finished_since_it_was_looked_at_is_not_claimed(postgres_url: str, monkeypatch: Any) -> None:
    """A worker reports and stops between the look and the lease of another."""
    one, two = Database(postgres_url), Database(postgres_url)
    with one.write() as connection:
        insert_events(connection, [_received("K"), _received("K"), _received("L")], NOW)
    first = take(one, "a", limit=1)
    assert first is not None
    lease = lanes.lease

    def late(connection: Connection, *arguments: Any, **more: Any) -> dict[int, int]:
        with two.write() as other:
            claim.finish(other, first.events, [("done", None, None)], NOW)
            lanes.release(other, "a")
        return lease(connection, *arguments, **more)

    with one.write() as connection:
        connection.execute(LANE.update().values(until=0))
    monkeypatch.setattr(lanes, "lease", late)
    claimed = take(one, "b")
    assert claimed is None or first.events[0].seq not in [event.seq for event in claimed.events]
    monkeypatch.undo()
    worked = [event.seq for event in claimed.events] if claimed else []
    while again := take(one, "b"):
        worked += [event.seq for event in again.events]
        finish(one, again)
    assert sorted(set(worked)) == [2, 3]
    one.dispose()
    two.dispose()


def _received(key: str) -> Received:
    return Received(
        merchant_id=1, connection_id=5, kind="webhook", topic="t", record="order", record_id=key, ordering_key=key,
        lanes=16, body=b"{}",
    )  # fmt: skip


# -- crashed workers ------------------------------------------------------------------------------------------------------


def test_events_of_a_crashed_worker_are_claimed_alone(database: Database, put: Put) -> None:
    put("K", "L", "M")
    assert keys(take(database)) == ["K", "L", "M"]
    alone = take(database)
    assert alone is not None
    assert keys(alone) == ["K"]
    assert alone.events[0].claims == 1
    finish(database, alone)
    assert keys(take(database)) == ["L"]


def test_a_lone_claim_is_counted_and_a_report_clears_the_count(database: Database, put: Put) -> None:
    put("K")
    counts = []
    for _ in range(4):
        claimed = take(database)
        assert claimed is not None
        counts.append(claimed.events[0].claims)
    assert counts == [0, 1, 2, 3]
    with database.write() as connection:
        claim.give_back(connection, [1])
    again = take(database)
    assert again is not None
    assert again.events[0].claims == 0


def test_an_event_that_was_put_back_goes_before_the_crashed_ones_of_its_key(database: Database, put: Put) -> None:
    put("K")
    put("K", claims=1)
    claimed = take(database)
    assert claimed is not None
    assert [event.seq for event in claimed.events] == [1]


# -- merchants and reads --------------------------------------------------------------------------------------------------


def test_merchants_with_something_due_are_known(database: Database, put: Put) -> None:
    put("K", merchant_id=1, state="retry", next_attempt_at=NOW + SECOND)
    put("K", merchant_id=2)
    put("K", merchant_id=3, state="fetch")

    def due(**more: Any) -> Sequence[int]:
        with database.read() as connection:
            return claim.due_merchants(connection, more.pop("now", NOW), **more)

    assert due() == [2]
    assert due(state="fetch") == [3]
    assert due(now=NOW + 2 * SECOND) == [1, 2]


def test_a_read_that_is_made_twice_is_worked_once(database: Database, put: Put) -> None:
    put("K", kind="read", state="fetch")
    with database.write() as connection:
        [first] = claim.claim_reads(connection, 1, now=NOW, limit=10)
        assert claim.claim_reads(connection, 1, now=NOW, limit=10) == [], "somebody reads already"
        [second] = claim.claim_reads(connection, 1, now=NOW + claim.LEASE_US, limit=10)
        claim.was_read(connection, first, b'{"n": 1}')
    claimed = take(database)
    assert claimed is not None
    assert claimed.events[0].reads == b'{"n": 1}'
    finish(database, claimed)
    with database.write() as connection:
        claim.was_read(connection, second, b'{"n": 2}')
        claim.read_later(connection, second, NOW, "too late")
    assert take(database) is None


def test_reads_of_a_connection_that_lets_nobody_in_wait(database: Database, put: Put) -> None:
    put("K", kind="read", state="fetch")
    with database.write() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO connection (id, merchant_id, name, connector, mode, settings, status, created_at, updated_at)"
                " VALUES (5, 1, 'shop', 'http', 'live', '{}', 'reconnect_needed', 0, 0)"
            )
        )
        assert claim.claim_reads(connection, 1, now=NOW, limit=10) == []
        connection.execute(sa.text("UPDATE connection SET status = 'connected'"))
        assert len(claim.claim_reads(connection, 1, now=NOW, limit=10)) == 1
