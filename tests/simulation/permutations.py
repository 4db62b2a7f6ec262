"""Orders whose events arrive in every order, more than once, by webhook, poll and backfill, and end alike.

`python -m tests.simulation.permutations --story cancelled --part 3` runs one part of a story's cases again."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .arrivals import Arrival, drawn, one_by_one
from .order_facts import facts_of, wrong
from .stage import UNITS, Stage
from .stories import STORIES, Life, Lives, Story

#: orders that share a hub, the first of them told of one by one
TOGETHER = 51
#: arrivals between two looks at what there is to do: a hub that keeps up, one that lags, one that was down all the while
_SLICES = (40, 150, 10_000)
_OWN_FLOWS = (
    "shop-orders",
    "invoices-to-books",
    "credit-notes-to-books",
    "payments-to-books",
    "shop-stock-watch",
    "stock-to-shops",
)
_WAREHOUSE_FLOWS = ("orders-to-warehouse", "cancellations-to-warehouse", "shipments", "shipments-to-shop")


@dataclass(frozen=True)
class Part:
    """Some cases of a story: those that one hub works."""

    story: str
    number: int
    cases: int = TOGETHER - 1
    #: how many of the six events of an order are read at the most
    most_read: int = 6

    @property
    def command(self) -> str:
        options = f"--story {self.story} --part {self.number} --cases {self.cases} --read {self.most_read}"
        return f"python -m tests.simulation.permutations {options}"


@lru_cache(maxsize=2)
def _stage(warehouse: bool) -> Stage:
    folder = Path(tempfile.mkdtemp(prefix="hub-permutations-"))
    flows = _OWN_FLOWS + (_WAREHOUSE_FLOWS if warehouse else ())
    return Stage(folder, units=dict.fromkeys(UNITS, 1_000), flows=flows)


def arrivals_of(part: Part) -> list[list[Arrival]]:
    """How the orders of a part are told of: the first one by one. The parts of a story go through all its orders in turn."""
    story = STORIES[part.story]
    every = list(story.orders())
    random.Random(part.story).shuffle(every)
    first = part.number * part.cases
    chosen = [every[case % len(every)] for case in range(first, first + part.cases)]
    chance = random.Random(f"{part.story} {part.number}")
    return [one_by_one(), *(drawn(order, chance, part.most_read) for order in chosen)]


def run(part: Part) -> list[str]:
    """Runs the cases of a part. Returns what is wrong: nothing, or what differs, and how that order was told of."""
    story, ways = STORIES[part.story], arrivals_of(part)
    stage = _stage(story.warehouse)
    with stage.still():
        stage.begin()
        hub = _Told(stage, story, ways, random.Random(f"{part.story} {part.number} slices"))
        hub.run()
        facts = facts_of(stage)
        found = wrong(stage, facts)
    expected = facts[hub.lives[0].name]
    for life, way in zip(hub.lives, ways, strict=True):
        for what, value in facts[life.name].items():
            if value != expected[what]:
                found.append(
                    f"{life.name}, told of as {', '.join(map(str, way))}: {what} {value}, not {expected[what]}"
                )
    return [part.command, *found] if found else []


class _Told:
    """Orders of one story, and the hub that is told of them."""

    def __init__(self, stage: Stage, story: Story, ways: Sequence[list[Arrival]], chance: random.Random) -> None:
        self._stage, self._story, self._chance = stage, story, chance
        self._slice = chance.choice(_SLICES)
        self._shop = Lives(stage)
        self._left = [list(way) for way in ways]
        self._read = [{each.place for each in way if each.way != "webhook"} for way in ways]
        self.lives: list[Life] = []

    def run(self) -> None:
        story, shop = self._story, self._shop
        self.lives = [shop.place(story, number) for number in range(len(self._left))]
        self._look()
        self._happen(story.sent)
        self._arrive(story.sent)
        if any(story.after[place - 1][0] == "sent" for place in range(story.sent, len(story.after) + 1)):
            self._send()
            self._shop.hear({life.order_id for life in self.lives})
            self._look()
            self._happen(len(story.after) + 1)
            self._arrive(len(story.after) + 1)
        for _ in story.ends:
            self._send()
        self._rest()

    def _happen(self, until: int) -> None:
        """Everything that happens to the orders at the shop, until an event."""
        while len(self.lives[0].told) < until:
            for life in self.lives:
                self._shop.go_on(life)
            self._look()

    def _look(self) -> None:
        for life, read in zip(self.lives, self._read, strict=True):
            if len(life.told) - 1 in read:
                self._shop.look(life)

    def _arrive(self, until: int) -> None:
        """The hub hears of what it can, up to the first event of each order that has not happened yet."""
        info = self._stage.scratch.info("shop")
        assert info is not None
        for number, (life, arrival) in enumerate(self._mixed(until), 1):
            event, content = arrival.event(self._stage.scratch, info, life)
            self._stage.scratch.receive(event, content)
            if number % self._slice == 0:
                self._work()
        self._work()

    def _mixed(self, until: int) -> Iterator[tuple[Life, Arrival]]:
        """The arrivals of all orders, mixed; those of one order stay in their order."""
        turns = []
        for place, left in enumerate(self._left):
            ready = next((at for at, each in enumerate(left) if each.place >= until), len(left))
            turns += [place] * ready
        self._chance.shuffle(turns)
        for place in turns:
            yield self.lives[place], self._left[place].pop(0)

    def _work(self) -> None:
        self._stage.clock.now += 1_000_000
        self._stage.scratch.hub.run_until_idle()

    def _send(self) -> None:
        """The warehouse sends all, the hub hears of it and tells the shop."""
        self._shop.ship()
        self._others()
        self._work()

    def _rest(self) -> None:
        """What the shop said of its stock, and what it was told itself, arrive last."""
        for _ in range(3):
            self._shop.hear(set())
            self._others()
            self._work()

    def _others(self) -> None:
        self._shop.hear(set())
        for event in self._shop.others.values():
            self._stage.scratch.receive(event)
        self._shop.others.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--story", choices=list(STORIES), action="append")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1, help="so many parts from there on")
    parser.add_argument("--cases", type=int, default=TOGETHER - 1)
    parser.add_argument("--read", type=int, default=6)
    arguments = parser.parse_args()
    failed, began, count = 0, time.process_time(), 0
    for story in arguments.story or STORIES:
        for number in range(arguments.part, arguments.part + arguments.parts):
            found = run(Part(story, number, arguments.cases, arguments.read))
            count += arguments.cases
            if found:
                failed += 1
                print("\n  ".join(found[:12]))
    print(f"{count} cases, {failed} parts failed, {time.process_time() - began:.1f} s CPU", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
