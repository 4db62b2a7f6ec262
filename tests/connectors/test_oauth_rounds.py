"""Connecting by OAuth, as a person's browser does it; and that no secret is ever shown."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hub.connect import oauth, tokens
from hub.connect.errors import NotSent, ReconnectNeeded
from hub.connect.http import httpx
from hub.connect.links import Link
from hub.connect.manifest import CallbackHmac
from hub.connect.oauth import OAuthRefused
from hub.connect.operations import Confirmed, NeedsReconnect, execute
from hub.connect.sandboxes import Running
from hub.db.types import now_us
from tests.connectors.kit import Kit

Ask = Callable[..., Any]
KEY = b"k" * 32
CALLBACK = "http://127.0.0.1:8484/oauth/callback"
SHOP = "hub-sandbox.myshopify.com"


@pytest.fixture
def shop(kit: Kit) -> Running:
    return kit.sandbox("shopify", access_token=None, refresh_grace=0)


@pytest.fixture
def link(kit: Kit, shop: Running) -> Link:
    return kit.connect("shopify", settings(shop))


def settings(shop: Running, **more: Any) -> dict[str, Any]:
    secrets = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    return {"shop": SHOP, "base_url": shop.url, **secrets, **more}


def consent(url: str) -> list[tuple[str, str]]:
    """What a person's browser does: opens the page, presses the button, follows the redirect's address."""
    page = httpx.get(url)
    assert page.status_code == 200, page.text
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    fields |= {"decision": "approve"} if "decision" in page.text else {}
    answer = httpx.post(url.partition("?")[0], data={k: v.replace("&amp;", "&") for k, v in fields.items()})
    assert answer.status_code == 302, answer.text
    return parse_qsl(urlsplit(answer.headers["location"]).query)


def test_a_person_connects_a_shop_once(kit: Kit, link: Link) -> None:
    assert kit.links.row(link.id)["status"] == "new"
    begun = oauth.begin(link, KEY, CALLBACK)
    parameters = consent(begun.url)

    assert oauth.connection_of(KEY, dict(parameters)["state"]) == link.id
    fresh = oauth.finish(link, KEY, parameters, begun.nonce, CALLBACK)

    row = kit.links.row(link.id)
    assert row["status"] == "connected"
    assert row["expires_at"] > row["updated_at"]
    assert set(link.secrets) == {"client_secret", "access_token", "refresh_token"}
    assert oauth.granted_too_little(link, fresh.scope) == []
    assert link.connector.code("shop:check")(link)["myshopifyDomain"] == SHOP
    with pytest.raises(OAuthRefused, match="used already"):
        oauth.finish(link, KEY, parameters, begun.nonce, CALLBACK)


def test_a_company_is_connected_with_its_realm(kit: Kit) -> None:
    books = kit.sandbox("quickbooks", client_id="app", client_secret="app-secret")
    link = kit.connect("quickbooks", {"client_id": "app", "client_secret": "app-secret", "base_url": books.url})
    unconnected = execute(link, "customer.ensure", {"DisplayName": "Ada"}, "k", first_attempt=True)
    begun = oauth.begin(link, KEY, CALLBACK)

    oauth.finish(link, KEY, consent(begun.url), begun.nonce, CALLBACK)

    assert isinstance(unconnected, NeedsReconnect)
    assert link.settings["realm_id"] == "9341453000000001"
    assert isinstance(execute(link, "customer.ensure", {"DisplayName": "Ada"}, "k", first_attempt=True), Confirmed)
    # the same connection never becomes another company's
    again = oauth.begin(link, KEY, CALLBACK)
    other = [(name, "9341453000000002" if name == "realmId" else value) for name, value in consent(again.url)]
    with pytest.raises(OAuthRefused, match="realm_id"):
        oauth.finish(link, KEY, other, again.nonce, CALLBACK)


def _with(parameters: Sequence[tuple[str, str]], **changes: str | None) -> list[tuple[str, str]]:
    kept = [(name, changes.get(name, value)) for name, value in parameters]
    return [(name, value) for name, value in kept if value is not None]


def test_a_callback_that_is_not_the_end_of_our_round_is_refused(kit: Kit, shop: Running, link: Link) -> None:
    begun = oauth.begin(link, KEY, CALLBACK)
    good = consent(begun.url)
    other = kit.connect("shopify", settings(shop))
    forged = tokens.issue(
        b"x" * 32, {"jti": "1", "connection": link.id, "nonce": "?"}, audience="oauth-state", lifetime_s=60
    )
    session = tokens.issue(KEY, {"jti": "1", "connection": link.id}, audience="session", lifetime_s=60)
    attacks: dict[str, tuple[Link, list[tuple[str, str]], str | None]] = {
        "another browser": (link, good, "another nonce"),
        "no cookie": (link, good, None),
        "another connection": (other, good, begun.nonce),
        "forged state": (link, _with(good, state=forged), begun.nonce),
        "a token for another use": (link, _with(good, state=session), begun.nonce),
        "no state": (link, _with(good, state=None), begun.nonce),
        "another shop": (link, _with(good, shop="evil.myshopify.com"), begun.nonce),
        "another code": (link, _with(good, code="stolen"), begun.nonce),
        "no hmac": (link, _with(good, hmac=None), begun.nonce),
        "a second hmac": (link, [*good, ("hmac", "0" * 64)], begun.nonce),
        "an old callback": (link, _with(good, timestamp="1337178173"), begun.nonce),
    }
    for name, (about, parameters, nonce) in attacks.items():
        with pytest.raises(OAuthRefused):
            oauth.finish(about, KEY, parameters, nonce, CALLBACK)
        assert kit.links.row(link.id)["status"] == "new", name

    # none of them used up the round
    oauth.finish(link, KEY, good, begun.nonce, CALLBACK)


def test_the_vendors_own_example_of_a_signed_callback_is_right() -> None:
    parameters = [
        ("code", "0907a61c0c8d55e99db179b68161bc00"),
        ("shop", "some-shop.myshopify.com"),
        ("state", "0.6784241404160823"),
        ("timestamp", "1337178173"),
        ("hmac", "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf"),
    ]
    rule = CallbackHmac(leave_out=["signature"], timestamp="timestamp")

    oauth.check_hmac(rule, parameters, "hush", now=1337178200)
    oauth.check_hmac(rule, [*parameters, ("signature", "x")], "hush", now=1337178200)
    for secret, now in (("hush", 1337178300), ("other", 1337178200), ("", 1337178200)):
        with pytest.raises(OAuthRefused):
            oauth.check_hmac(rule, parameters, secret, now=now)


def test_an_own_shop_connects_by_client_credentials_alone(kit: Kit, shop: Running) -> None:
    link = kit.connect("shopify", settings(shop, grant="client_credentials"))

    link.connector.code("shop:check")(link)

    assert link.secrets["access_token"].startswith("shpat_")
    assert "refresh_token" not in link.secrets


def test_many_threads_renew_a_token_once(kit: Kit, link: Link, shop: Running, ask: Ask) -> None:
    begun = oauth.begin(link, KEY, CALLBACK)
    oauth.finish(link, KEY, consent(begun.url), begun.nonce, CALLBACK)
    used = link.secrets["access_token"]
    ask(shop, "clock", {"advance": 3700})

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: link.connector.code("shop:check")(link), range(6)))

    assert len(found) == 6
    assert link.secrets["access_token"] != used
    renewals = [each for each in shop.state.requests if each["request"] == "POST /admin/oauth/access_token"]
    assert len(renewals) == 2  # the exchange, and one renewal


def test_a_refresh_whose_answer_is_lost_is_within_the_vendors_grace_or_asks_for_a_person(
    kit: Kit, link: Link, shop: Running, ask: Ask
) -> None:
    begun = oauth.begin(link, KEY, CALLBACK)
    oauth.finish(link, KEY, consent(begun.url), begun.nonce, CALLBACK)
    ask(shop, "clock", {"advance": 3700})
    ask(shop, "faults", {"match": "POST /admin/oauth/access_token", "kind": "drop_after"})

    with pytest.raises(NotSent):
        link.renew(link.secrets["access_token"])
    with pytest.raises(NotSent, match="next request is in"):  # the back-off
        link.renew(link.secrets["access_token"])
    kit.links.clock = kit.links.renewals._clock = lambda: now_us() + 2_000_000
    with pytest.raises(ReconnectNeeded, match="earlier request was lost"):
        link.renew(link.secrets["access_token"])
    assert kit.links.row(link.id)["status"] == "reconnect_needed"


def test_no_secret_is_logged_or_shown_or_stored_in_clear(
    kit: Kit, link: Link, shop: Running, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    begun = oauth.begin(link, KEY, CALLBACK)
    oauth.finish(link, KEY, consent(begun.url), begun.nonce, CALLBACK)
    first = dict(link.secrets)
    link.renew(first["access_token"])
    ask(shop, "expire", {"refresh_tokens": True})
    outcome = execute(
        link, "stock.read", {"item_ref": "gid://shopify/InventoryItem/1", "location_ref": "x"}, "k", first_attempt=True
    )

    assert isinstance(outcome, NeedsReconnect)
    secrets = {*first.values(), *link.secrets.values(), begun.nonce}
    shown = "\n".join([caplog.text, repr(link), repr(outcome), repr(begun), str(link.__dict__.get("_links"))])
    assert [secret for secret in secrets if secret in shown] == []
    file = str(kit.database.url.database)
    kept = b"".join(Path(file + tail).read_bytes() for tail in ("", "-wal"))
    assert [secret for secret in secrets if secret.encode() in kept] == []
