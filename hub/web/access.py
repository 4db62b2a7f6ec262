"""Who may ask what: everything is closed but webhooks, the OAuth callback and the health checks; Host is checked first."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import threading
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.connect import tokens
from hub.connect.rootkeys import KeyRing, RootKey
from hub.db.engine import Database
from hub.db.types import now_us

#: what the names of connections stand after, for whoever tells the hub something
WEBHOOKS = "/webhooks/"

SESSION_COOKIE = "hub_session"
SESSION_SECONDS = 12 * 3600
LOGIN_SECONDS = 900
RUN_SECONDS = 366 * 86_400
_API, _SESSION, _LOGIN, _METRICS = "hub-api", "hub-session", "hub-login", "hub-metrics"
#: what answers without a token, besides webhooks
_OPEN = ("/healthz", "/readyz", "/connect/callback", "/login")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: text, because both engines know it; merchant 0: of the hub, not of one merchant
_USE = sa.text(
    "INSERT INTO oauth_state (id, merchant_id, jti, used_at) VALUES (:id, :merchant_id, :jti, :used_at)"
    " ON CONFLICT DO NOTHING"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def signing_key(root: RootKey, label: str = "hub tokens v1") -> bytes:
    """The key that signs tokens, made from a root key so that it is never the root key itself."""
    return hmac.digest(root.key, label.encode(), hashlib.sha256)


def used_up(database: Database) -> Callable[[str], bool]:
    """Uses up what works once, for all processes of a hub; says whether it was not used before."""

    def use(jti: str) -> bool:
        database.ids.ensure(1)
        with database.write() as connection:
            row = {"id": database.ids.next(), "merchant_id": 0, "jti": jti, "used_at": now_us()}
            return connection.execute(_USE, row).rowcount == 1

    return use


class Keys:
    """Makes and checks tokens, sessions and one-time links. The first root key signs, and what any of them signed is good:
    it ends at the latest when its key is dropped.

    `used_up`: where one-time links of any process of the hub are good in each of them; without it those of this process
    only, for as long as it runs."""

    def __init__(self, roots: KeyRing, used_up: Callable[[str], bool] | None = None) -> None:
        self._used_up = used_up
        self._roots = roots
        #: of this process: its own token and its links end with it, and do not end with a root key
        self._boot = secrets.token_urlsafe(9)
        self._boot_key = secrets.token_bytes(32)
        self._used: set[str] = set()
        self._lock = threading.Lock()

    @property
    def key(self) -> bytes:
        """What signs now."""
        return signing_key(self._roots.first)

    @property
    def known(self) -> list[bytes]:
        """What may have signed: the key that signs now, and those before it."""
        return [signing_key(root) for root in self._roots.all()]

    def api_token(self, seconds: int, *, boot: bool = False) -> str:
        """A bearer token. `boot`: it ends with this process at the latest."""
        if boot:
            return tokens.issue(self._boot_key, {}, audience=_API, lifetime_s=seconds)
        return tokens.issue(self.key, {}, audience=_API, lifetime_s=seconds)

    def metrics_token(self, seconds: int) -> str:
        """A bearer token that opens `/metrics` and nothing else."""
        return tokens.issue(self.key, {}, audience=_METRICS, lifetime_s=seconds)

    def session(self) -> str:
        return tokens.issue(self.key, {}, audience=_SESSION, lifetime_s=SESSION_SECONDS)

    def login_token(self) -> str:
        """What a one-time link holds."""
        claims = {"jti": secrets.token_urlsafe(12)}
        if self._used_up is None:
            claims["boot"] = self._boot
        return tokens.issue(self.key, claims, audience=_LOGIN, lifetime_s=LOGIN_SECONDS)

    def use_login(self, token: str) -> bool:
        """Whether a one-time link is good; it is used up by this."""
        claims = self._claims(token, _LOGIN)
        if claims is None:
            return False
        if self._used_up is not None:
            return self._used_up(claims["jti"])
        if claims.get("boot") != self._boot:
            return False
        with self._lock:
            if claims["jti"] in self._used:
                return False
            self._used.add(claims["jti"])
        return True

    def allows_bearer(self, token: str) -> bool:
        return self._claims(token, _API, self._boot_key) is not None

    def allows_metrics(self, token: str) -> bool:
        return self._claims(token, _METRICS) is not None

    def allows_session(self, token: str) -> bool:
        return self._claims(token, _SESSION) is not None

    def _claims(self, token: str, audience: str, *others: bytes) -> dict[str, Any] | None:
        try:
            return tokens.verify([*others, *self.known], token, audience=audience)
        except tokens.TokenError:
            return None


class Hosts:
    """The names under which this hub may be asked, so that a foreign name that leads here (DNS rebinding) is refused."""

    def __init__(self, host: str, port: int, public_url: str = "") -> None:
        self._port = port
        self._any = host in ("0.0.0.0", "::", "[::]")  # noqa: S104 - compared, not bound
        self._names = {host.strip("[]").lower()}
        if self._any or host in _LOOPBACK:
            self._names.update(_LOOPBACK)
        self._public: set[tuple[str, int]] = set()
        if public_url:
            parts = urlsplit(public_url)
            self._public = {((parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS[parts.scheme])}

    def allow(self, header: str) -> bool:
        """Whether a Host header names this hub."""
        try:
            parts = urlsplit(f"//{header}")
            name, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return False
        if not name or "@" in header or "/" in header:
            return False
        if any(name == known and port in (known_port, None) for known, known_port in self._public):
            return True
        if (port or 80) != self._port:
            return False
        return name in self._names or (self._any and _is_address(name))


class Door:
    """ASGI middleware in front of everything. `webhooks` answers what is below its path; they show by their signature who
    they are from."""

    def __init__(
        self, app: ASGIApp, *, keys: Keys, hosts: Hosts, refused_page: str, webhooks: ASGIApp | None = None
    ) -> None:
        self._app = app
        self._webhooks = webhooks
        self._keys = keys
        self._hosts = hosts
        self._refused_page = refused_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif self._webhooks is not None and scope["path"].startswith(WEBHOOKS):
            await self._webhooks(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._hosts.allow(hosts[0].decode("latin-1")):
            return _json(400, "the Host header does not name this hub: set HUB_PUBLIC_URL to the name it is reached by")
        path: str = scope["path"]
        if path.startswith(WEBHOOKS) or path in _OPEN:
            return None
        authorization = _header(headers, b"authorization")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            if self._keys.allows_bearer(token.strip()):
                return None
            if path == "/metrics" and self._keys.allows_metrics(token.strip()):
                return None
        if self._keys.allows_session(session_of(_header(headers, b"cookie"))):
            if scope["method"] in ("GET", "HEAD") or self._same_origin(_header(headers, b"origin")):
                return None
            return _json(403, "a page of another origin may not change anything here")
        if scope["method"] == "GET" and "text/html" in _header(headers, b"accept"):
            return HTMLResponse(self._refused_page, 401, headers={"cache-control": "no-store"})
        return _json(401, "a token is needed: `Authorization: Bearer ...`", {"www-authenticate": "Bearer"})

    def _same_origin(self, origin: str) -> bool:
        parts = urlsplit(origin)
        return parts.scheme in _DEFAULT_PORTS and self._hosts.allow(parts.netloc)


def session_of(cookie_header: str) -> str:
    """The session in a Cookie header."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(cookie_header)
    except CookieError:
        return ""
    return jar[SESSION_COOKIE].value if SESSION_COOKIE in jar else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _json(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers=headers)
