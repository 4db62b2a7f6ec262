"""Consent, tokens and their ends at the QuickBooks sandbox."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.connectors.quickbooks_company import (
    BASE,
    CALLBACK,
    REALM,
    TOKEN_PATH,
    Clock,
    Company,
)


def consent(client: httpx2.Client, decision: str = "approve", **change: str) -> httpx2.Response:
    asked = {
        "client_id": "id",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": CALLBACK,
        "state": "s-1",
    } | change
    page = client.get("/connect/oauth2", params=asked)
    if page.status_code != 200:
        return page
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    assert fields.pop("decision") in ("approve", "deny")
    fields = {name: value.replace("&amp;", "&") for name, value in fields.items()}
    return client.post("/connect/oauth2", data={**fields, "decision": decision})


def code_of(answer: httpx2.Response) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def exchange(client: httpx2.Client, **form: str) -> httpx2.Response:
    return client.post(TOKEN_PATH, data=form, auth=("id", "secret"))


def refresh(client: httpx2.Client, token: str) -> httpx2.Response:
    return exchange(client, grant_type="refresh_token", refresh_token=token)


def read_company(client: httpx2.Client, token: str) -> httpx2.Response:
    return client.get(f"{BASE}/companyinfo/{REALM}", headers={"authorization": f"Bearer {token}"})


def test_consent_gives_a_code_for_tokens(company: Company) -> None:
    client = company.http

    back = consent(client)

    query = parse_qs(urlsplit(back.headers["location"]).query)
    assert back.status_code == 302
    assert back.headers["location"].startswith("http://127.0.0.1:8484/oauth/callback?from=quickbooks&code=")
    assert (query["state"], query["realmId"]) == (["s-1"], [REALM])
    form = {"grant_type": "authorization_code", "code": query["code"][0], "redirect_uri": CALLBACK}
    tokens = exchange(client, **form)
    assert tokens.status_code == 200
    assert set(tokens.json()) == {
        *("token_type", "access_token", "expires_in", "refresh_token", "x_refresh_token_expires_in")
    }
    assert (tokens.json()["expires_in"], tokens.json()["x_refresh_token_expires_in"]) == (3600, 8726400)
    assert read_company(client, tokens.json()["access_token"]).json()["CompanyInfo"]["CompanyName"] == "Sandbox Company"
    again = exchange(client, **form)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})


def test_a_code_is_bound_to_its_redirect_and_lives_shortly(company: Company, clock: Clock) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    code = code_of(consent(company.http))
    assert exchange(company.http, **form | {"redirect_uri": "http://other/"}, code=code).status_code == 400
    code = code_of(consent(company.http))
    clock.now += timedelta(minutes=6)
    assert exchange(company.http, **form, code=code).json() == {"error": "invalid_grant"}


def test_consent_can_be_refused_and_is_checked(start: Any) -> None:
    client = start(redirect_uris=[CALLBACK]).http

    denied = consent(client, decision="deny")

    assert parse_qs(urlsplit(denied.headers["location"]).query)["error"] == ["access_denied"]
    assert consent(client, client_id="other").status_code == 400
    assert consent(client, redirect_uri="http://elsewhere/").status_code == 400
    assert consent(client, response_type="token").status_code == 400
    assert consent(client, scope="").status_code == 400


def test_the_consent_page_escapes_what_it_is_given(company: Company) -> None:
    asked = {
        "client_id": "id",
        "response_type": "code",
        "scope": "<b>",
        "redirect_uri": CALLBACK,
        "state": '"><script>',
    }

    page = company.http.get("/connect/oauth2", params=asked).text

    assert "<script>" not in page
    assert "<b>" not in page


def test_a_refresh_rotates_and_the_old_token_dies(company: Company) -> None:
    client = company.http
    first = client.post("/_sandbox/grant").json()

    second = refresh(client, first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    dead = refresh(client, first["refresh_token"])
    assert (dead.status_code, dead.json()) == (400, {"error": "invalid_grant"})
    assert refresh(client, second["refresh_token"]).status_code == 200
    assert read_company(client, second["access_token"]).status_code == 200


def test_the_old_refresh_token_may_have_a_grace(start: Any, clock: Clock) -> None:
    client = start(refresh_grace_seconds=60).http
    first = client.post("/_sandbox/grant").json()["refresh_token"]
    second = refresh(client, first).json()["refresh_token"]

    clock.now += timedelta(seconds=59)
    assert refresh(client, first).json()["refresh_token"] == second
    clock.now += timedelta(seconds=2)
    assert refresh(client, first).status_code == 400


def test_refresh_tokens_may_stay_the_same_and_die_unused(start: Any, clock: Clock) -> None:
    client = start(rotate=False).http
    token = client.post("/_sandbox/grant").json()["refresh_token"]
    assert refresh(client, token).json()["refresh_token"] == token

    clock.now += timedelta(days=102)

    assert refresh(client, token).json() == {"error": "invalid_grant"}


def test_client_credentials_are_needed(company: Company) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}

    wrong = company.http.post(TOKEN_PATH, data=form, auth=("id", "wrong"))

    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
    in_form = {**form, "client_id": "id", "client_secret": "secret"}
    del company.http.headers["authorization"]
    assert company.http.post(TOKEN_PATH, data=in_form).json() == {"error": "invalid_grant"}
    assert exchange(company.http, grant_type="password").json() == {"error": "unsupported_grant_type"}


def test_an_access_token_expires(company: Company, clock: Clock) -> None:
    assert company.http.get(f"{BASE}/companyinfo/{REALM}").status_code == 200
    clock.now += timedelta(seconds=3600)

    answer = company.http.get(f"{BASE}/companyinfo/{REALM}")

    assert answer.status_code == 401
    assert answer.json()["fault"]["type"] == "AUTHENTICATION"
    assert answer.json()["fault"]["error"][0]["code"] == "3200"
    assert "intuit_tid" in answer.headers


def test_tokens_can_be_killed_from_outside(company: Company) -> None:
    grant = company.http.post("/_sandbox/grant").json()
    assert company.http.post("/_sandbox/expire").json() == {"expired": 2}
    assert read_company(company.http, grant["access_token"]).status_code == 401
    grant = refresh(company.http, grant["refresh_token"]).json()
    assert read_company(company.http, grant["access_token"]).status_code == 200

    company.http.post("/_sandbox/expire", json={"refresh": True})

    assert refresh(company.http, grant["refresh_token"]).json() == {"error": "invalid_grant"}


def test_a_revoked_grant_is_dead(company: Company) -> None:
    grant = company.http.post("/_sandbox/grant").json()
    path, auth = "/v2/oauth2/tokens/revoke", ("id", "secret")

    assert company.http.post(path, json={"token": grant["refresh_token"]}, auth=auth).status_code == 200

    assert read_company(company.http, grant["access_token"]).status_code == 401
    assert refresh(company.http, grant["refresh_token"]).status_code == 400
    assert company.http.post(path, json={"token": "x"}, auth=auth).status_code == 400


def test_the_discovery_document_names_the_addresses(company: Company) -> None:
    document = company.http.get("/.well-known/openid_configuration").json()

    assert urlsplit(document["token_endpoint"]).path == TOKEN_PATH
    assert company.http.get(document["authorization_endpoint"]).status_code == 400


def test_another_company_is_refused(company: Company) -> None:
    answer = company.http.get("/v3/company/1/companyinfo/1")

    assert (answer.status_code, answer.json()["fault"]["error"][0]["code"]) == (403, "3100")
