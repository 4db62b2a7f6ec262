"""`hub run`: starts the flows of a manual trigger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, Json
from hub.cli.output import print_json
from hub.cli.reach import reached


def command(
    name: Annotated[str, typer.Argument(help="Name of the manual trigger.")],
    record: Annotated[str, typer.Option(help="The record or a list of them: a file, - for standard input, or JSON.")],
    key: Annotated[str | None, typer.Option(help="With the same key the same records are taken once.")] = None,
    work: Annotated[bool, typer.Option("--work", help="Wait until they are worked.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Start the flows with `on: {manual: NAME}`, one event a record."""
    records = _records(record)
    with reached(home, writes=True) as hub:
        result = hub.call("trigger", name=name, records=records, key=key)
        if work:
            hub.work()
            result["questions"] = hub.call("status")["questions"]
    if json:
        print_json(result)
        return
    print(f"{result['received']} records taken" + (f", {result['repeats']} known" if result["repeats"] else ""))
    if result.get("questions"):
        print(f"{result['questions']} open questions: hub questions list")


def _records(given: str) -> list[dict[str, Any]]:
    from hub.connect import payload
    from hub.connect.errors import Unreadable

    if given == "-":
        text = sys.stdin.buffer.read()
    elif given.lstrip().startswith(("{", "[")):
        text = given.encode()
    else:
        try:
            text = Path(given).read_bytes()
        except OSError as error:
            raise CommandError(f"{given} cannot be read: {error.strerror}") from None
    try:
        value = payload.decode(text)
    except Unreadable as error:
        raise CommandError(f"the record is {error}") from None
    records = value if isinstance(value, list) else [value]
    if not records or not all(isinstance(each, dict) for each in records):
        raise CommandError("a record is a JSON object; several are a list of them")
    return records
