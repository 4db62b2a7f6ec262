"""A merchant connects an app: the way to the vendor's consent page and back, and what they read when it fails."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from hub.connect import sandboxes
from hub.connect.registry import Registry

SHOP = "hub-sandbox.myshopify.com"


@pytest.fixture
def shop(admin):
    """A sandbox of Shopify and a connection to it that has the app's credentials, but was not allowed yet."""
    running = sandboxes.start(Registry.discover(), "shopify", access_token=None)
    text = f"""
connections:
  shop: {{connector: shopify, settings: {{shop: {SHOP}, base_url: "{running.url}", client_id: sandbox-client}}}}
roles: {{shop: shop}}
"""
    assert admin.post("/api/connections/apply", json={"text": text}).status_code == 200
    answer = admin.put("/api/connections/shop/secrets", json={"secrets": {"client_secret": "sandbox-secret"}})
    assert answer.status_code == 200, answer.text
    yield running
    running.stop()


@pytest.fixture
def browser(server, anyone):
    """A browser of a person who is signed in."""
    link = urlsplit(server.login_url())
    anyone.get(f"{link.path}?{link.query}")
    return anyone


def consent(url):
    """Presses the button of the vendor's page. Gives the address that it leads back to."""
    page = httpx2.get(url, trust_env=False)
    assert page.status_code == 200, page.text
    fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
    fields |= {"decision": "approve"} if "decision" in page.text else {}
    answer = httpx2.post(url.partition("?")[0], data=fields, trust_env=False)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def test_a_shop_is_connected_and_its_webhooks_are_set_up(server, admin, browser, shop):
    started = browser.get("/connect/shop/start")
    assert started.status_code == 303
    assert "httponly" in started.headers["set-cookie"].lower()
    back = consent(started.headers["location"])
    assert back.startswith(f"{server.url}/connect/callback?")

    page = browser.get(back)

    assert page.status_code == 200, page.text
    assert "is connected as" in page.text
    [connection] = admin.get("/api/connections").json()["items"]
    assert (connection["status"], connection["secrets"]) == (
        "connected",
        ["access_token", "client_secret", "refresh_token"],
    )
    assert admin.post("/api/connections/shop/check").json()["checked"]


def test_a_callback_works_once(browser, shop):
    back = consent(browser.get("/connect/shop/start").headers["location"])
    assert browser.get(back).status_code == 200

    again = browser.get(back)

    assert again.status_code == 400
    assert "start again" in again.text


def test_a_callback_in_another_browser_is_refused(server, admin, browser, shop):
    back = consent(browser.get("/connect/shop/start").headers["location"])
    with httpx2.Client(base_url=server.url, trust_env=False) as another:
        page = another.get(back)

    assert page.status_code == 400
    assert "another browser" in page.text
    assert admin.get("/api/connections").json()["items"][0]["status"] == "new"


@pytest.mark.parametrize(
    "change", [{"code": "other"}, {"shop": "evil.myshopify.com"}, {"hmac": "0" * 64}, {"state": "x"}]
)
def test_a_callback_that_was_changed_is_refused(admin, browser, shop, change):
    back = consent(browser.get("/connect/shop/start").headers["location"])
    parameters = {**dict(parse_qsl(urlsplit(back).query)), **change}

    page = browser.get("/connect/callback", params=parameters)

    assert page.status_code == 400
    assert "Not connected" in page.text
    assert admin.get("/api/connections").json()["items"][0]["status"] == "new"


def test_a_callback_out_of_nowhere_is_refused(anyone):
    assert anyone.get("/connect/callback").status_code == 400
    assert anyone.get("/connect/callback?state=<script>&error=<script>").text.count("<script>") == 0


def test_what_cannot_be_connected_is_said(admin, browser, desk):
    assert browser.get("/connect/nothing/start").status_code == 404
    page = browser.get("/connect/desk/start")
    assert page.status_code == 400
    assert "integrator" in page.text


def test_an_app_without_credentials_is_said(admin, browser):
    text = f"connections: {{shop: {{connector: shopify, settings: {{shop: {SHOP}}}}}}}"
    admin.post("/api/connections/apply", json={"text": text})

    page = browser.get("/connect/shop/start")

    assert page.status_code == 400
    assert "client_id" in page.text


def test_connecting_starts_under_the_public_name(settings, shop_settings):
    """The callback comes to the public name: the cookies have to be of that name."""
    from hub.web.server import Server

    settings.public_url = "http://localhost:1"
    with Server(settings) as server:
        headers = {"authorization": f"Bearer {server.token}"}
        with httpx2.Client(base_url=server.url, headers=headers, trust_env=False) as client:
            client.post("/api/connections/apply", json={"text": shop_settings})

            answer = client.get("/connect/shop/start")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("http://localhost:1/login?token=")
    assert answer.headers["location"].endswith("&next=/connect/shop/start")


@pytest.fixture
def shop_settings():
    return f"connections: {{shop: {{connector: shopify, settings: {{shop: {SHOP}}}}}}}"
