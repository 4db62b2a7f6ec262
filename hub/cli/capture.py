"""`hub capture`: makes a test of what the hub did with an event."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, settings_of


def command(
    run: Annotated[int | None, typer.Argument(help="A run, as `hub runs` lists them.", show_default=False)] = None,
    event: Annotated[int | None, typer.Option("--event", help="An event instead, as `hub inbox` lists them.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The test's name; default: captured-EVENT.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="A folder with flows/; default: the hub's.")] = None,
    home: Home = None,
) -> None:
    """Make a test of what the hub did with an event, with pseudonyms in place of people. It is run before it is kept."""
    if (run is None) == (event is None):
        raise CommandError("give a run, or an event with --event", exit_code=2)
    import structlog

    from hub.cli import logs
    from hub.connect.registry import Registry
    from hub.connect.rootkeys import load_root_keys
    from hub.connect.vault import Vault
    from hub.db.engine import Database
    from hub.workers.admin.setup import check_ready
    from hub.workers.capture import capture_test
    from hub.workers.captured import event_of_run

    if not structlog.is_configured():
        logs.configure("error")
    settings = settings_of(home)
    check_ready(settings)
    folder = to or settings.home
    database = Database(settings.url)
    try:
        vault = Vault(load_root_keys(settings.home), database.ids)
        with database.read() as connection:
            seq = event if event is not None else event_of_run(connection, 1, run or 0)
            made = capture_test(
                connection, vault, Registry.discover(settings.home), seq, home=folder, name=name or f"captured-{seq}"
            )
    finally:
        database.dispose()
    print(f"{made.file}: {made.events} events, passes")
    for file in made.payloads:
        print(f"  {file}")
    for reason in made.left_out:
        print(f"  not compared: {reason}")
    print("Names, addresses, notes and telephone numbers are pseudonyms; look at the files before you share them.")
