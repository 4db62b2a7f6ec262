"""`hub runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.pages import show_page
from hub.cli.parked import Connection, ErrorClass, Flow, Since, Until


def command(
    event: Annotated[int | None, typer.Option(help="Of one event.")] = None,
    flow: Flow = None,
    state: Annotated[str | None, typer.Option(help="done, stopped or parked.")] = None,
    error_class: ErrorClass = None,
    connection: Connection = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List runs of flows and what each changed, newest first."""
    show_page(
        "runs",
        ["id", "event", "flow", "trigger", "state", "changed", "error_class", "reason"],
        home=home,
        json=json,
        event=event,
        flow=flow,
        state=state,
        error_class=error_class,
        connection=connection,
        since=since,
        until=until,
        limit=limit,
        before=before,
    )
