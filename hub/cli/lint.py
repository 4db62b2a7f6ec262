"""`hub lint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hub.cli.options import Home, Json, settings_of
from hub.cli.output import print_json


def command(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; else all of the hub.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Also say which flows have no test.")] = False,
    format: Annotated[
        Literal["text", "json", "github"], typer.Option("--format", help="How findings are printed.")
    ] = "text",
    home: Home = None,
    json: Json = False,
) -> None:
    """Check flows, mappings, tests, connections and connectors. Ends with 1 when something is found."""
    from hub.workers.admin.lint import lint

    result = lint(settings_of(home), paths or [], strict=strict)
    if json or format == "json":
        print_json(result)
    elif format == "github":
        for each in result["problems"]:
            print(_annotation(each))
    else:
        _print(result)
    if not result["ok"]:
        raise typer.Exit(1)


def _print(result: dict[str, Any]) -> None:
    for each in result["problems"]:
        print(f"{each['file']}:{each['line']}:{each['column']}: {each['rule']}: {_said(each)}")
    checked = ", ".join(f"{count} {what}" for what, count in result["checked"].items())
    count = len(result["problems"])
    print(f"{count} problem{'s' if count > 1 else ''} in {checked}" if count else f"No problem in {checked}.")


def _annotation(each: dict[str, Any]) -> str:
    """A finding as GitHub Actions shows it beside the line."""
    place = f"file={_escaped(each['file'], ',:')},line={each['line']},col={each['column']}"
    return f"::error {place},title={each['rule']}::{_escaped(_said(each))}"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + more else char for char in text)


def _said(each: dict[str, Any]) -> str:
    return f"{each['message']} ({each['hint']})" if each["hint"] else str(each["message"])
