"""Webhooks: nothing is kept without a right signature, and nothing is answered 200 that is not kept."""

from __future__ import annotations

import json
import time

import httpx2
import pytest
import sqlalchemy as sa
from web_signing import raw_request, signed

BODY = {"id": 17, "changed_at": "2026-11-24T09:00:00+01:00"}


def test_a_signed_webhook_is_stored(send, stored):
    answer = send(BODY, **{"x-delivery": "d-1"})

    assert (answer.status_code, answer.json()) == (200, {"received": True, "repeat": False})
    [event] = stored()
    assert (event["kind"], event["topic"], event["connection"]) == ("webhook", "order.changed", "desk")
    assert (event["record"], event["record_id"]) == ("order", "17")


def test_a_connection_is_found_by_its_id_too(send, stored, desk):
    assert send(BODY, to=str(desk)).status_code == 200
    assert len(stored()) == 1


@pytest.mark.parametrize("signature", ["", "0" * 64, "not hex", "é"])
def test_a_wrong_signature_is_401_and_nothing_is_stored(anyone, desk, stored, signature):
    text = json.dumps(BODY).encode()

    answer = anyone.post("/webhooks/desk", content=text, headers=[("webhook-signature", signature.encode())])

    assert answer.status_code == 401
    assert stored() == []


def test_a_missing_signature_is_401_and_nothing_is_stored(anyone, desk, stored):
    assert anyone.post("/webhooks/desk", json=BODY).status_code == 401
    assert stored() == []


def test_the_signature_of_another_body_is_401(anyone, desk, stored):
    right = json.dumps(BODY).encode()

    assert anyone.post("/webhooks/desk", content=right + b" ", headers=signed(right)).status_code == 401
    assert stored() == []


def test_the_signature_of_another_secret_is_401(anyone, desk, stored):
    text = json.dumps(BODY).encode()

    assert anyone.post("/webhooks/desk", content=text, headers=signed(text, "another")).status_code == 401
    assert stored() == []


@pytest.mark.parametrize("name", ["nobody", "0", "9" * 30, "desk%2Fx", "a" * 300])
def test_an_unknown_connection_is_404(send, stored, name):
    assert send(BODY, to=name).status_code == 404
    assert stored() == []


def test_a_body_that_says_it_is_too_long_is_413_without_being_read(server, desk):
    head = b"POST /webhooks/desk HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 999999999\r\n\r\n" % server.port

    started = time.monotonic()
    answer = raw_request(server.url, head)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 5


def test_a_body_in_pieces_that_grows_too_long_is_413(anyone, desk, stored):
    def pieces():
        for _ in range(17):
            yield b"x" * 1024 * 1024

    try:
        status = anyone.post("/webhooks/desk", content=pieces()).status_code
    except httpx2.TransportError:  # the server hangs up while the client still writes
        status = 413
    assert status == 413
    assert stored() == []


@pytest.mark.parametrize(
    "text", [b"", b"no json", b"{", b"[]", b"\xff\xfe", b'{"id": null}', b'{"id": "\\u0000"}', b'{"id": {"a": 1}}']
)
def test_a_signed_body_that_cannot_be_read_is_kept_and_parked(send, stored, admin, text):
    assert send(text).status_code == 200

    event = _settled(stored)
    assert event["state"] == "parked" or event["record_id"] == ""
    if event["state"] == "parked":
        assert [question["event"] for question in admin.get("/api/questions").json()["items"]] == [event["seq"]]


def test_an_unknown_topic_is_kept_and_parked(anyone, admin, stored):
    document = {"connections": {"shop": {"connector": "shopify", "settings": {"shop": "a.myshopify.com"}}}}
    assert admin.post("/api/connections/apply", json={"text": json.dumps(document)}).status_code == 200
    admin.put("/api/connections/shop/secrets", json={"secrets": {"client_secret": "s"}})
    text = b'{"id": 1}'

    answer = anyone.post("/webhooks/shop", content=text, headers=_of_shopify(text, "themes/publish"))

    assert answer.status_code == 200
    event = _settled(stored)
    assert (event["state"], event["topic"]) == ("parked", "themes/publish")


def test_a_webhook_about_another_shop_is_401(anyone, admin, stored):
    document = {"connections": {"shop": {"connector": "shopify", "settings": {"shop": "b.myshopify.com"}}}}
    admin.post("/api/connections/apply", json={"text": json.dumps(document)})
    admin.put("/api/connections/shop/secrets", json={"secrets": {"client_secret": "s"}})
    text = b'{"id": 1}'

    assert anyone.post("/webhooks/shop", content=text, headers=_of_shopify(text, "orders/paid")).status_code == 401
    assert stored() == []


def test_the_same_delivery_is_kept_once(send, stored):
    first = send(BODY, **{"x-delivery": "d-1"})
    second = send({**BODY, "more": 1}, **{"x-delivery": "d-1"})

    assert [first.json()["repeat"], second.json()["repeat"]] == [False, True]
    assert len(stored()) == 1


def test_without_a_delivery_id_only_an_exact_repeat_is_dropped(send, stored):
    answers = [send(BODY), send(BODY), send({**BODY, "more": 1}), send(BODY, **{"x-topic": "order.other"})]

    assert [answer.json()["repeat"] for answer in answers] == [False, True, False, False]
    assert len(stored()) == 3


def test_a_database_that_cannot_store_is_503(send, server, stored):
    with server.hub.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE inbox_seen RENAME TO away"))

    answer = send(BODY)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    with server.hub.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO inbox_seen"))
    assert send(BODY).status_code == 200


def test_only_post_is_answered(anyone, desk):
    assert anyone.get("/webhooks/desk").status_code == 405


def _of_shopify(text, topic):
    import base64
    import hashlib
    import hmac

    signature = base64.b64encode(hmac.new(b"s", text, hashlib.sha256).digest()).decode()
    return {
        "x-shopify-hmac-sha256": signature,
        "x-shopify-shop-domain": "a.myshopify.com",
        "x-shopify-topic": topic,
        "x-shopify-webhook-id": "w-1",
    }


def _settled(stored):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        [event] = stored()
        if event["state"] in ("done", "parked"):
            return event
        time.sleep(0.05)
    raise AssertionError("the event was not worked")


def test_a_name_that_no_database_holds_is_nobody(anyone):
    assert anyone.post("/webhooks/%00", content=b"{}").status_code == 404
