"""`hub recipes`: flows that are ready, and do not run until they are taken."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.new import print_made
from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Flows that are ready, and do not run until they are taken into the hub's folder.",
)


@app.command("list")
def list_(json: Json = False) -> None:
    """List what there is."""
    from hub.workers.recipes import recipes

    rows = [{"recipe": each.name, "roles": list(each.roles), "what_it_does": each.description} for each in recipes()]
    if json:
        print_json({"recipes": rows})
    else:
        print_table(rows, ("recipe", "roles", "what_it_does"))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A recipe of `hub recipes list`.")],
    home: Home = None,
) -> None:
    """Write a recipe's flow, mappings and tests into the hub's folder. It runs from the hub's next start."""
    from hub.workers import scaffold
    from hub.workers.recipes import recipe

    print_made(scaffold.write(settings_of(home).home, recipe(name).files()))
