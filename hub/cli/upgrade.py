"""`hub upgrade`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json


def command(
    backup: Annotated[
        Path | None, typer.Option(help="Where the backup goes.", show_default="HUB_HOME/backups/")
    ] = None,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Somebody else made one.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Bring the database of a hub that is stopped to this release: backup, migration, rights, check. All of it, or nothing."""
    from hub.workers.admin import setup
    from hub.workers.admin.running import RunLock
    from hub.workers.admin.upgrade import upgrade

    settings = settings_of(home)
    setup.there(settings)
    lock = RunLock(settings.home)
    lock.take(wait_s=2)
    try:
        result = upgrade(settings, backup_file=backup, no_backup=no_backup)
    finally:
        lock.release()
    if json:
        print_json(result)
        return
    if result["backup"]:
        print(f"backed up: {result['backup']}")
    if result["before"] == result["revision"]:
        print(f"the database has revision {result['revision']} of this release already; its rights were given again")
    else:
        print(f"migrated from revision {result['before']} to {result['revision']}")
    print(f"{result['rows']} rows are there and add up")
