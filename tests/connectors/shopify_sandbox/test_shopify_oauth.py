"""Consent, tokens and scopes at the Shopify sandbox."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.connectors.serving import load
from tests.connectors.shopify_serving import Admin

sandbox = load("shopify")
records = load("shopify", "records")
oauth = load("shopify", "sandbox_oauth")

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FAST = [0.01] * 7


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
