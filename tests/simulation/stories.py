"""Six events of an order's life at the shop, and the events that each of them brings to the hub, by whatever way."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hub.connect import reads
from hub.inbox.receive import Received

from .stage import Stage

Spec = dict[str, Any]
EVENTS = 6
_LINES = [{"sku": "MUG-01", "quantity": 2}, {"sku": "TEA-01", "quantity": 1}]
_SHIPPING = {"title": "Colissimo", "price": "4.90", "vat": "0.2"}
_MORE = ("edit", {"add": [{"sku": "BOOK-01", "quantity": 1}]})
_LESS = ("edit", {"remove": [{"sku": "MUG-01", "quantity": 1}]})
_PAY: tuple[str, Spec] = ("pay", {})
_TOUCH: tuple[str, Spec] = ("touch", {"note": "Merci"})
_BACK = ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1, "restock": "RETURN"}]})
_GESTURE = ("refund", {"amount": "2.50", "note": "Geste"})
_BY_HAND = ("fulfill", {"tracking": {"company": "Colissimo", "number": "6A1"}})
#: what the warehouse does to the order, told by the shop once it knows
SENT: tuple[str, Spec] = ("sent", {})


@dataclass(frozen=True)
class Story:
    """An order's life: it is placed, and five things happen to it. `ends`: what happens when all has arrived."""

    name: str
    after: tuple[tuple[str, Spec], ...]
    lines: list[Spec] = field(default_factory=lambda: _LINES)
    warehouse: bool = True
    ends: tuple[tuple[str, Spec], ...] = ()

    @property
    def sent(self) -> int:
        """Which of its events the warehouse brings about; `EVENTS` where none does."""
        return next((place for place, (what, _) in enumerate(self.after, 1) if what == SENT[0]), EVENTS)

    def orders(self) -> Iterator[tuple[int, ...]]:
        """All orders in which its events can arrive: what the warehouse brings about, and what follows, is not there before
        the hub knows of the payment, since the warehouse knows from the hub."""
        paid = next(place for place, (what, _) in enumerate(self.after, 1) if what == "pay")
        late = range(self.sent, EVENTS)
        for each in itertools.permutations(range(EVENTS)):
            if all(each.index(paid) < each.index(place) for place in late):
                yield each


STORIES = {
    story.name: story
    for story in (
        # goods that the merchant sends himself: no warehouse is asked
        Story("shipped-by-hand", (_MORE, _PAY, _BY_HAND, _BACK, _TOUCH), warehouse=False),
        Story("edited-when-paid", (_PAY, _MORE, _PAY, _BY_HAND, _BACK), warehouse=False),
        # the warehouse was told of it or not, as the events came: it keeps nothing of it
        Story("cancelled", (_LESS, _TOUCH, _PAY, ("cancel", {}), _TOUCH)),
        Story("given-back-a-little", (_MORE, _PAY, _GESTURE, _TOUCH, _TOUCH), ends=(SENT,)),
        Story("sent-by-the-warehouse", (_LESS, _PAY, SENT, _BACK, _TOUCH)),
    )
}


@dataclass
class Life:
    """One order at the shop, as far as it has come."""

    story: Story
    name: str
    order_id: str
    #: of each event so far: the webhooks that tell of the order then
    told: list[list[Received]] = field(default_factory=list)
    #: of some events: the stamp, and what a read of the order answered then
    read: dict[int, tuple[str, Any]] = field(default_factory=dict)


class Lives:
    """The orders of one shop: what happens to them, and what is sent about it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._info = stage.scratch.info("shop")
        self._link = stage.scratch.hub.links.open(stage.connections["shop"])
        self._by_id: dict[str, Life] = {}
        #: webhooks of stock and of the warehouse, the newest of each record
        self.others: dict[tuple[str, str], Received] = {}

    def place(self, story: Story, number: int) -> Life:
        spec = {
            "lines": story.lines,
            "shipping": _SHIPPING,
            "pay": False,
            "customer": {
                "email": f"buyer{number % 3}@example.org",
                "first_name": "Camille",
                "last_name": f"Exemple {number % 3}",
            },
        }
        self._later()
        placed = self._stage.sandboxes.post("shop", "orders", spec)
        life = self._by_id[placed["id"]] = Life(story, placed["name"], placed["id"])
        self.hear({life.order_id})
        return life

    def go_on(self, life: Life) -> None:
        """The next thing happens to an order."""
        what, spec = life.story.after[len(life.told) - 1]
        self._later()
        self._stage.sandboxes.post("shop", f"orders/{life.name.lstrip('#')}/{what}", spec)
        self.hear({life.order_id})

    def hear(self, of: set[str]) -> None:
        """What the shop has sent: the next event of some orders. What it sends of others belongs to their last."""
        found: dict[str, list[Received]] = defaultdict(list)
        for message in self._stage.wire.waiting:
            info = self._stage.scratch.info(message.role)
            assert info is not None
            event = self._stage.scratch.webhook(info, message.topic, message.body)
            if event.record == "order":
                found[event.record_id].append(event)
            else:
                self.others[event.record, event.record_id] = event
        self._stage.wire.waiting.clear()
        for order_id in of:
            self._by_id[order_id].told.append(found.pop(order_id, []))
        for order_id, events in found.items():
            self._by_id[order_id].told[-1].extend(events)

    def look(self, life: Life) -> None:
        """What a read of the order answers now."""
        record = reads.read(self._link, "order", life.order_id)
        assert record is not None
        life.read[len(life.told) - 1] = (record["updatedAt"], record)

    def ship(self) -> None:
        """The warehouse sends everything that it has."""
        self._later()
        self._stage.sandboxes.post("warehouse", "ship", {"all": True, "carrier": "Colissimo", "service": "Domicile"})

    def _later(self) -> None:
        self._stage.clock.now += 1_000_000  # the shop's stamps are of whole seconds
