"""The limits of all processes of a hub, in Redis: one script takes or refuses at once, by the server's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from hub.connect.limits.memory import Asked, Settled, TalliesAway
from hub.connect.limits.rule import Rule
from hub.db import redis

_PROCESSES = "hub:limit:processes"


@cache
def _text() -> str:
    return Path(__file__).with_name("tally.lua").read_text("utf-8")


class Shared:
    """Tallies in Redis. Safe to share between threads. Raises: TalliesAway, from every call."""

    def __init__(self, url: str, owner: str) -> None:
        self._client = redis.connect(url)
        self._owner = owner
        self._script = self._client.register_script(_text())

    def take(
        self, asked: Asked, settled: Sequence[Settled] = (), *, used: bool = False, now: float | None = None
    ) -> tuple[float, int]:
        """Takes of all rules or of none, after what is `settled` of the same connection. `used`: nobody knows what was
        used lately. Returns microseconds to wait (0: taken), and how many processes use Redis. `now`: of a test's clock."""
        told = {
            "owner": self._owner,
            "permit": asked.permit,
            "keys": asked.keys,
            "weight": asked.weight,
            "costs": list(asked.costs),
            "used": used,
        }
        keys = [rule.key for rule in asked.rules]
        same = [each for each in settled if [rule.key for rule in each.rules] == keys]
        self.settle(asked.connection_id, [each for each in settled if each not in same], now=now)
        wait, processes = self._run(asked.connection_id, asked.rules, same, told, now)
        return float(wait), int(processes)

    def settle(self, connection_id: int, settled: Sequence[Settled], *, now: float | None = None) -> None:
        """Requests of one connection are over."""
        for group in _by_rules(settled):
            self._run(connection_id, group[0].rules, group, {}, now)

    def close(self) -> None:
        self._client.close()

    def _run(
        self,
        connection_id: int,
        rules: Sequence[Rule],
        settled: Sequence[Settled],
        told: dict[str, Any],
        now: float | None,
    ) -> Any:
        message = {
            **told,
            "rules": [_told(rule) for rule in rules],
            "settled": [_settled(each) for each in settled],
            **({"now": now} if now is not None else {}),
        }
        keys = [f"hub:limit:c{connection_id}:pause", _PROCESSES, *(rule.key for rule in rules)]
        try:
            return self._script(keys=keys, args=[msgspec.msgpack.encode(message)])
        except redis.Refused as error:
            raise TalliesAway(str(error)) from error


def _told(rule: Rule) -> dict[str, Any]:
    return {"model": rule.model, "size": rule.size, "per": rule.per_us, "rate": rule.rate}


def _settled(each: Settled) -> dict[str, Any]:
    # false stands for nothing: the script's lists have no holes
    reports = [
        {name: value for name, value in _fields(report) if value is not None} if report else False
        for report in each.reports
    ]
    actual = [False if value is None else value for value in each.actual]
    return {"permit": each.permit, "actual": actual, "reports": reports, "pause": int(each.pause_us // 1000)}


def _fields(report: Any) -> list[tuple[str, float | None]]:
    return [
        ("remaining", report.remaining),
        ("size", report.size),
        ("rate", report.rate),
        ("reset", report.reset_us),
    ]


def _by_rules(settled: Sequence[Settled]) -> list[list[Settled]]:
    """Those that were taken of the same rules together: the settings of a connection may have changed between."""
    groups: dict[tuple[str, ...], list[Settled]] = {}
    for each in settled:
        groups.setdefault(tuple(rule.key for rule in each.rules), []).append(each)
    return list(groups.values())
