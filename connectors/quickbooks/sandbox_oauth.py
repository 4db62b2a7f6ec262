"""Consent, tokens and revocation of the QuickBooks sandbox (OAuth 2.0 code flow)."""

from __future__ import annotations

import base64
import binascii
import hmac
import html
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

REFRESH_SECONDS = 8_726_400  # what the vendor answers: about 100 days
CODE_SECONDS = 300

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Connect to QuickBooks (sandbox)</title>
<main><h1>QuickBooks sandbox</h1>
<p>The application <strong>{client}</strong> asks for access to the company <strong>{company}</strong>: {scope}.</p>
<form method="post" action="/connect/oauth2">{fields}
<button type="submit" name="decision" value="approve">Connect</button>
<button type="submit" name="decision" value="deny">Cancel</button>
</form></main></html>
"""


class OAuthError(Exception):
    """An answer of the token service: HTTP status and the word of RFC 6749."""

    def __init__(self, status: int, error: str, description: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error} | ({"error_description": description} if description else {})


@dataclass
class _Grant:
    """One consent: all tokens that came from it die together when it is revoked."""

    scope: str
    refresh: str = ""
    refresh_until: datetime | None = None
    former: dict[str, datetime] = field(default_factory=dict)  # rotated refresh tokens, until when they still work
    access: dict[str, datetime] = field(default_factory=dict)
    revoked: bool = False


@dataclass
class OAuth:
    """The authorization server; all its state."""

    client_id: str
    client_secret: str
    realm_id: str
    company_name: str
    clock: Callable[[], datetime]
    access_seconds: int
    refresh_seconds: int
    refresh_grace_seconds: int
    rotate: bool  # False: a refresh gives the same refresh token back, as the vendor does within a day
    redirect_uris: Sequence[str] | None  # None: any

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._codes: dict[str, tuple[str, str, datetime]] = {}  # code -> redirect_uri, scope, until
        self._grants: list[_Grant] = []

    # -- consent -----------------------------------------------------------------------------------------------------------

    def page(self, asked: Mapping[str, str]) -> str:
        """The consent page for a valid request."""
        self._check_request(asked)
        names = ("client_id", "response_type", "scope", "redirect_uri", "state")
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(asked.get(name, ""), quote=True)}">'
            for name in names
        )
        return _PAGE.format(
            client=html.escape(self.client_id),
            company=html.escape(self.company_name),
            scope=html.escape(asked.get("scope", "")),
            fields=fields,
        )

    def decide(self, asked: Mapping[str, str]) -> str:
        """Where the browser is sent after the form."""
        self._check_request(asked)
        state = {"state": asked["state"]} if asked.get("state") else {}
        if asked.get("decision") != "approve":
            return _with_query(asked["redirect_uri"], {"error": "access_denied", **state})
        code = secrets.token_urlsafe(24)
        with self._lock:
            until = self.clock() + timedelta(seconds=CODE_SECONDS)
            self._codes[code] = (asked["redirect_uri"], asked["scope"], until)
        return _with_query(asked["redirect_uri"], {"code": code, **state, "realmId": self.realm_id})

    def _check_request(self, asked: Mapping[str, str]) -> None:
        if asked.get("client_id") != self.client_id:
            raise OAuthError(400, "invalid_client", "unknown client_id")
        uri = asked.get("redirect_uri", "")
        if not urlsplit(uri).scheme or (self.redirect_uris is not None and uri not in self.redirect_uris):
            raise OAuthError(400, "invalid_request", "the redirect_uri is not registered")
        if asked.get("response_type") != "code":
            raise OAuthError(400, "unsupported_response_type")
        if not asked.get("scope"):
            raise OAuthError(400, "invalid_scope", "scope is missing")

    # -- tokens ------------------------------------------------------------------------------------------------------------

    def token(self, authorization: str | None, form: Mapping[str, str]) -> dict[str, Any]:
        """Exchange a code or refresh; raises OAuthError."""
        self._check_client(authorization, form)
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange(form)
            case "refresh_token":
                return self._refresh(form.get("refresh_token", ""))
            case _:
                raise OAuthError(400, "unsupported_grant_type")

    def grant(self, scope: str = "com.intuit.quickbooks.accounting") -> dict[str, Any]:
        """Tokens as after a consent, for those who need no browser."""
        with self._lock:
            grant = _Grant(scope)
            self._grants.append(grant)
            return self._issue(grant, rotate=True)

    def revoke(self, authorization: str | None, token: str) -> None:
        """Kill the whole grant of an access or refresh token."""
        self._check_client(authorization, {})
        with self._lock:
            for grant in self._grants:
                if token and not grant.revoked and (token == grant.refresh or token in grant.access):
                    grant.revoked = True
                    return
        raise OAuthError(400, "invalid_request", "unknown token")

    def accepts(self, authorization: str | None) -> bool:
        """True for a bearer token that is alive."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        now = self.clock()
        with self._lock:
            for grant in self._grants:
                until = grant.access.get(token)
                if until is not None:
                    return not grant.revoked and now < until
        return False

    def expire(self, refresh: bool = False) -> int:
        """Kill all access tokens, and the refresh tokens too when asked; gives how many died."""
        died = 0
        with self._lock:
            for grant in self._grants:
                died += len(grant.access)
                grant.access.clear()
                if refresh and grant.refresh:
                    grant.refresh, died = "", died + 1
                    grant.former.clear()
        return died

    def _exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        with self._lock:
            uri, scope, until = self._codes.pop(form.get("code", ""), ("", "", None))
            if until is None or self.clock() >= until or form.get("redirect_uri") != uri:
                raise OAuthError(400, "invalid_grant")
            grant = _Grant(scope)
            self._grants.append(grant)
            return self._issue(grant, rotate=True)

    def _refresh(self, token: str) -> dict[str, Any]:
        now = self.clock()
        with self._lock:
            for grant in self._grants:
                if not token or grant.revoked:
                    continue
                if token == grant.refresh and grant.refresh_until is not None and now < grant.refresh_until:
                    return self._issue(grant, rotate=self.rotate)
                if token in grant.former and now < grant.former[token]:
                    return self._issue(grant, rotate=False)
        raise OAuthError(400, "invalid_grant")

    def _issue(self, grant: _Grant, rotate: bool) -> dict[str, Any]:
        now = self.clock()
        access = secrets.token_urlsafe(32)
        grant.access[access] = now + timedelta(seconds=self.access_seconds)
        if rotate:
            if grant.refresh:
                grant.former[grant.refresh] = now + timedelta(seconds=self.refresh_grace_seconds)
            grant.refresh = secrets.token_urlsafe(32)
        if rotate or not self.rotate:  # use keeps a refresh token alive
            grant.refresh_until = now + timedelta(seconds=self.refresh_seconds)
        return {
            "token_type": "bearer",
            "access_token": access,
            "expires_in": self.access_seconds,
            "refresh_token": grant.refresh,
            "x_refresh_token_expires_in": self.refresh_seconds,
        }

    def _check_client(self, authorization: str | None, form: Mapping[str, str]) -> None:
        """Basic credentials, or both in the form: the vendor's discovery document names both ways."""
        scheme, _, coded = (authorization or "").partition(" ")
        identity, secret = form.get("client_id", ""), form.get("client_secret", "")
        if scheme.lower() == "basic":
            try:
                identity, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                identity = secret = ""
        same = hmac.compare_digest(identity.encode(), self.client_id.encode())
        if not (hmac.compare_digest(secret.encode(), self.client_secret.encode()) and same):
            raise OAuthError(401, "invalid_client")


def _with_query(uri: str, added: Mapping[str, str]) -> str:
    parts = urlsplit(uri)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *added.items()]
    return urlunsplit(parts._replace(query=urlencode(query)))
