"""OAuth of the sandbox: consent page, code grant with expiring tokens, rotating refresh tokens, client credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from .sandbox_store import Clock


@dataclass
class Token:
    scopes: frozenset[str]
    expires_at: datetime | None


@dataclass
class Renewal:
    """A refresh token. After its use it is refused, but for `refresh_grace` seconds it gives the same new pair again."""

    scopes: frozenset[str]
    used_at: datetime | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Denied(Exception):
    """Answered 400, as `{"error", "error_description"}`."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


def sign(parameters: dict[str, str], secret: str) -> str:
    """Lower-case hex HMAC-SHA256 over the parameters, sorted by name and form-encoded; without `hmac` itself."""
    message = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(parameters.items()) if k != "hmac")
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


class OAuth:
    def __init__(self, settings: dict[str, Any], clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._codes: dict[str, frozenset[str]] = {}
        self._renewals: dict[str, Renewal] = {}
        self._offline: str | None = None
        if settings["access_token"]:
            self._tokens[settings["access_token"]] = Token(frozenset(settings["scopes"]), None)

    def scopes_of(self, token: str | None) -> frozenset[str] | None:
        """The scopes of a live token; None for an unknown or expired one."""
        found = self._tokens.get(token or "")
        if found is None or (found.expires_at is not None and found.expires_at <= self.clock.now()):
            return None
        return found.scopes

    def expire(self, refresh_tokens: bool = False) -> None:
        """All access tokens die now (and with them, if asked, the refresh tokens)."""
        with self._lock:
            self._tokens.clear()
            if refresh_tokens:
                self._renewals.clear()

    # --- consent ---
    def consent_page(self, query: dict[str, str]) -> str:
        if query.get("client_id") != self.settings["client_id"]:
            raise Denied("invalid_client", "no app has this client_id")
        allowed = self.settings["redirect_uris"]
        if not query.get("redirect_uri") or (allowed is not None and query["redirect_uri"] not in allowed):
            raise Denied("invalid_request", "the redirect_uri is not whitelisted")
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(query.get(name, ""), quote=True)}">'
            for name in ("client_id", "scope", "redirect_uri", "state")
        )
        shop, scope = html.escape(self.settings["domain"]), html.escape(query.get("scope", ""))
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Install app</title><h1>{shop}</h1>"
            f"<p>This app asks for: {scope}</p><form method=post>{hidden}<button>Install app</button></form></html>"
        )

    def grant(self, form: dict[str, str]) -> str:
        """The address to send the merchant back to, with code, hmac, host, shop, state and timestamp."""
        self.consent_page(form)
        asked = frozenset(filter(None, form.get("scope", "").split(",")))
        code = secrets.token_hex(16)
        with self._lock:
            self._codes[code] = asked & frozenset(self.settings["scopes"])
        domain = self.settings["domain"]
        parameters = {
            "code": code,
            "host": base64.b64encode(f"{domain}/admin".encode()).decode().rstrip("="),
            "shop": domain,
            "state": form.get("state", ""),
            "timestamp": str(int(self.clock.now().timestamp())),
        }
        parameters["hmac"] = sign(parameters, self.settings["client_secret"])
        joint = "&" if "?" in form["redirect_uri"] else "?"
        return form["redirect_uri"] + joint + urlencode(parameters)

    # --- tokens ---
    def token(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("client_id") != self.settings["client_id"] or not hmac.compare_digest(
            str(body.get("client_secret", "")), self.settings["client_secret"]
        ):
            raise Denied("invalid_client", "the client_id or client_secret is wrong")
        grant = body.get("grant_type")
        with self._lock:
            if grant == "client_credentials":
                return self._issue(frozenset(self.settings["scopes"]), 86_400, refresh=False)
            if grant == "refresh_token":
                return self._refresh(str(body.get("refresh_token", "")))
            if grant in (None, "authorization_code"):
                return self._exchange(
                    str(body.get("code", "")), str(body.get("expiring", "0")) in ("1", "true", "True")
                )
        raise Denied("unsupported_grant_type", f"{grant} is not supported")

    def _exchange(self, code: str, expiring: bool) -> dict[str, Any]:
        scopes = self._codes.pop(code, None)
        if scopes is None:
            raise Denied("invalid_request", "the authorization code was not found or was already used")
        if not expiring:
            return self._issue(scopes, None, refresh=False)
        return self._issue(scopes, self.settings["token_seconds"], refresh=True)

    def _refresh(self, text: str) -> dict[str, Any]:
        found = self._renewals.get(text)
        now = self.clock.now()
        if found is None:
            raise Denied("invalid_grant", "the refresh token is unknown")
        if found.used_at is not None:
            if now - found.used_at < timedelta(seconds=self.settings["refresh_grace"]):
                return found.answer
            raise Denied("invalid_grant", "the refresh token was already used")
        found.used_at = now
        found.answer = self._issue(found.scopes, self.settings["token_seconds"], refresh=True)
        return found.answer

    def _issue(self, scopes: frozenset[str], seconds: int | None, refresh: bool) -> dict[str, Any]:
        text = "shpat_" + secrets.token_hex(16)
        until = None if seconds is None else self.clock.now() + timedelta(seconds=seconds)
        self._tokens[text] = Token(scopes, until)
        answer: dict[str, Any] = {"access_token": text, "scope": ",".join(sorted(scopes))}
        if seconds is not None:
            answer["expires_in"] = seconds
        if refresh:
            # one live expiring offline token for an app and a shop
            self._tokens.pop(self._offline or "", None)
            self._offline = text
            renewal = "shprt_" + secrets.token_hex(16)
            self._renewals[renewal] = Renewal(scopes)
            answer |= {"refresh_token": renewal, "refresh_token_expires_in": 7_776_000}
        return answer
