"""Instants of records: exact, or refused with the field and its text."""

from __future__ import annotations

import pytest

from hub.core.time import UnreadableInstant, instant_of, local_date


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T02:00:00.000001+02:00", 1),
        ("2026-11-24T08:00:00Z", 1_795_507_200_000_000),
    ],
)
def test_an_instant_is_read_exactly(text: str, us: int) -> None:
    assert instant_of(text, "paid_at") == us


@pytest.mark.parametrize(
    "text", ["", "24/11/2026", "2026-13-01T00:00:00Z", "2026-11-24T08:00:00", "2026-11-24", "0001-01-01T00:00:00+02:00",
             "9999-12-31T23:59:59-12:00", "x" * 500]
)  # fmt: skip
def test_what_is_no_instant_is_refused_with_its_field_and_text(text: str) -> None:
    with pytest.raises(UnreadableInstant) as refused:
        instant_of(text, "payments[p1].paid_at")
    assert str(refused.value).startswith(f"payments[p1].paid_at '{text[:60]}")
    assert refused.value.details == {"field": "payments[p1].paid_at"}
    assert len(str(refused.value)) < 220


@pytest.mark.parametrize("text", ["0001-01-03T00:00:00Z", "9999-12-29T00:00:00Z"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Paris"])
def test_every_instant_that_is_read_has_a_date_in_every_zone(text: str, zone: str) -> None:
    assert str(local_date(instant_of(text, "paid_at"), zone)).startswith(text[:7])
