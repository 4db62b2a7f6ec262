"""`hub doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json


def command(
    online: Annotated[
        bool, typer.Option("--online", help="Ask systems outside as well: clocks, the public address.")
    ] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Say what is wrong with the hub and how to mend it. Changes nothing; exit code 1 on a fault."""
    from hub.workers.doctor.examine import examine

    result = examine(settings_of(home), online=online)
    if json:
        print_json(result)
    else:
        for each in result["findings"]:
            mend = f". To mend it: {each['mend']}" if each["mend"] else ""
            print(f"{each['state']:8} {each['check']:12} {each['text']}{mend}")
    if not result["ok"]:
        raise typer.Exit(1)
