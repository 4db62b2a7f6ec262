"""`hub replay`: work events again, one by one or all of a class."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, Json
from hub.cli.output import print_json, print_table
from hub.cli.parked import Connection, ErrorClass, Flow, Since, Until
from hub.cli.reach import Reached, reached


def command(
    events: Annotated[list[int] | None, typer.Argument(help="Numbers of events, as `hub inbox` lists them.")] = None,
    error_class: ErrorClass = None,
    connection: Connection = None,
    flow: Flow = None,
    since: Since = None,
    until: Until = None,
    state: Annotated[str, typer.Option(help="parked, or done: events that were worked.")] = "parked",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    same_version: Annotated[
        bool,
        typer.Option("--same-version", help="With the versions of the flows that worked them, not those that run now."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    resume: Annotated[int | None, typer.Option(help="Let a bulk replay that was stopped go on.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List bulk replays.")] = False,
    work: Annotated[
        bool, typer.Option("--work", help="Wait until they are worked; Ctrl-C pauses a bulk replay.")
    ] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Work parked or done events again: those named, or in bulk all that a class, connection, flow or time names, with
    parked runs and refused deliveries. What is booked already is not booked twice."""
    narrowed = {
        "error_class": error_class,
        "connection": connection,
        "flow": flow,
        "since": since,
        "until": until,
    }
    ways = [bool(events), any(narrowed.values()), resume is not None, list_]
    if sum(ways) != 1:
        raise CommandError("say which: numbers of events, --class and the like, --resume ID, or --list", exit_code=2)
    if list_:
        _list(home, json)
        return
    with reached(home, writes=not dry_run) as hub:
        if events:
            result = hub.call("replay", seqs=events, same_version=same_version)
            if work:
                hub.work()
        elif resume is not None:
            result = _follow(hub, hub.call("replay-set", replay_id=resume, state="running"), work)
        else:
            result = hub.call(
                "replay-begin", state=state, same_version=same_version, most=limit, dry_run=dry_run, **narrowed
            )
            if not dry_run:
                result = _follow(hub, result, work)
    if json:
        print_json(result)
    elif events:
        print(f"events {', '.join(map(str, result['replayed']))} are worked again")
    elif dry_run:
        print(f"{result['events']} events, {result['runs']} runs, {result['deliveries']} deliveries")
        print_table([{"class": name, "count": count} for name, count in result["classes"].items()], ["class", "count"])
    else:
        print(_said(result))


def _list(home: Any, json: bool) -> None:
    with reached(home) as hub:
        result = hub.call("replays")
    if json:
        print_json(result)
        return
    columns = ["id", "state", "criteria", "taken", "total", "skipped", "created_at", "created_by"]
    print_table(result["items"], columns)


def _follow(hub: Reached, begun: Mapping[str, Any], work: bool) -> dict[str, Any]:
    """Lets a bulk replay be worked and shows how far it has come. Ctrl-C pauses it."""
    replay_id, now = int(begun["id"]), dict(begun)
    if not work:
        return now
    shown = ""

    def told() -> bool:
        nonlocal now, shown
        now = hub.call("replay-one", replay_id=replay_id)
        line = f"{now['taken']} of {now['total']}"
        if line != shown and sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        shown = line
        return now["state"] != "running" and not now["open"]

    try:
        hub.work(told)
        told()
    except KeyboardInterrupt:
        now = hub.call("replay-set", replay_id=replay_id, state="paused")
        raise CommandError(f"{_said(now)}: `hub replay --resume {replay_id}`", exit_code=130) from None
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)
    return now


def _said(result: Mapping[str, Any]) -> str:
    again = result["events"].get("parked", 0)
    text = f"replay {result['id']} is {result['state']}: {result['taken']} of {result['total']} worked again"
    text += f", {again} of them parked again" if again else ""
    return text + (f", {result['skipped']} skipped ({result['skipped_reason']})" if result["skipped"] else "")
