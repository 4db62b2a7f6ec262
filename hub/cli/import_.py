"""`hub import`: a spreadsheet or CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Home, Json
from hub.cli.output import print_json
from hub.cli.reach import reached

_AT_ONCE = 1000


def command(
    file: Annotated[Path, typer.Argument(help="An .xlsx or .csv file; its first row names the columns.")],
    name: Annotated[str, typer.Option(help="Manual trigger of the flow that takes the rows.")] = "items",
    sheet: Annotated[str | None, typer.Option(help="Sheet of an .xlsx file; else the first.")] = None,
    key: Annotated[str | None, typer.Option(help="With the same key the same file is taken once.")] = None,
    work: Annotated[bool, typer.Option("--work", help="Wait until the rows are worked.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Bring in the rows of a file: items with opening stock, receipts, or what a flow of yours takes."""
    from hub.workers.admin.tables_in import read_rows

    records = read_rows(str(file), sheet)
    total = {"trigger": name, "received": 0, "repeats": 0}
    with reached(home, writes=True) as hub:
        for start in range(0, len(records), _AT_ONCE):
            part_key = f"{key}:{start}" if key else None
            part = hub.call("trigger", name=name, records=records[start : start + _AT_ONCE], key=part_key)
            total["received"] += part["received"]
            total["repeats"] += part["repeats"]
        if work:
            hub.work()
            total["questions"] = hub.call("status")["questions"]
    if json:
        print_json(total)
        return
    print(f"{total['received']} rows taken" + (f", {total['repeats']} known already" if total["repeats"] else ""))
    if total.get("questions"):
        print(f"{total['questions']} open questions: hub questions list")
