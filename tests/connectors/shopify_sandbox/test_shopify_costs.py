"""Documents, their costs, limits, searches and pages at the Shopify sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from tests.connectors.serving import load
from tests.connectors.shopify_serving import DOCUMENTS, Admin

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


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
