"""`hub runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.pages import show_page


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
    columns = ["id", "event", "flow", "trigger", "state", "changed", "reason"]
    show_page("runs", columns, home=home, json=json, event=event, flow=flow, state=state, limit=limit, before=before)
