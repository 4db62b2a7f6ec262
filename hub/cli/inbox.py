"""`hub inbox`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json, print_next, print_table
from hub.cli.reach import reached


def command(
    state: Annotated[str | None, typer.Option(help="fetch, ready, retry, done or parked.")] = None,
    connection: Annotated[str | None, typer.Option(help="Of one connection.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List events, newest first."""
    with reached(home) as hub:
        result = hub.call("inbox", state=state, connection=connection, limit=limit, before=before)
    if json:
        print_json(result)
        return
    columns = ["seq", "state", "connection", "topic", "record_id", "received_at", "outcome"]
    print_table(result["items"], columns)
    print_next(result)
