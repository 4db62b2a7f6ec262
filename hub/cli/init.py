"""`hub init`: makes a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Home, Json, settings_of


def command(
    home: Home = None,
    name: Annotated[str, typer.Option(help="Name of the merchant.")] = "My shop",
    currency: Annotated[str, typer.Option(help="Currency of the book, ISO 4217.")] = "EUR",
    zone: Annotated[str, typer.Option(help="Time zone in which instants become days.")] = "Europe/Paris",
    example: Annotated[
        Path | None,
        typer.Option(
            help="Only write an example there, ready for Git: flows, a mapping, tests, connections, CI.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make a hub: its folder, key, database and book. What is there stays; the database is brought up to date."""
    if example is not None:
        _example(example)
        return
    from hub.cli.output import print_json
    from hub.workers.admin import setup
    from hub.workers.admin.running import RunLock

    settings = settings_of(home)
    lock = RunLock(settings.home, many=settings.many)
    if settings.home.is_dir():
        lock.take(wait_s=2)
    try:
        result = setup.init(settings, name=name, currency=currency, zone=zone)
    finally:
        lock.release()
    if json:
        print_json(result)
        return
    for what in result["made"]:
        print(f"made {what}")
    print(f"The hub in {result['home']} is ready: `hub up` starts it.")


def _example(folder: Path) -> None:
    from hub.cli.schema import FOLDER, written
    from hub.connect.registry import Registry
    from hub.workers import scaffold
    from hub.workers.schemas import KINDS

    made = scaffold.write(folder, scaffold.example())
    for file in [*made, *written(folder / FOLDER, KINDS, Registry.discover(folder))]:
        print(f"made {file}")
    print(f"Read its README, and check it: cd {folder} && hub lint && hub test")
