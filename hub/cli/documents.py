"""`hub documents`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json, print_next, print_table
from hub.cli.reach import reached


def command(
    kind: Annotated[str | None, typer.Option(help="invoice or credit_note.")] = None,
    number: Annotated[str | None, typer.Option(help="One number.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List invoices and credit notes, newest first."""
    with reached(home) as hub:
        result = hub.call("documents", kind=kind, number=number, limit=limit, before=before)
    if json:
        print_json(result)
        return
    print_table(result["items"], ["number", "kind", "date", "net", "tax", "total", "order_id"])
    print_next(result)
