"""What the routes share: the hub, where it is reached, keys and templates."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse

from hub.web.access import Keys
from hub.workers.hub import Hub

_FOLDER = Path(__file__).parent / "templates"
_STYLE = (_FOLDER / "style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Site:
    """One hub on the web. `base_url` is how people and systems outside reach it, without a slash at its end."""

    hub: Hub
    base_url: str
    keys: Keys = field(repr=False)

    @property
    def secure(self) -> bool:
        """Cookies go over TLS only."""
        return self.base_url.startswith("https://")

    def is_public(self, host: str) -> bool:
        """Whether a Host header is the name that outsiders use."""
        return host.lower() == self.base_url.partition("://")[2].lower()

    def webhook_url(self, connection: str) -> str:
        return f"{self.base_url}/webhooks/{connection}"

    @property
    def oauth_callback_url(self) -> str:
        return f"{self.base_url}/connect/callback"


def page(template: str, code: int = 200, /, **values: Any) -> HTMLResponse:
    """A page from its template."""
    return HTMLResponse(render(template, **values), code, headers=PAGE_HEADERS)


def render(template: str, /, **values: Any) -> str:
    """The text of a page. The style is ours and the only text that is not escaped."""
    return _pages.get_template(template).render(style=Markup(_STYLE), **values)  # noqa: S704
