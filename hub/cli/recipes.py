"""`hub recipes`: flows that are ready, and do not run until they are taken."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.errors import CommandError
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
    json: Json = False,
) -> None:
    """Copy a recipe's flow, mappings and tests into the hub's folder. Nothing is overwritten."""
    from hub.workers.recipes import RecipeRefused, take

    folder = settings_of(home).home
    try:
        made = take(name, folder)
    except RecipeRefused as error:
        raise CommandError(str(error), error.problems) from None
    if json:
        print_json({"recipe": name, "made": [str(file) for file in made]})
        return
    for file in made:
        print(f"made {file}")
    if not made:
        print(f"{name} is there already.")
    print(f"Change it, then: hub lint && hub test {folder / 'flows' / name}.test.yaml")
    print("It runs from the next start of the hub.")
