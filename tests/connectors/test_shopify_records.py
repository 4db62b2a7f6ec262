"""Shopify records: one shape from a webhook body and from the parts of a read, exact numbers, errors with their place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from hub.connect.registry import Registry
from hub.records.schema import fits
from tests.connectors.serving import Swap, load, serving, shared
from tests.connectors.shopify_serving import ORDER_TOPICS, PRODUCTS, Admin, Inbox, body_of, document

sandbox = load("shopify")
records = load("shopify", "records")
values = load("shopify", "records_values")
ORDER = Registry.discover().schema("shopify.order")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Swap, str]]:
    swap = Swap()
    with serving(swap) as base:
        yield swap, base


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def admin(server: tuple[Swap, str]) -> Admin:
    swap, base = server
    swap.app = sandbox.create(products=PRODUCTS, clock="2026-11-24T09:12:31+01:00")
    return Admin(base)


def read(admin: Admin, order: dict[str, Any]) -> dict[str, Any]:
    return records.order_from_parts(*admin.parts(order))


def pushed(admin: Admin, inbox: Inbox, order: dict[str, Any]) -> dict[str, Any]:
    """The body that the shop sends when the order is touched: its present state."""
    admin.control("subscriptions", {"uri": inbox.url, "topics": ["orders/updated"]})
    admin.control(f"orders/{order['id']}/touch", {})
    return body_of(inbox.next())


# --- the two ways to one record ---
def plain(admin: Admin) -> dict[str, Any]:
    return admin.place([{"sku": "MUG-01", "quantity": 2}, {"sku": "BOOK-01"}], shipping={"price": "5.00"})


def everything(admin: Admin) -> dict[str, Any]:
    order = admin.place(
        [
            {"sku": "MUG-01", "quantity": 3, "discount": {"type": "fixed", "value": "1.50", "title": "Défaut"}},
            {"sku": "BOOK-01", "quantity": 2, "properties": {"Gravure": "Pour Léa"}},
            {"sku": "CARD-25"},
            {"title": "Emballage", "price": "2.50", "sku": "WRAP"},
        ],
        taxes_included=False,
        discount={"type": "percentage", "value": 10, "code": "ETE10"},
        shipping={"price": "6.90", "discount": {"type": "percentage", "value": 50, "code": "PORT50"}},
        tip="2.00",
        note_attributes={"vat_number": "FR32123456789"},
        tags=["b2b", "hub"],
        note="Livrer le matin",
        po_number="PO-7",
        pay=[{"gateway": "gift_card", "amount": "5.00"}, {}],
    )
    admin.act(
        order, "fulfill", lines=[{"sku": "MUG-01", "quantity": 2}], tracking={"company": "Colissimo", "number": "6A1"}
    )
    admin.act(
        order, "refund", lines=[{"sku": "MUG-01", "quantity": 1, "restock": "RETURN"}], shipping="1.00", note="Cassé"
    )
    admin.act(order, "refund", amount="3.00")
    admin.act(order, "edit", add=[{"sku": "BOOK-01", "quantity": 1}], remove=[{"sku": "WRAP", "quantity": 1}])
    return order


def guest(admin: Admin) -> dict[str, Any]:
    return admin.place(customer=None, email=None, billing_address=None, shipping_address=None, pay="authorize")


def cancelled_unpaid(admin: Admin) -> dict[str, Any]:
    order = admin.place(shipping={"price": "5.00"}, pay=False)
    return admin.act(order, "cancel", reason="fraud")


def cancelled_paid(admin: Admin) -> dict[str, Any]:
    order = admin.place(shipping={"price": "5.00"}, discount={"type": "fixed", "value": "4.99", "title": "Geste"})
    return admin.act(order, "cancel")


def exempt_company(admin: Admin) -> dict[str, Any]:
    person = {"email": "achat@example.com", "first_name": None, "last_name": "Achats", "tax_exempt": True}
    address = {"company": "Exemple GmbH", "city": "Berlin", "country_code": "DE", "zip": "10115"}
    return admin.place(customer=person, billing_address=address, note_attributes={"vat_number": "DE123456789"})


@pytest.mark.parametrize("make", [plain, everything, guest, cancelled_unpaid, cancelled_paid, exempt_company])
def test_a_webhook_and_a_read_give_the_same_record(
    admin: Admin, inbox: Inbox, make: Callable[[Admin], dict[str, Any]]
) -> None:
    order = make(admin)
    webhook = records.order_from_webhook(pushed(admin, inbox, order))
    parts = read(admin, order)
    assert ORDER is not None
    assert fits(webhook, ORDER) == []
    assert fits(parts, ORDER) == []
    stamp = {"asOf": "2026-11-24T08:12:31Z", "complete": True}

    assert parts.pop("sections") == dict.fromkeys(("header", "lines", "payments", "refunds", "fulfillments"), stamp)
    assert webhook.pop("sections") == {
        "header": stamp,
        "lines": stamp,
        "payments": {"asOf": None, "complete": False},
        "refunds": stamp,
        "fulfillments": stamp,
    }
    assert webhook.pop("transactions") is None
    assert isinstance(parts.pop("transactions"), list)
    assert webhook == parts
    assert list(webhook) == list(parts)


def test_an_order_paid_in_another_currency_keeps_both_sides(admin: Admin, inbox: Inbox) -> None:
    order = admin.place(presentment_currency="USD", presentment_rate="1.1", tip="1.00")
    webhook, parts = records.order_from_webhook(pushed(admin, inbox, order)), read(admin, order)
    assert webhook["totalPriceSet"] == parts["totalPriceSet"]
    assert parts["totalPriceSet"]["presentmentMoney"] == {"amount": "23.1", "currencyCode": "USD"}
    # a webhook has tip and outstanding in shop currency only: the other side is unknown, not equal
    assert webhook["totalTipReceivedSet"] == {
        "shopMoney": {"amount": "1", "currencyCode": "EUR"},
        "presentmentMoney": None,
    }
    # nor does it tell the shop amount of what was paid back
    admin.act(order, "refund", amount="1.00")
    assert records.order_from_webhook(body_of(inbox.next()))["totalRefundedSet"] == {
        "shopMoney": None,
        "presentmentMoney": {"amount": "1.1", "currencyCode": "USD"},
    }


def test_a_record_holds_exact_ids_utc_instants_and_plain_decimals(admin: Admin, inbox: Inbox) -> None:
    record = records.order_from_webhook(pushed(admin, inbox, plain(admin)))
    assert record["id"] == "gid://shopify/Order/9100000000000001"
    assert record["legacyResourceId"] == "9100000000000001"
    assert record["createdAt"] == "2026-11-24T08:12:31Z"
    assert record["displayFinancialStatus"] == "PAID"
    assert record["totalPriceSet"]["shopMoney"] == {"amount": "35", "currencyCode": "EUR"}
    assert record["lineItems"][0]["originalTotalSet"]["shopMoney"]["amount"] == "20"
    assert [tax["rate"] for tax in record["taxLines"]] == ["0.2", "0.055"]


def test_a_line_keeps_its_gross_price_and_its_discounts_apart(admin: Admin, inbox: Inbox) -> None:
    record = records.order_from_webhook(pushed(admin, inbox, everything(admin)))
    mug = record["lineItems"][0]
    allocated = {a["discountApplication"]["index"]: a["allocatedAmountSet"] for a in mug["discountAllocations"]}
    assert mug["originalTotalSet"]["shopMoney"]["amount"] == "30"
    assert allocated[0]["shopMoney"]["amount"] == "1.5"
    assert record["discountApplications"][1]["code"] == "ETE10"
    assert record["discountApplications"][1]["value"] == {"percentage": "10"}
    assert record["discountApplications"][0] == {
        "index": 0,
        "allocationMethod": "ACROSS",
        "targetSelection": "EXPLICIT",
        "targetType": "LINE_ITEM",
        "value": {"amount": "1.5", "currencyCode": "EUR"},
        "code": None,
        "title": "Défaut",
    }


# --- parts ---
def test_parts_read_at_different_moments_are_refused(admin: Admin) -> None:
    order = admin.place()
    header, lines, money, _ = admin.parts(order)
    admin.control("clock", {"advance": 5})
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}])
    with pytest.raises(records.PartsDiffer, match=r"08:12:36Z.*08:12:31Z"):
        records.order_from_parts(header, [admin.run("OrderLines", id=order["gid"])], money, [])
    with pytest.raises(records.PartsDiffer):
        records.order_from_parts(header, lines, admin.run("OrderMoney", id=order["gid"]), [])
    *_, refunds = admin.parts(order)
    with pytest.raises(records.PartsDiffer):
        records.order_from_parts(header, lines, None, refunds)


def test_a_part_that_was_not_read_is_absent_not_empty(admin: Admin) -> None:
    order = admin.place()
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}])
    header, lines, money, refunds = admin.parts(order)

    alone = records.order_from_parts(header, [])
    assert (alone["lineItems"], alone["refunds"], alone["transactions"]) == (None, None, None)
    assert [name for name, section in alone["sections"].items() if section["complete"]] == ["header", "fulfillments"]

    listed = records.order_from_parts(header, lines, money, None)
    assert listed["sections"]["payments"]["complete"]
    assert not listed["sections"]["refunds"]["complete"]

    unlisted = records.order_from_parts(header, lines, None, refunds)
    assert len(unlisted["refunds"]) == 1
    assert not unlisted["sections"]["refunds"]["complete"]
    assert unlisted["sections"]["refunds"]["asOf"] is None


def test_an_order_of_many_lines_is_complete_only_with_its_last_page(admin: Admin) -> None:
    lines = [{"title": f"Ligne {n}", "price": "1.00", "sku": f"X-{n}"} for n in range(30)]
    header, pages, money, _ = admin.parts(admin.place(lines))
    assert len(pages) == 2
    assert not records.order_from_parts(header, pages[:1], money)["sections"]["lines"]["complete"]
    whole = records.order_from_parts(header, pages, money)
    assert whole["sections"]["lines"]["complete"]
    assert [line["sku"] for line in whole["lineItems"]] == [f"X-{n}" for n in range(30)]


def test_a_refund_whose_lines_were_cut_leaves_the_refunds_incomplete(admin: Admin) -> None:
    order = admin.place([{"title": f"Ligne {n}", "price": "1.00", "sku": f"X-{n}"} for n in range(30)])
    admin.act(order, "refund", all=True)
    header, lines, money, (first,) = admin.parts(order)
    assert not records.order_from_parts(header, lines, money, [first])["sections"]["refunds"]["complete"]
    info = first["data"]["refund"]["refundLineItems"]["pageInfo"]
    second = admin.run("RefundFull", id=first["data"]["refund"]["id"], after=info["endCursor"])
    whole = records.order_from_parts(header, lines, money, [first, second])
    assert whole["sections"]["refunds"]["complete"]
    assert len(whole["refunds"][0]["refundLineItems"]) == 30


def test_fulfilments_beyond_what_the_header_asks_for_leave_the_section_incomplete(admin: Admin) -> None:
    order = admin.place([{"title": f"Ligne {n}", "price": "1.00", "sku": f"X-{n}"} for n in range(21)])
    admin.act(order, "fulfill")
    header = admin.run("OrderHeader", id=order["gid"])
    assert not records.order_from_parts(header, [])["sections"]["fulfillments"]["complete"]
    (found,) = header["data"]["order"]["fulfillments"]
    after = found["fulfillmentLineItems"]["pageInfo"]["endCursor"]
    rest = admin.data("FulfillmentLines", id=found["id"], after=after)["fulfillmentLineItems"]
    found["fulfillmentLineItems"]["nodes"] += rest["nodes"]
    found["fulfillmentLineItems"]["pageInfo"] = rest["pageInfo"]
    record = records.order_from_parts(header, [])
    assert record["sections"]["fulfillments"]["complete"]
    assert len(record["fulfillments"][0]["fulfillmentLineItems"]) == 21


def test_a_list_as_long_as_was_asked_for_may_have_been_cut(admin: Admin) -> None:
    order = admin.place()
    admin.act(order, "fulfill")
    header, lines, money, _ = admin.parts(order)
    assert records.order_from_parts(header, lines, money)["sections"]["payments"]["complete"]
    money["data"]["order"]["transactions"] *= 50
    header["data"]["order"]["fulfillments"] *= 10
    sections = records.order_from_parts(header, lines, money)["sections"]
    assert not sections["payments"]["complete"]
    assert not sections["fulfillments"]["complete"]


# --- refunds, transactions, stock levels ---
def test_a_refund_webhook_names_its_order_and_equals_the_refund_read(admin: Admin, inbox: Inbox) -> None:
    order = admin.place(shipping={"price": "5.00"})
    admin.control("subscriptions", {"uri": inbox.url, "topics": ["refunds/create"]})
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}], shipping="full", amount="12.00", note="Geste")
    webhook = records.refund_from_webhook(body_of(inbox.next()))
    *_, refunds = admin.parts(order)
    assert webhook["order"] == {"id": order["gid"]}
    assert webhook == records.refund_from_parts(refunds)
    assert webhook["totalRefundedSet"]["shopMoney"]["amount"] == "12"
    assert webhook["orderAdjustments"][0]["reason"] == "REFUND_DISCREPANCY"


def test_a_pending_refund_gave_nothing_back_yet(admin: Admin, inbox: Inbox) -> None:
    order = admin.place()
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}], pending=True)
    record = records.order_from_webhook(pushed(admin, inbox, order))
    assert record["totalRefundedSet"]["shopMoney"]["amount"] == "0"
    assert record["refunds"][0]["transactions"][0]["status"] == "PENDING"


def test_older_refund_bodies_give_shipping_as_a_negative_adjustment() -> None:
    body = {
        "id": 7,
        "order_id": 8,
        "created_at": "2026-11-24T08:12:31Z",
        "refund_line_items": [],
        "transactions": [],
        "order_adjustments": [
            {"id": 9, "kind": "shipping_refund", "amount": "-5.00", "tax_amount": "-1.00", "reason": "Shipping refund"}
        ],
    }
    record = records.refund_from_webhook(body)
    assert record["orderAdjustments"] == []
    assert record["refundShippingLines"][0]["subtotalAmountSet"]["shopMoney"]["amount"] == "5"
    assert record["refundShippingLines"][0]["taxAmountSet"]["shopMoney"]["amount"] == "1"


def test_a_transaction_webhook_equals_the_transaction_read_but_for_its_fees(admin: Admin, inbox: Inbox) -> None:
    admin.control("subscriptions", {"uri": inbox.url, "topics": ["order_transactions/create"]})
    order = admin.place()
    webhook = records.transactions_record(body_of(inbox.next()))
    (paid,) = read(admin, order)["transactions"]
    assert webhook.pop("order") == {"id": order["gid"]}
    assert webhook.pop("fees") is None
    assert paid.pop("fees")[0]["amount"] == {"amount": "0.55", "currencyCode": "EUR"}
    assert webhook == paid


def test_a_transaction_in_another_currency_has_no_shop_amount(admin: Admin, inbox: Inbox) -> None:
    admin.control("subscriptions", {"uri": inbox.url, "topics": ["order_transactions/create"]})
    admin.place(presentment_currency="USD", presentment_rate="1.1")
    record = records.transactions_record(body_of(inbox.next()))
    assert record["amountSet"] == {"shopMoney": None, "presentmentMoney": {"amount": "22", "currencyCode": "USD"}}


def test_a_stock_level_webhook(admin: Admin, inbox: Inbox) -> None:
    admin.control("subscriptions", {"uri": inbox.url, "topics": ["inventory_levels/update"]})
    admin.control("inventory", {"sku": "MUG-01", "available": 7})
    level = admin.level("MUG-01")
    assert records.inventory_level_from_webhook(body_of(inbox.next())) == {
        "item": {"id": level["item"]},
        "location": {"id": level["location"]},
        "available": 7,
        "updatedAt": "2026-11-24T08:12:31Z",
    }


# --- files ---
def test_a_file_of_answers_and_webhooks_is_read_and_joined(admin: Admin, inbox: Inbox) -> None:
    admin.control("subscriptions", {"uri": inbox.url, "topics": [*ORDER_TOPICS[:1], "refunds/create"]})
    order = admin.place()
    created = body_of(inbox.next())
    admin.act(order, "refund", lines=[{"sku": "MUG-01", "quantity": 1}])
    refunded = body_of(inbox.next())
    header, lines, money, refunds = admin.parts(order)

    found = records.read_file([created, *refunds, money, *lines, header, refunded])
    assert [item["kind"] for item in found] == ["shopify.order", "shopify.order", "shopify.refund"]
    assert found[1]["record"] == records.order_from_parts(header, lines, money, refunds)
    (alone,) = records.read_file(refunds)
    assert alone["kind"] == "shopify.refund"
    (cut,) = records.read_file([header])
    assert cut["record"]["lineItems"] is None


@pytest.mark.parametrize("payload", [{"hello": 1}, {"data": {"shop": {"id": "1"}}}, {"data": {"order": {"id": "g"}}}])
def test_a_file_with_something_else_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(records.RecordError):
        records.read_file([payload])


def test_lines_without_their_header_are_refused(admin: Admin) -> None:
    _, lines, *_ = admin.parts(admin.place())
    with pytest.raises(records.RecordError, match="OrderHeader"):
        records.read_file(lines)


# --- errors ---
def set_in(body: Any, path: list[Any], value: Any) -> None:
    for key in path[:-1]:
        body = body[key]
    if value is KeyError:
        del body[path[-1]]
    else:
        body[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["id"], KeyError, "$.id"),
        (["id"], 9.1e15, "$.id"),
        (["updated_at"], None, "$.updated_at"),
        (["updated_at"], "2026-11-24T08:12:31", "$.updated_at"),
        (["currency"], KeyError, "$.currency"),
        (["line_items"], KeyError, "$.line_items"),
        (["line_items"], {}, "$.line_items"),
        (["line_items", 1, "id"], KeyError, "$.line_items[1].id"),
        (["line_items", 1, "quantity"], "two", "$.line_items[1].quantity"),
        (["line_items", 1, "quantity"], 1.5, "$.line_items[1].quantity"),
        (["line_items", 0, "price_set", "shop_money", "amount"], "ten", "$.line_items[0].price_set.shop_money.amount"),
        (["line_items", 0, "tax_lines", 0], "x", "$.line_items[0].tax_lines[0]"),
        (["total_price_set", "shop_money", "amount"], True, "$.total_price_set.shop_money.amount"),
        (["total_price_set", "shop_money", "amount"], "NaN", "$.total_price_set.shop_money.amount"),
    ],
)
def test_a_malformed_webhook_names_its_place(
    admin: Admin, inbox: Inbox, path: list[Any], value: Any, place: str
) -> None:
    body = pushed(admin, inbox, plain(admin))
    set_in(body, path, value)
    with pytest.raises(records.RecordError) as caught:
        records.order_from_webhook(body)
    assert caught.value.path == place
    assert str(caught.value).startswith(f"{place}: ")


def test_a_malformed_answer_names_its_place(admin: Admin) -> None:
    header, lines, _, _ = admin.parts(plain(admin))
    broken = copy.deepcopy(lines)
    broken[0]["data"]["order"]["lineItems"]["nodes"][1]["quantity"] = None
    with pytest.raises(records.RecordError) as caught:
        records.order_from_parts(header, broken)
    assert caught.value.path == "$.lines[0].data.order.lineItems.nodes[1].quantity"
    with pytest.raises(records.RecordError, match="holds none"):
        records.order_from_parts({"data": {"order": None}}, [])


def test_a_negative_quantity_is_not_for_this_module_to_refuse(admin: Admin, inbox: Inbox) -> None:
    body = pushed(admin, inbox, plain(admin))
    body["line_items"][0]["quantity"] = -2
    line = records.order_from_webhook(body)["lineItems"][0]
    assert (line["quantity"], line["originalTotalSet"]["shopMoney"]["amount"]) == (-2, "-20")


def test_a_plain_amount_stands_in_for_a_missing_set(admin: Admin, inbox: Inbox) -> None:
    body = pushed(admin, inbox, plain(admin))
    expected = records.order_from_webhook(copy.deepcopy(body))

    def strip(value: Any) -> None:
        if isinstance(value, dict):
            for key in [key for key in value if key.endswith("_set") and key.removesuffix("_set") in value]:
                del value[key]
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            strip(item)

    strip(body)
    assert "total_price_set" not in body
    assert records.order_from_webhook(body) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("37.10", "37.1"),
        ("37.1", "37.1"),
        ("5.00", "5"),
        ("100", "100"),
        ("0.0", "0"),
        ("-0.00", "0"),
        ("-1.50", "-1.5"),
        (0.055, "0.055"),
        (89.99, "89.99"),
        (Decimal("0.20"), "0.2"),
        (3, "3"),
        ("1E+2", "100"),
    ],
)
def test_one_number_has_one_text(value: Any, text: str) -> None:
    assert values.decimal_text(value, "$") == text


def test_payloads_decoded_with_decimals_give_the_same_record(admin: Admin, inbox: Inbox) -> None:
    body = pushed(admin, inbox, everything(admin))
    exact = json.loads(json.dumps(body), parse_float=Decimal)
    assert records.order_from_webhook(exact) == records.order_from_webhook(body)


# --- the vendor's own payloads ---
@pytest.mark.parametrize("name", ["orders__create", "refunds__create", "inventory_levels__update"])
def test_the_vendors_sample_webhooks_are_read(name: str) -> None:
    body = document(shared("samples", "shopify", f"webhook-{name}.json"))
    (found,) = records.read_file([body])
    assert found["kind"] == {"orders": "shopify.order", "refunds": "shopify.refund"}.get(
        name.split("__")[0], "shopify.inventory_level"
    )
    if name.startswith("orders"):
        assert [line["id"] for line in found["record"]["lineItems"]] == [
            f"gid://shopify/LineItem/{line['id']}" for line in body["line_items"]
        ]
        assert found["record"]["updatedAt"] == "2022-01-01T00:00:00Z"


def test_the_sample_answers_are_joined_into_one_order() -> None:
    names = ["OrderHeader", "OrderLines", "OrderMoney", "RefundFull"]
    answers = [document(shared("samples", "shopify", f"constructed-graphql-{name}.json")) for name in names]
    (found,) = records.read_file(answers)
    record = found["record"]
    assert record["currentTotalPriceSet"]["shopMoney"]["amount"] == "26.3"
    assert record["refunds"][0]["refundLineItems"][0]["totalTaxSet"]["shopMoney"]["amount"] == "1.8"
    # these answers do not say which lines were shipped
    assert {name for name, section in record["sections"].items() if not section["complete"]} == {"fulfillments"}
