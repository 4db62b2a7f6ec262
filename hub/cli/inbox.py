"""`hub inbox`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.pages import show_page


def command(
    state: Annotated[str | None, typer.Option(help="fetch, ready, retry, done or parked.")] = None,
    connection: Annotated[str | None, typer.Option(help="Of one connection.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List events, newest first."""
    columns = ["seq", "state", "connection", "topic", "record_id", "received_at", "outcome"]
    show_page("inbox", columns, home=home, json=json, state=state, connection=connection, limit=limit, before=before)
