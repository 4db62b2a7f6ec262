"""`hub verify`."""

from __future__ import annotations

import typer

from hub.cli.options import Home, Json
from hub.cli.output import print_json, print_table
from hub.cli.reach import reached


def command(home: Home = None, json: Json = False) -> None:
    """Check books, stock, documents and confirmed effects from their rows, and say where something is wrong."""
    with reached(home) as hub:
        result = hub.call("verify")
    if json:
        print_json(result)
    elif result["ok"]:
        print("Everything adds up.")
    else:
        print_table(result["faults"], ["check", "place", "message"])
    if not result["ok"]:
        raise typer.Exit(1)
