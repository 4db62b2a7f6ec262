"""`hub poll`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Home, Json
from hub.cli.output import print_json
from hub.cli.reach import reached


def command(
    connection: Annotated[str, typer.Argument(help="Name or id of the connection.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Ask a system now what changed."""
    with reached(home, writes=True) as hub:
        result = hub.call("poll", name=connection)
    if json:
        print_json(result)
    else:
        print(f"{result['found']} records of {result['connection']} are to be read")
