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
    ("lint.md", "rules", "hub.flows.lint.reference:rules_markdown"),
    ("lint.md", "refusals", "hub.flows.lint.reference:refusals_markdown"),
)
#: whole files, what they show, and where they are made
_FILES = (("flows.svg", "the shipped flows", "hub.workers.admin.graph:shipped_svg"),)


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of the documentation.")] = Path("docs"),
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail when something is not in step.")] = False,
) -> None:
    """Bring the references of functions, events, steps and rules, and the picture of the flows, in step with the code."""
    for name, part, made_by in _PARTS:
        page = folder / name
        before = _text(page)
        _bring(page, part, before, _with(page, before, part, made_by), check)
    for name, part, made_by in _FILES:
        file = folder / name
        _bring(file, part, _text(file) if file.exists() else "", _made(made_by), check)


def _bring(file: Path, part: str, before: str, after: str, check: bool) -> None:
    if after == before:
        print(f"{file}: {part} are in step")
    elif check:
        raise CommandError(f"{file}: {part} are not in step: run `hub docs`")
    else:
        file.write_text(after, "utf-8")
        print(f"{file}: {part} were brought in step")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}: run it in the checkout") from None


def _made(by: str) -> str:
    module, _, function = by.partition(":")
    made: str = getattr(importlib.import_module(module), function)()
    return made


def _with(page: Path, text: str, part: str, made_by: str) -> str:
    marks = re.compile(rf"(<!-- {part}:.*? -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    if not marks.search(text):
        raise CommandError(f"{page} has no marks `<!-- {part}: ... -->` and `<!-- /{part} -->`")
    reference = _made(made_by).strip()
    return marks.sub(lambda found: f"{found[1]}\n{reference}\n\n{found[2]}", text)
