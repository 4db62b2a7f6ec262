"""A few ids are never looked for among all rows of their merchant: each statement that takes a list of keys is explained by
SQLite on the migrated schema. Without what the migration tells its planner, seven of them read whole tables."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import visitors

import hub
from hub.core.reading import Keys
from hub.db import migrate
from hub.db.engine import Database
from hub.workers import gauges


def _statements() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Statements that are built once and take lists, with values for them."""
    seen: set[int] = set()
    for found in pkgutil.walk_packages(hub.__path__, "hub."):
        if "migrations" in found.name or found.name.endswith("__main__"):
            continue
        for name, statement in vars(importlib.import_module(found.name)).items():
            if not isinstance(statement, sa.Select | sa.Update | sa.Delete) or id(statement) in seen:
                continue
            seen.add(id(statement))
            binds = {each.key: each for each in visitors.iterate(statement) if isinstance(each, sa.BindParameter)}
            values = {
                key: list(range(5)) if isinstance(each.type, Keys) else 1
                for key, each in binds.items()
                if each.required
            }
            if any(isinstance(value, list) for value in values.values()):
                yield f"{found.name}.{name}", statement, values


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'hub.sqlite'}"
    migrate.upgrade(url)
    made = Database(url)
    yield made
    made.dispose()


def test_no_list_of_keys_is_looked_for_among_all_rows(database: Database) -> None:
    explained = 0
    whole: dict[str, list[str]] = {}
    with database.read() as connection:
        partial = set(
            connection.exec_driver_sql(
                "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %'"
            ).scalars()
        )
        for name, statement, values in _statements():
            made = statement.compile(dialect=sqlite.dialect()).construct_expanded_state(values)
            given = tuple(str(each) if isinstance(each, list) else each for each in made.positional_parameters)
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {made.statement}", given)
            explained += 1
            for line in plan.scalars("detail").all():
                index = re.search(r"INDEX (\w+)", line)
                if (re.match(r"SCAN (?!json_each)", line) or "(merchant_id=?)" in line or "ANY(" in line) and not (
                    index and index[1] in partial
                ):
                    whole.setdefault(name, []).append(line)
    assert whole == {}
    assert explained > 30


def test_the_planner_is_told_of_each_index_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.sqlite'}"
    for _ in range(2):
        migrate.upgrade(url)
    database = Database(url)
    with database.read() as connection:
        told = connection.exec_driver_sql("SELECT tbl, idx, stat FROM sqlite_stat1").all()
    database.dispose()
    assert len({(table, index) for table, index, _ in told}) == len(told) > 20
    assert all(stat.split()[1] == "16384" for _, _, stat in told)


@pytest.mark.parametrize("name", ["EVENTS", "DELIVERIES", "QUESTIONS"])
def test_what_is_open_is_counted_without_a_look_at_what_is_done(database: Database, name: str) -> None:
    statement = getattr(gauges, name)
    with database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").scalars("detail").all()
    assert re.search(r"USING (COVERING )?INDEX (inbox_open_key|delivery_open\w*|question_open)", plan[0]), plan
