"""Planted faults of the Shopify sandbox."""

from __future__ import annotations

import ast
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.connectors.serving import ROOT, load
from tests.connectors.shopify_serving import DOCUMENTS, Admin, ship, user_error

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


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
