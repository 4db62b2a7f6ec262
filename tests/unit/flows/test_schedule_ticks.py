"""The ticks of schedules, over both changes of the clock."""

from __future__ import annotations

from itertools import islice

import pytest

from hub.db.types import instant_text, instant_us
from hub.flows.schedules import latest_tick, ticks

PARIS = "Europe/Paris"


def after(schedule: str, instant: str, count: int, zone: str = PARIS) -> list[str]:
    return [instant_text(tick)[5:16] for tick in islice(ticks(schedule, zone, instant_us(instant)), count)]


@pytest.mark.parametrize(
    ("schedule", "since", "expected"),
    [
        # summer time begins on 29 March 2026 at 02:00: there is no 02:30
        ("30 2 * * *", "2026-03-27T12:00:00Z", ["03-28T01:30", "03-29T01:00", "03-30T00:30"]),
        ("0 * * * *", "2026-03-28T23:30:00Z", ["03-29T00:00", "03-29T01:00", "03-29T02:00"]),
        ("0 7 * * 1-5", "2026-03-27T12:00:00Z", ["03-30T05:00", "03-31T05:00"]),
        # and ends on 25 October at 03:00: 02:30 is there twice, at 00:30 and 01:30 UTC
        ("30 2 * * *", "2026-10-24T12:00:00Z", ["10-25T00:30", "10-26T01:30"]),
        ("30 2 * * *", "2026-10-25T00:30:00Z", ["10-26T01:30"]),
        ("30 2 * * *", "2026-10-25T01:10:00Z", ["10-26T01:30"]),
        ("0 * * * *", "2026-10-24T23:30:00Z", ["10-25T00:00", "10-25T01:00", "10-25T02:00"]),
        ("*/30 * * * *", "2026-10-25T00:00:00Z", ["10-25T00:30", "10-25T01:00", "10-25T01:30", "10-25T02:00"]),
        ("0 7 * * *", "2026-10-24T12:00:00Z", ["10-25T06:00", "10-26T06:00"]),
    ],
)
def test_a_tick_is_there_once_and_none_is_lost(schedule: str, since: str, expected: list[str]) -> None:
    assert after(schedule, since, len(expected)) == expected


def test_a_zone_of_its_own() -> None:
    assert after("0 7 * * *", "2026-07-01T00:00:00Z", 2, "America/New_York") == ["07-01T11:00", "07-02T11:00"]


def test_every_tick_of_a_year_follows_from_the_one_before() -> None:
    """Starting again at each tick gives the same ticks as going on."""
    for schedule in ("30 2 * * *", "15 * * * *"):
        first = instant_us("2026-03-28T00:00:00Z")
        on = list(islice(ticks(schedule, PARIS, first), 300))
        again = [first]
        for _ in range(300):
            again.append(next(ticks(schedule, PARIS, again[-1])))
        assert again[1:] == on
        assert on == sorted(set(on))


@pytest.mark.parametrize(
    ("schedule", "first", "now", "latest"),
    [
        ("* * * * *", "2026-01-01T00:00:00Z", "2026-11-24T10:00:30Z", "2026-11-24T10:00"),
        ("0 7 * * *", "2026-11-20T06:00:00Z", "2026-11-24T05:59:59Z", "2026-11-23T06:00"),
        ("0 7 1 * *", "2026-06-01T05:00:00Z", "2026-11-24T10:00:00Z", "2026-11-01T06:00"),
        ("0 7 * * *", "2026-11-24T06:00:00Z", "2026-11-24T06:00:00Z", "2026-11-24T06:00"),
    ],
)
def test_the_latest_tick_is_found_however_long_the_hub_was_down(
    schedule: str, first: str, now: str, latest: str
) -> None:
    assert instant_text(latest_tick(schedule, PARIS, instant_us(first), instant_us(now)))[:16] == latest
