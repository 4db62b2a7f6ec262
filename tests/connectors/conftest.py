"""Connections to sandboxes, as the hub has them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hub.connect.links import Links
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.vault import Vault
from hub.db.engine import Database
from tests.connectors.kit import Kit, control


@pytest.fixture
def kit(sqlite_url: str) -> Iterator[Kit]:
    database = Database(sqlite_url)
    links = Links(Registry.discover(), Vault([root_key(secrets.token_bytes(32))], database.ids), database)
    made = Kit(database, links)
    yield made
    links.close()
    for running in made.running:
        running.stop()
    database.dispose()


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Calls a sandbox's control routes."""
    return control
