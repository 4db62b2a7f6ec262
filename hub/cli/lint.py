"""`hub lint`."""

from __future__ import annotations

import typer

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json


def command(home: Home = None, json: Json = False) -> None:
    """Check all flows, mappings and connectors, shipped and of the hub's folder."""
    from hub.workers.admin import flows

    result = flows.lint(settings_of(home))
    if json:
        print_json(result)
    else:
        for each in result["problems"]:
            hint = f" ({each['hint']})" if each["hint"] else ""
            print(f"{each['file']}:{each['line']}:{each['column']}: {each['rule']}: {each['message']}{hint}")
        checked = ", ".join(f"{count} {what}" for what, count in result["checked"].items())
        print(f"{len(result['problems'])} problems in {checked}" if result["problems"] else f"No problem in {checked}.")
    if not result["ok"]:
        raise typer.Exit(1)
