"""Ids are taken in blocks, by many threads, while others write."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hub.db.engine import Database, Ids


def test_no_id_is_given_twice_to_many_threads_and_processes(database: Database) -> None:
    other = Database(str(database.url))  # another process has its own blocks

    def take(ids: Ids) -> list[int]:
        taken = []
        for _ in range(20):
            ids.ensure(100)
            taken += [ids.next() for _ in range(100)]
        return taken

    with ThreadPoolExecutor(6) as pool:
        taken = [each for part in pool.map(take, [database.ids, other.ids] * 3) for each in part]
    other.dispose()
    assert len(set(taken)) == len(taken) == 12_000


def test_a_writer_may_take_ids_while_another_thread_waits_for_a_new_block(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.ids.ensure(10)
    with database.write():
        waiting = threading.Thread(target=database.ids.ensure, args=(30_000,), daemon=True)
        waiting.start()
        waiting.join(0.05)  # it waits for the writers' lock, which this thread holds
        taken: list[int] = []
        writer = threading.Thread(target=lambda: taken.append(database.ids.next()), daemon=True)
        writer.start()
        writer.join(2)
        assert taken, "the writer waits for the thread that waits for the writer"
    waiting.join(5)
    assert not waiting.is_alive()
    database.dispose()


def test_what_one_thread_made_sure_of_is_not_used_up_by_another(database: Database) -> None:
    database.ids.ensure(1_000)
    database.ids.ensure(1_000)  # by another thread
    assert len({database.ids.next() for _ in range(2_000)}) == 2_000


def test_ids_of_before_are_left_over_when_a_block_is_added(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.ids.ensure(10)
    first = database.ids.next()
    database.ids.ensure(50_000)
    assert database.ids.next() == first + 1
    database.dispose()


def test_without_ensure_there_are_no_ids(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with pytest.raises(RuntimeError, match="ensure"):
        database.ids.next()
    database.dispose()
