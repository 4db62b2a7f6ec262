"""The Shopify sandbox over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.connectors.serving import Swap, load, serving
from tests.connectors.shopify_serving import PRODUCTS, Admin, Inbox

sandbox = load("shopify")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Swap, str]]:
    swap = Swap()
    with serving(swap) as base:
        yield swap, base


@pytest.fixture
def open_shop(server: tuple[Swap, str]) -> Any:
    """Serves a sandbox with settings; gives its client."""

    def serve(**settings: Any) -> Admin:
        swap, base = server
        swap.app = sandbox.create(**{"products": PRODUCTS, "clock": "2026-11-24T09:12:31+01:00", **settings})
        return Admin(base)

    return serve


@pytest.fixture
def admin(open_shop: Any) -> Admin:
    return open_shop()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()
