"""How the six events of an order reach the hub: in which order, by which way, and how often."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from hub.flows.context import ConnectionInfo
from hub.inbox.receive import Received, dedup_key
from hub.workers.scratch import Scratch

from .stories import EVENTS, Life

_WAYS = ("webhook", "poll", "backfill")


@dataclass(frozen=True)
class Arrival:
    """One event of an order arrives. `pick` chooses among the webhooks that tell of it; `again`: the very same delivery once
    more, or the same content under another id."""

    place: int
    way: str
    pick: int = 0
    again: str = ""

    def __str__(self) -> str:
        return f"{self.place + 1} by {self.way}{f' ({self.again})' if self.again else ''}"

    def event(self, scratch: Scratch, info: ConnectionInfo, life: Life) -> tuple[Received, Any]:
        """What comes in, and what the read of the order answered where it is read."""
        if self.way == "webhook":
            told = life.told[self.place]
            event, content = told[self.pick % len(told)], None
        else:
            stamp, content = life.read[self.place]
            event = scratch.read(info, "order", life.order_id, stamp)
            event = replace(
                event, kind=self.way, topic=f"{self.way}/order", dedup=dedup_key(self.way, life.order_id, stamp)
            )
        return (replace(event, dedup=None) if self.again == "told again" else event), content


def one_by_one() -> list[Arrival]:
    """Each event once, as it happens: what the others are compared with."""
    return [Arrival(place, "webhook") for place in range(EVENTS)]


def drawn(order: Iterable[int], chance: random.Random, most_read: int) -> list[Arrival]:
    """The events in the order given, by ways that are drawn, and some of them again later. No more than `most_read` of the
    six are told by a read."""
    readable = set(chance.sample(range(EVENTS), chance.randint(0, most_read)))
    found = [
        Arrival(place, chance.choice(_WAYS if place in readable else _WAYS[:1]), chance.randrange(60))
        for place in order
    ]
    for _ in range(chance.choice((0, 1, 2, 4))):
        at = chance.randrange(len(found))
        again = replace(found[at], again=chance.choice(("repeated", "told again")))
        found.insert(chance.randint(at + 1, len(found)), again)
    return found
