"""`hub documents`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.pages import show_page


def command(
    kind: Annotated[str | None, typer.Option(help="invoice or credit_note.")] = None,
    number: Annotated[str | None, typer.Option(help="One number.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List invoices and credit notes, newest first."""
    columns = ["number", "kind", "date", "net", "tax", "total", "order_id"]
    show_page("documents", columns, home=home, json=json, kind=kind, number=number, limit=limit, before=before)
