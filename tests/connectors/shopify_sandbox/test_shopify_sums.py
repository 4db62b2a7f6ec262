"""Orders of the Shopify sandbox add up to the cent, through refunds, edits and cancellations."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import Any

import pytest

from tests.connectors.serving import load
from tests.connectors.shopify_serving import DOCUMENTS, PRODUCTS, Admin

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


def amounts(order: dict[str, Any]) -> tuple[str, ...]:
    names = ("financial_status", "total", "current_total", "received", "refunded", "outstanding")
    return tuple(order[name] for name in names)


def test_the_worked_example_of_tax_discount_and_refund(open_shop: Any) -> None:
    admin = open_shop(taxes_included=False)
    order = admin.place(
        [{"sku": "MUG-01", "quantity": 2}, {"sku": "BOOK-01"}],
        discount={"type": "percentage", "value": 10, "code": "ETE10"},
        shipping={"price": "5.00"},
    )
    assert amounts(order) == ("PAID", "37.10", "37.10", "37.10", "0.00", "0.00")
    assert [(line["net"], line["tax"]) for line in order["lines"]] == [("18.00", "3.60"), ("9.00", "0.50")]
    order = admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1, "restock": "NO_RESTOCK"}])
    assert amounts(order) == ("PARTIALLY_REFUNDED", "37.10", "26.30", "37.10", "10.80", "0.00")
    assert order["current_tax"] == "3.30"


def test_included_tax_is_inside_the_price(admin: Admin) -> None:
    order = admin.place([{"sku": "MUG-01", "quantity": 1, "price": "12.00"}], shipping={"price": "6.00"})
    assert (order["total"], order["total_tax"]) == ("18.00", "3.00")


@pytest.mark.parametrize(("with_tax", "subtotal"), [(False, "10.0"), (True, "12.0")])
def test_a_refunds_subtotal_holds_the_included_tax_by_setting(open_shop: Any, with_tax: bool, subtotal: str) -> None:
    admin = open_shop(refund_subtotal_includes_tax=with_tax)
    order = admin.place([{"sku": "MUG-01", "quantity": 1, "price": "12.00"}])
    admin.act(order, "refund", all=True)
    *_, (refund,) = admin.parts(order)
    (line,) = refund["data"]["refund"]["refundLineItems"]["nodes"]
    assert line["subtotalSet"]["shopMoney"]["amount"] == subtotal
    assert line["totalTaxSet"]["shopMoney"]["amount"] == "2.0"
    assert refund["data"]["refund"]["totalRefundedSet"]["shopMoney"]["amount"] == "12.0"


def test_successive_refunds_of_a_line_take_all_of_it_and_no_cent_more(admin: Admin) -> None:
    order = admin.place(
        [{"sku": "MUG-01", "quantity": 3, "price": "3.33"}], discount={"type": "fixed", "value": "1.00"}
    )
    assert order["total"] == "8.99"
    given = []
    for _ in range(3):
        order = admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}])
        given.append(Decimal(order["refunds"][-1]["amount"]))
    assert given == [Decimal("3.00"), Decimal("2.99"), Decimal("3.00")]
    *_, refunds = admin.parts(order)
    assert all(item["data"]["refund"]["orderAdjustments"]["nodes"] == [] for item in refunds)
    assert amounts(order) == ("REFUNDED", "8.99", "0.00", "8.99", "8.99", "0.00")


def test_a_typed_refund_leaves_a_named_discrepancy(admin: Admin) -> None:
    order = admin.place([{"sku": "MUG-01", "quantity": 1}])
    order = admin.act(order, "refund", amount="2.50", note="Geste")
    assert amounts(order) == ("PARTIALLY_REFUNDED", "10.00", "7.50", "10.00", "2.50", "0.00")
    *_, (refund,) = admin.parts(order)
    (adjustment,) = refund["data"]["refund"]["orderAdjustments"]["nodes"]
    assert (adjustment["reason"], adjustment["amountSet"]["shopMoney"]["amount"]) == ("REFUND_DISCREPANCY", "2.5")
    assert refund["data"]["refund"]["refundLineItems"]["nodes"] == []


def test_a_pending_refund_gives_the_money_when_it_settles(admin: Admin) -> None:
    order = admin.act(admin.place(), "refund", lines=[{"sku": "MUG-01", "quantity": 1}], pending=True)
    assert amounts(order) == ("PAID", "20.00", "10.00", "20.00", "0.00", "-10.00")
    order = admin.act(order, "settle")
    assert amounts(order) == ("PARTIALLY_REFUNDED", "20.00", "10.00", "20.00", "10.00", "0.00")


def test_an_edit_after_payment_leaves_money_owed_or_due(admin: Admin) -> None:
    order = admin.act(admin.place(), "edit", add=[{"sku": "BOOK-01", "quantity": 1}])
    assert amounts(order) == ("PARTIALLY_PAID", "30.00", "30.00", "20.00", "0.00", "10.00")
    order = admin.act(order, "pay")
    assert amounts(order) == ("PAID", "30.00", "30.00", "30.00", "0.00", "0.00")
    order = admin.act(order, "edit", remove=[{"sku": "MUG-01", "quantity": 1}])
    assert amounts(order) == ("PAID", "30.00", "20.00", "30.00", "0.00", "-10.00")
    order = admin.act(order, "refund", amount="10.00")
    assert amounts(order) == ("PARTIALLY_REFUNDED", "30.00", "20.00", "30.00", "10.00", "0.00")
    *_, (refund,) = admin.parts(order)
    reasons = [item["reason"] for item in refund["data"]["refund"]["orderAdjustments"]["nodes"]]
    assert reasons == ["PENDING_REFUND_DISCREPANCY"]


def test_by_setting_a_removal_makes_a_refund_without_money(open_shop: Any) -> None:
    admin = open_shop(edit_removals_as_refunds=True)
    order = admin.act(admin.place(), "edit", remove=[{"sku": "MUG-01", "quantity": 1}])
    assert amounts(order) == ("PAID", "20.00", "10.00", "20.00", "0.00", "-10.00")
    *_, (refund,) = admin.parts(order)
    node = refund["data"]["refund"]
    assert [item["quantity"] for item in node["refundLineItems"]["nodes"]] == [1]
    assert node["transactions"]["nodes"] == []
    (adjustment,) = node["orderAdjustments"]["nodes"]
    assert adjustment["amountSet"]["shopMoney"]["amount"] == "-10.0"
    assert adjustment["reason"] == "PENDING_REFUND_DISCREPANCY"


def test_an_authorisation_is_no_money_until_captured(admin: Admin) -> None:
    order = admin.place(pay="authorize")
    assert amounts(order)[:1] + amounts(order)[3:4] == ("AUTHORIZED", "0.00")
    order = admin.act(order, "pay", amount="12.00")
    assert amounts(order) == ("PARTIALLY_PAID", "20.00", "20.00", "12.00", "0.00", "8.00")
    assert [item["kind"] for item in order["transactions"]] == ["AUTHORIZATION", "CAPTURE"]


def test_two_gateways_are_given_back_the_latest_first(admin: Admin) -> None:
    order = admin.place(pay=[{"gateway": "gift_card", "amount": "5.00"}, {"gateway": "paypal"}])
    order = admin.act(order, "refund", all=True)
    moved = [(item["kind"], item["gateway"], item["amount"]) for item in order["transactions"]]
    assert moved == [
        ("SALE", "gift_card", "5.00"),
        ("SALE", "paypal", "15.00"),
        ("REFUND", "paypal", "15.00"),
        ("REFUND", "gift_card", "5.00"),
    ]


def test_cancelling_gives_back_money_and_stock_or_keeps_the_money(admin: Admin) -> None:
    paid = admin.act(admin.place(shipping={"price": "5.00"}), "cancel")
    assert amounts(paid) == ("REFUNDED", "25.00", "0.00", "25.00", "25.00", "0.00")
    kept = admin.act(admin.place(), "cancel", refund=False)
    assert amounts(kept) == ("PAID", "20.00", "20.00", "20.00", "0.00", "0.00")
    assert kept["cancelled"]
    unpaid = admin.act(admin.place(shipping={"price": "5.00"}, tip="1.00", pay=False), "cancel")
    assert amounts(unpaid) == ("VOIDED", "26.00", "0.00", "0.00", "0.00", "0.00")
    voided = admin.act(admin.place(pay="authorize"), "cancel")
    assert voided["financial_status"] == "VOIDED"
    level = admin.level("MUG-01")
    assert (level["available"], level["committed"], level["on_hand"]) == (40, 0, 40)


def test_gift_cards_are_sold_without_tax_or_shipping(admin: Admin) -> None:
    order = admin.place([{"sku": "CARD-25"}, {"sku": "MUG-01"}])
    assert [line["tax"] for line in order["lines"]] == ["0.00", "1.67"]
    assert [line["sku"] for fo in order["fulfillment_orders"] for line in fo["lines"]] == ["MUG-01"]
    line = admin.data("OrderLines", id=order["gid"])["lineItems"]["nodes"][0]
    assert (line["isGiftCard"], line["requiresShipping"]) == (True, False)


def test_an_exempt_company_pays_no_tax(admin: Admin) -> None:
    order = admin.place(tax_exempt=True, note_attributes={"vat_number": "DE123456789"}, shipping={"price": "5.00"})
    assert order["total_tax"] == "0.00"
    header = admin.data("OrderHeader", id=order["gid"])
    assert header["taxLines"] == []
    assert header["customAttributes"] == [{"key": "vat_number", "value": "DE123456789"}]


@pytest.mark.parametrize(
    ("action", "spec"),
    [
        ("refund", {"lines": [{"sku": "MUG-01", "quantity": 3}]}),
        ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1, "restock": "RETURN"}]}),
        ("refund", {"lines": [{"sku": "NONE"}]}),
        ("refund", {"amount": "20.01"}),
        ("refund", {"shipping": "1.00"}),
        ("refund", {}),
        ("pay", {"amount": "1.00"}),
        ("edit", {"remove": [{"sku": "MUG-01", "quantity": 3}]}),
        ("edit", {"add": [{"sku": "BOOK-01"}, {"sku": "NONE"}]}),
        ("fulfill", {"lines": [{"sku": "MUG-01", "quantity": 3}]}),
        ("dance", {}),
    ],
)
def test_what_the_shop_refuses_changes_nothing(admin: Admin, action: str, spec: dict[str, Any]) -> None:
    order = admin.place()
    before = admin.state()
    admin.control(f"orders/{order['id']}/{action}", spec, refused=True)
    assert admin.state() == before


def test_a_payment_that_is_refused_leaves_no_order_and_no_reserved_stock(admin: Admin) -> None:
    spec = {"lines": [{"sku": "MUG-01"}], "pay": [{"amount": "4.00"}, {"amount": "40.00"}]}
    admin.control("orders", spec, refused=True)
    assert admin.state()["orders"] == []
    assert admin.level("MUG-01")["available"] == 40


def test_sold_out_is_refused_unless_it_may_be_oversold(admin: Admin) -> None:
    admin.control("orders", {"lines": [{"sku": "BOOK-01", "quantity": 21}]}, refused=True)
    admin.place([{"sku": "BOOK-01", "quantity": 21}], oversell=True)
    assert admin.level("BOOK-01")["available"] == -1


def cents(money_bag: dict[str, Any]) -> int:
    return int(Decimal(money_bag["shopMoney"]["amount"]) * 100)


def random_order(rng: random.Random) -> dict[str, Any]:
    def discount() -> dict[str, Any]:
        if rng.random() < 0.5:
            return {"type": "percentage", "value": rng.choice([5, 10, 33, 50]), "code": "C"}
        return {"type": "fixed", "value": f"{rng.randint(1, 900) / 100:.2f}", "title": "T"}

    lines = []
    for _ in range(rng.randint(1, 4)):
        sku = rng.choice(["MUG-01", "BOOK-01", "CARD-25"])
        line: dict[str, Any] = {"sku": sku, "quantity": rng.randint(1, 4), "price": f"{rng.randint(1, 9999) / 100:.2f}"}
        if rng.random() < 0.3:
            line["discount"] = discount()
        lines.append(line)
    spec: dict[str, Any] = {"lines": lines, "taxes_included": rng.random() < 0.5, "oversell": True}
    if rng.random() < 0.6:
        spec["discount"] = discount()
    if rng.random() < 0.7:
        spec["shipping"] = {"price": f"{rng.randint(0, 1500) / 100:.2f}"}
        if rng.random() < 0.3:
            spec["shipping"]["discount"] = {"type": "percentage", "value": rng.choice([50, 100]), "code": "S"}
    if rng.random() < 0.2:
        spec["tip"] = f"{rng.randint(1, 500) / 100:.2f}"
    spec["pay"] = rng.choice([True, True, "authorize", False])
    return spec


def random_steps(shop: Any, rng: random.Random, name: str) -> int:
    """Some actions on an order; those that the shop refuses are part of it. Gives how many were done."""
    done = 0
    for _ in range(rng.randint(0, 6)):
        sku = rng.choice(["MUG-01", "BOOK-01", "CARD-25"])
        action, spec = rng.choice(
            [
                ("refund", {"lines": [{"sku": sku, "quantity": rng.randint(1, 2)}]}),
                ("refund", {"lines": [{"sku": sku}], "shipping": "full", "pending": rng.random() < 0.2}),
                ("refund", {"amount": f"{rng.randint(1, 800) / 100:.2f}"}),
                ("refund", {"all": True}),
                ("edit", {"add": [{"sku": sku, "quantity": 2}]}),
                ("edit", {"remove": [{"sku": sku, "quantity": 1}], "restock": rng.random() < 0.5}),
                ("fulfill", {}),
                ("fulfill", {"lines": [{"sku": sku, "quantity": 1}]}),
                ("pay", {}),
                ("cancel", {"refund": rng.random() < 0.7, "restock": rng.random() < 0.7}),
                ("settle", {}),
                ("hold", {}),
                ("release", {}),
            ]
        )
        try:
            shop.act(name, action, spec)
            done += 1
        except ValueError:
            pass
    return done


@pytest.mark.parametrize("as_refunds", [False, True])
def test_two_hundred_random_orders_add_up_to_the_cent(as_refunds: bool) -> None:
    rng = random.Random(20261124)
    shop = sandbox.create(products=PRODUCTS, edit_removals_as_refunds=as_refunds, bucket=1e9).state.sandbox
    call = load("shopify", "sandbox_graphql").Call(frozenset(shop.settings["scopes"]))

    def read(name: str, gid: str) -> Any:
        payload = {"query": DOCUMENTS[name], "variables": {"id": gid}, "operationName": name}
        answer = shop.graphql.run(payload, call)
        assert "errors" not in answer, answer["errors"]
        return answer

    done = 0
    for _ in range(60 if as_refunds else 200):
        placed = shop.place(random_order(rng))
        done += random_steps(shop, rng, placed["name"])
        money = read("OrderMoney", placed["gid"])
        refunds = [read("RefundFull", item["id"]) for item in money["data"]["order"]["refunds"]]
        header, lines = read("OrderHeader", placed["gid"]), read("OrderLines", placed["gid"])
        order = records.order_from_parts(header, [lines], money, refunds)
        check_sums(order)
    assert done > (60 if as_refunds else 200)
    for level in shop.state()["inventory"]:
        assert level["on_hand"] == level["available"] + level["committed"]
        waiting = sum(
            line["remaining"]
            for order in shop.state()["orders"]
            for fo in order["fulfillment_orders"]
            if fo["status"] in ("OPEN", "ON_HOLD")
            for line in fo["lines"]
            if line["sku"] == level["sku"]
        )
        assert level["committed"] == waiting


def check_sums(order: dict[str, Any]) -> None:
    included = order["taxesIncluded"]
    lines, ships = order["lineItems"], order["shippingLines"]
    taxes = [tax for item in [*lines, *ships] for tax in item["taxLines"]]
    assert cents(order["totalTaxSet"]) == sum(cents(tax["priceSet"]) for tax in taxes)
    assert cents(order["totalTaxSet"]) == sum(cents(tax["priceSet"]) for tax in order["taxLines"])
    nets = []
    for line in lines:
        allocated = sum(cents(item["allocatedAmountSet"]) for item in line["discountAllocations"])
        nets.append(cents(line["originalTotalSet"]) - allocated)
        assert nets[-1] >= 0
    assert cents(order["subtotalPriceSet"]) == sum(nets)
    assert cents(order["totalPriceSet"]) == (
        sum(nets)
        + sum(cents(ship["discountedPriceSet"]) for ship in ships)
        + cents(order["totalTipReceivedSet"])
        + (0 if included else cents(order["totalTaxSet"]))
    )
    received = sum(
        cents(item["amountSet"])
        for item in order["transactions"]
        if item["kind"] in ("SALE", "CAPTURE") and item["status"] == "SUCCESS"
    )
    assert cents(order["totalOutstandingSet"]) == (
        cents(order["currentTotalPriceSet"]) - received + cents(order["totalRefundedSet"])
    )
    back = 0
    for refund in order["refunds"]:
        parts = [(r["subtotalSet"], r["totalTaxSet"]) for r in refund["refundLineItems"]]
        parts += [(r["subtotalAmountSet"], r["taxAmountSet"]) for r in refund["refundShippingLines"]]
        worth = sum(cents(subtotal) + cents(tax) for subtotal, tax in parts)
        adjusted = sum(cents(item["amountSet"]) for item in refund["orderAdjustments"])
        assert worth + adjusted == sum(cents(item["amountSet"]) for item in refund["transactions"])
        back += cents(refund["totalRefundedSet"])
    assert back == cents(order["totalRefundedSet"]) <= received
    returned: dict[str, int] = {}
    worth_of: dict[str, int] = {}
    for refund in order["refunds"]:
        for item in refund["refundLineItems"]:
            key = item["lineItem"]["id"]
            returned[key] = returned.get(key, 0) + item["quantity"]
            worth_of[key] = worth_of.get(key, 0) + cents(item["subtotalSet"]) + cents(item["totalTaxSet"])
    for line, net in zip(lines, nets, strict=True):
        if returned.get(line["id"]) == line["quantity"]:
            tax = sum(cents(item["priceSet"]) for item in line["taxLines"])
            assert worth_of[line["id"]] == net + (0 if included else tax)
        assert 0 <= line["currentQuantity"] <= line["quantity"] - returned.get(line["id"], 0)


def test_a_hundred_orders_are_placed_quickly(admin: Admin) -> None:
    start = time.monotonic()
    admin.control("orders", [{"lines": [{"sku": "MUG-01"}], "oversell": True} for _ in range(100)])
    assert time.monotonic() - start < 2
    assert len(admin.state()["orders"]) == 100
