"""`hub ledger`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json, print_next, print_table
from hub.cli.reach import reached


def command(
    entries: Annotated[bool, typer.Option("--entries", help="Entries instead of accounts.")] = False,
    account: Annotated[str | None, typer.Option(help="Entries on one account.")] = None,
    document: Annotated[str | None, typer.Option(help="Entries of one document.")] = None,
    since: Annotated[str | None, typer.Option(help="Entries from this day on: 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Entries up to this day.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also accounts that nothing was booked on.")] = False,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List accounts with their balances (debit positive), or entries with their postings."""
    if not (entries or account or document or since or until):
        with reached(home) as hub:
            result = hub.call("ledger", all=all_)
        if json:
            print_json(result)
        else:
            print_table(result["accounts"], ["code", "name", "balance"])
        return
    with reached(home) as hub:
        result = hub.call(
            "entries", account=account, document=document, since=since, until=until, limit=limit, before=before
        )
    if json:
        print_json(result)
        return
    rows = [
        {**{key: entry[key] if first else "" for key in ("seq", "date", "journal", "label")}, **posting}
        for entry in result["items"]
        for first, posting in zip([True] + [False] * len(entry["postings"]), entry["postings"], strict=False)
    ]
    print_table(rows, ["seq", "date", "journal", "label", "account", "amount", "vat_code"])
    print_next(result)
