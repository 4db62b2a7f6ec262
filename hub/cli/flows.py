"""`hub flows`: which version of a flow runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, Json
from hub.cli.output import print_json, print_table
from hub.cli.reach import reached

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Versions of flows: compare, activate, roll back.")
_SHORT = 8
_FILES = {"same": "same", "none": "no file", "broken": "does not lint"}
Flow = Annotated[str, typer.Argument(help="Name of the flow.")]
Merchant = Annotated[int | None, typer.Option(help="Of one merchant only.")]


@app.command("list")
def list_(merchant: Merchant = None, home: Home = None, json: Json = False) -> None:
    """List what runs, since when and by whom, what the files say, and the runs of each version in the last day."""
    with reached(home) as hub:
        result = hub.call("flows", merchant=merchant)
    if json:
        print_json(result)
        return
    _print(result["items"])
    for problem in result["problems"]:
        print(problem, file=sys.stderr)


@app.command()
def diff(
    flow: Flow,
    a: Annotated[
        str | None, typer.Argument(help="A version: part of its hash, or active, before, canary, files.")
    ] = None,
    b: Annotated[str | None, typer.Argument(help="Another; without it, what runs.")] = None,
    merchant: Merchant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show how two versions differ, with their mappings; without any, what runs and what the files say."""
    with reached(home) as hub:
        result = hub.call("flow-diff", flow=flow, a=a, b=b, merchant=merchant)
    if json:
        print_json(result)
    else:
        print(result["diff"] or f"{result['a'][:_SHORT]} and {result['b'][:_SHORT]} do not differ")


@app.command()
def activate(
    flow: Flow,
    version: Annotated[
        str | None,
        typer.Option(help="Part of its hash, or active, before, canary, files. Default: the canary, else files."),
    ] = None,
    share: Annotated[str | None, typer.Option(help="As a canary, for a share of the ordering keys: 10%.")] = None,
    rollback_if: Annotated[
        str | None, typer.Option(help='As a canary that withdraws itself: "errors > 5% of 50".')
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="What the files say runs, now and from now on.")] = False,
    merchant: Merchant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Pin a version of a flow, or start a canary: the files do not change what runs until `--files`."""
    with reached(home, writes=True) as hub:
        result = hub.call(
            "flow-activate",
            flow=flow,
            version=version,
            share=_percent(share),
            rollback_if=rollback_if,
            files=files,
            merchant=merchant,
        )
    _tell(result, json)


@app.command()
def rollback(flow: Flow, merchant: Merchant = None, home: Home = None, json: Json = False) -> None:
    """End the canary; where none runs, pin the version that ran before."""
    with reached(home, writes=True) as hub:
        result = hub.call("flow-rollback", flow=flow, merchant=merchant)
    _tell(result, json)


@app.command()
def reload(home: Home = None, json: Json = False) -> None:
    """Read flows, mappings, connections and roles again; what does not lint is refused, and what ran goes on."""
    with reached(home, writes=True) as hub:
        result = hub.call("reload")
    if json:
        print_json(result)
        return
    for problem in result["problems"]:
        print(problem)
    if not result["problems"]:
        print("everything was read")


def _percent(text: str | None) -> int | None:
    if text is None:
        return None
    number = text.strip().removesuffix("%").strip()
    if not number.isdigit():
        raise CommandError(f"{text!r} is no share: write 10%", exit_code=2)
    return int(number)


def _tell(result: Mapping[str, Any], json: bool) -> None:
    if json:
        print_json(result)
    else:
        _print(result["items"])


def _print(items: list[dict[str, Any]]) -> None:
    columns = ["flow", "version", "since", "by", "files", "canary", "runs", "parked"]
    if len({item["merchant"] for item in items}) > 1:
        columns.insert(1, "merchant")
    print_table([row for item in items for row in _rows(item)], columns)


def _rows(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The active version, then the canary, then the other versions that had runs."""
    files, canary = item["files"], item["canary"]
    counts = {each["version"]: each for each in item["runs"]}
    first = {
        "flow": item["flow"],
        "merchant": item["merchant"],
        "version": item["version"],
        "since": (item["since"] or "")[:19],
        "by": f"{item['by']} (pinned)" if item["pinned"] else item["by"],
        "files": _FILES.get(files["state"]) or (files["version"] or "")[:_SHORT],
    }
    rows = [first]
    if canary is not None:
        told = f"{canary['share']}%" + (f", {canary['rollback_if']}" if canary["rollback_if"] else "")
        rows.append({"version": canary["version"], "since": canary["since"][:19], "by": canary["by"], "canary": told})
    shown = {row["version"] for row in rows}
    rows += [{"version": version} for version in counts if version not in shown]
    for row in rows:
        count = counts.get(row["version"], {"runs": 0, "parked": 0})
        row |= {"version": (row["version"] or "")[:_SHORT], "runs": count["runs"], "parked": count["parked"]}
    return rows
