"""`hub keys`: the root keys, which seal everything that is secret."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hub.cli.options import Home, Json
from hub.cli.output import print_json, print_table
from hub.cli.reach import reached

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Root keys: list them, change them while the hub works, drop old ones.",
)


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List root keys by their fingerprints: which one seals, what the others still seal, which ones were dropped."""
    with reached(home) as hub:
        result = hub.call("keys")
    if json:
        print_json(result)
        return
    print_table(result["items"], ["id", "state", "data_keys", "made_at", "retired_at", "dropped_at"])


@app.command()
def rotate(home: Home = None, json: Json = False) -> None:
    """Make a new root key and seal everything anew while the hub works. Interrupted, the same command goes on with it."""
    with reached(home, writes=True) as hub:
        result = hub.call("keys-rotate")
    if json:
        print_json(result)
    else:
        what = "a new key" if result["made"] else "going on with"
        print(
            f"{what}: {result['id']} seals; sealed anew: {result['data_keys']} data keys, {result['values']} connections"
        )
        if result["made"]:
            print(f"Keep a copy of {result['place']} apart from the database: backups from now on need the new key.")
        for old in result["old"]:
            print(f"{old} seals nothing any more: `hub keys drop {old}`")
    for each in result["refused"]:
        print(f"left as it is: {each}", file=sys.stderr)
    if result["refused"]:
        print("the rotation is not done: mend these, then run `hub keys rotate` again", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def drop(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key, as `hub keys list` names it.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Take out an old root key, once it seals nothing. Backups from before its rotation still need it: keep a copy with them."""
    with reached(home, writes=True) as hub:
        result = hub.call("keys-drop", key_id=key_id)
    if json:
        print_json(result)
        return
    print(f"{result['id']} is dropped: tokens and sessions that it signed ended with it")
    print(f"Backups made before {result['retired_at']} need it: keep a copy of it with them.")
