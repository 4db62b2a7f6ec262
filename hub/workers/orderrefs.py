"""References of our orders in what systems tell, such as `SO12-1001` in a shipment: they name a connection by its id in one hub,
so that another hub, a replay or a test, has to be told its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_REF = re.compile(rb"(?<![0-9A-Za-z-])SO\d{1,19}-[0-9A-Z](?:[0-9A-Z-]{0,14}[0-9A-Z])?(?![0-9A-Za-z-])")


def refs_in(texts: Iterable[bytes]) -> list[str]:
    """The references that stand in texts, each once."""
    return sorted({found.decode() for text in texts for found in _REF.findall(text)})


def is_ref(text: object) -> bool:
    """Whether a text is a reference of an order."""
    return isinstance(text, str) and _REF.fullmatch(text.encode()) is not None


def translated(text: bytes, there: Mapping[str, str]) -> bytes:
    """A text with other references in place of those that are given; the rest stay."""
    return _REF.sub(lambda found: there.get(found[0].decode(), found[0].decode()).encode(), text) if there else text
