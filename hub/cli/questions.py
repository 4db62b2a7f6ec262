"""`hub questions`: what waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Before, Home, Json, Limit
from hub.cli.output import print_json, print_next, print_table
from hub.cli.parked import Connection, ErrorClass, Flow, Since, Until
from hub.cli.reach import reached

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Questions: list and answer them.")


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="open, answered, resolved or all.")] = "open",
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
    """List questions with the answers that they take, newest first."""
    if state not in ("open", "answered", "resolved", "all"):
        raise CommandError(f"{state!r} is not a state: open, answered, resolved or all", exit_code=2)
    with reached(home) as hub:
        result = hub.call(
            "questions",
            state=state,
            error_class=error_class,
            connection=connection,
            flow=flow,
            since=since,
            until=until,
            limit=limit,
            before=before,
        )
    if json:
        print_json(result)
        return
    rows = [
        {**item, "answers": [_asked(one["answer"], one["needs"]) for one in item["answers"]]}
        for item in result["items"]
    ]
    print_table(rows, ["id", "kind", "subject", "reason", "answers"])
    print_next(result)


@app.command()
def answer(
    question: Annotated[int, typer.Argument(help="Number of the question.")],
    answer: Annotated[str, typer.Argument(help="One of its answers.")],
    values: Annotated[list[str] | None, typer.Argument(help="What the answer needs: sku=MUG-01.")] = None,
    work: Annotated[bool, typer.Option("--work", help="Wait until what follows is worked.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Answer a question."""
    given = {}
    for text in values or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"{text!r} is not NAME=VALUE", exit_code=2)
        given[name] = value
    with reached(home, writes=True) as hub:
        result = hub.call("answer", question_id=question, answer=answer, values=given)
        if work:
            hub.work()
    if json:
        print_json(result)
    else:
        print(f"question {question}: {answer}" + ("" if result["closed"] else " (it stays open)"))


def _asked(answer: str, needs: list[str]) -> str:
    return " ".join([answer, *(f"{name}=..." for name in needs)])
