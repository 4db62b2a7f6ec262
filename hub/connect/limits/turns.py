"""Whose turn a request is: what it is for, and how long its thread may wait for quota."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Kind = Literal["delivery", "read", "call", "poll", "backfill"]
#: parts of a quota while all kinds want it: none is starved, and what a kind does not want is for the others
WEIGHTS: dict[str, float] = {"delivery": 10, "read": 5, "call": 3, "poll": 1, "backfill": 1}
#: seconds that a thread waits for the first request of a turn; whoever waits longer comes back later
PATIENCE_S = 1.0
#: seconds for the requests after the first: who has begun ends, else it would begin again and again
ENDING_S = 30.0


@dataclass
class Turn:
    """One delivery, read or poll at work."""

    kind: Kind
    patience_s: float = PATIENCE_S
    #: a request of it went out
    begun: bool = False
    #: one went out that may have changed something
    wrote: bool = False

    @property
    def waits_s(self) -> float:
        return max(self.patience_s, ENDING_S) if self.begun else self.patience_s


_CURRENT: ContextVar[Turn | None] = ContextVar("turn", default=None)


def current() -> Turn:
    """The turn of this thread; where nobody said, a person waits for the answer."""
    return _CURRENT.get() or Turn("call", patience_s=ENDING_S)


@contextmanager
def turn(kind: Kind) -> Iterator[Turn]:
    """What is sent inside is of this turn."""
    made = Turn(kind)
    token = _CURRENT.set(made)
    try:
        yield made
    finally:
        _CURRENT.reset(token)
