"""The QuickBooks sandbox over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.connectors.quickbooks_company import (
    Clock,
    Company,
)
from tests.connectors.serving import Swap, load, serving


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Swap, str]]:
    swap = Swap()
    with serving(swap) as base:
        yield swap, base


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(server: tuple[Swap, str], clock: Clock) -> Iterator[Any]:
    """Starts a sandbox with settings and gives a client of it."""
    swap, base = server
    with httpx2.Client(base_url=base) as client:

        def make(**settings: Any) -> Company:
            swap.app = load("quickbooks").create("id", "secret", clock=clock, **settings)
            return Company(client)

        yield make


@pytest.fixture
def company(start: Any) -> Company:
    return start()
