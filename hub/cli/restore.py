"""`hub restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Json, settings_of
from hub.cli.output import print_json


def command(
    file: Annotated[Path, typer.Argument(help="A file that `hub backup` made.")],
    home: Annotated[Path, typer.Option("--home", help="The new home; it may hold secret.key, and nothing else.")],
    json: Json = False,
) -> None:
    """Make a hub from a backup, in a new home. It sends nothing until `hub outbox release`."""
    from hub.workers.admin.restore import restore

    result = restore(settings_of(home), file)
    if json:
        print_json(result)
        return
    print(f"restored the hub of {result['made_at']} into {result['home']}")
    for each in result["connections"]:
        print(f"{each['name']} waits for its release, then it is {each['mode_when_released']}")
    print(f"{result['maybe_sent']} deliveries were not final: they may have been sent since")
    for each in result["next_numbers"]:
        print(
            f"the next number of {each['series']} is {each['next']}: documents with it or a later one may exist outside"
        )
    print(f"Next: HUB_HOME={result['home']} hub up; hub poll each connection; hub prove --remote; hub outbox release")
    print("What people did since (answers, imports, receipts) is not in it: do it again.")
