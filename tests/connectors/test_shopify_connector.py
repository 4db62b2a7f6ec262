"""The Shopify connector against its sandbox, over real sockets."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from hub.connect import reads
from hub.connect.errors import Refused, Unreadable
from hub.connect.links import Link
from hub.connect.operations import Confirmed, Outcome, Rejected, Retry, Stale, execute
from hub.connect.sandboxes import Running
from hub.connect.signatures import SignatureError
from tests.connectors.kit import Kit

Ask = Callable[..., Any]
SHOP = "hub-sandbox.myshopify.com"
CALLBACK = "https://hub.example.org/webhooks/shop"
PRODUCTS = [
    {"sku": "MUG-01", "title": "Mug", "price": "12.00", "vat": "0.2", "quantity": 10},
    {"sku": "BOOK 2", "title": "Livre", "price": "10.55", "vat": "0.055", "quantity": 4},
]


@pytest.fixture
def shop(kit: Kit) -> Running:
    return kit.sandbox("shopify", products=PRODUCTS)


@pytest.fixture
def link(kit: Kit, shop: Running) -> Link:
    return kit.connect("shopify", settings(shop))


def settings(shop: Running, **more: Any) -> dict[str, Any]:
    secrets = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "access_token": "shpat_sandbox"}
    return {"shop": SHOP, "base_url": shop.url, **secrets, **more}


def do(link: Link, operation: str, body: Any, *, key: str = "k-1", first: bool = True) -> Outcome:
    return execute(link, operation, body, key, first_attempt=first)


def levels(link: Link) -> dict[str, Any]:
    return {each["sku"]: each for each in link.call("adopt_stock", ["MUG-01", "BOOK 2", "NOPE"])}


def push(link: Link, quantity: int, before: int, *, key: str = "k-1", first: bool = True) -> Outcome:
    level = levels(link)["MUG-01"]
    body = {"item_ref": level["item_ref"], "location_ref": level["location_ref"], "quantity": quantity, "from": before}
    return do(link, "stock.set", body, key=key, first=first)


# -- stock ------------------------------------------------------------------------------------------------------------


def test_the_shops_quantities_are_adopted_by_sku(link: Link) -> None:
    found = levels(link)

    assert {sku: level["available"] for sku, level in found.items()} == {"MUG-01": 10, "BOOK 2": 4}
    assert found["MUG-01"]["item_ref"].startswith("gid://shopify/InventoryItem/")


def test_a_sku_of_two_items_is_refused(link: Link, shop: Running) -> None:
    variants = shop.state.shop.variants
    key, mug = next((key, each) for key, each in variants.items() if each.sku == "MUG-01")
    variants[f"{key}-again"] = dataclasses.replace(mug, id=mug.id + 500_000, item_id=mug.item_id + 500_000)

    with pytest.raises(Refused, match="two items"):
        levels(link)


@pytest.mark.parametrize("kind", ["status_after", "drop_after", "internal_error_after"])
def test_a_quantity_that_arrived_without_an_answer_is_set_once(link: Link, shop: Running, ask: Ask, kind: str) -> None:
    ask(shop, "faults", {"match": "InventorySet", "kind": kind})

    lost = push(link, 7, 10)
    again = push(link, 7, 10, first=False)

    assert isinstance(lost, Retry)
    assert lost.sent
    assert isinstance(again, Confirmed)
    assert [each["quantity"] for each in shop.state.state()["pushes"]] == [7]


def test_a_quantity_is_never_set_over_one_that_we_did_not_expect(link: Link, shop: Running, ask: Ask) -> None:
    ask(shop, "inventory", {"sku": "MUG-01", "delta": -1})

    outcome = push(link, 7, 10)

    assert isinstance(outcome, Stale)
    assert outcome.found == 9
    assert levels(link)["MUG-01"]["available"] == 9


def test_a_retry_after_the_vendor_forgot_the_key_sees_that_it_was_done(link: Link, shop: Running) -> None:
    assert isinstance(push(link, 7, 10, key="k-1"), Confirmed)

    forgotten = push(link, 7, 10, key="as if new", first=False)

    assert isinstance(forgotten, Confirmed)
    assert len(shop.state.state()["pushes"]) == 1


@pytest.mark.parametrize(
    ("fault", "expected", "sent"),
    [
        ({"kind": "throttled"}, Retry, False),
        ({"kind": "internal_error"}, Retry, True),
        ({"kind": "status", "status": 503}, Retry, True),
        ({"kind": "status", "status": 423}, Retry, False),
        ({"kind": "status", "status": 403}, Rejected, None),
        ({"kind": "user_error", "code": "INVALID_LOCATION"}, Rejected, None),
        ({"kind": "user_error", "code": "IDEMPOTENCY_CONCURRENT_REQUEST"}, Retry, False),
        ({"kind": "user_error", "code": "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"}, Stale, None),
    ],
)
def test_each_failure_means_what_the_facts_say(
    link: Link, shop: Running, ask: Ask, fault: dict[str, Any], expected: type, sent: bool | None
) -> None:
    ask(shop, "faults", {"match": "InventorySet", **fault})

    outcome = push(link, 7, 10)

    assert isinstance(outcome, expected), outcome
    if isinstance(outcome, Retry):
        assert outcome.sent is sent


def test_a_throttled_call_waits_until_the_bucket_holds_what_it_costs(kit: Kit, ask: Ask) -> None:
    shop = kit.sandbox("shopify", products=PRODUCTS, bucket=1000, restore_rate=1)
    link = kit.connect("shopify", settings(shop))
    level = levels(link)["MUG-01"]
    ask(shop, "empty_bucket", {})
    body = {"item_ref": level["item_ref"], "location_ref": level["location_ref"], "quantity": 7, "from": 10}

    outcome = do(link, "stock.set", body)

    assert isinstance(outcome, Retry)
    assert outcome.after_s is not None
    assert 5 <= outcome.after_s <= 60


def test_stock_is_read(link: Link) -> None:
    level = levels(link)["BOOK 2"]

    found = do(link, "stock.read", {"item_ref": level["item_ref"], "location_ref": level["location_ref"]})

    assert isinstance(found, Confirmed)
    assert found.answer == {"available": 4}


# -- orders -----------------------------------------------------------------------------------------------------------


def place(shop: Running, ask: Ask, **more: Any) -> dict[str, Any]:
    lines = [{"sku": "MUG-01", "quantity": 2}, {"sku": "BOOK 2", "quantity": 1}]
    made: dict[str, Any] = ask(
        shop, "orders", {"lines": lines, "shipping": {"title": "Colissimo", "price": "5.00"}, **more}
    )
    return made


def test_an_order_is_read_in_parts_with_all_its_sections(link: Link, shop: Running, ask: Ask) -> None:
    order = place(shop, ask)
    ask(shop, f"orders/{order['id']}/refund", {"lines": [{"sku": "MUG-01", "quantity": 1}]})

    found = reads.read(link, "order", str(order["id"]))

    assert found is not None
    assert all(section["complete"] for section in found["sections"].values())
    assert [line["sku"] for line in found["lineItems"]] == ["MUG-01", "BOOK 2"]
    assert len(found["refunds"]) == 1
    assert {each["kind"] for each in found["transactions"]} == {"SALE", "REFUND"}
    assert reads.read(link, "order", "1") is None


def test_a_poll_brings_every_order_that_changed_and_goes_on_from_there(link: Link, shop: Running, ask: Ask) -> None:
    orders = [str(place(shop, ask)["id"]) for _ in range(3)]

    page = reads.poll(link, "order", None)
    later = reads.poll(link, "order", page.cursor)

    assert sorted(identity for identity, _ in page.items) == sorted(orders)
    # the lookback reads them again: the inbox drops exact repeats
    assert later.items == page.items
    assert not page.more


def test_a_read_is_tried_again_when_the_shop_fails_for_a_moment(link: Link, shop: Running, ask: Ask) -> None:
    order = place(shop, ask)
    ask(shop, "faults", [{"match": "OrderLines", "kind": "status", "status": 502}])

    assert reads.read(link, "order", str(order["id"])) is not None


# -- fulfilments ------------------------------------------------------------------------------------------------------


def shipment(order: dict[str, Any], quantity: int = 2, **more: Any) -> dict[str, Any]:
    lines = [{"sku": "MUG-01", "quantity": quantity}]
    return {"order_id": str(order["id"]), "lines": lines, "carrier": "Colissimo", "tracking_number": "6A1", **more}


@pytest.mark.parametrize("kind", ["status_after", "drop_after", "internal_error_after"])
def test_a_shipment_that_arrived_without_an_answer_is_not_told_twice(
    link: Link, shop: Running, ask: Ask, kind: str
) -> None:
    order = place(shop, ask)
    ask(shop, "faults", {"match": "FulfillmentCreate", "kind": kind})

    lost = do(link, "fulfillment.create", shipment(order))
    again = do(link, "fulfillment.create", shipment(order), first=False)

    assert isinstance(lost, Retry)
    assert isinstance(again, Confirmed)
    found = reads.read(link, "order", str(order["id"]))
    assert found is not None
    (fulfilment,) = found["fulfillments"]
    assert (fulfilment["id"], fulfilment["trackingInfo"][0]["number"]) == (again.external_id, "6A1")
    assert len(shop.state.state()["emails"]) == 1


def test_two_parcels_of_one_order_are_two_fulfilments(link: Link, shop: Running, ask: Ask) -> None:
    order = place(shop, ask)

    first = do(link, "fulfillment.create", shipment(order, 1, tracking_number="6A1"))
    second = do(link, "fulfillment.create", shipment(order, 1, tracking_number="6A2"))

    assert isinstance(first, Confirmed)
    assert isinstance(second, Confirmed)
    assert first.external_id != second.external_id


def test_more_than_the_shop_has_left_to_ship_is_a_question(link: Link, shop: Running, ask: Ask) -> None:
    order = place(shop, ask)

    outcome = do(link, "fulfillment.create", shipment(order, 3))

    assert isinstance(outcome, Rejected)
    assert "1 of MUG-01" in outcome.reason


def test_a_shipment_without_tracking_is_found_by_what_remains(link: Link, shop: Running, ask: Ask) -> None:
    order = place(shop, ask)
    ask(shop, "faults", {"match": "FulfillmentCreate", "kind": "drop_after"})
    body = shipment(order) | {"tracking_number": None}

    assert isinstance(do(link, "fulfillment.create", body), Retry)
    assert isinstance(do(link, "fulfillment.create", body, first=False), Confirmed)
    found = reads.read(link, "order", str(order["id"]))
    assert found is not None
    assert len(found["fulfillments"]) == 1


# -- webhooks ---------------------------------------------------------------------------------------------------------


def test_setting_up_webhooks_is_repaired_and_never_doubled(link: Link, shop: Running) -> None:
    first = link.setup(CALLBACK)
    again = link.setup(CALLBACK)
    subscriptions = shop.state.state()["subscriptions"]
    shop.state.webhooks.unsubscribe(subscriptions[0]["id"])
    repaired = link.setup(CALLBACK)

    topics = link.connector.manifest.webhooks.topics  # type: ignore[union-attr]
    assert len(first["created"]) == len(topics)
    assert again == {"created": [], "removed": 0}
    assert repaired["created"] == [subscriptions[0]["topic"].upper().replace("/", "_")]
    assert sorted(each["topic"] for each in shop.state.state()["subscriptions"]) == sorted(topics)


def signed(body: bytes, topic: str = "orders/paid", secret: str = "sandbox-secret", shop: str = SHOP) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Shop-Domain": shop,
        "X-Shopify-Webhook-Id": "delivery-1",
    }


def test_a_webhook_of_the_shop_is_taken_and_any_other_is_not(link: Link) -> None:
    body = b'{"id": 820982911946154508}'
    reads.verify(link, signed(body), body)
    good = signed(body)
    right = good["X-Shopify-Hmac-Sha256"]
    attacks: dict[str, tuple[dict[str, str], bytes]] = {
        "no signature": ({k: v for k, v in good.items() if "Hmac" not in k}, body),
        "empty signature": (good | {"X-Shopify-Hmac-Sha256": ""}, body),
        "other secret": (signed(body, secret="other"), body),
        "empty secret": (signed(body, secret=""), body),
        "changed body": (good, body.replace(b"508", b"509")),
        "cut signature": (good | {"X-Shopify-Hmac-Sha256": right[:-4]}, body),
        "hex of it": (good | {"X-Shopify-Hmac-Sha256": hashlib.sha256(body).hexdigest()}, body),
        "not ASCII": (good | {"X-Shopify-Hmac-Sha256": "é" * 44}, body),
        "another shop of the same app": (signed(body, shop="other.myshopify.com"), body),
        "no shop": ({k: v for k, v in good.items() if "Domain" not in k}, body),
    }
    taken = []
    for name, (headers, sent) in attacks.items():
        with contextlib.suppress(SignatureError):
            reads.verify(link, headers, sent)
            taken.append(name)
    assert taken == []


def test_the_old_secret_signs_on_while_it_is_being_changed(kit: Kit, shop: Running) -> None:
    link = kit.connect("shopify", settings(shop, client_secret="new-secret,sandbox-secret"))
    body = b"{}"

    reads.verify(link, signed(body), body)
    reads.verify(link, signed(body, secret="new-secret"), body)


@pytest.mark.parametrize(
    ("topic", "body", "record", "identity", "hint"),
    [
        ("refunds/create", {"id": 9, "order_id": 820982911946154508}, "order", "820982911946154508", True),
        ("order_transactions/create", {"id": 9, "order_id": 5}, "order", "5", True),
        ("fulfillments/create", {"id": 9, "order_id": 5}, "order", "5", True),
        ("orders/edited", {"order_edit": {"id": 9, "order_id": 5}}, "order", "5", True),
        (
            "inventory_levels/update",
            {"inventory_item_id": 3, "location_id": 4, "available": 2, "updated_at": "2026-11-24T09:00:00+01:00"},
            "inventory_level",
            "3:4",
            False,
        ),
    ],
)
def test_each_topic_names_its_record(
    link: Link, topic: str, body: dict[str, Any], record: str, identity: str, hint: bool
) -> None:
    found = reads.decode(link.connector, topic, {}, json.dumps(body).encode())

    assert (found.record, found.record_id, found.hint) == (record, identity, hint)
    assert found.ordering_key == f"{record}:{identity}"
    assert (found.data is None) is hint


def test_an_unreadable_body_still_has_an_envelope(link: Link) -> None:
    found = reads.envelope(link.connector, "orders/paid", {}, b"\xff{")

    assert (found.record, found.record_id, found.ordering_key) == ("order", None, None)
    for body in (b"\xff{", b"{}", b'{"id": 1}', b'{"id": null}', b"[]"):
        with pytest.raises(Unreadable):
            reads.decode(link.connector, "orders/paid", {}, body)
    assert reads.envelope(link.connector, "app/uninstalled", {}, b'{"id": 7}').disconnect


def test_the_connection_is_checked_against_the_shop_it_is_for(kit: Kit, shop: Running, link: Link) -> None:
    assert link.connector.code("shop:check")(link)["myshopifyDomain"] == SHOP
    other = kit.connect("shopify", settings(shop) | {"shop": "other.myshopify.com"})
    with pytest.raises(Refused, match=r"other\.myshopify\.com"):
        other.connector.code("shop:check")(other)
