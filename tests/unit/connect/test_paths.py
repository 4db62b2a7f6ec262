"""Paths into payloads, texts with places, and exact JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.connect.paths import FillError, fill, fill_settings, pick


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Fault.Error[0].code", "6240"),
        ("Fault.Error[-1].code", "610"),
        ("Fault.Error[7].code", None),
        ("Fault.none.code", None),
        ("list[1]", 2),
        ("Fault.Error.code", None),
    ],
)
def test_a_path_gives_its_value_or_nothing(path: str, value: Any) -> None:
    data = {"Fault": {"Error": [{"code": "6240"}, {"code": "610"}]}, "list": [1, 2]}

    assert pick(data, path) == value
    assert pick([1], "a") is None


def test_places_are_filled_and_encoded_where_they_stand() -> None:
    scope = {"body": {"id": "a/b c", "n": Decimal("1.50")}, "settings": {"v": 3}}

    assert fill("/x/{body.id}/{settings.v}", scope, in_path=True) == "/x/a%2Fb%20c/3"
    assert (
        fill("Name = '{body.id|quoted}' {body.n}", {"body": {"id": "O'\\x", "n": Decimal("1.50")}})
        == "Name = 'O\\'\\\\x' 1.50"
    )
    for scope in ({}, {"body": {"id": None}}, {"body": {"id": {}}}, {"body": {"id": True}}):
        with pytest.raises(FillError):
            fill("{body.id}", scope)


def test_only_settings_are_filled_beforehand() -> None:
    assert fill_settings("{settings.a}{body.b}{settings.none}", {"a": "1"}) == "1{body.b}"


def test_numbers_stay_exact_both_ways() -> None:
    text = b'{"amount":37.10,"big":12345678901234567.89,"id":820982911946154508}'

    assert payload.encode(payload.decode(text)) == text
    assert payload.canonical({"b": 1, "a": Decimal("1.50")}) == '{"a":1.50,"b":1}'
    for bad in (b"", b"\xff", b"{", b"[" * 100_000):
        with pytest.raises(Unreadable):
            payload.decode(bad)
