"""Token requests of OAuth 2: a code for tokens, a refresh token for new ones, client credentials for a token."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub.connect import payload
from hub.connect.client import Answer
from hub.connect.errors import Cut, NotSent, ReconnectNeeded, Throttled, Unreadable
from hub.connect.http import httpx
from hub.connect.judge import wait_of
from hub.connect.manifest import OAuth2
from hub.connect.paths import fill

if TYPE_CHECKING:
    from hub.connect.links import Link

#: answers that no repeat will change (RFC 6749, 5.2)
_DEAD = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})
#: errors of a vendor that cannot answer now
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
#: in all at most 30 seconds, within which a lease does not end
TIMEOUT = httpx.Timeout(connect=5, read=15, write=5, pool=5)


class Unanswered(NotSent):
    """A token request without an answer that says what was done: the refresh token may be used up. Nothing of the caller's
    was sent."""


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
    """The tokens for a code. Raises: ReconnectNeeded, NotSent, Throttled."""
    fields = {"code": code}
    if not auth_of(link).code_only:
        fields |= {"grant_type": "authorization_code", "redirect_uri": redirect_uri}
    if verifier is not None:
        fields["code_verifier"] = verifier
    return _request(link, "authorization_code", fields, link.secrets)


def check_renewable(link: Link, secrets: Mapping[str, str]) -> None:
    """Whether there is something to ask for tokens with. Raises: ReconnectNeeded."""
    if grant_of(link) != "client_credentials" and not secrets.get("refresh_token"):
        raise ReconnectNeeded(f"{link.name} is not connected: authorise it first")
    _client_of(link, secrets)


def renew(link: Link, secrets: Mapping[str, str]) -> Tokens:
    """New tokens: by the refresh token of these secrets, or by client credentials. Asks once: see `hub.connect.leases`.

    Raises: ReconnectNeeded; Throttled and NotSent when nothing was done; Unanswered when nobody knows."""
    check_renewable(link, secrets)
    if grant_of(link) == "client_credentials":
        return _request(link, "client_credentials", {"grant_type": "client_credentials"}, secrets)
    fields = {"grant_type": "refresh_token", "refresh_token": secrets["refresh_token"]}
    return _request(link, "refresh_token", fields, secrets)


def _client_of(link: Link, secrets: Mapping[str, str]) -> tuple[str, str]:
    client_id = str(link.settings.get("client_id") or "")
    client_secret = secrets.get("client_secret", "").partition(",")[0]  # `new,old` while it is being changed
    if not client_id or not client_secret:
        raise ReconnectNeeded(f"{link.name}: set client_id and client_secret")
    return client_id, client_secret


def _request(link: Link, grant: str, fields: dict[str, str], secrets: Mapping[str, str]) -> Tokens:
    auth = auth_of(link)
    client_id, client_secret = _client_of(link, secrets)
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
            answer = link.client.send(
                "POST", url, headers=headers, content=payload.encode(sent), timeout=TIMEOUT, limited=False
            )
        else:
            answer = link.client.send("POST", url, headers=headers, form=sent, timeout=TIMEOUT, limited=False)
    except Cut as error:
        raise Unanswered(f"{link.name}: no answer to a token request") from error
    return _read(link, answer)


def _read(link: Link, answer: Answer) -> Tokens:
    try:
        data: Any = answer.data
    except Unreadable:
        data = None
    data = data if isinstance(data, dict) else {}
    if answer.ok and isinstance(data.get("access_token"), str) and data["access_token"]:
        seconds = data.get("expires_in")
        life = int(seconds) if isinstance(seconds, (int, str)) and str(seconds).isdigit() else 0
        expires_at = link.now() + life * 1_000_000 if life else None
        refresh, scope = data.get("refresh_token"), data.get("scope")
        return Tokens(
            data["access_token"],
            refresh if isinstance(refresh, str) and refresh else None,
            expires_at,
            scope if isinstance(scope, str) else None,
        )
    error = str(data.get("error") or "")
    if answer.status == 429 or error == "slow_down":
        raise Throttled(f"{link.name}: too many token requests", wait_of(answer, "retry-after"))
    # a 403 that names no error is a firewall's, not the vendor's word on this token
    final = error in _DEAD or answer.status == 401 or (answer.status in (400, 403) and error)
    if final and error not in _PASSING:
        raise ReconnectNeeded(f"the token request was refused ({error or answer.status}): connect again")
    raise Unanswered(f"{link.name}: the token request failed with {answer.status}")
