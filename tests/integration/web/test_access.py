"""Everything is closed but three doors; Host is checked; sessions come from one-time links."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx2
import pytest
from web_signing import raw_request

from hub.connect import tokens
from hub.connect.rootkeys import load_root_keys
from hub.web.access import Keys, signing_key
from hub.web.app import create_app

OPEN = {"/connect/callback", "/healthz", "/readyz", "/login"}


def _routes(app):
    """All (method, path) of an application, those in routers included."""
    found = set()
    pending = list(app.routes)
    while pending:
        route = pending.pop()
        pending += getattr(route, "routes", None) or []
        original = getattr(route, "original_router", None)
        if original is not None:
            pending += original.routes
        for method in getattr(route, "methods", None) or ():
            found.add((method, route.path))
    return found


def test_without_a_token_every_route_but_the_open_ones_is_401(server, anyone):
    paths = {(method.upper(), path) for path, methods in _openapi(server).items() for method in methods}
    routes = paths | {
        ("GET", path) for path in ("/metrics", "/docs", "/openapi.json", "/connect/{connection}/start", "/api", "/")
    }
    assert len(routes) > 25

    answers = {
        (method, path): anyone.request(method, re.sub(r"{\w+}", "1", path)).status_code for method, path in routes
    }

    assert {route: status for route, status in answers.items() if status != 401} == {}


def test_no_route_is_missed_by_the_test_above(server):
    app = create_app(server.hub, server.settings, port=server.port)
    known = (
        {path for path in _openapi(server)}
        | OPEN
        | {"/", "/metrics", "/docs", "/openapi.json", "/connect/{connection}/start"}
    )

    assert {path for _, path in _routes(app)} <= known


def _openapi(server):
    headers = {"authorization": f"Bearer {server.token}"}
    return httpx2.get(f"{server.url}/openapi.json", headers=headers, trust_env=False).json()["paths"]


def test_a_path_that_is_not_there_is_closed_too(anyone, admin):
    assert anyone.get("/nothing").status_code == 401
    assert admin.get("/nothing").status_code == 404


def test_the_health_check_is_open(anyone):
    assert anyone.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "", "a@127.0.0.1:{port}"]
)
def test_another_host_is_400_everywhere(server, host):
    for path in ("/healthz", "/webhooks/desk", "/"):
        head = f"GET {path} HTTP/1.1\r\nHost: {host.format(port=server.port)}\r\n\r\n"
        assert raw_request(server.url, head.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_the_names_of_this_machine_are_answered(server, host):
    head = f"GET /healthz HTTP/1.1\r\nHost: {host.format(port=server.port)}\r\n\r\n"

    assert raw_request(server.url, head.encode()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("audience", "lifetime"), [("hub-api", -1), ("hub-session", 60), ("hub-login", 60), ("oauth-state", 60)]
)
def test_a_token_that_is_too_old_or_for_another_use_is_401(server, anyone, audience, lifetime):
    key = signing_key(load_root_keys(server.settings.home)[0])
    token = tokens.issue(key, {"jti": "1"}, audience=audience, lifetime_s=lifetime)

    assert anyone.get("/api/status", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_a_token_signed_with_the_root_key_itself_is_401(server, anyone):
    token = tokens.issue(load_root_keys(server.settings.home)[0].key, {}, audience="hub-api", lifetime_s=60)

    assert anyone.get("/api/status", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_the_token_of_an_earlier_run_is_401(server, anyone):
    token = Keys(server.hub.vault.roots).api_token(60, boot=True)

    assert anyone.get("/api/status", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_a_token_for_a_program_works(admin, anyone):
    token = admin.post("/api/tokens", json={"days": 1}).json()["token"]

    assert anyone.get("/api/status", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_a_link_signs_in_once(server, anyone):
    link = urlsplit(server.login_url())

    answer = anyone.get(f"{link.path}?{link.query}")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert anyone.get("/").status_code == 200
    with httpx2.Client(base_url=server.url, trust_env=False) as another:
        again = another.get(f"{link.path}?{link.query}")
        assert again.status_code == 401
        assert "once" in again.text


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_a_link_leads_nowhere_else(server, anyone, next_):
    link = urlsplit(server.login_url())

    answer = anyone.get(link.path, params={"token": link.query.removeprefix("token="), "next": next_})

    assert answer.headers["location"] == "/"


def test_a_session_changes_things_only_from_its_own_pages(server, anyone):
    link = urlsplit(server.login_url())
    anyone.get(f"{link.path}?{link.query}")

    assert anyone.post("/api/flows/reload").status_code == 403
    assert anyone.post("/api/flows/reload", headers={"origin": "https://evil.example"}).status_code == 403
    assert anyone.post("/api/flows/reload", headers={"origin": "null"}).status_code == 403
    assert anyone.post("/api/flows/reload", headers={"origin": server.url}).status_code == 200


def test_a_person_without_a_session_reads_what_to_do(anyone):
    answer = anyone.get("/", headers={"accept": "text/html"})

    assert answer.status_code == 401
    assert "hub login" in answer.text


def test_pages_load_nothing_from_elsewhere_and_show_no_markup_of_others(server, admin):
    text = "connections:\n  desk: {connector: http}\n"
    admin.post("/api/connections/apply", json={"text": text})
    admin.post("/api/events/items", json={"records": [{"sku": "", "title": "<script>alert(1)</script>"}]})
    server.hub.run_until_idle()

    for path in ("/", "/docs"):
        page = admin.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert not re.search(r"(src|href)=.(https?:)?//", page.text)
        assert "default-src 'none'" in page.headers["content-security-policy"]
