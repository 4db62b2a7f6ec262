"""The goods of an order: reservations, unknown SKUs, short stock, returns, the shop's own number, the warehouse."""

from __future__ import annotations

from typing import Any

import pytest
from sales_house import CONNECTION, House
from sales_shop import Shop

from hub.core.errors import CoreError
from hub.core.plan import Plan
from hub.core.sales.aliases import set_alias
from hub.core.sales.restock import replenish_orders
from hub.core.sales.shipments import record_shipment
from hub.core.sales.sync import Policy
from hub.core.stock.items import item_by_sku
from hub.core.stock.moves import move
from hub.core.time import local_date
from hub.records.order import Shipment, ShipmentLine

WAREHOUSE = 9


def paid(sku: str = "MUG-01", quantity: int = 2, **more: Any) -> Shop:
    shop = Shop(**more)
    shop.add(sku, quantity, 1000)
    shop.pay()
    return shop


def ship(house: House, *lines: tuple[str, int], ref: str | None = None, external_id: str = "S1", **more: Any) -> Any:
    order_ref = ref or house.told("order.ready")[-1]["ref"]
    shipment = Shipment(
        external_id=external_id,
        order_ref=order_ref,
        shipped_at="2026-11-25T10:00:00Z",
        carrier="Colissimo",
        tracking_number="6A123",
        lines=[ShipmentLine(sku=sku, quantity=quantity) for sku, quantity in lines],
        **more,
    )
    return house.work(lambda plan: record_shipment(plan, shipment, WAREHOUSE))


def receive(house: House, sku: str, quantity: int) -> None:
    def do(plan: Plan) -> None:
        item = item_by_sku(plan, sku)
        assert item is not None
        day = local_date(plan.now, "Europe/Paris")
        move(plan, item["id"], "supplier", "main", quantity, "receipt", f"receipt:{house.now}", day)
        replenish_orders(plan, item["id"], "main")

    house.work(do)


# -- holding ------------------------------------------------------------------------------------------------------------


def test_goods_are_held_when_ordered_and_the_order_goes_to_the_warehouse_once_paid(house: House) -> None:
    house.stock(MUG_01=10)
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.ship_cost(500)
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (10, 2, 0)
    assert house.told("order.ready") == []
    shop.pay()
    house.sync(shop.snapshot())
    ready = house.told("order.ready")
    assert len(ready) == 1
    assert [(line["sku"], line["quantity"]) for line in ready[0]["lines"]] == [("MUG-01", 2)]
    assert ready[0]["shipping_address"]["city"] == "Paris"


def test_an_edit_before_payment_resizes_what_is_held(house: House) -> None:
    house.stock(MUG_01=10)
    shop = Shop()
    shop.add("MUG-01", 4, 1000)
    house.sync(shop.snapshot())
    shop.remove("L1", 3)
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (10, 1, 0)
    assert house.channel()["MUG-01"] == 9


def test_an_edit_after_the_warehouse_has_the_order_is_a_question(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    shop.refund({"L1": 1}, restock="cancel")
    house.sync(shop.snapshot())
    assert house.questions() == {"order.edited_after_release"}
    assert house.told("question.raised")[-1]["details"]["lines"][0]["wanted"] == 1
    assert len(house.told("order.ready")) == 1


def test_a_cancellation_before_sending_is_told_to_the_warehouse_once(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    shop.refund({"L1": 2}, restock="cancel")
    shop.cancelled_at = shop.now()
    house.sync(shop.snapshot())
    house.sync(shop.snapshot())
    assert [told["released"] for told in house.told("order.cancelled")] == [True]
    assert house.levels()["MUG-01"] == (10, 0, 0)
    assert house.channel()["MUG-01"] == 10
    assert "order.edited_after_release" not in house.questions()


def test_goods_that_need_no_sending_are_neither_held_nor_asked_about(house: House) -> None:
    shop = Shop()
    shop.add("EBOOK", 1, 1000, "0.055", ships=False)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.questions() == set()
    assert house.levels() == {}
    assert house.told("order.ready") == []


# -- unknown SKU --------------------------------------------------------------------------------------------------------


def test_an_unknown_sku_books_the_money_and_stock_and_warehouse_wait(house: House) -> None:
    house.stock(MUG_01=10, OUR_CUP=10)
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.add("CUP-9", 2, 500)
    shop.pay()
    house.sync(shop.snapshot())
    asked = house.told("question.raised")[0]
    assert (asked["kind"], asked["details"]["sku"], asked["details"]["variant_id"]) == (
        "sku.unknown",
        "CUP-9",
        "V-CUP-9",
    )
    assert [answer["answer"] for answer in asked["answers"]] == ["map", "create", "ignore"]
    assert house.net() == 2400
    assert house.levels()["MUG-01"] == (10, 1, 0)
    assert house.told("order.ready") == []

    def answer(plan: Plan) -> None:
        item = item_by_sku(plan, "OUR-CUP")
        assert item is not None
        set_alias(plan, CONNECTION, variant_id="V-CUP-9", item_id=item["id"])

    house.work(answer)
    house.sync(shop.snapshot())
    assert house.questions() == set()
    assert house.levels()["OUR-CUP"] == (10, 2, 0)
    assert house.channel()["OUR-CUP"] == 8
    assert [(line["sku"], line["quantity"]) for line in house.told("order.ready")[0]["lines"]] == [
        ("MUG-01", 1),
        ("OUR-CUP", 2),
    ]


def test_an_unknown_sku_that_is_not_kept_in_stock_is_ignored_from_then_on(house: House) -> None:
    house.stock(MUG_01=10)
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.add("GIFT-WRAP", 1, 100)
    shop.pay()
    house.sync(shop.snapshot())
    house.work(lambda plan: set_alias(plan, CONNECTION, sku="GIFT-WRAP", item_id=None))
    house.sync(shop.snapshot())
    assert house.questions() == set()
    assert [line["sku"] for line in house.told("order.ready")[0]["lines"]] == ["MUG-01"]


# -- short stock --------------------------------------------------------------------------------------------------------


def test_short_goods_wait_and_the_order_goes_on_when_they_come(house: House) -> None:
    house.stock(MUG_01=1)
    shop = paid(quantity=3)
    house.sync(shop.snapshot())
    assert house.questions() == {"stock.short"}
    assert house.told("question.raised")[0]["details"]["lines"][0]["missing"] == 3
    assert house.net() == 3600
    assert house.told("order.ready") == []
    receive(house, "MUG-01", 5)
    assert house.questions() == set()
    assert len(house.told("order.ready")) == 1
    assert house.levels()["MUG-01"] == (6, 3, 0)
    house.sync(shop.snapshot())
    assert len(house.told("order.ready")) == 1


def test_goods_that_an_order_lets_go_serve_the_one_that_waits(house: House) -> None:
    house.stock(MUG_01=2)
    first, second = paid(id="O1"), paid(id="O2")
    house.sync(first.snapshot(payments=False))
    house.sync(second.snapshot(payments=False))
    assert house.levels()["MUG-01"] == (2, 2, 2)
    first.refund({"L1": 2}, restock="cancel")
    first.cancelled_at = first.now()
    house.sync(first.snapshot(payments=False))
    assert house.levels()["MUG-01"] == (2, 2, 0)
    assert [told["order_id"] for told in house.told("order.ready")] == [
        row[0] for row in house.rows("SELECT id FROM sales_order ORDER BY id")
    ]


def test_an_unpaid_order_that_gets_its_goods_still_waits_for_the_money(house: House) -> None:
    house.stock(MUG_01=0)
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    house.sync(shop.snapshot())
    receive(house, "MUG-01", 1)
    assert house.told("order.ready") == []
    shop.pay()
    house.sync(shop.snapshot())
    assert len(house.told("order.ready")) == 1


# -- what left and came back --------------------------------------------------------------------------------------------


def test_what_the_shop_sent_by_hand_leaves_the_stock_once(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    shop.send({"L1": 2})
    house.sync(shop.snapshot())
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (8, 0, 0)
    assert house.channel()["MUG-01"] == 8
    assert house.rows("SELECT state FROM sales_order") == [("closed",)]
    assert house.told("shipment.recorded") == []


def test_a_fulfilment_that_failed_sent_nothing(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    shop.send({"L1": 2}, status="CANCELLED")
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (10, 2, 0)


def test_what_the_shop_sent_and_we_do_not_have_is_a_question(house: House) -> None:
    house.stock(MUG_01=1)
    shop = paid()
    shop.send({"L1": 2})
    house.sync(shop.snapshot())
    assert "stock.sent_short" in house.questions()
    assert house.levels()["MUG-01"][0] == 1
    assert house.net() == 2400


def test_a_return_comes_back_to_the_shelf_and_to_the_shop(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    shop.send({"L1": 2})
    house.sync(shop.snapshot())
    shop.refund({"L1": 1}, restock="return")
    house.sync(shop.snapshot())
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (9, 0, 0)
    assert house.channel()["MUG-01"] == 9


def test_a_refund_without_restock_brings_nothing_back(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    shop.send({"L1": 2})
    house.sync(shop.snapshot())
    shop.refund({"L1": 1}, restock="no_restock")
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (8, 0, 0)
    assert house.channel()["MUG-01"] == 8


def test_what_the_shop_takes_back_though_it_has_left_our_warehouse_is_told_to_the_channels(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    ship(house, ("MUG-01", 2))
    house.events.clear()
    shop.refund({"L1": 1}, restock="cancel")  # the shop has not heard of the shipment yet
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (8, 0, 0)
    assert house.channel()["MUG-01"] == 9
    assert [told["available"] for told in house.told("stock.changed")] == [8], "the shop shows 9 and has to be told"


# -- shipments of the warehouse -----------------------------------------------------------------------------------------


def test_a_shipment_takes_the_held_goods_out_and_is_told(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    result = ship(house, ("MUG-01", 2))
    assert ship(house, ("MUG-01", 2)).replayed
    assert not result.replayed
    assert house.levels()["MUG-01"] == (8, 0, 0)
    told = house.told("shipment.recorded")
    assert len(told) == 1
    assert told[0]["order"] == {
        "id": result.order_id,
        "connection_id": CONNECTION,
        "external_id": shop.id,
        "name": "#1001",
    }
    assert told[0]["lines"] == [{"order_line": "L1", "sku": "MUG-01", "quantity": 2}]
    assert told[0]["shipment"]["tracking_number"] == "6A123"
    assert house.rows("SELECT state FROM sales_order") == [("closed",)]


def test_our_own_shipment_that_the_shop_echoes_moves_nothing(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    ship(house, ("MUG-01", 2))
    shop.send({"L1": 2})
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (8, 0, 0)
    assert house.questions() == set()


def test_a_partial_shipment_leaves_the_rest_held(house: House) -> None:
    house.stock(MUG_01=10, BOOK_01=10)
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.add("BOOK-01", 1, 1000, "0.055")
    shop.add("MUG-01", 1, 900)
    shop.pay()
    house.sync(shop.snapshot())
    ship(house, ("MUG-01", 1), external_id="S1")
    assert house.levels()["MUG-01"] == (9, 2, 0)
    ship(house, ("MUG-01", 2), ("BOOK-01", 1), external_id="S2")
    assert house.levels() == {"MUG-01": (7, 0, 0), "BOOK-01": (9, 0, 0)}
    assert [len(told["lines"]) for told in house.told("shipment.recorded")] == [1, 3]


def test_more_than_is_set_aside_is_refused_with_nothing_moved(house: House) -> None:
    house.stock(MUG_01=10)
    house.sync(paid().snapshot())
    with pytest.raises(CoreError) as refused:
        ship(house, ("MUG-01", 3))
    assert refused.value.kind == "shipment.exceeds"
    assert refused.value.details["set_aside"] == 2
    assert house.levels()["MUG-01"] == (10, 2, 0)


def test_a_warehouse_knows_an_order_by_what_a_restored_hub_calls_it_too(house: House) -> None:
    house.stock(MUG_01=10)
    house.sync(paid(id="1001").snapshot())
    assert house.told("order.ready")[-1]["ref"] == f"SO{CONNECTION}-1001", "made of no id that a hub gives to an order"
    ship(house, ("MUG-01", 2), ref=f" so{CONNECTION}-1001 ")
    assert house.told("shipment.recorded")[-1]["order"]["external_id"] == "1001"


@pytest.mark.parametrize("ref", ["SO999999", "SO7-999999", "1001", "", "SO-x"])
def test_a_shipment_of_an_unknown_order_is_refused(house: House, ref: str) -> None:
    with pytest.raises(CoreError) as refused:
        ship(house, ("MUG-01", 1), ref=ref or " ")
    assert refused.value.kind == "shipment.unknown_order"


def test_a_shipment_that_the_warehouse_cancels_is_a_question(house: House) -> None:
    house.stock(MUG_01=10)
    house.sync(paid().snapshot())
    ship(house, status="cancelled")
    assert house.questions() == {"shipment.cancelled"}
    assert house.levels()["MUG-01"] == (10, 2, 0)


def test_a_shipment_that_the_warehouse_was_asked_to_cancel_is_no_question(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    shop.cancel()
    house.sync(shop.snapshot())
    ship(house, status="cancelled")
    assert house.questions() == set()
    assert house.levels()["MUG-01"] == (10, 0, 0)


def test_goods_that_are_not_kept_in_stock_are_sent_without_a_reservation(house: House) -> None:
    house.policy = Policy(reserve_at=None)
    house.stock(MUG_01=10)
    house.sync(paid().snapshot())
    assert len(house.told("order.ready")) == 1
    ship(house, ("MUG-01", 2))
    assert house.levels()["MUG-01"] == (10, 0, 0)
    assert house.rows("SELECT state, shipped FROM sales_order JOIN order_line ON order_id = sales_order.id") == [
        ("closed", 2)
    ]


def test_a_shipment_of_a_cancelled_order_is_refused(house: House) -> None:
    house.stock(MUG_01=10)
    shop = paid()
    house.sync(shop.snapshot())
    shop.cancel()
    house.sync(shop.snapshot())
    for lines in ((("MUG-01", 2),), ()):
        with pytest.raises(CoreError) as refused:
            ship(house, *lines)
        assert refused.value.kind == "shipment.exceeds"
