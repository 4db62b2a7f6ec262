"""What can go wrong between the hub and a system. No message holds a secret."""

from __future__ import annotations

from typing import Literal

Health = Literal["up", "down"]


class ConnectError(Exception):
    """Base of the kit's errors."""

    #: what it shows of the system as a whole: it answers (though it may refuse), or it does not; None: nothing
    health: Health | None = None


class NotSent(ConnectError):
    """The request never reached the system: no connection, no name, no token for now. Safe to send again."""

    health: Health | None = "down"


class Withheld(NotSent):
    """The hub did not send it, for a reason of its own."""

    health: Health | None = None


class Cut(ConnectError):
    """The request may have reached the system and no whole answer came back."""

    health: Health | None = "down"


class Throttled(ConnectError):
    """The system refused for now and did nothing. `after_s`: seconds it asked to wait, if it said so."""

    health: Health | None = "up"

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class NoQuota(Throttled):
    """The hub did not send it: the system's quota is used up for `after_s` seconds. No attempt was made."""

    health: Health | None = None
    after_s: float


class Down(NoQuota):
    """The hub did not send it: the system is down, and others find out when it answers again. No attempt was made."""


class Ambiguous(ConnectError):
    """The system answered in a way that leaves open whether it did what was asked."""

    health: Health | None = "down"


class Refused(ConnectError):
    """The system refused for good. `detail` holds what it said; `duplicate`: because the record is already there;
    `missing`: because there is no such record."""

    health: Health | None = "up"

    def __init__(self, reason: str, detail: object = None, *, duplicate: bool = False, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.duplicate = duplicate
        self.missing = missing


class StaleState(ConnectError):
    """A compare-and-set found another value than it was told. `found` is the value read back, when it could be read."""

    health: Health | None = "up"

    def __init__(self, reason: str, found: int | None = None) -> None:
        super().__init__(reason)
        self.found = found


class ReconnectNeeded(ConnectError):
    """The credentials no longer work: a person has to connect again."""

    health: Health | None = "up"


class Unreadable(ConnectError):
    """An incoming body or an answer that is not what the connector knows."""
