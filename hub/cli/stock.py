"""`hub stock`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Home, Json, Limit
from hub.cli.output import print_json, print_table
from hub.cli.reach import reached


def command(
    sku: Annotated[str | None, typer.Argument(help="Of one item.")] = None,
    after: Annotated[str | None, typer.Option(help="Those after this SKU: the next page.")] = None,
    limit: Limit = 200,
    home: Home = None,
    json: Json = False,
) -> None:
    """List what is in stock, and what each channel shows of it."""
    with reached(home) as hub:
        result = hub.call("stock", sku=sku, after=after, limit=limit)
    if json:
        print_json(result)
        return
    rows = []
    for item in result["items"]:
        shown = [
            f"{each['connection']} {each['expected']}" for each in item["channels"] if each["expected"] is not None
        ]
        nothing = {"location": None, "on_hand": 0, "held": 0, "waiting": 0, "available": 0}
        rows += [
            {"sku": item["sku"], "title": item["title"], **level, "shown": shown}
            for level in item["levels"] or [nothing]
        ]
    print_table(rows, ["sku", "title", "location", "on_hand", "held", "waiting", "available", "shown"])
    if result["next"] is not None:
        typer.echo(f"more: --after {result['next']}", err=True)
