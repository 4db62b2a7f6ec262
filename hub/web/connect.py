"""Connecting an app by OAuth: the way there and the way back, with words that a merchant can read."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from hub.connect import oauth
from hub.connect.errors import ConnectError
from hub.connect.manifest import OAuth2
from hub.web.site import Site, page
from hub.workers.admin import connections
from hub.workers.admin.errors import AdminError

_COOKIE = "hub_oauth_{}"
_PATH = "/connect/callback"
_log = structlog.get_logger("hub.oauth")


def router(site: Site) -> APIRouter:
    """`/connect/{connection}/start` and `/connect/callback`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(_PATH)
    def callback(request: Request) -> Response:
        return _callback(site, request)

    @routes.get("/connect/{connection}/start")
    def start(connection: str, request: Request) -> Response:
        return _start(site, connection, request)

    return routes


def _start(site: Site, connection: str, request: Request) -> Response:
    here = f"/connect/{quote(connection, safe='')}/start"
    if not site.is_public(request.headers["host"]):
        # the callback comes to the public name, and the cookies have to be of that name
        token = site.keys.login_token()
        return RedirectResponse(f"{site.base_url}/login?token={token}&next={here}", 303)
    try:
        link = connections.link(site.hub, connection)
        if not isinstance(link.connector.manifest.auth, OAuth2):
            return _refused(400, f"{link.name} is not connected here: its credentials are set by the integrator.")
        if not link.settings.get("client_id") or not link.secrets.get("client_secret"):
            return _refused(400, f"{link.name} has no client_id or client_secret yet: the integrator has to set them.")
        begun = oauth.begin(link, site.keys.key, site.oauth_callback_url)
    except AdminError as error:
        return _refused(404, str(error))
    except (ConnectError, ValueError) as error:
        return _refused(400, str(error))
    answer = RedirectResponse(begun.url, 303, headers={"cache-control": "no-store"})
    answer.set_cookie(
        _COOKIE.format(link.id),
        begun.nonce,
        max_age=oauth.STATE_SECONDS,
        path=_PATH,
        httponly=True,
        samesite="lax",
        secure=site.secure,
    )
    return answer


def _callback(site: Site, request: Request) -> Response:
    parameters = parse_qsl(request.url.query, keep_blank_values=True)
    state = dict(parameters).get("state", "")
    try:
        connection_id = oauth.connection_of(site.keys.known, state)
        link = site.hub.links.open(connection_id)
        nonce = request.cookies.get(_COOKIE.format(connection_id))
        granted = oauth.finish(link, site.keys.known, parameters, nonce, site.oauth_callback_url)
    except ConnectError as error:
        _log.warning("not connected", exc_info=error)
        return _refused(400, f"{_sentence(str(error))}")
    texts = [f"{link.connector.manifest.title} is connected as {link.name!r}."]
    missing = oauth.granted_too_little(link, granted.scope)
    if missing:
        texts.append(
            f"Not everything that was asked for was allowed; missing: {', '.join(missing)}. Connect again to allow it."
        )
    texts += _after(site, link.name)
    answer = page("message.html", title="Connected", texts=texts, home=True)
    answer.delete_cookie(_COOKIE.format(connection_id), path=_PATH, httponly=True, samesite="lax", secure=site.secure)
    return answer


def _after(site: Site, name: str) -> list[str]:
    """What follows from being connected: its question is closed, its webhooks are set up."""
    connections.connected(site.hub, name)
    try:
        result: dict[str, Any] = connections.setup(site.hub, name, site.webhook_url(name))
    except AdminError as error:
        return [f"Its webhooks could not be set up: {error}. Run `hub connections setup {name}` when that is mended."]
    return [f"Its webhooks are set up: {result['result']}."] if result["result"] is not None else []


def _refused(status: int, text: str) -> Response:
    return page("message.html", status, title="Not connected", texts=[text], home=True)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
