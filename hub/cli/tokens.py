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
    """Print a bearer token for a program that calls the API. It ends before that only when its root key is dropped."""
    from hub.connect.rootkeys import KeyRing
    from hub.web.access import Keys

    keys = Keys(KeyRing.of(settings_of(home).home))
    token = (keys.metrics_token if metrics else keys.api_token)(days * 86_400)
    if json:
        print_json({"token": token, "days": days})
    else:
        print(token)
