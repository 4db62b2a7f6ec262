"""Stock and fulfilment at the Shopify sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from tests.connectors.serving import load
from tests.connectors.shopify_serving import DOCUMENTS, Admin, Inbox, body_of, ship, subscribe, user_error

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


def test_an_order_commits_stock_and_shipping_takes_it_off_the_shelf(admin: Admin) -> None:
    def quantities() -> tuple[int, int, int]:
        level = admin.level("MUG-01")
        return level["available"], level["committed"], level["on_hand"]

    order = admin.place()
    assert quantities() == (38, 2, 40)
    admin.act(order, "fulfill", lines=[{"sku": "MUG-01", "quantity": 1}])
    assert quantities() == (38, 1, 39)
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1, "restock": "RETURN"}])
    assert quantities() == (39, 1, 40)
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1, "restock": "CANCEL"}])
    assert quantities() == (40, 0, 40)
    lost = admin.place()
    admin.act(lost, "refund", lines=[{"sku": "MUG-01", "quantity": 2, "restock": "NO_RESTOCK"}])
    assert quantities() == (38, 0, 38)


def test_a_quantity_is_set_when_it_still_is_what_was_believed(admin: Admin) -> None:
    answer = admin.set_available("MUG-01", 35, change_from=40)["data"]["inventorySetQuantities"]
    assert answer["userErrors"] == []
    changes = [(c["name"], c["delta"]) for c in answer["inventoryAdjustmentGroup"]["changes"]]
    assert changes == [("available", -5), ("on_hand", -5)]
    item = admin.data("InventoryBySku", query="sku:MUG-01")["nodes"][0]
    quantities = item["inventoryLevels"]["nodes"][0]["quantities"]
    assert {q["name"]: q["quantity"] for q in quantities} == {"available": 35, "on_hand": 35, "committed": 0}


def test_a_stale_number_refuses_the_whole_mutation(admin: Admin) -> None:
    books, mugs = admin.level("BOOK-01"), admin.level("MUG-01")
    quantities = [
        {"inventoryItemId": books["item"], "locationId": books["location"], "quantity": 5, "changeFromQuantity": 20},
        {"inventoryItemId": mugs["item"], "locationId": mugs["location"], "quantity": 5, "changeFromQuantity": 39},
    ]
    sent = {"name": "available", "reason": "correction", "quantities": quantities}
    answer = admin.run("InventorySet", input=sent, key="k")
    assert user_error(answer) == "CHANGE_FROM_QUANTITY_STALE"
    error = answer["data"]["inventorySetQuantities"]["userErrors"][0]
    assert error["field"] == ["input", "quantities", "1", "changeFromQuantity"]
    assert admin.level("BOOK-01")["available"] == 20
    # the key of an attempt that failed is used up
    assert user_error(admin.run("InventorySet", input=sent, key="k")) == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"


def test_a_key_is_remembered_for_a_day(admin: Admin) -> None:
    first = admin.set_available("MUG-01", 35, change_from=40, key="a")
    again = admin.set_available("MUG-01", 35, change_from=40, key="a")
    assert again["data"] == first["data"]
    assert admin.level("MUG-01")["available"] == 35
    other = admin.set_available("MUG-01", 34, change_from=40, key="a")
    assert user_error(other) == "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    admin.control("clock", {"advance": 86_401})
    assert user_error(admin.set_available("MUG-01", 35, change_from=40, key="a")) == "CHANGE_FROM_QUANTITY_STALE"
    assert len(admin.state()["pushes"]) == 1


def test_without_a_key_or_the_believed_number_nothing_is_set(admin: Admin) -> None:
    answer = admin.set_available("MUG-01", 35)
    assert answer["data"] == {"inventorySetQuantities": None}
    assert "changeFromQuantity" in answer["errors"][0]["message"]
    assert "errors" in admin.set_available("MUG-01", 35, change_from=40, key=" ")
    bare = DOCUMENTS["InventorySet"].replace("@idempotent(key: $key)", "").replace(", $key: String!", "")
    level = admin.level("MUG-01")
    item = {"inventoryItemId": level["item"], "locationId": level["location"], "quantity": 1, "changeFromQuantity": 40}
    sent = {"name": "available", "reason": "correction", "quantities": [item]}
    errors = admin.post({"query": bare, "variables": {"input": sent}}).json()["errors"]
    assert "@idempotent directive is required" in errors[0]["message"]
    assert admin.level("MUG-01")["available"] == 40


def test_an_explicit_null_checks_nothing_and_is_counted(admin: Admin) -> None:
    admin.set_available("MUG-01", 3, change_from=None)
    assert admin.level("MUG-01")["available"] == 3
    assert admin.state()["null_pushes"] == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"item": "gid://shopify/InventoryItem/1"}, "INVALID_INVENTORY_ITEM"),
        ({"location": "gid://shopify/Location/1"}, "INVALID_LOCATION"),
        ({"reason": "because"}, "INVALID_REASON"),
        ({"quantity": -1}, "INVALID_QUANTITY_NEGATIVE"),
    ],
)
def test_a_wrong_push_is_told_why(admin: Admin, more: dict[str, Any], code: str) -> None:
    quantity = more.pop("quantity", 35)
    assert user_error(admin.set_available("MUG-01", quantity, change_from=40, **more)) == code


def test_shipping_with_tracking_notifies_once_and_what_is_left_can_be_shipped_later(admin: Admin, inbox: Inbox) -> None:
    order = admin.place()
    subscribe(admin, inbox, "fulfillments/create", "orders/partially_fulfilled", "orders/fulfilled")
    made = ship(admin, order, quantity=1)
    assert made["userErrors"] == []
    assert made["fulfillment"]["trackingInfo"] == [
        {"company": "Colissimo", "number": "6A1", "url": "https://example.com/6A1"}
    ]
    first = body_of(inbox.next())
    assert (first["tracking_number"], first["line_items"][0]["quantity"]) == ("6A1", 1)
    assert body_of(inbox.next())["fulfillment_status"] == "partial"
    ship(admin, order, "6A2", notify=False)
    inbox.next()
    assert body_of(inbox.next())["fulfillment_status"] == "fulfilled"

    state = admin.state()
    assert [mail["to"] for mail in state["emails"]] == ["jean.exemple@example.com"]
    assert [item["notify"] for item in state["orders"][0]["fulfillments"]] == [True, False]
    left = admin.data("FulfillmentOrdersOfOrder", id=order["gid"])
    assert left["fulfillmentOrders"]["nodes"][0]["status"] == "CLOSED"
    assert [item["trackingInfo"][0]["number"] for item in left["fulfillments"]] == ["6A1", "6A2"]


def test_nothing_is_shipped_twice_nor_while_it_is_on_hold(admin: Admin) -> None:
    order = admin.place()
    admin.act(order, "hold")
    assert "unfulfillable" in ship(admin, order)["userErrors"][0]["message"]
    admin.act(order, "release")
    assert ship(admin, order, quantity=3)["userErrors"]
    assert ship(admin, order)["userErrors"] == []
    again = ship(admin, order)
    assert again["fulfillment"] is None
    assert again["userErrors"][0]["field"] == ["fulfillment"]
    assert len(admin.state()["orders"][0]["fulfillments"]) == 1
