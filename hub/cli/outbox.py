"""`hub outbox`: deliveries."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json
from hub.cli.pages import show_page
from hub.cli.parked import Connection, ErrorClass, File, Flow, Set, Since, Until, Why, edited, print_one
from hub.cli.reach import reached

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Deliveries: list them, settle parked ones, release restored connections.",
)
Delivery = Annotated[int, typer.Argument(help="Id of the delivery.")]
Work = Annotated[bool, typer.Option("--work", help="Wait until what follows is worked.")]


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="planned, waiting, retry, confirmed, rejected, uncertain...")
    ] = None,
    error_class: ErrorClass = None,
    connection: Connection = None,
    flow: Flow = None,
    operation: Annotated[str | None, typer.Option(help="Of one operation.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""
    show_page(
        "outbox",
        ["id", "state", "connection", "operation", "key", "attempts", "external_id", "error_class", "reason"],
        home=home,
        json=json,
        state=state,
        error_class=error_class,
        connection=connection,
        flow=flow,
        operation=operation,
        since=since,
        until=until,
        limit=limit,
        before=before,
    )


@app.command()
def show(delivery: Delivery, home: Home = None, json: Json = False) -> None:
    """Show a delivery with its body, the bodies that people replaced, and who settled it."""
    with reached(home) as hub:
        result = hub.call("delivery", delivery_id=delivery)
    if json:
        print_json(result)
    else:
        print_one(result)


@app.command()
def resolve(
    delivery: Delivery,
    confirmed: Annotated[str | None, typer.Option(help="It is there: its id at the other system.")] = None,
    resend: Annotated[
        bool,
        typer.Option(
            "--resend", help="Send it again: by its ladder where it has one, else once more even if it arrived."
        ),
    ] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Do not send it.")] = False,
    work: Work = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Settle a delivery that was refused, or of which nobody knows whether it arrived. Who said what is kept."""
    given = {"confirmed": confirmed is not None, "resend": resend, "drop": drop}
    said = [name for name, is_given in given.items() if is_given]
    if len(said) != 1:
        raise CommandError("say one of --confirmed ID, --resend and --drop", exit_code=2)
    with reached(home, writes=True) as hub:
        result = hub.call("resolve", delivery_id=delivery, answer=said[0], external_id=confirmed)
        if work:
            hub.work()
    if json:
        print_json(result)
    else:
        print(f"delivery {delivery}: {said[0]}")


@app.command()
def edit(
    delivery: Delivery,
    file: File = None,
    set_: Set = None,
    why: Why = None,
    work: Work = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Edit the body of a refused delivery (in $EDITOR, or as said) and send it under the same key. The one that it had is
    kept."""
    with reached(home) as hub:
        now = hub.call("delivery", delivery_id=delivery)
    asked = edited(now, file, set_)
    with reached(home, writes=True) as hub:
        result = hub.call("delivery-edit", delivery_id=delivery, **asked, why=why)
        if work:
            hub.work()
    if json:
        print_json(result)
    else:
        print(f"delivery {delivery} is sent with version {result['version']} of its body")


@app.command()
def release(
    connection: Annotated[str | None, typer.Option(help="One connection only.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: `hub prove --remote` was looked at.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Although not everything since the backup was read.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Let connections that came out of a backup send again. Without --yes it says what waits."""
    with reached(home, writes=True) as hub:
        result = hub.call("outbox-release", connection=connection, yes=yes, force=force)
    if json:
        print_json(result)
    else:
        _say_released(result)
    if result["connections"] and not result["released"]:
        raise typer.Exit(1)


def _say_released(result: dict[str, Any]) -> None:
    if not result["connections"]:
        print("No connection waits for its release.")
        return
    for each in result["connections"]:
        waiting = ", ".join(f"{count} {ladder}" for ladder, count in each["deliveries"].items()) or "none"
        said = f"is {each['mode']} again" if result["released"] else f"would be {each['mode']} again"
        print(f"{each['name']} {said}; deliveries that wait, by how they are made safe: {waiting}")
    for each in result["next_numbers"]:
        print(
            f"the next number of {each['series']} is {each['next']}: see that no document outside has it or a later one"
        )
    for unread in result["unread"]:
        print(f"not read yet: {unread}")
    if not result["released"]:
        print("Nothing was released. Look at `hub prove --remote`, then run it again with --yes.")
