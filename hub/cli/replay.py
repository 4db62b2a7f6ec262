"""`hub replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Home, Json
from hub.cli.output import print_json
from hub.cli.reach import reached


def command(
    events: Annotated[list[int], typer.Argument(help="Numbers of events, as `hub inbox` lists them.")],
    same_version: Annotated[
        bool,
        typer.Option("--same-version", help="With the versions of the flows that worked them, not those that run now."),
    ] = False,
    work: Annotated[bool, typer.Option("--work", help="Wait until they are worked.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Work parked or done events again. What is booked already is not booked twice."""
    with reached(home, writes=True) as hub:
        result = hub.call("replay", seqs=events, same_version=same_version)
        if work:
            hub.work()
    if json:
        print_json(result)
    else:
        print(f"events {', '.join(map(str, result['replayed']))} are worked again")
