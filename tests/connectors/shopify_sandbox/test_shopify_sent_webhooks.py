"""Webhooks that the Shopify sandbox sends, and how it loses, repeats and shuffles them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from tests.connectors.serving import load, wait_until
from tests.connectors.shopify_serving import DOCUMENTS, ORDER_TOPICS, Admin, Inbox, body_of, subscribe

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


def test_a_webhook_is_signed_and_carries_the_vendors_headers(admin: Admin, inbox: Inbox) -> None:
    subscribe(admin, inbox, "orders/create", "orders/paid")
    order = admin.place()
    created, paid = inbox.next(), inbox.next()
    digest = hmac.new(b"sandbox-secret", created.body, hashlib.sha256).digest()
    assert created.headers["x-shopify-hmac-sha256"] == base64.b64encode(digest).decode()
    assert created.headers["x-shopify-topic"] == "orders/create"
    assert created.headers["x-shopify-shop-domain"] == "hub-sandbox.myshopify.com"
    assert created.headers["x-shopify-api-version"] == "2026-10"
    assert created.headers["x-shopify-triggered-at"] == "2026-11-24T08:12:31.000000Z"
    # one action: the same event, other deliveries
    assert created.headers["x-shopify-event-id"] == paid.headers["x-shopify-event-id"]
    assert created.headers["x-shopify-webhook-id"] != paid.headers["x-shopify-webhook-id"]
    body = body_of(created)
    assert str(body["id"]) == order["id"]
    assert body["created_at"] == "2026-11-24T09:12:31+01:00"
    assert "transactions" not in body


def test_what_each_action_sends(admin: Admin, inbox: Inbox) -> None:
    every = [*ORDER_TOPICS, "refunds/create", "order_transactions/create", "fulfillments/create"]
    subscribe(admin, inbox, *every, "inventory_levels/update")

    def topics() -> list[str]:
        sent = admin.control("drain", {})["delivered"]
        found = [inbox.next().headers["x-shopify-topic"] for _ in range(sent - topics.seen)]  # type: ignore[attr-defined]
        topics.seen = sent  # type: ignore[attr-defined]
        return found

    topics.seen = 0  # type: ignore[attr-defined]
    order = admin.place(pay=False)
    assert topics() == ["orders/create", "orders/updated", "inventory_levels/update"]
    admin.act(order, "pay")
    assert topics() == ["order_transactions/create", "orders/paid", "orders/updated"]
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}])
    assert topics() == ["order_transactions/create", "refunds/create", "orders/updated", "inventory_levels/update"]
    admin.act(order, "edit", add=[{"sku": "BOOK-01"}])
    assert topics() == ["orders/edited", "orders/updated", "inventory_levels/update"]
    admin.act(order, "fulfill")
    shipped = topics()
    assert shipped[:3] == ["fulfillments/create", "orders/fulfilled", "orders/updated"]
    assert shipped[3:] == ["inventory_levels/update"] * 2
    other = admin.place()
    topics()
    admin.act(other, "cancel")
    assert topics()[-3:] == ["orders/cancelled", "orders/updated", "inventory_levels/update"]


def test_subscriptions_are_made_listed_and_deleted_through_the_api(admin: Admin, inbox: Inbox) -> None:
    wanted = {"uri": inbox.url, "format": "JSON"}
    made = admin.data("WebhookCreate", topic="ORDERS_PARTIALLY_FULFILLED", webhookSubscription=wanted)
    assert made["userErrors"] == []
    again = admin.data("WebhookCreate", topic="ORDERS_PARTIALLY_FULFILLED", webhookSubscription=wanted)
    assert again["userErrors"][0]["message"] == "Address for this topic has already been taken"
    assert admin.data("WebhookCreate", topic="ORDERS_PAID", webhookSubscription={"uri": "nowhere"})["userErrors"]
    admin.data("WebhookCreate", topic="INVENTORY_LEVELS_UPDATE", webhookSubscription=wanted)
    listed = admin.data("WebhookList")["nodes"]
    assert [item["topic"] for item in listed] == ["ORDERS_PARTIALLY_FULFILLED", "INVENTORY_LEVELS_UPDATE"]
    assert {item["topic"] for item in admin.state()["subscriptions"]} == {
        "orders/partially_fulfilled",
        "inventory_levels/update",
    }
    number = made["webhookSubscription"]["id"]
    assert admin.data("WebhookDelete", id=number)["deletedWebhookSubscriptionId"] == number
    assert admin.data("WebhookDelete", id=number)["userErrors"]


def test_every_topic_that_can_be_subscribed_is_one_the_shop_sends_or_names() -> None:
    graphql = load("shopify", "sandbox_graphql")
    shop = sandbox.create().state.sandbox
    call = graphql.Call(frozenset())
    for topic in graphql.SCHEMA.type_map["WebhookSubscriptionTopic"].values:
        variables = {"topic": topic, "webhookSubscription": {"uri": "http://127.0.0.1:9/"}}
        shop.graphql.run({"query": DOCUMENTS["WebhookCreate"], "variables": variables}, call)
    assert {item["topic"] for item in shop.state()["subscriptions"]} == {
        *ORDER_TOPICS,
        "app/uninstalled",
        "fulfillments/create",
        "fulfillments/update",
        "inventory_levels/update",
        "order_transactions/create",
        "products/update",
        "refunds/create",
    }


def test_a_failed_webhook_is_sent_again_unchanged(open_shop: Any, inbox: Inbox) -> None:
    admin = open_shop(retry_schedule=FAST)
    subscribe(admin, inbox, "orders/create")
    inbox.answers = [503, 302, 200]
    admin.place()
    assert admin.control("drain", {})["delivered"] == 1
    tries = [inbox.next() for _ in range(3)]
    assert inbox.nothing_more()
    assert len({(item.body, item.headers["x-shopify-webhook-id"]) for item in tries}) == 1
    assert admin.state()["webhooks"][0]["statuses"] == [503, 302, 200]


def test_after_eight_failures_the_subscription_is_gone(open_shop: Any, inbox: Inbox) -> None:
    admin = open_shop(retry_schedule=FAST)
    subscribe(admin, inbox, "orders/create")
    inbox.answers = [500] * 8
    admin.place()
    drained = admin.control("drain", {})
    assert (drained["failed"], drained["drained"]) == (1, True)
    state = admin.state()
    assert state["webhooks"][0]["attempts"] == 8
    assert state["subscriptions"] == []
    assert state["removed_subscriptions"][0]["why"] == "8 failures in a row"
    admin.place()
    assert len(admin.state()["webhooks"]) == 1


def names(inbox: Inbox, count: int) -> list[str]:
    return [body_of(inbox.next())["name"] for _ in range(count)]


def test_chaos_repeats_loses_and_mis_signs(open_shop: Any, inbox: Inbox) -> None:
    admin = open_shop(retry_schedule=FAST)
    subscribe(admin, inbox, "orders/create")
    admin.control("chaos", {"duplicate_every": 2, "lose_orders": ["#1003"]})
    for _ in range(3):
        admin.place()
    assert admin.control("drain", {})["lost"] == 1
    got = [inbox.next() for _ in range(3)]
    assert [body_of(item)["name"] for item in got] == ["#1001", "#1002", "#1002"]
    assert got[1].headers["x-shopify-webhook-id"] == got[2].headers["x-shopify-webhook-id"]

    admin.control("chaos", method="DELETE")
    admin.control("chaos", {"bad_signature_every": 1})
    admin.place()
    wrong = inbox.next()
    digest = hmac.new(b"sandbox-secret", wrong.body, hashlib.sha256).digest()
    assert wrong.headers["x-shopify-hmac-sha256"] != base64.b64encode(digest).decode()


def test_chaos_shuffles_the_same_way_each_time(open_shop: Any, inbox: Inbox) -> None:
    orders = []
    for seed in (7, 7, 8):
        admin = open_shop()
        subscribe(admin, inbox, "orders/create")
        admin.control("chaos", {"hold": True, "shuffle_seed": seed})
        for _ in range(6):
            admin.place()
        assert inbox.nothing_more()
        admin.control("chaos", {"hold": False})
        orders.append(names(inbox, 6))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == [f"#{n}" for n in range(1001, 1007)] != orders[0]


def test_a_shuffled_webhook_is_not_held_for_ever(open_shop: Any, inbox: Inbox) -> None:
    admin = open_shop()
    subscribe(admin, inbox, "orders/create")
    admin.control("chaos", {"shuffle_seed": 1})
    admin.place()
    assert names(inbox, 1) == ["#1001"]


def test_drain_reports_when_it_gave_up_waiting(open_shop: Any) -> None:
    admin = open_shop(retry_schedule=[60])
    admin.control("subscriptions", {"uri": "http://127.0.0.1:9/", "topics": ["orders/create"]})
    admin.place()
    wait_until(lambda: admin.state()["webhooks"][0]["state"] == "retrying")
    assert admin.control("drain", {"timeout": 0.05})["drained"] is False


def test_uninstalling_ends_tokens_and_subscriptions(admin: Admin, inbox: Inbox) -> None:
    subscribe(admin, inbox, "app/uninstalled")
    admin.control("uninstall", {})
    assert body_of(inbox.next())["domain"] == "hub-sandbox.myshopify.com"
    assert admin.post({"query": "{ shop { name } }"}).status_code == 401
    assert admin.state()["subscriptions"] == []
