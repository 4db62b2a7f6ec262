"""Token requests of OAuth 2: a code for tokens, a refresh token for new ones, client credentials for a token."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub.connect import payload
from hub.connect.client import Answer
from hub.connect.errors import Cut, NotSent, ReconnectNeeded, Unreadable
from hub.connect.manifest import OAuth2
from hub.connect.paths import fill
from hub.db.types import now_us

if TYPE_CHECKING:
    from hub.connect.links import Link

#: answers that no repeat will change (RFC 6749, 5.2)
_DEAD = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})


@dataclass(frozen=True)
class Tokens:
    """What a token request gave. `expires_at` in UTC microseconds; `scope` as granted, which may be less than asked."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    expires_at: int | None
    scope: str | None


def auth_of(link: Link) -> OAuth2:
    """The OAuth part of the link's manifest."""
    auth = link.connector.manifest.auth
    if not isinstance(auth, OAuth2):
        raise ReconnectNeeded(f"{link.name}: {link.connector.name} does not connect by OAuth")
    return auth


def grant_of(link: Link) -> str:
    """The grant this connection uses: its setting, else the connector's first."""
    auth = auth_of(link)
    grant = str(link.settings.get("grant") or auth.grants[0])
    if grant not in auth.grants:
        raise ReconnectNeeded(f"{link.name}: grant {grant!r} is not one of {', '.join(auth.grants)}")
    return grant


def exchange(link: Link, code: str, redirect_uri: str, verifier: str | None) -> Tokens:
    """The tokens for a code. Raises: ReconnectNeeded, NotSent."""
    fields = {"code": code}
    if not auth_of(link).code_only:
        fields |= {"grant_type": "authorization_code", "redirect_uri": redirect_uri}
    if verifier is not None:
        fields["code_verifier"] = verifier
    return _request(link, "authorization_code", fields)


def renew(link: Link) -> Tokens:
    """New tokens: by the refresh token, or by client credentials. Raises: ReconnectNeeded, NotSent."""
    if grant_of(link) == "client_credentials":
        return _request(link, "client_credentials", {"grant_type": "client_credentials"})
    refresh = link.secrets.get("refresh_token")
    if not refresh:
        raise ReconnectNeeded(f"{link.name} is not connected: authorise it first")
    return _request(link, "refresh_token", {"grant_type": "refresh_token", "refresh_token": refresh})


def _request(link: Link, grant: str, fields: dict[str, str]) -> Tokens:
    auth = auth_of(link)
    client_id = str(link.settings.get("client_id") or "")
    client_secret = link.secrets.get("client_secret", "").partition(",")[0]  # `new,old` while it is being changed
    if not client_id or not client_secret:
        raise ReconnectNeeded(f"{link.name}: set client_id and client_secret")
    sent = {**fields, **auth.token_parameters.get(grant, {})}
    headers = {"accept": "application/json"}
    if auth.client == "basic":
        pair = f"{client_id}:{client_secret}"
        headers["authorization"] = "Basic " + b64encode(pair.encode()).decode()
    else:
        sent |= {"client_id": client_id, "client_secret": client_secret}
    url = link.client.url(fill(auth.token_url, {"settings": link.settings}))
    try:
        if auth.body == "json":
            headers["content-type"] = "application/json"
            answer = link.client.send("POST", url, headers=headers, content=payload.encode(sent))
        else:
            answer = link.client.send("POST", url, headers=headers, form=sent)
    except Cut as error:
        # nothing of the caller's was sent; a lost refresh is tried again, within the vendor's grace if it has one
        raise NotSent(f"{link.name}: no answer to a token request") from error
    return _read(link, answer)


def _read(link: Link, answer: Answer) -> Tokens:
    try:
        data: Any = answer.data
    except Unreadable:
        data = None
    data = data if isinstance(data, dict) else {}
    if answer.ok and isinstance(data.get("access_token"), str) and data["access_token"]:
        seconds = data.get("expires_in")
        expires_at = now_us() + int(seconds) * 1_000_000 if isinstance(seconds, (int, str)) and seconds else None
        refresh, scope = data.get("refresh_token"), data.get("scope")
        return Tokens(
            data["access_token"],
            refresh if isinstance(refresh, str) and refresh else None,
            expires_at,
            scope if isinstance(scope, str) else None,
        )
    error = str(data.get("error") or "")
    if error in _DEAD or answer.status in (401, 403) or (answer.status == 400 and error):
        raise ReconnectNeeded(f"{link.name}: the token request was refused ({error or answer.status}): connect again")
    raise NotSent(f"{link.name}: the token request failed with {answer.status}")
