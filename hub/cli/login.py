"""`hub login`: a link for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json
from hub.cli.reach import needs_running

if TYPE_CHECKING:
    from hub.workers.settings import Settings


def command(home: Home = None, json: Json = False) -> None:
    """Print a link that signs a person in to the running hub, once."""
    settings = settings_of(home)
    url = _for_many(settings) if settings.many else _of_one(home)
    if json:
        print_json({"url": url})
    else:
        print(url)


def _of_one(home: Any) -> str:
    hub: Any = needs_running(home)
    with hub:
        return str(hub.request("POST", "/api/login-link", {})["url"])


def _for_many(settings: Settings) -> str:
    """A link that is good, once, at whichever process is asked."""
    from hub.connect.rootkeys import KeyRing
    from hub.web.access import Keys
    from hub.web.app import local_url

    keys = Keys(KeyRing.of(settings.home), used_up=lambda _jti: False)  # it only makes one
    base = settings.public_url or local_url(settings.host, settings.port)
    return f"{base}/login?token={keys.login_token()}"
