"""Connecting by OAuth: the address to send a person to, and the callback that brings them back.

`state` is a token of ours, bound to a cookie in the person's browser and used once. The cookie's value is also the PKCE
verifier of systems that know PKCE.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import sqlalchemy as sa
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy.exc import IntegrityError

from hub.connect import grants, tokens
from hub.connect.errors import ConnectError
from hub.connect.links import Link
from hub.connect.manifest import CallbackHmac
from hub.connect.paths import fill
from hub.connect.tables import OAuthState
from hub.db.types import now_us

STATE_SECONDS = 600
_AUDIENCE = "oauth-state"
_STATES = OAuthState.__table__  # type: ignore[attr-defined]


class OAuthRefused(ConnectError):
    """The callback is not the end of a round that was begun here, or the person said no."""


@dataclass(frozen=True)
class Begun:
    """Where to send the person, and what to keep in a cookie (HttpOnly, SameSite=Lax) until they are back."""

    url: str
    nonce: str = field(repr=False)


def begin(link: Link, key: bytes, redirect_uri: str) -> Begun:
    """Begins a round. `key` signs the state."""
    nonce = secrets.token_urlsafe(48)
    claims = {"jti": secrets.token_urlsafe(16), "connection": link.id, "nonce": _digest(nonce)}
    state = tokens.issue(key, claims, audience=_AUDIENCE, lifetime_s=STATE_SECONDS)
    return Begun(authorize_url(link, redirect_uri, state, nonce), nonce)


def authorize_url(link: Link, redirect_uri: str, state: str, verifier: str) -> str:
    """The vendor's consent page for this connection."""
    auth = grants.auth_of(link)
    more = {name: fill(text, {"settings": link.settings}) for name, text in auth.authorize_parameters.items()}
    if auth.pkce:
        more |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    url = link.client.url(fill(auth.authorize_url, {"settings": link.settings}))
    scope = auth.scope_separator.join(auth.scopes) or None
    return str(
        prepare_grant_uri(
            url, client_id=str(link.settings.get("client_id") or ""), response_type="code",
            redirect_uri=redirect_uri, scope=scope, state=state, **more,
        )
    )  # fmt: skip


def connection_of(keys: bytes | Sequence[bytes], state: str) -> int:
    """The id of the connection that a callback's state is about. `keys`: one of them signed it. Raises: OAuthRefused."""
    try:
        return int(tokens.verify(keys, state, audience=_AUDIENCE)["connection"])
    except (tokens.TokenError, KeyError, ValueError, TypeError):
        raise OAuthRefused("the state of the callback is not ours or is too old: start again") from None


def finish(
    link: Link,
    keys: bytes | Sequence[bytes],
    parameters: Sequence[tuple[str, str]],
    nonce: str | None,
    redirect_uri: str,
) -> grants.Tokens:
    """Ends a round: checks the callback, exchanges its code and stores the tokens.

    Raises: OAuthRefused; ReconnectNeeded or NotSent when the exchange fails."""
    given = dict(parameters)
    try:
        claims = tokens.verify(keys, given.get("state", ""), audience=_AUDIENCE)
    except tokens.TokenError:
        raise OAuthRefused("the state of the callback is not ours or is too old: start again") from None
    if claims.get("connection") != link.id:
        raise OAuthRefused("the state of the callback is about another connection")
    if not nonce or not hmac.compare_digest(_digest(nonce), str(claims.get("nonce"))):
        raise OAuthRefused("the callback came back in another browser: start again")
    auth = grants.auth_of(link)
    if auth.callback_hmac:
        check_hmac(auth.callback_hmac, parameters, link.secrets.get("client_secret", "").partition(",")[0])
    for name, setting in auth.match.items():
        if given.get(name) != link.settings.get(setting):
            raise OAuthRefused(f"the callback is about {name} {given.get(name)!r}, not {link.settings.get(setting)!r}")
    _use_once(link, str(claims["jti"]))
    if given.get("error") or not given.get("code"):
        raise OAuthRefused(f"the connection was not allowed: {given.get('error', 'no code came back')[:100]}")
    learned = {setting: given[name] for name, setting in auth.keep.items() if given.get(name)}
    for setting, value in learned.items():
        known = link.settings.get(setting)
        if known is not None and known != value:
            # the books of two companies would be mixed: the bindings of a connection are those of one account
            raise OAuthRefused(
                f"{setting} was {known}, now {value}: connect the same account, or make a new connection"
            )
    fresh = grants.exchange(link, given["code"], redirect_uri, nonce if auth.pkce else None)
    link.keep(fresh, learned)
    return fresh


def check_hmac(
    rule: CallbackHmac, parameters: Sequence[tuple[str, str]], secret: str, now: float | None = None
) -> None:
    """Checks the signature over the callback's parameters. Raises: OAuthRefused."""
    values: dict[str, list[str]] = {}
    for name, value in parameters:
        values.setdefault(name, []).append(value)
    given = values.pop(rule.parameter, [""])
    for name in rule.leave_out:
        values.pop(name, None)
    text = "&".join(f"{quote(name, safe='')}={quote(','.join(values[name]), safe='')}" for name in sorted(values))
    right = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not secret or len(given) != 1 or not hmac.compare_digest(given[0].encode(), right.encode()):
        raise OAuthRefused("the signature of the callback is not right")
    if rule.timestamp:
        stamp = values.get(rule.timestamp, [""])[0]
        moment = time.time() if now is None else now
        if not stamp.isascii() or not stamp.isdigit() or abs(moment - int(stamp)) > rule.tolerance:
            raise OAuthRefused(f"the callback was signed more than {rule.tolerance} s from now")


def granted_too_little(link: Link, scope: str | None) -> list[str]:
    """The scopes that were asked for and not granted; `write_x` implies `read_x`."""
    if scope is None:
        return []
    got = set(scope.replace(",", " ").split())
    got |= {"read_" + name.removeprefix("write_") for name in got if name.startswith("write_")}
    return [name for name in grants.auth_of(link).scopes if name not in got]


def _use_once(link: Link, jti: str) -> None:
    database = link.database
    database.ids.ensure(1)
    now = now_us()
    row: Mapping[str, object] = {
        "id": database.ids.next(), "merchant_id": link.merchant_id, "jti": jti, "used_at": now
    }  # fmt: skip
    try:
        with database.write() as connection:
            connection.execute(sa.delete(_STATES).where(_STATES.c.used_at < now - 86_400_000_000))
            connection.execute(_STATES.insert(), row)
    except IntegrityError:
        raise OAuthRefused("this callback was used already: start again") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
