"""`hub login`: a link for a person."""

from __future__ import annotations

from typing import Any

from hub.cli.options import Home, Json
from hub.cli.output import print_json
from hub.cli.reach import needs_running


def command(home: Home = None, json: Json = False) -> None:
    """Print a link that signs a person in to the running hub, once."""
    hub: Any = needs_running(home)
    with hub:
        result = hub.request("POST", "/api/login-link", {})
    if json:
        print_json(result)
    else:
        print(result["url"])
