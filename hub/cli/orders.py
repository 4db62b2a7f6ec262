"""`hub orders`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json, print_next, print_table
from hub.cli.reach import reached


def command(
    name: Annotated[str | None, typer.Option(help="One order, by its name in the shop.")] = None,
    state: Annotated[str | None, typer.Option(help="open, closed, cancelled or before_go_live.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List orders with what they come to and what was invoiced, newest first."""
    with reached(home) as hub:
        result = hub.call("orders", name=name, state=state, limit=limit, before=before)
    if json:
        print_json(result)
        return
    print_table(result["items"], ["name", "connection", "state", "financial_status", "current_total", "invoiced"])
    print_next(result)
