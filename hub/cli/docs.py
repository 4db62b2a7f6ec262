"""`hub docs`: the parts of the documentation that are made from the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.errors import CommandError

#: page, name of its marks, and where the text between them is made
_PARTS = (
    ("mappings.md", "functions", "hub.mapping:functions_markdown"),
    ("flows.md", "events", "hub.flows.reference:events_markdown"),
    ("flows.md", "steps", "hub.flows.reference:steps_markdown"),
)


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of the documentation.")] = Path("docs"),
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail when something is not in step.")] = False,
) -> None:
    """Bring the references of functions, events and steps in step with the code."""
    for name, part, made_by in _PARTS:
        page = folder / name
        try:
            before = page.read_text("utf-8")
        except OSError as error:
            raise CommandError(f"{page} cannot be read: {error.strerror}: run it in the checkout") from None
        after = _with(page, before, part, made_by)
        if after == before:
            print(f"{page}: {part} are in step")
        elif check:
            raise CommandError(f"{page}: {part} are not in step: run `hub docs`")
        else:
            page.write_text(after, "utf-8")
            print(f"{page}: {part} were brought in step")


def _with(page: Path, text: str, part: str, made_by: str) -> str:
    marks = re.compile(rf"(<!-- {part}:.*? -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    if not marks.search(text):
        raise CommandError(f"{page} has no marks `<!-- {part}: ... -->` and `<!-- /{part} -->`")
    module, _, function = made_by.partition(":")
    reference = getattr(importlib.import_module(module), function)().strip()
    return marks.sub(lambda found: f"{found[1]}\n{reference}\n\n{found[2]}", text)
