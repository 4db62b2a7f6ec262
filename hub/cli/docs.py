"""`hub docs`: the parts of the documentation that are made from the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.errors import CommandError

_MARKS = re.compile(r"(<!-- functions:.*? -->\n).*?(<!-- /functions -->)", re.DOTALL)


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of the documentation.")] = Path("docs"),
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail when something is not in step.")] = False,
) -> None:
    """Bring the reference of functions in `mappings.md` in step with the code."""
    from hub.mapping import functions_markdown

    page = folder / "mappings.md"
    try:
        before = page.read_text("utf-8")
    except OSError as error:
        raise CommandError(f"{page} cannot be read: {error.strerror}: run it in the checkout") from None
    if not _MARKS.search(before):
        raise CommandError(f"{page} has no marks `<!-- functions: ... -->` and `<!-- /functions -->`")
    reference = functions_markdown().strip()
    after = _MARKS.sub(lambda found: f"{found[1]}\n{reference}\n\n{found[2]}", before)
    if after == before:
        print(f"{page} is in step")
    elif check:
        raise CommandError(f"{page} is not in step: run `hub docs`")
    else:
        page.write_text(after, "utf-8")
        print(f"{page} was brought in step")
