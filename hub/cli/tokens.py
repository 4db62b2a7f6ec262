"""`hub token`: a token for a program."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json


def command(
    home: Home = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="For how many days it is good.")] = 365,
    metrics: Annotated[bool, typer.Option("--metrics", help="It opens /metrics and nothing else.")] = False,
    json: Json = False,
) -> None:
    """Print a bearer token for a program that calls the API. It cannot be taken back before it ends, but by a new key."""
    from hub.connect.vault import load_root_keys
    from hub.web.access import Keys, signing_key

    keys = Keys(signing_key(load_root_keys(settings_of(home).home)[0]))
    token = (keys.metrics_token if metrics else keys.api_token)(days * 86_400)
    if json:
        print_json({"token": token, "days": days})
    else:
        print(token)
