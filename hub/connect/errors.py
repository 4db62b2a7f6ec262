"""What can go wrong between the hub and a system. No message holds a secret."""

from __future__ import annotations


class ConnectError(Exception):
    """Base of the kit's errors."""


class NotSent(ConnectError):
    """The request never reached the system: no connection, no name, no free slot. Safe to send again."""


class Cut(ConnectError):
    """The request may have reached the system and no whole answer came back."""


class Throttled(ConnectError):
    """The system refused for now and did nothing. `after_s`: seconds it asked to wait, if it said so."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class NoQuota(Throttled):
    """The hub did not send it: the system's quota is used up for `after_s` seconds. No attempt was made."""

    after_s: float


class Ambiguous(ConnectError):
    """The system answered in a way that leaves open whether it did what was asked."""


class Refused(ConnectError):
    """The system refused for good. `detail` holds what it said; `duplicate`: because the record is already there;
    `missing`: because there is no such record."""

    def __init__(self, reason: str, detail: object = None, *, duplicate: bool = False, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.duplicate = duplicate
        self.missing = missing


class StaleState(ConnectError):
    """A compare-and-set found another value than it was told. `found` is the value read back, when it could be read."""

    def __init__(self, reason: str, found: int | None = None) -> None:
        super().__init__(reason)
        self.found = found


class ReconnectNeeded(ConnectError):
    """The credentials no longer work: a person has to connect again."""


class Unreadable(ConnectError):
    """An incoming body or an answer that is not what the connector knows."""
