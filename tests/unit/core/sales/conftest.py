"""A house with an open book and a warehouse, on a real SQLite database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sales_house import House

from hub.db.engine import Database


@pytest.fixture
def house(sqlite_url: str, open_book_in: Callable[[Database], Any]) -> Iterator[House]:
    """Merchant 1 with an open book and a warehouse, on SQLite."""
    database = Database(sqlite_url)
    yield House(database, open_book_in(database))
    database.dispose()
