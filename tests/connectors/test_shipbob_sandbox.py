"""The ShipBob sandbox over real sockets: orders, shipments, tracking, webhooks, limits and planted faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.connectors.serving import Receiver, Swap, load, serving, wait_until

START = datetime(2026, 11, 25, 9, 1, tzinfo=UTC)
HEADERS = {"authorization": "Bearer pat", "shipbob_channel_id": "100001"}


class Clock:
    """A clock that stands still until moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Swap, str]]:
    swap = Swap()
    with serving(swap) as base:
        yield swap, base


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(server: tuple[Swap, str], clock: Clock) -> Iterator[Any]:
    """Starts a sandbox with settings and gives a client of it."""
    swap, base = server
    with httpx2.Client(base_url=base, headers=HEADERS) as client:

        def make(**settings: Any) -> httpx2.Client:
            swap.app = load("shipbob").create("pat", clock=clock, **settings)
            return client

        yield make


@pytest.fixture
def client(start: Any) -> httpx2.Client:
    return start(retry_seconds=(0.01, 0.01))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def an_order(reference: str = "WEB-1001", **changes: Any) -> dict[str, Any]:
    return {
        "reference_id": reference,
        "order_number": reference,
        "type": "DTC",
        "shipping_method": "Standard",
        "purchase_date": "2026-11-25T10:00:00+01:00",
        "recipient": {
            "name": "Camille Exemple",
            "address": {"address1": "5 Impasse du Test", "city": "Nantes", "zip_code": "44000", "country": "FR"},
            "email": "camille@example.org",
        },
        "products": [
            {"reference_id": "TEE-RED-S", "name": "Tee red S", "quantity": 2, "external_line_id": 1},
            {"reference_id": "MUG-01", "name": "Mug", "quantity": 1, "external_line_id": 2},
        ],
        "tags": [{"name": "source", "value": "hub"}],
        **changes,
    }


def place(client: httpx2.Client, reference: str = "WEB-1001", **changes: Any) -> dict[str, Any]:
    answer = client.post("/2026-01/order", json=an_order(reference, **changes))
    assert answer.status_code == 201, answer.text
    return answer.json()


def act(client: httpx2.Client, name: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/_sandbox/{name}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def subscribe(client: httpx2.Client, receiver: Receiver, *topics: str) -> dict[str, Any]:
    answer = client.post("/2026-01/webhook", json={"topics": list(topics), "url": receiver.url})
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- orders ---------------------------------------------------------------------------------------------------------------


def test_an_order_is_taken_with_one_shipment(client: httpx2.Client) -> None:
    answer = client.post("/2026-01/order", json=an_order())

    order = answer.json()
    assert (answer.status_code, answer.headers["x-remaining-calls"]) == (201, "149")
    assert (order["id"], order["status"], order["channel"]["id"]) == (100500, "Processing", 100001)
    assert (order["created_date"], order["purchase_date"]) == ("2026-11-25T09:01:00Z", "2026-11-25T09:00:00Z")
    assert [(line["id"], line["reference_id"], line["quantity"]) for line in order["products"]] == [
        (301, "TEE-RED-S", 2),
        (302, "MUG-01", 1),
    ]
    (shipment,) = order["shipments"]
    assert (shipment["id"], shipment["status"], shipment["tracking"]) == (200001, "Processing", None)
    assert shipment["products"][0]["inventory_items"][0]["quantity"] == 2
    assert client.get("/2026-01/order/100500").json() == order


def test_the_same_reference_again_is_refused_and_can_be_found(client: httpx2.Client) -> None:
    first = place(client)

    again = client.post("/2026-01/order", json=an_order())

    assert (again.status_code, again.json()) == (422, {"errors": ["Cannot insert order with existing ReferenceId"]})
    place(client, "WEB-1002")
    found = client.get("/2026-01/order", params={"ReferenceIds": "WEB-1001"}).json()
    assert [order["id"] for order in found] == [first["id"]]
    both = client.get("/2026-01/order", params={"ReferenceIds": "WEB-1002,WEB-1001,WEB-9"}).json()
    assert [order["reference_id"] for order in both] == ["WEB-1002", "WEB-1001"]
    assert client.get("/2026-01/order", params={"ReferenceIds": "WEB-9"}).json() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reference_id": None}, "reference_id"),
        ({"reference_id": "x" * 301}, "reference_id"),
        ({"type": "Retail"}, "type"),
        ({"products": []}, "products"),
        ({"products": [{"reference_id": "A", "quantity": 0}]}, "products[0].quantity"),
        ({"products": [{"quantity": 1}]}, "products[0].reference_id"),
        ({"recipient": {"name": "C", "address": {"address1": "5", "city": "N"}}}, "recipient.address.country"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_by_field(
    client: httpx2.Client, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/2026-01/order", json=an_order() | change)

    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert client.get("/2026-01/order").json() == []


def test_required_fields_are_named(client: httpx2.Client) -> None:
    answer = client.post("/2026-01/order", json={})

    required = {"reference_id", "type", "shipping_method", "recipient", "products"}
    assert (answer.status_code, set(answer.json())) == (400, required)
    assert client.post("/2026-01/order", content=b"{").status_code == 400


def test_unknown_products_are_made_unless_strict(start: Any) -> None:
    client = start(products=["MUG-01"], strict_products=True)

    answer = client.post("/2026-01/order", json=an_order())

    assert (answer.status_code, answer.json()) == (422, {"errors": ["Product TEE-RED-S does not exist"]})
    only_mug = [{"id": 301, "quantity": 1}]
    assert place(client, products=only_mug)["products"][0]["reference_id"] == "MUG-01"


def test_orders_are_listed_in_pages_and_by_time(client: httpx2.Client, clock: Clock) -> None:
    for number in range(3):
        place(client, f"WEB-{number}")
        clock.now += timedelta(minutes=1)

    def listed(**query: Any) -> list[str]:
        return [order["reference_id"] for order in client.get("/2026-01/order", params=query).json()]

    assert listed(Limit=2) == ["WEB-2", "WEB-1"]
    assert listed(Limit=2, Page=2) == ["WEB-0"]
    assert listed(SortOrder="Oldest", Limit=1) == ["WEB-0"]
    assert listed(LastUpdateStartDate="2026-11-25T09:02:00Z") == ["WEB-2", "WEB-1"]
    assert listed(IDs="100500") == ["WEB-0"]
    assert client.get("/2026-01/order", params={"Limit": 251}).status_code == 400
    assert client.get("/2026-01/order/1").status_code == 404


def test_token_channel_and_version_are_checked(client: httpx2.Client) -> None:
    assert client.get("/2026-01/order", headers={"authorization": "Bearer other"}).status_code == 401
    assert client.get("/2026-01/channel").json()["items"][0]["id"] == 100001
    assert client.get("/1999-01/channel").status_code == 404
    assert client.get("/2026-01/order", headers={"shipbob_channel_id": "7"}).status_code == 403
    del client.headers["shipbob_channel_id"]
    assert client.get("/2026-01/order").status_code == 200
    answer = client.post("/2026-01/order", json=an_order())
    assert (answer.status_code, list(answer.json())) == (400, ["shipbob_channel_id"])


def test_the_sliding_minute_has_a_number_of_calls(start: Any, clock: Clock) -> None:
    client = start(calls_per_minute=2)
    assert client.get("/2026-01/order").headers["x-remaining-calls"] == "1"
    clock.now += timedelta(seconds=48)
    assert client.get("/2026-01/order").headers["x-remaining-calls"] == "0"

    refused = client.get("/2026-01/order")

    assert (refused.status_code, refused.headers["x-retry-after"]) == (429, "12")
    assert refused.json() == {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 12 seconds."}
    clock.now += timedelta(seconds=12)
    assert client.get("/2026-01/order").status_code == 200
    assert client.get("/2026-01/order").status_code == 429


# -- shipments ------------------------------------------------------------------------------------------------------------


def test_a_shipped_order_has_tracking(client: httpx2.Client) -> None:
    order = place(client)
    query = {"ShipmentIds": "200001"}
    assert client.get("/2026-01/shipments-tracking", params=query).json() == []

    act(client, "ship", order_id=order["id"], carrier="Chronopost", service="13", shipped_at="2026-11-25T15:00:00Z")

    shipped = client.get("/2026-01/order/100500").json()
    (shipment,) = shipped["shipments"]
    assert (shipped["status"], shipment["status"]) == ("Fulfilled", "Completed")
    assert shipment["tracking"] == {
        "carrier": "Chronopost",
        "carrier_service": "13",
        "tracking_number": "6A00000000011",
        "tracking_url": "https://www.example.org/t/6A00000000011",
        "shipping_date": "2026-11-25T15:00:00Z",
        "bol": None,
        "pro_number": None,
        "scac": None,
    }
    (report,) = client.get("/2026-01/shipments-tracking", params=query).json()
    assert (report["shipment_id"], report["carrier_tracking_number"]) == (200001, "6A00000000011")
    assert report["status"] == "PreTransit"
    assert client.get("/2026-01/shipment/200001").json() == shipment
    assert client.get("/2026-01/order/100500/shipment").json() == [shipment]


def test_all_open_orders_can_be_shipped_at_once(client: httpx2.Client) -> None:
    for number in range(3):
        place(client, f"WEB-{number}")
    client.post("/2026-01/order/100501:cancel")

    left = act(client, "ship", all=True)["shipments"]

    assert [shipment["order_id"] for shipment in left] == [100500, 100502]
    assert len({shipment["tracking"]["tracking_number"] for shipment in left}) == 2
    assert act(client, "ship", all=True)["shipments"] == []


def test_an_order_can_leave_in_parts(client: httpx2.Client) -> None:
    order = place(client)

    act(client, "ship", order_id=order["id"], partial={"TEE-RED-S": 1})

    first = client.get("/2026-01/order/100500").json()
    held = [
        (each["id"], each["status"], [(p["sku"], p["inventory_items"][0]["quantity"]) for p in each["products"]])
        for each in first["shipments"]
    ]
    assert first["status"] == "PartiallyFulfilled"
    assert held == [
        (200001, "Completed", [("TEE-RED-S", 1)]),
        (200002, "Processing", [("TEE-RED-S", 1), ("MUG-01", 1)]),
    ]
    act(client, "ship", order_id=order["id"])
    assert client.get("/2026-01/order/100500").json()["status"] == "Fulfilled"
    refused = client.post("/_sandbox/ship", json={"order_id": 100500, "all": True})
    assert refused.status_code == 400


def test_more_than_the_order_holds_cannot_leave(client: httpx2.Client) -> None:
    place(client)

    answer = client.post("/_sandbox/ship", json={"order_id": 100500, "partial": {"TEE-RED-S": 3}})

    assert answer.status_code == 400
    assert client.get("/2026-01/order/100500").json()["status"] == "Processing"


def test_an_order_is_cancelled_until_it_has_left(client: httpx2.Client) -> None:
    place(client, "WEB-1")
    place(client, "WEB-2")
    act(client, "ship", order_id=100501)

    cancelled = client.post("/2026-01/order/100500:cancel")
    too_late = client.post("/2026-01/order/100501:cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "Success")
    assert cancelled.json()["order"]["status"] == "Cancelled"
    assert cancelled.json()["canceled_shipment_results"] == [
        {"action": "Cancel", "is_success": True, "reason": None, "shipment_id": 200001}
    ]
    assert (too_late.status_code, list(too_late.json())) == (422, ["errors"])
    assert client.post("/2026-01/order/1:cancel").status_code == 404
    # the reference stays taken
    assert client.post("/2026-01/order", json=an_order("WEB-1")).status_code == 422


def test_a_held_order_does_not_leave(client: httpx2.Client, receiver: Receiver) -> None:
    subscribe(client, receiver, "order.shipment.on_hold", "order.shipment.exception")
    place(client)

    act(client, "hold", order_id=100500, status="OnHold")

    assert act(client, "ship", all=True)["shipments"] == []
    assert client.get("/2026-01/order/100500").json()["status"] == "Exception"
    assert receiver.next().headers["x-webhook-topic"] == "order.shipment.on_hold"
    act(client, "hold", order_id=100500, status="Processing")
    assert len(act(client, "ship", all=True)["shipments"]) == 1


def test_carriers_reports_are_read_back(client: httpx2.Client, clock: Clock) -> None:
    place(client)
    act(client, "ship", all=True)
    clock.now += timedelta(days=1)

    act(client, "track", shipment_id=200001, status="InTransit", substatus="ArrivedAtFacility", location="Nantes")
    act(client, "track", shipment_id=200001, status="InTransit", substatus="OutForDelivery", location="Nantes")

    (report,) = client.get("/2026-01/shipments-tracking?ShipmentIds=200001").json()
    assert (report["status"], report["substatus"]) == ("InTransit", "OutForDelivery")
    assert [event["substatus"] for event in report["history"]] == ["ArrivedAtFacility", "OutForDelivery"]
    assert report["last_updated"] == "2026-11-26T09:01:00Z"
    many = ",".join(str(number) for number in range(26))
    assert client.get("/2026-01/shipments-tracking", params={"ShipmentIds": many}).status_code == 400
    assert client.get("/2026-01/shipments-tracking").status_code == 400


# -- webhooks -------------------------------------------------------------------------------------------------------------


def test_subscriptions_are_made_listed_and_removed(client: httpx2.Client, receiver: Receiver) -> None:
    made = subscribe(client, receiver, "order.shipped")
    given = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    body = {"topics": ["return.created"], "url": receiver.url, "secret": given}
    second = client.post("/2026-01/webhook", json=body).json()

    assert made["secret"].startswith("whsec_")
    assert len(made["secret"]) == 38
    assert second["secret"] == given
    listed = client.get("/2026-01/webhook").json()
    assert [(each["id"], each["enabled"], "secret" in each) for each in listed["items"]] == [
        ("1", True, False),
        ("2", True, False),
    ]
    page = client.get("/2026-01/webhook", params={"RecordsPerPage": 1}).json()
    assert [each["id"] for each in client.get(page["next"]).json()["items"]] == ["2"]
    assert client.delete("/2026-01/webhook/1").status_code == 204
    assert client.delete("/2026-01/webhook/1").status_code == 404
    assert [each["id"] for each in client.get("/2026-01/webhook").json()["items"]] == ["2"]


@pytest.mark.parametrize(
    "change", [{"topics": []}, {"topics": ["order.lost"]}, {"secret": "whsec_short"}, {"url": "ftp://example.org"}]
)
def test_a_subscription_that_does_not_fit_is_refused(client: httpx2.Client, change: dict[str, Any]) -> None:
    body = {"topics": ["order.shipped"], "url": "http://127.0.0.1:9/hook"} | change

    answer = client.post("/2026-01/webhook", json=body)

    assert (answer.status_code, list(answer.json())) == (422, ["errors"])


def test_https_can_be_demanded(start: Any) -> None:
    client = start(https_only=True)
    body = {"topics": ["order.shipped"], "url": "http://127.0.0.1:9/hook"}

    assert client.post("/2026-01/webhook", json=body).status_code == 422


def test_a_shipped_order_is_told_with_a_signature(client: httpx2.Client, receiver: Receiver) -> None:
    secret = subscribe(client, receiver, "order.shipped")["secret"]
    place(client)

    (shipment,) = act(client, "ship", all=True)["shipments"]

    notice = receiver.next()
    assert json.loads(notice.body) == shipment == client.get("/2026-01/shipment/200001").json()
    assert b": " not in notice.body[:40]  # compact
    assert notice.headers["x-webhook-topic"] == "order.shipped"
    assert (notice.headers["webhook-id"], notice.headers["webhook-timestamp"]) == ("msg_0001", "1795597260")
    signed = b"msg_0001.1795597260." + notice.body
    digest = hmac.new(base64.b64decode(secret[6:]), signed, hashlib.sha256).digest()
    assert notice.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_a_failed_webhook_is_sent_again_with_the_same_id(client: httpx2.Client, receiver: Receiver) -> None:
    subscribe(client, receiver, "order.shipped")
    receiver.answers = [500, 503]
    place(client)

    act(client, "ship", all=True)

    notices = [receiver.next() for _ in range(3)]
    assert {notice.headers["webhook-id"] for notice in notices} == {"msg_0001"}
    assert {notice.body for notice in notices} == {notices[0].body}

    def delivery() -> dict[str, Any]:
        return client.get("/_sandbox/state").json()["deliveries"][0]

    wait_until(lambda: delivery()["state"] == "delivered")
    assert [attempt["status"] for attempt in delivery()["attempts"]] == [500, 503, 200]


def test_a_webhook_is_given_up_after_the_last_retry(client: httpx2.Client, receiver: Receiver) -> None:
    subscribe(client, receiver, "order.shipped")
    receiver.answers = [500, 500, 500]
    place(client)

    act(client, "ship", all=True)

    wait_until(lambda: client.get("/_sandbox/state").json()["deliveries"][0]["state"] == "failed")
    assert len(client.get("/_sandbox/state").json()["deliveries"][0]["attempts"]) == 3


def test_a_waiting_retry_can_be_hurried_and_a_notice_repeated(start: Any, receiver: Receiver) -> None:
    client = start(retry_seconds=(3600,))
    subscribe(client, receiver, "order.shipped")
    receiver.answers = [500]
    place(client)
    act(client, "ship", all=True)
    first = receiver.next()

    wait_until(lambda: len(client.get("/_sandbox/state").json()["deliveries"][0]["attempts"]) == 1)
    assert act(client, "redeliver") == {"sent": ["msg_0001"]}
    second = receiver.next()
    wait_until(lambda: client.get("/_sandbox/state").json()["deliveries"][0]["state"] == "delivered")
    assert act(client, "redeliver", id="msg_0001") == {"sent": ["msg_0001"]}
    third = receiver.next()

    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
    assert client.post("/_sandbox/redeliver", json={"id": "msg_9"}).status_code == 400


def test_shipped_may_be_told_without_a_number_or_not_at_all(client: httpx2.Client, receiver: Receiver) -> None:
    subscribe(client, receiver, "order.shipped", "order.shipment.delivered")
    place(client, "WEB-1")
    place(client, "WEB-2")

    act(client, "ship", order_id=100500, webhook=False)
    act(client, "ship", order_id=100501, tracking=False)

    notice = json.loads(receiver.next().body)
    assert (notice["order_id"], notice["tracking"]["tracking_number"]) == (100501, None)
    assert client.get("/2026-01/shipments-tracking?ShipmentIds=200002").json() == []
    act(client, "track", shipment_id=200002, status="Delivered")
    delivered = receiver.next()
    assert delivered.headers["x-webhook-topic"] == "order.shipment.delivered"
    assert json.loads(delivered.body)["tracking"]["tracking_number"] == "6A00000000012"
    assert receiver.nothing_more()


def test_only_subscribers_of_a_topic_are_told(client: httpx2.Client, receiver: Receiver) -> None:
    subscribe(client, receiver, "order.shipment.cancelled")
    place(client, "WEB-1")
    place(client, "WEB-2")

    act(client, "ship", order_id=100500)
    client.post("/2026-01/order/100501:cancel")

    assert receiver.next().headers["x-webhook-topic"] == "order.shipment.cancelled"
    assert len(client.get("/_sandbox/state").json()["deliveries"]) == 1


# -- control --------------------------------------------------------------------------------------------------------------


def test_the_state_shows_everything(client: httpx2.Client, receiver: Receiver) -> None:
    subscribe(client, receiver, "order.shipped")
    place(client)

    state = client.get("/_sandbox/state").json()

    assert set(state) == {"orders", "shipments", "tracking", "products", "webhooks", "deliveries"}
    assert state["orders"][0]["shipments"] == state["shipments"]
    assert state["products"] == [{"id": 301, "reference_id": "TEE-RED-S"}, {"id": 302, "reference_id": "MUG-01"}]


@pytest.mark.parametrize(("kind", "orders"), [("drop_before", 0), ("drop_after", 1)])
def test_a_planted_cut_leaves_the_caller_without_an_answer(client: httpx2.Client, kind: str, orders: int) -> None:
    act(client, "faults", match="POST /2026-01/order", kind=kind)

    with pytest.raises(httpx2.RemoteProtocolError):
        client.post("/2026-01/order", json=an_order())

    assert len(client.get("/_sandbox/state").json()["orders"]) == orders
    again = client.post("/2026-01/order", json=an_order())
    assert again.status_code == (422 if orders else 201)
