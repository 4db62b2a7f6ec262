"""The generic HTTP connector against a server that records what comes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from hub.connect import reads
from hub.connect.links import Link
from hub.connect.operations import Confirmed, NeedsReconnect, Outcome, Rejected, Retry, Uncertain, execute, ladder_of
from hub.connect.sandboxes import Running
from hub.connect.signatures import SignatureError
from tests.connectors.kit import Kit
from tests.connectors.serving import load


def connect(kit: Kit, server: HTTPServer, **settings: Any) -> Link:
    return kit.connect("http", {"url": server.url_for("").rstrip("/"), "authorization": "Bearer s3cret", **settings})


BODY = {"method": "PUT", "path": "/things/7", "json": {"price": 1.5}}


def test_a_request_carries_credentials_and_the_idempotency_key(kit: Kit, httpserver: HTTPServer) -> None:
    link = connect(kit, httpserver, idempotency_header="Idempotency-Key")
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response(json.dumps({"id": 9}), 201)

    httpserver.expect_request("/things/7", method="PUT").respond_with_handler(answer)

    done = execute(link, "request", BODY, "k-1", first_attempt=True)

    assert isinstance(done, Confirmed)
    assert done.external_id == "9"
    assert (seen[0].headers["Idempotency-Key"], seen[0].headers["Authorization"]) == ("k-1", "Bearer s3cret")
    assert seen[0].data == b'{"price":1.5}'


@pytest.mark.parametrize(("header", "ladder", "expected"), [("", "none", Uncertain), ("X-Key", "native_key", Retry)])
def test_without_an_idempotency_key_an_open_outcome_is_uncertain(
    kit: Kit, httpserver: HTTPServer, header: str, ladder: str, expected: type
) -> None:
    link = connect(kit, httpserver, idempotency_header=header)
    httpserver.expect_request("/things/7").respond_with_data("oops", 502)

    assert ladder_of(link, "request") == ladder
    assert isinstance(execute(link, "request", BODY, "k-1", first_attempt=True), expected)


@pytest.mark.parametrize(
    ("status", "expected"), [(401, NeedsReconnect), (403, Rejected), (404, Rejected), (422, Rejected), (302, Rejected)]
)
def test_a_refusal_is_never_uncertain(kit: Kit, httpserver: HTTPServer, status: int, expected: type) -> None:
    link = connect(kit, httpserver)
    httpserver.expect_request("/things/7").respond_with_data("no", status, headers={"location": "http://elsewhere/"})

    assert isinstance(execute(link, "request", BODY, "k-1", first_attempt=True), expected)


def test_too_many_requests_wait_as_told(kit: Kit, httpserver: HTTPServer) -> None:
    link = connect(kit, httpserver)
    httpserver.expect_request("/things/7").respond_with_data("", 429, headers={"retry-after": "12"})

    outcome = execute(link, "request", BODY, "k-1", first_attempt=True)

    assert isinstance(outcome, Retry)
    assert (outcome.after_s, outcome.sent) == (12.0, False)


@pytest.mark.parametrize("path", ["", "things", "//evil.example.org/x", "http://evil.example.org/x"])
def test_a_request_leaves_for_the_address_of_the_settings_only(kit: Kit, httpserver: HTTPServer, path: str) -> None:
    link = connect(kit, httpserver)

    assert isinstance(execute(link, "request", BODY | {"path": path}, "k", first_attempt=True), Rejected)


def test_a_read_is_tried_again(kit: Kit, httpserver: HTTPServer) -> None:
    link = connect(kit, httpserver)
    httpserver.expect_request("/things", query_string={"page": "2"}).respond_with_json({"items": [1]})

    found = execute(link, "get", {"path": "/things", "query": {"page": 2}}, "", first_attempt=True)

    assert isinstance(found, Confirmed)
    assert found.answer == {"items": [1]}


def test_webhooks_are_read_as_the_settings_say(kit: Kit, httpserver: HTTPServer) -> None:
    link = connect(
        kit,
        httpserver,
        webhook_secret="hook-secret",
        signature_header="X-Signature",
        signature_prefix="sha256=",
        timestamp_header="X-Time",
        signature_content="{timestamp}.{body}",
        topic_header="X-Topic",
        delivery_header="X-Delivery",
        record="thing",
        id_path="thing.id",
        stamp_path="thing.changed",
    )
    body = b'{"thing": {"id": 7, "changed": "2026-11-24T09:00:00+01:00", "price": 1.50}}'
    made = hmac.new(b"hook-secret", b"1000." + body, hashlib.sha256).hexdigest()
    headers = {"x-signature": f"sha256={made}", "x-time": "1000", "x-topic": "thing.changed", "x-delivery": "d-1"}

    reads.verify(link, headers, body, now=1100)
    found = reads.decode(
        link.connector, reads.topic_of(link.connector, headers, body, link.settings), headers, body, link.settings
    )

    assert (found.topic, found.record, found.record_id) == ("thing.changed", "thing", "7")
    assert (found.ordering_key, found.stamp) == ("thing:7", "2026-11-24T08:00:00.000000Z")
    assert reads.delivery_id(link.connector, headers, body, link.settings) == "d-1"
    with pytest.raises(SignatureError):
        reads.verify(link, headers, body, now=2000)


def test_without_a_secret_no_webhook_is_taken(kit: Kit, httpserver: HTTPServer) -> None:
    link = connect(kit, httpserver)
    made = hmac.new(b"", b"{}", hashlib.sha256).hexdigest()

    with pytest.raises(SignatureError):
        reads.verify(link, {"webhook-signature": made}, b"{}")


# -- a whole record at its own path, against the sandbox --------------------------------------------------------

CONTACT = {"path": "/contacts/hub-7", "json": {"name": "Ada", "email": "ada@example.org"}}


@pytest.fixture
def crm(kit: Kit) -> Running:
    return kit.sandbox("http")


def put(kit: Kit, crm: Running, body: dict[str, Any] = CONTACT, *, first: bool = True) -> Outcome:
    return execute(kit.connect("http", load("http").connection(crm.url)), "put", body, "k", first_attempt=first)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_after"])
def test_a_record_that_may_have_been_put_is_looked_up(kit: Kit, crm: Running, ask: Any, kind: str) -> None:
    ask(crm, "faults", {"match": "PUT *", "kind": kind})

    lost, again = put(kit, crm), put(kit, crm, first=False)

    assert isinstance(lost, Retry)
    assert lost.sent
    assert isinstance(again, Confirmed)
    assert again.external_id == "hub-7"
    assert ask(crm, "state", method="GET")["records"] == {"/contacts/hub-7": CONTACT["json"]}
    puts = [each for each in ask(crm, "requests", method="GET")["requests"] if each["method"] == "PUT"]
    assert len(puts) == (2 if kind == "drop_before" else 1)


def test_a_record_that_differs_is_put_again(kit: Kit, crm: Running, ask: Any) -> None:
    ask(crm, "records", {"path": "/contacts/hub-7", "record": {"name": "Somebody else"}})

    assert isinstance(put(kit, crm, first=False), Confirmed)
    assert ask(crm, "state", method="GET")["records"]["/contacts/hub-7"] == CONTACT["json"]


def test_the_sandbox_makes_a_record_once_for_a_key(kit: Kit, crm: Running, ask: Any) -> None:
    link = kit.connect("http", load("http").connection(crm.url))
    body = {"path": "/notes", "json": {"text": "called"}}
    ask(crm, "faults", {"match": "POST /notes", "kind": "drop_after"})

    execute(link, "request", body, "n-1", first_attempt=True)
    made = execute(link, "request", body, "n-1", first_attempt=False)

    assert isinstance(made, Confirmed)
    assert ask(crm, "state", method="GET")["records"] == {"/notes/1": {"text": "called"}}
    assert isinstance(execute(link, "request", {**body, "json": {}}, "n-1", first_attempt=True), Rejected)


def test_the_sandbox_knows_its_authorization(kit: Kit, crm: Running) -> None:
    settings = {**load("http").connection(crm.url), "authorization": "Bearer other"}

    assert isinstance(execute(kit.connect("http", settings), "put", CONTACT, "k", first_attempt=True), NeedsReconnect)
