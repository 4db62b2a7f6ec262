"""How many deliveries of a connection are claimed at once: fewer where quota is short, so that those that would only wait for
it stay unclaimed and hold no thread."""

from __future__ import annotations


class Pace:
    """Halved by each delivery that found no quota, wider by one with each that was sent. The dispatcher's own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._width: dict[int, int] = {}
        self._until: dict[int, int] = {}

    def width(self, connection_id: int, now: int) -> int:
        """How many may be on their way at an instant (UTC microseconds)."""
        if self._until.get(connection_id, 0) > now:
            return 0
        return self._width.get(connection_id, self._most)

    def short(self, connection_id: int, now: int, after_s: float) -> None:
        """There is no quota for so many seconds."""
        until = now + int(after_s * 1_000_000)
        if self._until.get(connection_id, 0) <= now:  # once for all that were refused together
            self._width[connection_id] = max(1, self._width.get(connection_id, self._most) // 2)
        self._until[connection_id] = max(self._until.get(connection_id, 0), until)

    def sent(self, connection_id: int) -> None:
        """One was sent."""
        width = self._width.get(connection_id)
        if width is not None:
            if width + 1 >= self._most:
                del self._width[connection_id]
            else:
                self._width[connection_id] = width + 1
