"""The ShipBob connector against its sandbox, over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hub.connect import reads
from hub.connect.links import Link
from hub.connect.operations import Confirmed, NeedsReconnect, Rejected, Retry, execute
from hub.connect.sandboxes import Running
from hub.connect.signatures import SignatureError
from tests.connectors.kit import Kit

Ask = Callable[..., Any]


@pytest.fixture
def warehouse(kit: Kit) -> Running:
    return kit.sandbox("shipbob", token="pat-of-the-merchant", channel_id=100001)


@pytest.fixture
def link(kit: Kit, warehouse: Running) -> Link:
    return kit.connect("shipbob", {"token": "pat-of-the-merchant", "channel_id": "100001", "base_url": warehouse.url})


class Inbox:
    """Keeps the webhooks that come."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.came = threading.Event()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                inbox.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.end_headers()
                inbox.came.set()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/warehouse"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.server.shutdown()
    made.server.server_close()


def order(reference: str = "7") -> dict[str, Any]:
    address = {"address1": "8 rue de la Paix", "city": "Paris", "zip_code": "75002", "country": "FR"}
    return {
        "reference_id": reference,
        "type": "DTC",
        "shipping_method": "Standard",
        "recipient": {"name": "Ada", "address": address},
        "products": [{"reference_id": "MUG-01", "quantity": 2}],
    }


@pytest.mark.parametrize(("kind", "status"), [("status_after", 502), ("drop_after", 502)])
def test_an_order_that_arrived_without_an_answer_is_found_and_not_prepared_twice(
    link: Link, warehouse: Running, ask: Ask, kind: str, status: int
) -> None:
    ask(warehouse, "faults", {"match": "POST /2026-01/order", "kind": kind, "status": status})

    lost = execute(link, "order.create", order(), "k", first_attempt=True)
    again = execute(link, "order.create", order(), "k", first_attempt=False)

    assert isinstance(lost, Retry)
    assert lost.sent
    assert isinstance(again, Confirmed)
    (stored,) = warehouse.state.dump()["orders"]
    assert again.external_id == str(stored["id"])


def test_a_reference_that_is_there_already_is_confirmed(link: Link) -> None:
    first = execute(link, "order.create", order(), "k", first_attempt=True)
    again = execute(link, "order.create", order(), "k", first_attempt=True)

    assert isinstance(first, Confirmed)
    assert isinstance(again, Confirmed)
    assert again.external_id == first.external_id


def test_a_wrong_token_asks_for_a_person_and_a_bad_body_for_a_correction(
    kit: Kit, warehouse: Running, link: Link
) -> None:
    wrong = kit.connect("shipbob", {"token": "nope", "channel_id": "100001", "base_url": warehouse.url})

    assert isinstance(execute(wrong, "order.create", order(), "k", first_attempt=True), NeedsReconnect)
    assert isinstance(execute(link, "order.create", order() | {"type": "?"}, "k", first_attempt=True), Rejected)


def test_too_many_calls_wait_as_long_as_the_vendor_says(link: Link, warehouse: Running, ask: Ask) -> None:
    fault = {"match": "POST /2026-01/order", "kind": "status", "status": 429, "headers": {"x-retry-after": "17"}}
    ask(warehouse, "faults", fault)

    outcome = execute(link, "order.create", order(), "k", first_attempt=True)

    assert isinstance(outcome, Retry)
    assert (outcome.after_s, outcome.sent) == (17.0, False)


def test_cancelling_twice_is_one_cancellation_and_what_has_left_is_not_called_back(
    link: Link, warehouse: Running, ask: Ask
) -> None:
    kept = execute(link, "order.create", order("7"), "k", first_attempt=True)
    left = execute(link, "order.create", order("8"), "k", first_attempt=True)
    assert isinstance(kept, Confirmed)
    assert isinstance(left, Confirmed)
    ask(warehouse, "ship", {"order_id": int(left.external_id or 0)})

    first = execute(link, "order.cancel", {"order_id": kept.external_id}, "c", first_attempt=True)
    again = execute(link, "order.cancel", {"order_id": kept.external_id}, "c", first_attempt=False)
    late = execute(link, "order.cancel", {"order_id": left.external_id}, "d", first_attempt=True)

    assert isinstance(first, Confirmed)
    assert isinstance(again, Confirmed)
    assert isinstance(late, Rejected)


def test_setting_up_webhooks_twice_makes_one_subscription_whose_webhooks_are_ours(
    link: Link, warehouse: Running, inbox: Inbox, ask: Ask
) -> None:
    assert link.setup(inbox.url)["created"] is True
    assert link.setup(inbox.url) == {"created": False, "removed": 0}
    assert len(warehouse.state.webhooks.subscriptions()) == 1

    made = execute(link, "order.create", order("7"), "k", first_attempt=True)
    assert isinstance(made, Confirmed)
    ask(warehouse, "ship", {"order_id": int(made.external_id or 0)})
    assert inbox.came.wait(5)
    headers, body = inbox.received[0]

    reads.verify(link, headers, body)
    found = reads.decode(link.connector, reads.topic_of(link.connector, headers, body), headers, body)
    assert (found.record, found.ordering_key, found.hint) == ("shipment", f"shipment:{found.record_id}", False)
    assert found.data["tracking"]["tracking_number"].startswith("6A")
    assert reads.delivery_id(link.connector, headers, body) == headers["webhook-id"]
    for changed in (body + b" ", body.replace(b"6A", b"6B")):
        with pytest.raises(SignatureError):
            reads.verify(link, headers, changed)
    with pytest.raises(SignatureError, match="from now"):
        reads.verify(link, headers, body, now=int(headers["webhook-timestamp"]) + 301)
    with pytest.raises(SignatureError):
        reads.verify(link, headers | {"webhook-id": "msg_other"}, body)


def test_a_subscription_whose_secret_is_lost_is_made_anew(
    kit: Kit, warehouse: Running, link: Link, inbox: Inbox
) -> None:
    link.setup(inbox.url)
    settings = {"token": "pat-of-the-merchant", "channel_id": "100001", "base_url": warehouse.url}
    other = kit.connect("shipbob", settings)

    assert other.setup(inbox.url) == {"created": True, "removed": 1}
    assert len(warehouse.state.webhooks.subscriptions()) == 1


def test_shipments_whose_webhook_never_came_are_found_by_the_poll(link: Link, warehouse: Running, ask: Ask) -> None:
    made = execute(link, "order.create", order("7"), "k", first_attempt=True)
    assert isinstance(made, Confirmed)
    first = reads.poll(link, "shipment", None)
    ask(warehouse, "ship", {"order_id": int(made.external_id or 0), "webhook": False})

    page = reads.poll(link, "shipment", first.cursor)

    assert first.items == []
    ((record_id, stamp),) = page.items
    shipment = reads.read(link, "shipment", record_id)
    assert shipment is not None
    assert shipment["reference_id"] == "7"
    assert stamp == reads.same_instant(shipment["last_update_at"])
    assert not page.more
    assert reads.read(link, "shipment", "999999") is None
    json.dumps(page.cursor)
