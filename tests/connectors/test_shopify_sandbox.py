"""The Shopify sandbox over real sockets: OAuth, costs, orders that add up, stock, fulfilment, webhooks and faults."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from tests.connectors.serving import ROOT, Swap, load, serving, wait_until
from tests.connectors.shopify_serving import DOCUMENTS, ORDER_TOPICS, PRODUCTS, Admin, Inbox, body_of

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Swap, str]]:
    swap = Swap()
    with serving(swap) as base:
        yield swap, base


@pytest.fixture
def open_shop(server: tuple[Swap, str]) -> Any:
    """Serves a sandbox with settings; gives its client."""

    def serve(**settings: Any) -> Admin:
        swap, base = server
        swap.app = sandbox.create(**{"products": PRODUCTS, "clock": "2026-11-24T09:12:31+01:00", **settings})
        return Admin(base)

    return serve


@pytest.fixture
def admin(open_shop: Any) -> Admin:
    return open_shop()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


def subscribe(admin: Admin, inbox: Inbox, *topics: str) -> None:
    admin.control("subscriptions", {"uri": inbox.url, "topics": list(topics)})


# --- OAuth ---
def test_the_callback_signature_is_the_vendors() -> None:
    parameters = {
        "code": "0907a61c0c8d55e99db179b68161bc00",
        "shop": "some-shop.myshopify.com",
        "state": "0.6784241404160823",
        "timestamp": "1337178173",
        "hmac": "not part of it",
    }
    assert oauth.sign(parameters, "hush") == "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf"


def authorize(admin: Admin, scope: str = "read_orders,write_inventory") -> dict[str, str]:
    """Walks through consent as a browser does; gives the parameters of the callback."""
    query = {
        "client_id": "sandbox-client",
        "scope": scope,
        "redirect_uri": "http://127.0.0.1:9/oauth/callback?via=hub",
        "state": "nonce&1",
    }
    page = admin.http.get("/admin/oauth/authorize", params=query)
    assert page.status_code == 200
    assert "Install app" in page.text
    hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    form = {name: value.replace("&amp;", "&") for name, value in hidden.items()}
    answer = admin.http.post("/admin/oauth/authorize", data=form)
    assert answer.status_code == 302
    target = urlsplit(answer.headers["location"])
    assert target.path == "/oauth/callback"
    return dict(parse_qsl(target.query))


def token(admin: Admin, status: int = 200, **fields: Any) -> dict[str, Any]:
    answer = admin.http.post("/admin/oauth/access_token", json={**APP, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_consent_gives_a_signed_callback_and_its_code_a_token(admin: Admin) -> None:
    callback = authorize(admin)
    assert callback.pop("via") == "hub"
    assert callback["state"] == "nonce&1"
    assert callback["shop"] == "hub-sandbox.myshopify.com"
    assert oauth.sign(callback, "sandbox-secret") == callback["hmac"]

    answer = token(admin, code=callback["code"], expiring="1")
    assert answer["expires_in"] == 3600
    assert answer["refresh_token_expires_in"] == 7_776_000
    assert answer["scope"] == "read_orders,write_inventory"
    assert admin.post({"query": "{ shop { name } }"}, answer["access_token"]).status_code == 200

    assert token(admin, 400, code=callback["code"], expiring="1")["error"] == "invalid_request"


@pytest.mark.parametrize("fields", [{"client_secret": "wrong"}, {"client_id": "other"}, {"code": "unknown"}])
def test_a_wrong_secret_or_code_is_refused(admin: Admin, fields: dict[str, str]) -> None:
    code = authorize(admin)["code"]
    token(admin, 400, **{"code": code, "expiring": "1", **fields})


def test_an_unknown_app_gets_no_consent_page(admin: Admin) -> None:
    query = {"client_id": "other", "redirect_uri": "http://127.0.0.1:9/"}
    assert admin.http.get("/admin/oauth/authorize", params=query).status_code == 400


def test_a_refresh_token_is_used_once_and_the_old_access_token_dies(admin: Admin) -> None:
    first = token(admin, code=authorize(admin)["code"], expiring="1")
    second = token(admin, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert admin.post({"query": "{ shop { name } }"}, first["access_token"]).status_code == 401
    assert admin.post({"query": "{ shop { name } }"}, second["access_token"]).status_code == 200
    assert (
        token(admin, 400, grant_type="refresh_token", refresh_token=first["refresh_token"])["error"] == "invalid_grant"
    )


def test_with_grace_a_used_refresh_token_gives_the_same_pair_for_a_while(open_shop: Any) -> None:
    admin = open_shop(refresh_grace=60)
    first = token(admin, code=authorize(admin)["code"], expiring="1")
    second = token(admin, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert token(admin, grant_type="refresh_token", refresh_token=first["refresh_token"]) == second
    admin.control("clock", {"advance": 61})
    token(admin, 400, grant_type="refresh_token", refresh_token=first["refresh_token"])


def test_tokens_expire_by_the_clock_or_on_demand(admin: Admin) -> None:
    expiring = token(admin, code=authorize(admin)["code"], expiring="1")["access_token"]
    daily = token(admin, grant_type="client_credentials")
    assert daily["expires_in"] == 86_400
    assert "refresh_token" not in daily
    lasting = token(admin, code=authorize(admin)["code"])
    assert "expires_in" not in lasting

    def status(text: str) -> int:
        return admin.post({"query": "{ shop { name } }"}, text).status_code

    admin.control("clock", {"advance": 3600})
    assert [status(text) for text in (expiring, daily["access_token"], lasting["access_token"])] == [401, 200, 200]
    admin.control("expire", {})
    assert [status(text) for text in (daily["access_token"], lasting["access_token"], admin.token)] == [401, 401, 401]


def test_without_the_scope_a_field_is_denied_and_null(admin: Admin) -> None:
    text = token(admin, code=authorize(admin, "write_inventory")["code"])["access_token"]
    answer = admin.post({"query": '{ shop { name } order(id: "gid://shopify/Order/1") { id } }'}, text).json()
    assert answer["data"] == {"shop": {"name": "Hub sandbox"}, "order": None}
    assert answer["errors"][0]["extensions"]["code"] == "ACCESS_DENIED"
    # a write scope implies the read scope
    query = {"query": "{ inventoryItems(first: 1) { nodes { sku } } }"}
    assert admin.post(query, text).json()["data"]["inventoryItems"]["nodes"] == [{"sku": "MUG-01"}]


# --- operations, costs, limits ---
def test_each_document_costs_less_than_one_query_may(admin: Admin) -> None:
    graphql = load("shopify", "sandbox_graphql")
    cost = load("shopify", "sandbox_cost")
    costs = {}
    for name, text in DOCUMENTS.items():
        document = graphql.parse(text)
        costs[name] = cost.Cost(graphql.SCHEMA, document, {"first": 100}).of(document.definitions[0])
    assert max(costs.values()) <= 1000
    # worked out by hand from the published rules
    assert costs["OrdersUpdatedSince"] == 2 + 100 * (1 + 3)
    assert costs["InventorySet"] == 10 + 4 + 1
    assert costs["OrderLines"] == 3 + 25 * (1 + 2 + 3 * 3 + (1 + 3) + (1 + 3 + 1) + (1 + 3) + 1)


def test_of_the_types_of_an_interface_the_dearest_counts() -> None:
    graphql, cost = load("shopify", "sandbox_graphql"), load("shopify", "sandbox_cost")
    value = "value { __typename }"
    branches = f"... on DiscountCodeApplication {{ {value} }} ... on ManualDiscountApplication {{ {value} }}"
    text = f'query Q {{ order(id: "1") {{ discountApplications(first: 10) {{ nodes {{ index {branches} }} }} }} }}'
    document = graphql.parse(text)
    assert cost.Cost(graphql.SCHEMA, document, {}).of(document.definitions[0]) == 1 + 1 + 10 * (1 + 1)


def test_an_answer_tells_its_cost_and_version(admin: Admin) -> None:
    order = admin.place()
    payload = {"query": DOCUMENTS["OrderMoney"], "variables": {"id": order["gid"]}}
    response = admin.post(payload)
    assert response.headers["X-Shopify-API-Version"] == "2026-10"
    cost = response.json()["extensions"]["cost"]
    assert cost["requestedQueryCost"] == 651
    assert 0 < cost["actualQueryCost"] < 20
    assert cost["throttleStatus"]["maximumAvailable"] == 2000
    assert cost["throttleStatus"]["currentlyAvailable"] > 1900  # the difference was given back


def test_an_empty_bucket_throttles_at_http_200(open_shop: Any) -> None:
    admin = open_shop(restore_rate=1)
    admin.control("empty_bucket", {})
    answer = admin.run("Locations")
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert answer["extensions"]["cost"]["actualQueryCost"] is None
    assert answer["extensions"]["cost"]["requestedQueryCost"] == 52


def test_too_dear_a_query_is_refused(admin: Admin) -> None:
    answer = admin.run("OrdersUpdatedSince", first=250, query="")
    assert answer["errors"][0]["extensions"] == {"code": "MAX_COST_EXCEEDED", "cost": 1002, "maxCost": 1000}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ orders { nodes { id } } }", "one of first or last"),
        ("{ shop { plan } }", "Cannot query field 'plan'"),
        ("{ shop {", "Syntax Error"),
        ('{ orders(first: 1, after: "?") { nodes { id } } }', "Invalid cursor"),
    ],
)
def test_a_wrong_query_is_told_so_at_http_200(admin: Admin, query: str, message: str) -> None:
    response = admin.post({"query": query})
    assert response.status_code == 200
    assert message in response.json()["errors"][0]["message"]


def test_decimals_are_texts_without_fixed_places(admin: Admin) -> None:
    order = admin.place([{"sku": "MUG-01", "quantity": 1, "price": "37.10"}], pay=False)
    header = admin.data("OrderHeader", id=order["gid"])
    assert header["totalPriceSet"]["shopMoney"]["amount"] == "37.1"
    assert header["totalRefundedSet"]["shopMoney"]["amount"] == "0.0"


def test_the_shop_and_its_locations(open_shop: Any) -> None:
    admin = open_shop(locations=["Paris", "Lyon"], currency="EUR")
    assert admin.data("ShopInfo")["myshopifyDomain"] == "hub-sandbox.myshopify.com"
    assert [place["name"] for place in admin.data("Locations")["nodes"]] == ["Paris", "Lyon"]


def test_changed_orders_come_oldest_first_and_pages_hold_while_an_order_moves(admin: Admin) -> None:
    placed = []
    for _ in range(5):
        placed.append(admin.place())
        admin.control("clock", {"advance": 60})
    since = "updated_at:>='2026-11-24T08:13:31Z'"
    first = admin.data("OrdersUpdatedSince", first=2, query=since)
    assert [node["name"] for node in first["nodes"]] == ["#1002", "#1003"]
    admin.act(placed[1], "touch", note="moved to the end")
    rest = admin.data("OrdersUpdatedSince", first=10, query=since, after=first["pageInfo"]["endCursor"])
    assert [node["name"] for node in rest["nodes"]] == ["#1004", "#1005", "#1002"]
    assert not rest["pageInfo"]["hasNextPage"]


def test_searches_by_name_and_sku_and_an_unknown_filter_only_warns(admin: Admin) -> None:
    admin.place()
    assert admin.data("OrdersUpdatedSince", first=5, query="name:1001 financial_status:paid")["nodes"]
    assert not admin.data("OrdersUpdatedSince", first=5, query="name:1001 financial_status:pending")["nodes"]
    found = admin.data("InventoryBySku", query="sku:MUG-01 OR sku:'BOOK-01'")["nodes"]
    assert [item["sku"] for item in found] == ["MUG-01", "BOOK-01"]
    odd = 'Tasse "OR" 2'
    admin.control("products", {"sku": odd, "price": "1.00", "quantity": 1})
    quoted = odd.replace('"', '\\"')
    (item,) = admin.data("InventoryBySku", query=f'sku:"{quoted}"')["nodes"]
    assert item["sku"] == odd
    assert admin.data("InventoryBySku", query=f"id:{item['id'].rsplit('/', 1)[-1]}")["nodes"] == [item]
    answer = admin.run("OrdersUpdatedSince", first=5, query="colour:red")
    assert len(answer["data"]["orders"]["nodes"]) == 1
    assert answer["extensions"]["search"][0]["warnings"][0]["field"] == "colour"


def test_variants_and_their_prices(admin: Admin) -> None:
    nodes = admin.data("VariantsUpdated", query="updated_at:>='2026-11-24T00:00:00Z'")["nodes"]
    assert [(node["sku"], node["price"]) for node in nodes][:2] == [("MUG-01", "10.00"), ("BOOK-01", "10.00")]
    assert admin.data("VariantsUpdated", query="updated_at:>'2026-11-25T00:00:00Z'")["nodes"] == []


def test_ids_above_2_to_the_53_stay_exact(admin: Admin) -> None:
    first, second = admin.place(), admin.place()
    assert int(first["id"]) > 2**53
    assert int(second["id"]) == int(first["id"]) + 1
    assert int(float(first["id"])) != int(first["id"])
    assert admin.data("OrderHeader", id=first["gid"])["legacyResourceId"] == first["id"]


# --- orders that add up ---
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


# --- stock ---
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


def user_error(answer: dict[str, Any]) -> str:
    payload = answer["data"]["inventorySetQuantities"]
    assert payload["inventoryAdjustmentGroup"] is None
    return payload["userErrors"][0]["code"]


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


# --- fulfilment ---
def ship(admin: Admin, order: dict[str, Any], number: str = "6A1", **more: Any) -> dict[str, Any]:
    node = admin.data("FulfillmentOrdersOfOrder", id=order["gid"])["fulfillmentOrders"]["nodes"][0]
    part: dict[str, Any] = {"fulfillmentOrderId": node["id"]}
    if "quantity" in more:
        line = node["lineItems"]["nodes"][0]["id"]
        part["fulfillmentOrderLineItems"] = [{"id": line, "quantity": more["quantity"]}]
    tracking = {"company": "Colissimo", "number": number, "url": f"https://example.com/{number}"}
    sent = {"notifyCustomer": more.get("notify", True), "trackingInfo": tracking, "lineItemsByFulfillmentOrder": [part]}
    return admin.data("FulfillmentCreate", fulfillment=sent)


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


# --- webhooks ---
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


# --- faults ---
def test_an_answer_may_fail_before_or_after_the_work(admin: Admin) -> None:
    order = admin.place()
    admin.control("faults", {"match": "FulfillmentCreate", "kind": "status", "status": 502})
    with pytest.raises(AssertionError):
        ship(admin, order)
    assert admin.state()["orders"][0]["fulfillments"] == []
    admin.control("faults", {"match": "FulfillmentCreate", "kind": "status_after", "status": 503})
    with pytest.raises(AssertionError):
        ship(admin, order)
    assert len(admin.state()["orders"][0]["fulfillments"]) == 1
    requests = admin.control("requests", method="GET")
    failed = [(r["operation"], r["fault"], r["status"]) for r in requests if r["fault"]]
    assert failed == [("FulfillmentCreate", "status", 502), ("FulfillmentCreate", "status_after", 503)]


@pytest.mark.parametrize(("kind", "available"), [("drop_before", 40), ("drop_after", 35)])
def test_a_cut_connection_gives_no_answer(admin: Admin, kind: str, available: int) -> None:
    admin.control("faults", {"match": "InventorySet", "kind": kind})
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
        admin.set_available("MUG-01", 35, change_from=40)
    assert admin.level("MUG-01")["available"] == available
    # the ladder: the same key again gives the same end, whatever had been done
    admin.set_available("MUG-01", 35, change_from=40)
    assert admin.level("MUG-01")["available"] == 35


def test_a_slow_answer_comes_after_the_client_gave_up(admin: Admin) -> None:
    admin.control("faults", {"match": "POST /admin/api/", "kind": "slow_after", "seconds": 0.4})
    impatient = httpx2.Client(base_url=admin.url, timeout=0.15)
    payload = {"query": "{ shop { name } }"}
    with pytest.raises(httpx2.ReadTimeout):
        impatient.post("/admin/api/2026-10/graphql.json", json=payload, headers={"X-Shopify-Access-Token": admin.token})


def test_faults_inside_an_answer(admin: Admin) -> None:
    for kind in ("throttled", "internal_error_after", "user_error"):
        admin.control("faults", {"match": "InventorySet", "kind": kind, "code": "INVALID_LOCATION"})
    assert admin.set_available("MUG-01", 35, change_from=40)["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert admin.level("MUG-01")["available"] == 40
    failed = admin.set_available("MUG-01", 35, change_from=40)
    assert failed["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert admin.level("MUG-01")["available"] == 35
    assert user_error(admin.set_available("MUG-01", 30, change_from=35, key="b")) == "INVALID_LOCATION"
    assert (
        admin.set_available("MUG-01", 30, change_from=35, key="b")["data"]["inventorySetQuantities"]["userErrors"] == []
    )


def test_a_fault_lasts_for_its_times_and_can_be_cleared(admin: Admin) -> None:
    admin.control(
        "faults", {"match": "ShopInfo", "kind": "status", "status": 429, "times": 2, "headers": {"Retry-After": "3"}}
    )
    payload = {"query": DOCUMENTS["ShopInfo"]}
    answer = admin.post(payload)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    admin.control("faults", method="DELETE")
    assert admin.post(payload).status_code == 200
    admin.control("faults", {"match": "ShopInfo", "kind": "sulk"}, refused=True)


def test_unknown_settings_and_unreadable_bodies_are_refused(admin: Admin) -> None:
    with pytest.raises(TypeError, match="colour"):
        sandbox.create(colour="red")
    headers = {"X-Shopify-Access-Token": admin.token}
    assert admin.http.post("/admin/api/2026-10/graphql.json", content=b"{", headers=headers).status_code == 400
    assert (
        admin.http.post(
            "/admin/oauth/access_token", content=b"{", headers={"content-type": "application/json"}
        ).status_code
        == 400
    )
    assert json.loads(admin.http.post("/_sandbox/orders", content=b"[{}]").text)["error"]


def test_many_at_once_leave_one_consistent_shop(open_shop: Any) -> None:
    admin = open_shop(bucket=1_000_000)

    def work(number: int) -> None:
        order = admin.place([{"sku": "MUG-01", "quantity": 1}], oversell=True)
        admin.act(order, "fulfill" if number % 2 else "cancel")
        admin.data("OrdersUpdatedSince", first=50, query="")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    level = admin.level("MUG-01")
    assert (level["available"], level["committed"], level["on_hand"]) == (28, 0, 28)
    assert len({order["name"] for order in admin.state()["orders"]}) == 24


def test_the_sandbox_imports_nothing_of_what_it_is_to_test() -> None:
    for path in sorted((ROOT / "connectors" / "shopify").glob("sandbox*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                assert all(name.startswith("sandbox_") for name in names), f"{path.name}: {names}"
            elif isinstance(node, ast.ImportFrom | ast.Import):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not any(name.split(".")[0] in ("hub", "hub_connectors") for name in names), (
                    f"{path.name}: {names}"
                )
