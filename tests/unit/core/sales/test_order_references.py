"""References of orders: stable, short, and each of one order only."""

from __future__ import annotations

import re

import pytest

from hub.core.sales.references import order_ref
from hub.workers.orderrefs import is_ref, refs_in, translated

LONG = "gid://shopify/Order/5678901234567"


@pytest.mark.parametrize(
    ("external_id", "ref"),
    [("5678901234567", "SO12-5678901234567"), ("1001", "SO12-1001"), ("WEB-1001", "SO12-WEB-1001")],
)
def test_a_plain_id_of_the_shop_stands_in_the_reference(external_id: str, ref: str) -> None:
    assert order_ref(12, external_id) == ref


@pytest.mark.parametrize("external_id", [LONG, "web-1001", "#1001", "-1", "1-", "1" * 17, "", "Straße 1", "A\0"])
def test_any_other_is_told_by_a_hash_of_sixteen_characters(external_id: str) -> None:
    assert re.fullmatch(r"SO12-[A-Z2-7]{16}", order_ref(12, external_id))
    assert order_ref(12, external_id) == order_ref(12, external_id)


def test_no_two_orders_have_one_reference() -> None:
    hashed = order_ref(1, LONG).removeprefix("SO1-")
    ids = ["1001", "WEB-1", "web-1", "WEB-1 ", LONG, LONG.upper(), hashed, "1-1001", "A" * 16]
    refs = [order_ref(connection, external_id) for connection in (1, 11) for external_id in ids]
    assert len({ref.upper() for ref in refs}) == len(refs), "also for a system that changes the case"


@pytest.mark.parametrize("external_id", [LONG, "9" * 16, "A-" * 7 + "A"])
def test_the_shortest_field_of_a_carrier_takes_it(external_id: str) -> None:
    assert len(order_ref(10**11 - 1, external_id)) <= 30


@pytest.mark.parametrize("external_id", [LONG, "5678901234567", "1", "WEB-1"])
def test_it_is_found_in_what_systems_tell(external_id: str) -> None:
    ref = order_ref(731_000, external_id)
    told = f'{{"reference_id": "{ref}", "note": "of {ref}."}}'.encode()
    assert is_ref(ref)
    assert refs_in([told, b'{"sku": "XSO12-1", "other": "SO12-1-", "third": "SO12"}']) == [ref]
    assert translated(told, {ref: "SO1-2"}) == b'{"reference_id": "SO1-2", "note": "of SO1-2."}'
