"""`hub runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json, print_next, print_table
from hub.cli.reach import reached


def command(
    event: Annotated[int | None, typer.Option(help="Of one event.")] = None,
    flow: Annotated[str | None, typer.Option(help="Of one flow.")] = None,
    state: Annotated[str | None, typer.Option(help="done, stopped or parked.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List runs of flows and what each changed, newest first."""
    with reached(home) as hub:
        result = hub.call("runs", event=event, flow=flow, state=state, limit=limit, before=before)
    if json:
        print_json(result)
        return
    print_table(result["items"], ["id", "event", "flow", "trigger", "state", "changed", "reason"])
    print_next(result)
