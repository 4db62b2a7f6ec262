"""`hub orders`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.pages import show_page


def command(
    name: Annotated[str | None, typer.Option(help="One order, by its name in the shop.")] = None,
    state: Annotated[str | None, typer.Option(help="open, closed, cancelled or before_go_live.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List orders with what they come to and what was invoiced, newest first."""
    columns = ["name", "connection", "state", "financial_status", "current_total", "invoiced"]
    show_page("orders", columns, home=home, json=json, name=name, state=state, limit=limit, before=before)
