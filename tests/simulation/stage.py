"""The stage of the simulation: one database file, the sandboxes of four systems, two hub processes; as new for each seed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa
import structlog
import tenacity.nap

from hub.connect import links
from hub.connect.http import httpx
from hub.connect.registry import Registry
from hub.workers.admin.connections import adopt_stock
from hub.workers.recorded import Stocked
from hub.workers.sandboxed import FakeClock, Sandboxes
from hub.workers.scratch import MERCHANT_ID, Scratch, ScratchFile, empty

from .processes import Process
from .wire import WAREHOUSE_SECRET, Wire

#: 2026-11-24T09:00:00+01:00
BEGIN = 1_795_507_200_000_000
ROLES = {"shop": "shopify", "books": "quickbooks", "warehouse": "shipbob", "mail": "smtp"}
UNITS = {"MUG-01": 9, "TEA-01": 14, "BOOK-01": 30}
PRODUCTS = [
    {"sku": "MUG-01", "title": "Mug", "price": "12.00", "vat": "0.2"},
    {"sku": "TEA-01", "title": "Thé", "price": "7.35", "vat": "0.055"},
    {"sku": "BOOK-01", "title": "Livre", "price": "9.99", "vat": "0.055"},
]
#: a receipt of more is refused, after its units were put on the shelf: they have to be taken off again
MOST_RECEIVED = 3
_RECEIPTS = f"""flow: goods-receipts
description: Goods came in, and not too many at once.
on: {{manual: receipts}}
steps:
  - stock.move: {{source: supplier, destination: main, kind: receipt, ref: "'receipt:' + record.ref + ':' + record.sku"}}
  - validate: {{that: record.quantity <= {MOST_RECEIVED}, else: "'too many at once'"}}
"""
#: what is asked for changes: a role and its record
POLLED = (("shop", "order"), ("warehouse", "shipment"))


class Stage:
    """Made once a process of the test run; `begin` makes it as new. `flows`: those that run, by name; None: all."""

    def __init__(self, folder: Path, *, units: Mapping[str, int] = UNITS, flows: Collection[str] | None = None) -> None:
        self.units = dict(units)
        self.home = folder / "home"
        (self.home / "flows").mkdir(parents=True)
        (self.home / "flows/goods-receipts.yaml").write_text(_RECEIPTS, "utf-8")
        self.clock = FakeClock(BEGIN)
        self.registry = Registry.discover()
        self.file = ScratchFile(folder)
        self.file.restore(empty())
        self.sandboxes = Sandboxes(self.registry, ROLES, self.clock.moment)
        self.client = httpx.Client(transport=self.sandboxes.transport)
        self.wire = Wire(self.registry, self.clock)
        self._settings = self._reset()
        self.scratch = Scratch(
            self.file,
            self.registry,
            self.clock,
            homes=[self.home],
            flows=flows,
            transport=self.sandboxes.transport,
            first_id=100_000,
        )
        self.connections = {
            role: self.scratch.connect(role, connector, self._settings[role], mode="live")
            for role, connector in ROLES.items()
        }
        self.scratch.stock(Stocked(sku, sku, True, {"main": units}) for sku, units in self.units.items())
        hub = self.scratch.hub
        self.lanes = hub.active(MERCHANT_ID).lanes
        adopt_stock(hub, "shop")
        with self.still():
            for role, record in POLLED:  # from now on a poll finds what changed
                hub.poller.poll(MERCHANT_ID, self.connections[role], record)
        self._saved = self.file.save()
        self._stored = dict(self._settings)
        self.processes = [
            Process(
                name, str(self.file.database.url), self.scratch.vault, self.registry, self.clock,
                self.sandboxes.transport, self.lanes, self.home,
            )
            for name in ("A", "B")
        ]  # fmt: skip

    @contextmanager
    def still(self) -> Iterator[None]:
        """While the real time is not to be seen, and nothing is waited for or logged."""
        clock = self.clock

        class Now(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(clock.now / 1_000_000, tz or UTC)

        class Time:
            @staticmethod
            def monotonic() -> float:
                return clock.now / 1_000_000

            @staticmethod
            def sleep(_seconds: float) -> None:
                """A wait of the hub's reads is no time."""

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        orders = self.registry.get("shopify").module("orders")
        shipments = self.registry.get("shipbob").module("shipments")
        with (
            mock.patch.object(orders, "datetime", Now),
            mock.patch.object(shipments, "datetime", Now),
            mock.patch.object(links, "time", Time),
            mock.patch.object(tenacity.nap, "time", Time),
        ):
            try:
                yield
            finally:
                structlog.reset_defaults()

    def begin(self) -> None:
        """Everything as it was in the beginning."""
        self.clock.now = BEGIN
        self.file.restore(self._saved)
        settings = self._reset()
        for role, values in settings.items():
            if values != self._stored[role]:  # other tokens
                with self.file.database.write() as connection:
                    links.update_settings(connection, self.registry, self.scratch.vault, self.connections[role], values)
        for process in self.processes:
            process.start()

    def _reset(self) -> dict[str, dict[str, Any]]:
        settings = self.sandboxes.reset([{**each, "quantity": self.units[each["sku"]]} for each in PRODUCTS])
        settings["warehouse"]["webhook_secret"] = WAREHOUSE_SECRET
        bucket = self.sandboxes.inside("shop").bucket
        bucket.size = bucket._level = 1e12  # it fills in real time, and there is none
        self.wire.attach(self.sandboxes.inside("shop"), self.sandboxes.inside("warehouse"))
        return settings

    # -- looking -----------------------------------------------------------------------------------------------------

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Rows of the database as it is now."""
        with self.file.database.read() as connection:
            return list(connection.execute(sa.text(statement), values))

    def sandbox(self, role: str) -> dict[str, Any]:
        """The state of a sandbox, as it shows it."""
        if role == "mail":
            return dict(self.sandboxes.inside("mail").state())
        return dict(self.client.get(f"{self._settings[role]['base_url']}/_sandbox/state").json())

    def end_faults(self) -> None:
        """From now on the systems answer as they should."""
        self.sandboxes.inside("shop").faults.clear()
        self.sandboxes.inside("mail").forget_faults()
        for role in ("books", "warehouse"):
            self.client.delete(f"{self._settings[role]['base_url']}/_sandbox/faults")

    def close(self) -> None:
        self.client.close()
        self.scratch.close()
        self.sandboxes.close()
