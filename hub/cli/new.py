"""`hub new`: a flow, a mapping or a connector to start from; each lints and passes its tests as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Home, settings_of

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Write a flow, a mapping or a connector to start from, with tests that pass. Nothing is overwritten.",
)


@app.command()
def flow(
    name: Annotated[str, typer.Argument(help="Its name; that of a shipped flow gives a copy to change.")],
    on: Annotated[
        str | None,
        typer.Option(
            help="What starts it: ROLE.RECORD (shop.order), an event (invoice.issued), manual:NAME or schedule."
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Write a flow and its test. Without --on it answers invoice.issued."""
    from hub.workers import scaffold

    folder = settings_of(home).home
    print_made(scaffold.write(folder, scaffold.flow(folder, name, on)))


@app.command()
def mapping(
    name: Annotated[str, typer.Argument(help="CONNECTOR/RECORD; that of a shipped mapping gives a copy to change.")],
    home: Home = None,
) -> None:
    """Write a mapping; a new one with a flow that uses it and a test."""
    from hub.workers import scaffold

    folder = settings_of(home).home
    print_made(scaffold.write(folder, scaffold.mapping(folder, name)))


@app.command()
def connector(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _.")],
    home: Home = None,
) -> None:
    """Write a connector with its sandbox, a mapping, two flows and their tests."""
    from hub.workers import scaffold

    folder = settings_of(home).home
    print_made(scaffold.write(folder, scaffold.connector(folder, name)))


def print_made(files: Sequence[Path]) -> None:
    """Says which files were written, and what checks them."""
    for file in files:
        print(f"made {file}")
    tests = [str(file) for file in files if file.name.endswith(".test.yaml")]
    print(f"Check them: hub lint && hub test {' '.join(tests)}" if tests else "Check it: hub lint")
