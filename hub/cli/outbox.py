"""`hub outbox`: deliveries."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json
from hub.cli.pages import show_page
from hub.cli.reach import reached

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Deliveries: list them, settle parked ones, release restored connections.",
)


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="planned, waiting, retry, confirmed, rejected, uncertain...")
    ] = None,
    connection: Annotated[str | None, typer.Option(help="To one connection.")] = None,
    operation: Annotated[str | None, typer.Option(help="Of one operation.")] = None,
    limit: Limit = 50,
    before: Before = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""
    columns = ["id", "state", "connection", "operation", "key", "attempts", "external_id", "reason"]
    show_page(
        "outbox",
        columns,
        home=home,
        json=json,
        state=state,
        connection=connection,
        operation=operation,
        limit=limit,
        before=before,
    )


@app.command()
def resolve(
    delivery: Annotated[int, typer.Argument(help="Id of the delivery.")],
    answer: Annotated[str, typer.Argument(help="resend, confirmed or drop.")],
    external_id: Annotated[str | None, typer.Option(help="For `confirmed`: its id at the other system.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Settle a delivery that was rejected or of which nobody knows whether it arrived."""
    values = {"external_id": external_id} if external_id else {}
    with reached(home, writes=True) as hub:
        asked = hub.call("questions", delivery=delivery)["items"]
        if not asked:
            raise CommandError(f"delivery {delivery} has no open question: see `hub outbox list`")
        result = hub.call("answer", question_id=int(asked[0]["id"]), answer=answer, values=values)
    if json:
        print_json(result)
    else:
        print(f"delivery {delivery}: {answer}")


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
