"""`hub outbox`: deliveries."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json
from hub.cli.pages import show_page
from hub.cli.reach import reached

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Deliveries: list them, settle parked ones.")


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
