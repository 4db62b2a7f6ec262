"""The sandbox's shop: ids, clock, locations, products and stock, and what one action of the merchant sends out."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from . import sandbox_bodies as bodies
from .sandbox_model import Level, Location, Order, Refused, Variant
from .sandbox_money import minor

# Some kinds start above 2^53 (9007199254740992), as the vendor's may: an id that went through a float is another one.
FIRST_ID = {
    "Order": 9_100_000_000_000_001,
    "LineItem": 18_100_000_000_000_001,
    "Refund": 9_300_000_000_000_001,
    "InventoryItem": 9_500_000_000_000_001,
    "OrderTransaction": 6_600_000_000_001,
    "Product": 2_001,
    "ProductVariant": 1_001,
    "Location": 111,
    "InventoryAdjustmentGroup": 6_894_263_025_001,
}


class Clock:
    """The shop's time: a function that gives aware instants, or an instant that only moves when it is told to."""

    def __init__(self, source: Callable[[], datetime] | str | None = None) -> None:
        self._frozen: datetime | None = datetime.fromisoformat(source) if isinstance(source, str) else None
        self._source = source if callable(source) else (lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return (self._frozen or self._source()).astimezone(UTC)

    def move(self, now: str | None = None, advance: float | None = None) -> datetime:
        """Freezes the clock at an instant, or moves it on by seconds."""
        if now is not None:
            self._frozen = datetime.fromisoformat(now)
        if advance is not None:
            self._frozen = self.now() + timedelta(seconds=advance)
        return self.now()


class Event:
    """One action of the merchant or the buyer; the webhooks that it causes share its id."""

    def __init__(self, event_id: str) -> None:
        self.id = event_id
        self.levels: dict[tuple[int, int], tuple[Variant, int]] = {}
        self.sends: list[tuple[str, Callable[[], dict[str, Any]], Order | None]] = []

    def send(self, topic: str, body: Callable[[], dict[str, Any]], order: Order | None = None) -> None:
        self.sends.append((topic, body, order))


class Shop:
    """State of one shop. Every reader and writer holds `lock`."""

    def __init__(self, settings: dict[str, Any], clock: Clock, emit: Callable[..., None]) -> None:
        self.lock = threading.RLock()
        self.settings = settings
        self.clock = clock
        self._emit = emit
        self._counters: dict[str, Iterator[int]] = {}
        self.domain: str = settings["domain"]
        self.currency: str = settings["currency"]
        self.zone = ZoneInfo(settings["timezone"])
        self.locations = {(new := Location(self.new_id("Location"), name)).id: new for name in settings["locations"]}
        self.variants: dict[int, Variant] = {}
        self.items: dict[int, Variant] = {}
        self.by_sku: dict[str, Variant] = {}
        self.orders: dict[int, Order] = {}
        self.by_name: dict[str, Order] = {}
        # whose a fulfilment order, a fulfilment or a refund is, by kind and id
        self.owners: dict[tuple[str, int], Order] = {}
        self.emails: list[dict[str, Any]] = []
        self.null_pushes = 0
        self.pushes: list[dict[str, Any]] = []

    def now(self) -> datetime:
        """Stamps are to the second, as the vendor's are."""
        return self.clock.now().replace(microsecond=0)

    def new_id(self, kind: str) -> int:
        if kind not in self._counters:
            self._counters[kind] = itertools.count(FIRST_ID.get(kind, 4_400_000_000_001))
        return next(self._counters[kind])

    @contextmanager
    def action(self, order: Order | None = None) -> Iterator[Event]:
        """One action under the lock: at its end the order is stamped and checked, and what it caused is sent."""
        with self.lock:
            event = Event(f"event-{self.new_id('Event')}")
            yield event
            if order is not None:
                order.updated_at = self.now()
                order.check()
            for variant, location in event.levels.values():
                assert variant.levels[location].committed >= 0, f"{variant.sku}: committed stock below zero"
                event.send(
                    "inventory_levels/update", lambda v=variant, at=location: bodies.inventory_level(self, v, at)
                )
            for topic, body, about in event.sends:
                self._emit(topic, body, event.id, about.name if about else None)

    # --- places, products, stock ---
    def location(self, key: Any = None) -> int:
        """The id of a location given by id, GID or name; the first one when nothing is given."""
        if key is None:
            return next(iter(self.locations))
        wanted = str(key).rsplit("/", 1)[-1]
        for place in self.locations.values():
            if wanted == str(place.id) or key == place.name:
                return place.id
        raise Refused(f"no location {key!r}")

    def add_product(self, spec: dict[str, Any]) -> Variant:
        """Adds or changes the product of a SKU: `{sku, title, price, vat, quantity | quantities, ...}`."""
        sku = spec["sku"]
        with self.action() as event:
            old = self.by_sku.get(sku)
            variant = old or Variant(
                self.new_id("ProductVariant"),
                self.new_id("Product"),
                self.new_id("InventoryItem"),
                sku=sku,
                title=sku,
                vendor=spec.get("vendor", "Hub"),
                price=0,
                vat=Decimal("0.2"),
                tracked=True,
                gift_card=False,
                barcode=None,
                cost=None,
                updated_at=self.now(),
            )
            variant.title = spec.get("title", variant.title)
            variant.vendor = spec.get("vendor", variant.vendor)
            if "price" in spec:
                variant.price = minor(spec["price"], self.currency)
            if "vat" in spec:
                variant.vat = Decimal(str(spec["vat"]))
            if "cost" in spec:
                variant.cost = minor(spec["cost"], self.currency)
            variant.barcode = spec.get("barcode", variant.barcode)
            variant.gift_card = bool(spec.get("gift_card", variant.gift_card))
            variant.tracked = bool(spec.get("tracked", variant.tracked)) and not variant.gift_card
            variant.updated_at = self.now()
            if variant.gift_card:
                variant.vat = Decimal(0)
            self.variants[variant.id] = self.items[variant.item_id] = self.by_sku[sku] = variant
            quantities = spec.get("quantities") or ({None: spec["quantity"]} if "quantity" in spec else {})
            if variant.tracked:
                for place in self.locations:
                    variant.levels.setdefault(place, Level(0, self.now()))
                for key, quantity in quantities.items():
                    place = self.location(key)
                    self.move(event, variant, place, available=quantity - variant.levels[place].available)
            event.send("products/update", lambda: bodies.product(self, variant))
        return variant

    def move(
        self, event: Event, variant: Variant | None, location: int, available: int = 0, committed: int = 0
    ) -> None:
        """Changes the quantities of a tracked item; untracked and custom items have none."""
        if variant is None or not variant.tracked or (available == 0 and committed == 0):
            return
        level = variant.levels[location]
        level.available += available
        level.committed += committed
        level.updated_at = variant.updated_at = self.now()
        event.levels[variant.id, location] = (variant, location)

    def set_available(self, spec: dict[str, Any]) -> Level:
        """The merchant types a number of available units in the admin: `{sku, available | delta, location}`."""
        variant = self.by_sku.get(spec["sku"])
        if variant is None or not variant.tracked:
            raise Refused(f"no tracked item {spec['sku']!r}")
        place = self.location(spec.get("location"))
        level = variant.levels[place]
        delta = spec["delta"] if "delta" in spec else spec["available"] - level.available
        with self.action() as event:
            self.move(event, variant, place, available=delta)
        return level

    def order(self, key: Any) -> Order:
        """An order by id, GID, name or number."""
        wanted = str(key).rsplit("/", 1)[-1]
        found = self.by_name.get(wanted) or (self.orders.get(int(wanted)) if wanted.isdecimal() else None)
        if found is None:
            raise Refused(f"no order {key!r}")
        return found
