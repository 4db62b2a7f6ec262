"""`hub backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json


def command(
    file: Annotated[Path, typer.Argument(help="The new file, for example hub-2026-11-24.hub.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Back up database, connections, flows and mappings into one file, while the hub runs. The secret key is never in it."""
    from hub.workers.admin.backup import backup

    result = backup(settings_of(home), file)
    if json:
        print_json(result)
        return
    rows = sum(result["counts"].values())
    print(
        f"backed up {rows} rows and {len(result['files'])} files of the home: {result['file']} ({result['bytes']} bytes)"
    )
    print("The secret key is not in it, and without the key it cannot be opened: keep a copy of the key apart.")
