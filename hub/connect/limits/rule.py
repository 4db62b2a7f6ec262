"""One rate limit of one connection, with its numbers: what the manifest declares, as the connection's settings have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from hub.connect.declared_limits import ConcurrentLimit, CostLimit, WindowLimit

if TYPE_CHECKING:
    from hub.connect.declared_limits import Limit
    from hub.connect.manifest import Manifest

#: our seconds and the system's are not the same: so much of its pace is left unused
_MARGIN = 0.999
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Rule:
    """What may go out. `key` names whose quota it is: all that use it have the same.

    `window`: `size` units in any `per_us` microseconds. `bucket`: at most `size` units, `rate` restored a microsecond.
    `concurrent`: `size` requests at once. `points`: a request costs what its operation does, else one unit."""

    key: str
    model: Literal["window", "bucket", "concurrent"]
    size: float
    per_us: float = 0.0
    rate: float = 0.0
    points: bool = False
    declared: Limit | None = None

    def share(self, part: float) -> Rule:
        """The same limit for one of several that cannot ask each other. Less than one request is one request less often."""
        size = self.size * part
        if self.model == "bucket":
            # a single operation may cost the whole bucket
            return Rule(self.key, self.model, self.size, rate=self.rate * part, points=self.points)
        if size >= 1 or self.model == "concurrent":
            return Rule(self.key, self.model, max(1.0, float(int(size))), per_us=self.per_us)
        return Rule(self.key, self.model, 1.0, per_us=self.per_us / size)


def rules_of(manifest: Manifest, connection_id: int, settings: Mapping[str, Any]) -> list[Rule]:
    """The limits of a connection. One that its setting puts at 0 is off."""
    rules = []
    for number, limit in enumerate(manifest.limits):
        override = settings.get(limit.setting) if limit.setting else None
        amount = float(override if override is not None else limit.amount)
        if amount <= 0:
            continue
        whose = f"c{connection_id}" if limit.scope == "connection" else _app(manifest.connector, settings)
        key = f"hub:limit:{whose}:{number}"
        if isinstance(limit, WindowLimit):
            rules.append(Rule(key, "window", amount, per_us=limit.per * _SECOND_US / _MARGIN, declared=limit))
        elif isinstance(limit, ConcurrentLimit):
            rules.append(Rule(key, "concurrent", amount, declared=limit))
        else:
            rules.append(
                Rule(key, "bucket", limit.size, rate=pace(amount), points=isinstance(limit, CostLimit), declared=limit)
            )
    return rules


def pace(per_second: float) -> float:
    """Units a microsecond, of a system that restores so many a second."""
    return per_second * _MARGIN / _SECOND_US


def _app(connector: str, settings: Mapping[str, Any]) -> str:
    """All connections of one app have one quota: an app is told by its client id."""
    client = str(settings.get("client_id") or "")
    return f"a{connector}:{sha256(client.encode()).hexdigest()[:16]}"
