"""What commands about parked things share: options that narrow a list, edits of a payload, and what is shown of one."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError

ErrorClass = Annotated[
    str | None, typer.Option("--class", help="Of one class of errors: mapping, unknown_sku, rejected, uncertain...")
]
Connection = Annotated[str | None, typer.Option("--connection", help="Of one connection.")]
Flow = Annotated[str | None, typer.Option("--flow", help="Of one flow.")]
Since = Annotated[str | None, typer.Option("--since", help="From this day (2026-11-24) or instant on.")]
Until = Annotated[str | None, typer.Option("--until", help="Before this day or instant.")]
File = Annotated[Path | None, typer.Option("--file", help="The whole new body.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE in the body, such as lines.0.sku=MUG-01.")]
Why = Annotated[str | None, typer.Option("--why", help="Why, for the record.")]


def edited(now: Mapping[str, Any], file: Path | None, changes: Sequence[str] | None) -> dict[str, Any]:
    """What is to be said to the hub of an edit: the content of a file, values by their path, or what the person makes of
    the body in an editor. `now`: the thing as the hub shows it. Raises: CommandError."""
    if file is not None and changes:
        raise CommandError("give --file or --set, not both", exit_code=2)
    if changes:
        return {"values": _values(changes), "of": now["sha256"]}
    if file is not None:
        try:
            return {"body": file.read_text("utf-8"), "of": now["sha256"]}
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from None
    return {"body": _in_editor(str(now["body"] or "")), "of": now["sha256"]}


def _values(changes: Sequence[str]) -> dict[str, Any]:
    """Values by their path: JSON where they are JSON, else text."""
    from hub.connect import payload
    from hub.connect.errors import Unreadable

    found: dict[str, Any] = {}
    for each in changes:
        path, equals, text = each.partition("=")
        if not equals or not path:
            raise CommandError(f"{each!r} is not PATH=VALUE", exit_code=2)
        try:
            found[path] = payload.decode(text.encode())
        except Unreadable:
            found[path] = text
    return found


def _in_editor(body: str) -> str:
    """What a person makes of a body in $VISUAL or $EDITOR. Raises: CommandError when nothing was changed."""
    import msgspec

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise CommandError("set EDITOR, or give --file or --set")
    try:
        text = msgspec.json.format(body, indent=2)
    except msgspec.DecodeError:
        text = body
    with tempfile.NamedTemporaryFile("w+", suffix=".json", prefix="hub-edit-", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if subprocess.run([*shlex.split(editor), file.name]).returncode:  # noqa: S603 - the person's own editor
            raise CommandError(f"{editor} failed: nothing is changed")
        after = Path(file.name).read_text("utf-8")
    if after == text:
        raise CommandError("nothing was changed")
    return after


def print_one(thing: Mapping[str, Any]) -> None:
    """One event or delivery: its fields, its bodies in order with who made them, and what was asked and answered."""
    apart = ("body", "sha256", "sent_body", "versions", "questions")
    for name, value in thing.items():
        if name not in apart and value is not None:
            print(f"{name.replace('_', ' ')}: {value}")
    for each in thing["versions"]:
        by = f" by {each['by']}" if each["by"] else ""
        why = f": {each['why']}" if each["why"] else ""
        print(f"\nversion {each['version']}, {each['at']}{by}{why}\n{each['body'] or '(erased)'}")
    for each in thing.get("questions", ()):
        said = f"{each['answer']} by {each['answered_by'] or 'the hub'} on {each['closed_at']}"
        print(f"\nquestion {each['id']} ({each['kind']}), {each['created_at']}: {each['reason']}")
        print(f"  {said if each['answer'] else each['state']}")
