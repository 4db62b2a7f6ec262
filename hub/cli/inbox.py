"""`hub inbox`: events."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json
from hub.cli.pages import show_page
from hub.cli.parked import Connection, ErrorClass, File, Flow, Set, Since, Until, Why, edited, print_one
from hub.cli.reach import reached

app = typer.Typer(rich_markup_mode=None, help="Events: list them, look at one, edit a parked one.")
Seq = Annotated[int, typer.Argument(help="Number of the event.")]


@app.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="fetch, ready, retry, done or parked.")] = None,
    error_class: ErrorClass = None,
    connection: Connection = None,
    flow: Flow = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Events: list them, newest first; look at one; edit a parked one."""
    if context.invoked_subcommand is not None:
        return
    show_page(
        "inbox",
        ["seq", "state", "connection", "topic", "record_id", "received_at", "error_class", "outcome"],
        home=home,
        json=json,
        state=state,
        error_class=error_class,
        connection=connection,
        flow=flow,
        since=since,
        until=until,
        limit=limit,
        before=before,
    )


@app.command()
def show(seq: Seq, home: Home = None, json: Json = False) -> None:
    """Show an event with its body, and the bodies that people replaced."""
    with reached(home) as hub:
        result = hub.call("event", seq=seq)
    if json:
        print_json(result)
    else:
        print_one(result)


@app.command()
def edit(
    seq: Seq,
    file: File = None,
    set_: Set = None,
    why: Why = None,
    work: Annotated[bool, typer.Option("--work", help="Wait until it is worked.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Edit the body of a parked event (in $EDITOR, or as said) and work it. The one that it had is kept."""
    with reached(home) as hub:
        now = hub.call("event", seq=seq)
    asked = edited(now, file, set_)
    with reached(home, writes=True) as hub:
        result = hub.call("event-edit", seq=seq, **asked, why=why)
        if work:
            hub.work()
    if json:
        print_json(result)
    else:
        print(f"event {seq} is worked with version {result['version']} of its body")
