"""What a verification finds: which check failed, where, and what was expected."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One difference between what is stored and what it must be.

    `check` names the rule (`entry.content`), `place` the row (`entry 12 (sale:7:1)`), `message` says what was expected.
    """

    check: str
    place: str
    message: str
