"""Receiving: answered after the commit, exact repeats dropped, one that cannot be stored holds up no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from hub.db.engine import Database
from hub.inbox.receive import Intake, Received, dedup_key
from hub.inbox.tables import Inbox, InboxSeen

INBOX = Inbox.__table__  # type: ignore[attr-defined]
SEEN = InboxSeen.__table__  # type: ignore[attr-defined]


def event(number: int = 1, **more: Any) -> Received:
    values: dict[str, Any] = {
        "merchant_id": 1,
        "connection_id": 5,
        "kind": "webhook",
        "topic": "orders/paid",
        "record": "order",
        "record_id": str(number),
        "ordering_key": f"5:order:{number}",
        "lanes": 16,
        "body": b"{}",
        "dedup": dedup_key("id", str(number)),
    }
    return Received(**{**values, **more})


def stored(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(INBOX).order_by(INBOX.c.seq)).all())


@pytest.fixture
def intake(database: Database) -> Iterator[Intake]:
    made = Intake(database)
    yield made
    made.close()


def test_many_threads_are_answered_after_their_commit_and_share_transactions(database: Database) -> None:
    commits = 0
    woken = threading.Event()

    def count() -> None:
        nonlocal commits
        commits += 1
        woken.set()

    intake = Intake(database, count)

    def receive(number: int) -> bool:
        [new] = intake.receive([event(number)])
        with database.read() as connection:  # what is answered is committed
            found = connection.execute(sa.select(INBOX.c.seq).where(INBOX.c.record_id == str(number))).all()
        return new and len(found) == 1

    with database.write() as busy:  # the intake waits here; meanwhile events queue up (SQLite) or commit (PostgreSQL)
        busy.execute(sa.text("SELECT 1"))
        pool = ThreadPoolExecutor(24)
        answers = [pool.submit(receive, number) for number in range(200)]
    assert all(answer.result(20) for answer in answers)
    pool.shutdown()
    intake.close()
    assert len(stored(database)) == 200
    assert woken.is_set()
    assert commits < 200, "every event had a transaction of its own"


def test_a_delivery_that_comes_again_is_a_repeat_by_its_id_and_by_its_content(
    database: Database, intake: Intake
) -> None:
    by_id = event(1)
    by_content = event(2, dedup=dedup_key("body", "orders/paid", "2", None, b'{"id": 2}'))
    changed = event(2, dedup=dedup_key("body", "orders/paid", "2", None, b'{"id": 2, "note": "x"}'))
    assert intake.receive([by_id, by_content, by_id]) == [True, True, False]
    assert intake.receive([by_id, by_content, changed]) == [False, False, True]
    assert intake.receive([event(1, connection_id=6), event(1, merchant_id=2)]) == [True, True]
    assert len(stored(database)) == 5


def test_events_without_a_key_are_never_repeats(database: Database, intake: Intake) -> None:
    assert intake.receive([event(1, dedup=None), event(1, dedup=None)]) == [True, True]


def test_the_parts_of_a_dedup_key_do_not_run_together() -> None:
    assert dedup_key("ab", "c") != dedup_key("a", "bc")
    assert dedup_key("a", None) == dedup_key("a", b"")
    assert len(dedup_key("a")) == 20


def test_events_are_numbered_in_the_order_they_were_received(database: Database, intake: Intake) -> None:
    intake.receive([event(number) for number in range(50)])
    assert [row.record_id for row in stored(database)] == [str(number) for number in range(50)]


def test_two_processes_that_store_the_same_keys_at_once_store_each_once(postgres_url: str) -> None:
    databases = [Database(postgres_url), Database(postgres_url)]
    intakes = [Intake(database) for database in databases]
    forwards, backwards = list(range(120)), list(reversed(range(120)))
    start = threading.Barrier(2)

    def receive(intake: Intake, numbers: list[int]) -> dict[int, bool]:
        start.wait()
        futures = {number: intake.submit(event(number)) for number in numbers}
        return {number: future.result(20) for number, future in futures.items()}

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(receive, intakes, [forwards, backwards])
    assert all(one[number] != two[number] for number in range(120)), "each is new once, and a repeat for the other"
    assert len(stored(databases[0])) == 120
    for intake, database in zip(intakes, databases, strict=True):
        intake.close()
        database.dispose()


def test_an_event_that_cannot_be_stored_holds_up_none_of_those_beside_it(database: Database, intake: Intake) -> None:
    with database.write(first=True) as busy:
        busy.execute(sa.text("SELECT 1"))
        good = [intake.submit(event(1)), intake.submit(event(2))]
        bad = intake.submit(event(3, record_id=None))
        last = intake.submit(event(4))
    assert [future.result(10) for future in (*good, last)] == [True, True, True]
    with pytest.raises(DBAPIError):
        bad.result(10)
    # it was not taken for a repeat, and its key is not remembered as seen
    assert intake.receive([event(3)]) == [True]


def test_a_sender_that_gave_up_waiting_does_not_stop_the_intake(database: Database, intake: Intake) -> None:
    with database.write(first=True) as busy:
        busy.execute(sa.text("SELECT 1"))
        intake.submit(event(1))
        given_up = [intake.submit(event(number)) for number in (2, 3)]
        cancelled = [future.cancel() for future in given_up]
    assert intake.receive([event(4)]) == [True]
    kept = {row.record_id for row in stored(database)}
    assert {"1", "4"} <= kept
    assert all(str(number) not in kept for number, gone in zip((2, 3), cancelled, strict=True) if gone)


def test_after_its_close_nothing_is_received_and_nobody_waits(database: Database) -> None:
    intake = Intake(database)
    queued = [intake.submit(event(number)) for number in range(30)]
    intake.close()
    assert all(future.result(0) for future in queued), "what was queued is stored"
    with pytest.raises(RuntimeError, match="stopping"):
        intake.submit(event(99)).result(1)
